#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fsd dies between what it did and its answer while two guests hand a lock to each other:
# one of them has it at any time, before and after, and nobody is refused what it held.
. "$(dirname "$0")/../e2e/run/lib.sh"
. "$(dirname "$0")/../e2e/run/guests.sh"

as=$alone
cp "$STRAIT_BUILD/faults/fsd" "$W/bin/"
"$STRAIT_BIN/strait-cc" -O1 -D_GNU_SOURCE -o "$W/bin/join" "$STRAIT_SRC/tests/e2e/run/join.c" || exit 1
P=$W/bin/join
N=1000

# counts KIND N: two guests count under the lock, the Nth answer is not given.
counts()
{
	rm -rf "$W/shared"/*
	STRAIT_FAULT=file:reply:$2 start inst --name inst -v "$W/shared:/data" "$P" hold /data/held
	until_says inst ready
	start a --join inst --name a "$P" count "$1" /data/n $N
	start b --join inst --name b "$P" count "$1" /data/n $N
	ended a 0
	ended b 0
	[ "$(cat "$W/shared/n")" = $((2 * N)) ] ||
		fail "$CASE: $2: $(cat "$W/shared/n"), not $((2 * N)): $(cat "$W/a.err" "$W/b.err")"
	grep -h "could not be had" "$W/a.err" "$W/b.err" && fail "$CASE: $2: a lock was lost"
	stop inst
	ended inst 0
	deaths=$((deaths + $(grep -c "fsd is back" "$W/inst.err")))
}

for kind in flock convert fcntl ofd; do
	CASE="$kind: two guests count together, fsd dies before an answer"
	deaths=0
	for n in $(seq 2001 2012); do
		counts $kind "$n"
	done
	[ $deaths = 12 ] || fail "$CASE: $deaths deaths, not 12"
	passed
done
nothing_left soon
finish
