#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fsd is killed while programs use files: they see a pause, and nothing else.
. "$(dirname "$0")/run/lib.sh"
. "$(dirname "$0")/run/guests.sh"

for prog in run/join recover/storm; do
	"$STRAIT_BIN/strait-cc" -O1 -D_GNU_SOURCE -o "$W/bin/${prog#*/}" \
		"$STRAIT_SRC/tests/e2e/$prog.c" || exit 1
done
chmod a+rx "$W/bin"/*
P=$W/bin/join
S=$W/bin/storm

# The process of inst's fsd, once it serves.
fsd() { $as "$STRAIT" ps | awk '$1 == "fsd" && / up, / { print $2 }'; }

# kills N SECONDS: N times, with a pause before each.
kills()
{
	local was now i k

	for k in $(seq "$1"); do
		sleep "$2"
		was=$(fsd)
		kill -KILL "$was" || fail "$CASE: no fsd"
		for i in $(seq 400); do
			now=$(fsd)
			[ -n "$now" ] && [ "$now" != "$was" ] && break
			sleep 0.02
		done
	done
}

instance_up()
{
	rm -rf "$W/shared"/* "$W/shared"/.[a-z]*
	start inst --name inst -v "$W/shared:/data" "$@" "$P" hold /data/held
	until_says inst ready
}

# Nobody lost its guest: nothing is said but that fsd came back.
instance_down()
{
	stop inst
	ended inst 0
	grep -v "fsd ended (signal 9)\|fsd is back after" "$W/inst.err" &&
		fail "$CASE: instance: $(cat "$W/inst.err")"
	[ -z "$(ls -A "$W/shared" | grep strait)" ] || fail "$CASE: left: $(ls -A "$W/shared")"
	nothing_left soon
}

one_of_everything()
{
	local i k

	CASE="$who: what is open goes on"
	instance_up
	mkdir -m 777 "$W/shared/still"
	start a --join inst --name a "$S" still /data/still
	until_says a ready
	for i in 1 2 3 4 5; do
		kills 1 0.1
		$as touch "$W/shared/still/look"
		for k in $(seq 200); do
			[ "$(grep -c '^looked$' "$W/a.out")" = $i ] && break
			sleep 0.05
		done
	done
	[ "$(grep -c '^looked$' "$W/a.out")" = 5 ] || fail "$CASE: looked $(cat "$W/a.out" "$W/a.err")"
	stop a
	ended a 0
	instance_down
	passed
}

locks()
{
	local kind

	instance_up
	for kind in flock fcntl ofd; do
		CASE="$who: $kind: held, and waited for by another guest, over kills"
		start a --join inst --name a "$P" lock $kind /data/lk
		until_says a locked
		start b --join inst --name b "$P" lock $kind /data/lk
		until_says b waiting
		start c --join inst --name c "$P" lock $kind /data/lk
		until_says c waiting
		kills 3 0.2
		timeout 30 $as "$STRAIT" run --join inst "$P" try $kind /data/lk >"$W/out" 2>&1 </dev/null
		[ $? = 1 ] || fail "$CASE: a fourth got it: $(cat "$W/out")"
		grep -q '^locked$' "$W/b.out" "$W/c.out" && fail "$CASE: two have it"
		stop a
		ended a 0
		for _ in $(seq 100); do
			grep -q '^locked$' "$W/b.out" "$W/c.out" && break
			sleep 0.05
		done
		sleep 0.2
		grep -q '^locked$' "$W/b.out" && grep -q '^locked$' "$W/c.out" && fail "$CASE: both have it"
		if grep -q '^locked$' "$W/b.out"; then
			stop b
			until_says c locked
			kills 1 0.1
			stop c
		else
			stop c
			until_says b locked
			kills 1 0.1
			stop b
		fi
		ended b 0
		ended c 0
		passed
		CASE="$who: $kind: two guests count to 600 together, over kills"
		start a --join inst --name a "$P" count $kind /data/n$kind 300
		start b --join inst --name b "$P" count $kind /data/n$kind 300
		kills 4 0.1
		ended a 0
		ended b 0
		[ "$(cat "$W/shared/n$kind")" = 600 ] ||
			fail "$CASE: $(cat "$W/shared/n$kind"): $(cat "$W/a.err" "$W/b.err")"
		grep -h "could not be had" "$W/a.err" "$W/b.err" && fail "$CASE: a lock was lost"
		passed
	done
	instance_down
}

many_threads()
{
	CASE="$who: eight threads of each of two guests, over $1 kills"
	instance_up
	mkdir -m 777 "$W/shared/s1" "$W/shared/s2"
	start a --join inst --name a "$S" storm /data/s1
	start b --join inst --name b "$S" storm /data/s2
	until_says a ready
	until_says b ready
	kills "$1" 0.15
	$as touch "$W/shared/s1/stop" "$W/shared/s2/stop"
	ended a 0
	ended b 0
	grep -q "^done [0-9]* rounds" "$W/a.out" || fail "$CASE: $(cat "$W/a.out" "$W/a.err")"
	cat "$W/a.out" "$W/b.out" | grep done
	instance_down
	passed
}

for who in $whos; do
	if [ $who = root ]; then as=$alone; else as=$user; fi
	one_of_everything
	locks
	if [ $who = root ]; then many_threads 20; else many_threads 8; fi
done
finish
