#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# netd is swapped, again and again, under a guest whose connections carry data both ways:
# every byte arrives, no connection is reset, none has to be made anew.
. "$(dirname "$0")/run/lib.sh"

cp "$STRAIT_BIN/fsd" "$STRAIT_BIN/netd" "$W/bin/"
cp "$STRAIT_BIN/netd" "$W/bin/netd-other"
STRAIT=$W/bin/strait
P=$W/bin/transfer
"$STRAIT_BIN/strait-cc" -O2 -o "$P" "$STRAIT_SRC/tests/e2e/swap/transfer.c" || exit 1
chmod a+rx "$W/bin"/*
# The long form: more of both, `lwip` alone and as root alone (tests/faults/soak).
SWAPS=${STRAIT_TEST_SWAPS:-10}
export STRAIT_TEST_MIB=${STRAIT_TEST_MIB:-100}

# What the kernel that netd talks to, or through, has seen: behind the TAP it is in a
# namespace of its own and counts what it sends, too.
resets()
{
	[ $net = host ] && {
		awk '/^Tcp:/ && $2 + 0 { print $9; exit }' /proc/net/snmp
		return
	}
	(behind cat /proc/net/snmp) | awk '/^Tcp:/ && $2 + 0 { print $9 + $15; exit }' # EstabResets, OutRsts
}

# behind CMD...: in the namespace of the TAP.
behind()
{
	local p

	for p in $(ps -eo pid=); do
		nsenter -t "$p" -n ip link show strait0 >/dev/null 2>&1 || continue
		exec nsenter -t "$p" -n "$@"
	done
}

# Every segment is looked at as it passes the TAP.
watch()
{
	rm -f "$W/watched"
	[ $net = host ] && return
	: >"$W/watch"
	(behind python3 "$STRAIT_SRC/tests/e2e/swap/watch_tcp.py" strait0 "$W/watched") >"$W/watch" 2>&1 &
	watcher=$!
	wait_line "$W/watch" watching
}

watched()
{
	[ $net = host ] && return
	touch "$W/watched"
	wait $watcher || fail "$CASE: on the link: $(cat "$W/watch")"
	sed -n 's/^packets/  packets/p' "$W/watch"
}

# number FILE NAME: from what a client printed
number() { sed -n "s/.*\\b$2 \\([0-9]*\\).*/\\1/p" "$1"; }

# swapped NET PORT JOINED-PORT ARGS...: two guests, each with its client.
swapped()
{
	local net=$1 port=$2 port2=$3 pid pid2 client=() before n with c

	shift 3
	CASE="$who: $net: $SWAPS swaps under load"
	rm -f "$W/stop" "$W/swaps"
	: >"$W/guest.out"
	: >"$W/joined.out"
	$as "$STRAIT" run --name inst --net $net "$@" "$P" 8080 >"$W/guest.out" 2>"$W/guest.err" </dev/null &
	pid=$!
	wait_line "$W/guest.out" ready || return
	$as "$STRAIT" run --join inst "$P" 8081 >"$W/joined.out" 2>"$W/joined.err" </dev/null &
	pid2=$!
	wait_line "$W/joined.out" ready || return
	before=$(resets)
	[ -n "$before" ] || fail "$CASE: nobody counts resets"
	watch
	for c in $port $port2; do
		python3 "$STRAIT_SRC/tests/e2e/swap/client.py" $c "$W/stop" >"$W/client.$c" 2>&1 &
		client+=($!)
	done
	sleep 0.5
	for n in $(seq "$SWAPS"); do
		with=
		[ $((n % 3)) = 0 ] && with="--with $W/bin/netd-other"
		# shellcheck disable=SC2086
		timeout -k 5 30 $as "$STRAIT" swap inst --service netd $with >"$W/out" 2>"$W/err" ||
			fail "$CASE: swap $n: $(cat "$W/err") $(cat "$W/guest.err")"
		# Another may follow at once.
		[ "$n" -gt 3 ] || timeout -k 5 30 $as "$STRAIT" restart inst --service fsd >/dev/null 2>"$W/err" ||
			fail "$CASE: restart after swap $n: $(cat "$W/err")"
		sed -n 's/^netd of inst: //p' "$W/out" >>"$W/swaps"
		sleep 0.5
	done
	touch "$W/stop"
	for c in "${client[@]}"; do
		wait "$c" || fail "$CASE: $(cat "$W"/client.* "$W/guest.err" "$W/joined.err")"
	done
	watched
	[ "$(resets)" = "$before" ] || fail "$CASE: resets: $before before, $(resets) after"
	for c in $port $port2; do
		[ "$(number "$W/client.$c" fetched)" -ge $((STRAIT_TEST_MIB << 20)) ] &&
			[ "$(number "$W/client.$c" sent)" -ge $((STRAIT_TEST_MIB << 20)) ] ||
			fail "$CASE: little was moved: $(cat "$W/client.$c")"
		cat "$W/client.$c"
	done
	$as "$STRAIT" ps | grep -q "netd .*epoch $((SWAPS + 1))," || fail "$CASE: $($as "$STRAIT" ps)"
	cat "$W/guest.out" "$W/joined.out" | grep "failed" && fail "$CASE: a guest's connection failed"
	sed 's/^/  /' "$W/swaps"
	kill "$pid2"
	wait "$pid2"
	kill "$pid"
	wait "$pid"
	rm -f "$W"/client.*
	nothing_left soon
	passed
}

[ -z "${STRAIT_TEST_SWAPS:-}" ] || whos=root
for who in $whos; do
	as=$alone
	[ $who = user ] && as=$user
	swapped lwip 18090 18091 -p 18090:8080 -p 18091:8081
	[ -n "${STRAIT_TEST_SWAPS:-}" ] || swapped host 8080 8081
done
finish
