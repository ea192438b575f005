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
SWAPS=${STRAIT_TEST_SWAPS:-10}

# Of the namespace that netd's TAP leads to: what its kernel has sent or got as resets.
resets()
{
	local p

	for p in $(ps -eo pid=); do
		[ "$(readlink "/proc/$p/ns/net" 2>/dev/null)" != "$(readlink /proc/self/ns/net)" ] || continue
		nsenter -t "$p" -n cat /proc/net/snmp 2>/dev/null && return
	done | awk '/^Tcp:/ && !n { for (i = 1; i <= NF; i++) at[$i] = i; n = 1; next }
		/^Tcp:/ { print $at["EstabResets"] + $at["OutRsts"]; exit }'
}

# numbers NAME: from what the client printed
number() { sed -n "s/.*\\b$1 \\([0-9]*\\).*/\\1/p" "$W/client.out"; }

swapped()
{
	local what=$1 pid client before n with

	shift
	CASE="$who: $what: $SWAPS swaps under load"
	rm -f "$W/stop"
	: >"$W/guest.out"
	$as "$STRAIT" run --name inst -p 18090:80 "$@" "$P" >"$W/guest.out" 2>"$W/guest.err" </dev/null &
	pid=$!
	wait_line "$W/guest.out" ready || return
	before=$(resets)
	[ -n "$before" ] || fail "$CASE: nobody counts resets"
	python3 "$STRAIT_SRC/tests/e2e/swap/client.py" 18090 "$W/stop" >"$W/client.out" 2>"$W/client.err" &
	client=$!
	sleep 0.5
	for n in $(seq "$SWAPS"); do
		with=
		[ $((n % 3)) = 0 ] && with="--with $W/bin/netd-other"
		# shellcheck disable=SC2086
		timeout -k 5 30 $as "$STRAIT" swap inst --service netd $with >"$W/out" 2>"$W/err" ||
			fail "$CASE: swap $n: $(cat "$W/err") $(cat "$W/guest.err")"
		sed -n 's/^netd of inst: //p' "$W/out" >>"$W/swaps"
		sleep 0.5
	done
	touch "$W/stop"
	wait "$client" || fail "$CASE: $(cat "$W/client.err") $(cat "$W/guest.err")"
	[ "$(resets)" = "$before" ] || fail "$CASE: resets: $before before, $(resets) after"
	[ "$(number fetched)" -ge 104857600 ] || fail "$CASE: little was fetched: $(cat "$W/client.out")"
	[ "$(number sent)" -ge 104857600 ] || fail "$CASE: little was sent: $(cat "$W/client.out")"
	$as "$STRAIT" ps | grep -q "netd .*epoch $((SWAPS + 1))," || fail "$CASE: $($as "$STRAIT" ps)"
	grep -q "failed" "$W/guest.out" && fail "$CASE: $(cat "$W/guest.out")"
	echo "$(cat "$W/client.out")"
	sed 's/^/  /' "$W/swaps"
	rm -f "$W/swaps"
	kill "$pid"
	wait "$pid"
	nothing_left soon
	passed
}

for who in $whos; do
	as=$alone
	[ $who = user ] && as=$user
	swapped "lwip"
done
finish
