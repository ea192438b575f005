#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# netd, alive, closes one guest's channel (a rule was broken), or that guest's ring is
# marked dead: its calls fail at once, other guests go on, a later netd does not take it.
. "$(dirname "$0")/../e2e/run/lib.sh"

P=$W/bin/cut
cp "$STRAIT_BIN/fsd" "$STRAIT_BUILD/faults/netd" "$W/bin/"
"$STRAIT_BIN/strait-cc" -O2 -D_GNU_SOURCE= -o "$P" "$STRAIT_SRC/tests/faults/cut.c" || exit 1
STRAIT=$W/bin/strait
export STRAIT_NETD=$W/bin/netd

joined()
{
	timeout -k 5 60 "$STRAIT" run --join inst "$P" 200 >"$W/joined.out" 2>"$W/joined.err" </dev/null &&
		grep -q "^all 200 made" "$W/joined.out" ||
		fail "$CASE: another guest does not go on: $(cat "$W/joined.out" "$W/joined.err")"
}

for net in lwip host; do
	for what in cut dead; do
		CASE="$net: $what"
		: >"$W/guest.out"
		STRAIT_FAULT=net:before:60:$what $alone "$STRAIT" run --name inst --net $net \
			"$P" 1000 600 >"$W/guest.out" 2>"$W/guest.err" </dev/null &
		pid=$!
		wait_line "$W/guest.out" "^listener" || continue
		for line in "socket: Network is down in time" "connection: Connection reset by peer" \
			"listener: Network is down"; do
			grep -qx "$line" "$W/guest.out" ||
				fail "$CASE: no \"$line\": $(cat "$W/guest.out" "$W/guest.err")"
		done
		grep -q "channel netd: " "$W/guest.err" || fail "$CASE: not said: $(cat "$W/guest.err")"
		joined
		timeout -k 5 30 "$STRAIT" restart inst --service netd >"$W/out" 2>&1 ||
			fail "$CASE: no restart: $(cat "$W/out" "$W/guest.err")"
		joined
		kill -TERM "$pid"
		wait "$pid"
		nothing_left soon
		passed
	done
done
finish
