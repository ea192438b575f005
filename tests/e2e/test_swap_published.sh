#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# netd is swapped, restarted and killed under a server: a swap costs no connection and no
# byte; a restart or a kill costs connections, never the server.
. "$(dirname "$0")/run/lib.sh"

cp "$STRAIT_BIN/fsd" "$STRAIT_BIN/netd" "$W/bin/"
STRAIT=$W/bin/strait
P=$W/bin/echo
"$STRAIT_BIN/strait-cc" -O1 -o "$P" "$STRAIT_SRC/tests/e2e/run/echo.c" -lpthread || exit 1
chmod a+rx "$W/bin"/*
as=$alone

start()
{
	: >"$W/inst.out"
	$as "$STRAIT" run --name inst -p 8081:80 -p 8082:81 "$P" 80 >"$W/inst.out" 2>"$W/inst.err" </dev/null &
	inst=$!
	wait_line "$W/inst.out" ready
	: >"$W/joined.out"
	$as "$STRAIT" run --join inst --name joined "$P" 81 >"$W/joined.out" 2>"$W/joined.err" </dev/null &
	joined=$!
	wait_line "$W/joined.out" ready
}

stop()
{
	kill -TERM $joined
	wait $joined
	rc=$?
	[ $rc = 143 ] || fail "$CASE: joined: status $rc: $(cat "$W/joined.out" "$W/joined.err")"
	kill -TERM $inst
	wait $inst
	rc=$?
	[ $rc = 143 ] || fail "$CASE: inst: status $rc: $(cat "$W/inst.out" "$W/inst.err")"
	nothing_left soon
	passed
}

client() { timeout -k 5 40 python3 "$STRAIT_SRC/tests/e2e/run/echo_client.py" "$@"; }
netd() { $as "$STRAIT" ps | awk '$1 == "netd" { print $2 }'; }

CASE="connections live through swaps"
start
: >"$W/c1"
client 8081 3 3 >"$W/c1" 2>&1 &
c1=$!
: >"$W/c2"
client 8082 3 2 >"$W/c2" 2>&1 &
c2=$!
wait_line "$W/c1" up
wait_line "$W/c2" up
for n in 1 2 3 4 5; do
	$as "$STRAIT" swap inst --service netd --with "$W/bin/netd" >"$W/out" 2>&1 ||
		fail "$CASE: $(cat "$W/out")"
	[ $n != 1 ] || grep -q "the old one is sealed: [1-9][0-9]* connections" "$W/out" ||
		fail "$CASE: $(cat "$W/out")"
	sleep 0.3
done
wait $c1 || fail "$CASE: inst: $(cat "$W/c1")"
wait $c2 || fail "$CASE: joined: $(cat "$W/c2")"
for f in inst joined; do
	[ "$(cat "$W/$f.out")" = ready ] || fail "$CASE: $f says $(cat "$W/$f.out")"
done
passed

CASE="a netd that refuses costs no connection"
: >"$W/c1"
client 8081 2 2 >"$W/c1" 2>&1 &
c1=$!
wait_line "$W/c1" up
$as "$STRAIT" swap inst --service netd --with "$W/bin/fsd" >"$W/out" 2>&1 && fail "$CASE: $(cat "$W/out")"
$as "$STRAIT" swap inst --service netd --with "$T/stand_in_service_NOIMPORT" >"$W/out" 2>&1 &&
	fail "$CASE: $(cat "$W/out")"
grep -q "the new one refuses: no room; the old one serves on" "$W/out" || fail "$CASE: $(cat "$W/out")"
wait $c1 || fail "$CASE: $(cat "$W/c1")"
passed

for how in "restart" "kill"; do
	CASE="a server lives through netd's $how"
	: >"$W/c1"
	client 8081 30 1 >"$W/c1" 2>&1 &
	c1=$!
	wait_line "$W/c1" up
	if [ $how = restart ]; then
		$as "$STRAIT" restart inst --service netd >"$W/out" 2>&1 || fail "$CASE: $(cat "$W/out")"
	else
		kill -KILL "$(netd)"
	fi
	wait $c1 && fail "$CASE: a connection lived: $(cat "$W/c1")"
	client 8081 0.3 2 >"$W/c1" 2>&1 || fail "$CASE: $(cat "$W/c1")"
	client 8082 0.3 2 >"$W/c1" 2>&1 || fail "$CASE: joined: $(cat "$W/c1")"
	grep -q "accept" "$W/inst.out" "$W/joined.out" &&
		fail "$CASE: $(cat "$W/inst.out" "$W/joined.out" "$W/inst.err" "$W/joined.err")"
	passed
done
stop
finish
