#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fsd dies between what it did and its answer while two guests use one file: what they hand
# to each other (a lock, or a name that only one can make or take) one of them has at any
# time, and what they append is there once.
. "$(dirname "$0")/../e2e/run/lib.sh"
. "$(dirname "$0")/../e2e/run/guests.sh"

as=$alone
cp "$STRAIT_BUILD/faults/fsd" "$W/bin/"
"$STRAIT_BIN/strait-cc" -O1 -D_GNU_SOURCE -o "$W/bin/join" "$STRAIT_SRC/tests/e2e/run/join.c" || exit 1
P=$W/bin/join
N=1000 lines=3000

# both POINT N COMMAND...: two guests do it, fsd ends at the Nth POINT.
both()
{
	rm -rf "$W/shared"/*
	touch "$W/shared/n.token"
	STRAIT_FAULT=file:$1:$2 start inst --name inst -v "$W/shared:/data" "$P" hold /data/held
	shift 2
	until_says inst ready
	start a --join inst --name a "$P" "$@"
	start b --join inst --name b "$P" "$@"
	ended a 0
	ended b 0
	stop inst
	ended inst 0
	deaths=$((deaths + $(grep -c "fsd is back" "$W/inst.err")))
}

counted()
{
	[ "$(cat "$W/shared/n")" = $((2 * N)) ] ||
		fail "$CASE: $1: $(cat "$W/shared/n"), not $((2 * N)): $(cat "$W/a.err" "$W/b.err")"
	grep -h "could not be had" "$W/a.err" "$W/b.err" && fail "$CASE: $1: a lock was lost"
	[ ! -e "$W/shared/n.lock" ] || fail "$CASE: $1: the lock is left"
}

appended()
{
	[ "$(grep -cx line "$W/shared/n")" = $((2 * lines)) ] &&
		[ "$(wc -l <"$W/shared/n")" = $((2 * lines)) ] ||
		fail "$CASE: $1: $(sort "$W/shared/n" | uniq -c), not $((2 * lines)) lines"
}

# at_each POINT CHECK COMMAND...: at eight moments in a row.
at_each()
{
	local point=$1 check=$2 n

	shift 2
	deaths=0
	for n in $(seq 2001 2008); do
		both $point "$n" "$@"
		$check "$n"
	done
	[ $deaths = 8 ] || fail "$CASE: $deaths deaths, not 8"
	passed
}

for kind in flock convert fcntl ofd; do
	CASE="$kind: two guests count together, fsd ends before an answer"
	at_each reply counted count $kind /data/n $N
done
for kind in excl mkdir link symlink rename; do
	for point in reply "done"; do
		CASE="$kind: two guests count together, fsd ends at a '$point'"
		at_each $point counted count $kind /data/n $N
	done
done
for point in reply intent "done"; do
	CASE="two guests append to a file, fsd ends at a '$point'"
	at_each $point appended append /data/n "line
" $lines
done
nothing_left soon
finish
