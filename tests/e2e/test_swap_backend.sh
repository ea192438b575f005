#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# netd is swapped for one with another TCP/IP, lwIP's or a kernel's, and back: listeners,
# datagram sockets and epoll sets go on, on the same published ports; connections are
# reset, which both ends hear, after the server has read what had come.
. "$(dirname "$0")/run/lib.sh"

cp "$STRAIT_BIN/fsd" "$STRAIT_BIN/netd" "$W/bin/"
STRAIT=$W/bin/strait
P=$W/bin/backend
"$STRAIT_BIN/strait-cc" -O1 -o "$P" "$STRAIT_SRC/tests/e2e/swap/backend.c" || exit 1
chmod a+rx "$W/bin"/*

client() { timeout -k 5 40 python3 "$STRAIT_SRC/tests/e2e/swap/backend_client.py" "$@"; }
works() { client new 18080 18053 >"$W/client" 2>&1 || fail "$CASE: $(cat "$W/client" "$W/inst.out" "$W/inst.err")"; }
swap() { timeout -k 5 30 $as "$STRAIT" swap inst --service netd "$@" >"$W/out" 2>&1; }
says() { grep -q -- "$1" "$W/out" || fail "$CASE: no \"$1\" in: $(cat "$W/out")"; }
netd_is()
{
	$as "$STRAIT" ps | grep -q "^  netd$1 .* up," || fail "$CASE: not netd$1: $($as "$STRAIT" ps)"
}

# A swap to $1: a connection with 30,000 bytes that the server has not read.
changes()
{
	local n

	n=$(grep -c "^connection: 30000 more bytes, then ECONNRESET" "$W/inst.out")
	: >"$W/c1"
	client reset 18080 30000 >"$W/c1" 2>&1 &
	c1=$!
	wait_line "$W/c1" up
	sleep 0.2
	swap --backend "$1" || fail "$CASE: $(cat "$W/out")"
	says "guests waited [0-9.]* ms, 2 sockets moved, 1 connections lost$"
	wait $c1 || fail "$CASE: the peer: $(cat "$W/c1" "$W/inst.out")"
	[ "$(grep -c "^connection: 30000 more bytes, then ECONNRESET" "$W/inst.out")" = $((n + 1)) ] ||
		fail "$CASE: the server: $(cat "$W/inst.out")"
	works
}

for who in $whos; do
	as=$alone
	[ $who = user ] && as=$user
	: >"$W/inst.out"
	CASE="$who: a peer that only reads hears that netd was killed"
	$as "$STRAIT" run --name inst -p 18080:80 -p 18053:80/udp "$P" >"$W/inst.out" 2>"$W/inst.err" </dev/null &
	inst=$!
	wait_line "$W/inst.out" ready
	works
	netd_is ""
	: >"$W/c1"
	client reset 18080 30000 >"$W/c1" 2>&1 &
	c1=$!
	wait_line "$W/c1" up
	sleep 0.7 # all is acknowledged: it has no reason to send
	kill -KILL "$($as "$STRAIT" ps | awk '$1 == "netd" { print $2 }')"
	at=$SECONDS
	wait $c1 || fail "$CASE: $(cat "$W/c1")"
	[ $((SECONDS - at)) -le 2 ] || fail "$CASE: after $((SECONDS - at)) s" # of which 1 is the clock's grain
	wait_line "$W/inst.err" "netd is back after .*(epoch 2)"
	grep -q "^connection: 30000 more bytes, then ECONNRESET" "$W/inst.out" ||
		fail "$CASE: the server: $(cat "$W/inst.out")"
	works
	passed

	CASE="$who: from lwip to a kernel's sockets"
	changes host
	netd_is " (host)"
	passed

	CASE="$who: swapped and killed there"
	: >"$W/c2"
	client lives 18080 1 >"$W/c2" 2>&1 &
	c2=$!
	wait_line "$W/c2" up
	swap || fail "$CASE: $(cat "$W/out")"
	says "1 connections moved$"
	wait $c2 || fail "$CASE: $(cat "$W/c2")"
	kill -KILL "$($as "$STRAIT" ps | awk '$1 == "netd" { print $3 }')"
	wait_line "$W/inst.err" "netd is back after .*(epoch 5)"
	works
	netd_is " (host)"
	passed

	CASE="$who: and back"
	changes lwip
	netd_is ""
	grep -q "^failed" "$W/inst.out" && fail "$CASE: $(cat "$W/inst.out")"
	kill -TERM $inst
	wait $inst
	nothing_left soon
	passed
done

CASE="what cannot be swapped"
as=$alone
: >"$W/inst.out"
$as "$STRAIT" run --net host --name inst "$P" >"$W/inst.out" 2>"$W/inst.err" </dev/null &
inst=$!
wait_line "$W/inst.out" ready
swap --backend lwip && fail "$CASE: from --net host to lwip: $(cat "$W/out")"
says "it runs with --net host: it has no network of its own"
swap --backend host || fail "$CASE: $(cat "$W/out")"
swap --backend best && fail "$CASE: $(cat "$W/out")"
says "want host or lwip"
$as "$STRAIT" swap inst --service fsd --backend host >"$W/out" 2>&1 && fail "$CASE: $(cat "$W/out")"
says "is of --service netd"
kill -TERM $inst
wait $inst
nothing_left soon
passed
finish
