#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a guest watches: changes by itself, by another guest and by the host are told,
# also after fsd was killed or swapped.
. "$(dirname "$0")/run/lib.sh"
. "$(dirname "$0")/run/guests.sh"

for prog in run/join watch/watch; do
	"$STRAIT_BIN/strait-cc" -O1 -D_GNU_SOURCE -o "$W/bin/${prog#*/}" \
		"$STRAIT_SRC/tests/e2e/$prog.c" || exit 1
done
chmod a+rx "$W/bin"/*
P=$W/bin/join

# The process of inst's fsd.
fsd() { $as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }'; }

# says_times N LINE: the watcher has said it so often, and soon.
says_times()
{
	for _ in $(seq 100); do
		[ "$(grep -c -- "^$2\$" "$W/a.out")" = "$1" ] && return
		sleep 0.05
	done
	fail "$CASE: not $1 times \"$2\": $(cat "$W/a.out" "$W/a.err")"
}

watching()
{
	local was

	rm -rf "$W/shared"/* "$W/shared"/.[a-z]*
	$as touch "$W/shared/f"
	start inst --name inst -v "$W/shared:/data" "$@" "$P" hold /data/held
	until_says inst ready
	start a --join inst --name a "$W/bin/watch" watch /data /data/f /mem
	until_says a ready

	CASE="$who: a guest sees what the host does"
	$as touch "$W/shared/new"
	until_says a "/data new CREATE"
	until_says a "/data new CLOSE_WRITE"
	$as sh -c "echo more >>'$W/shared/f'"
	until_says a "/data/f - MODIFY"
	until_says a "/data f MODIFY"
	$as mv "$W/shared/new" "$W/shared/old"
	until_says a "/data new MOVED_FROM"
	until_says a "/data old MOVED_TO"
	passed

	CASE="$who: a guest sees what another guest does"
	$as "$STRAIT" run --join inst "$P" write /data/b text >"$W/b.out" 2>&1 || fail "$CASE: $(cat "$W/b.out")"
	until_says a "/data b CREATE"
	until_says a "/data b MODIFY"
	$as "$STRAIT" run --join inst "$P" write /mem/m text >"$W/b.out" 2>&1 || fail "$CASE: $(cat "$W/b.out")"
	until_says a "/mem m CREATE"
	passed

	CASE="$who: fsd is killed: something may be missed, then it goes on"
	was=$(fsd)
	kill -KILL "$was" || fail "$CASE: no fsd"
	says_times 1 "- - OVERFLOW"
	$as touch "$W/shared/after"
	until_says a "/data after CREATE"
	passed

	CASE="$who: fsd is swapped: the same"
	$as "$STRAIT" swap inst --service fsd >"$W/out" 2>&1 || fail "$CASE: $(cat "$W/out")"
	says_times 2 "- - OVERFLOW"
	$as rm "$W/shared/f"
	until_says a "/data f DELETE"
	until_says a "/data/f - DELETE_SELF"
	until_says a "/data/f - IGNORED"
	grep strait "$W/a.out" && fail "$CASE: a hidden name shows"
	passed

	stop a
	ended a 0
	stop inst
	ended inst 0
	nothing_left soon
}

for who in $whos; do
	if [ $who = root ]; then as=$alone; else as=$user; fi
	if [ $who = root ]; then watching --no-squash --mem /mem; else watching --mem /mem; fi
done
finish
