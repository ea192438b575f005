#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fsd is killed, stopped, restarted and swapped under programs that write and read files,
# one of them joined: they see a pause, and everything they wrote is there.
. "$(dirname "$0")/run/lib.sh"

cp "$STRAIT_BIN/fsd" "$STRAIT_BIN/netd" "$W/bin/"
STRAIT=$W/bin/strait
P=$W/bin/recover
"$STRAIT_BIN/strait-cc" -O1 -o "$P" "$STRAIT_SRC/tests/e2e/run/recover_services.c" || exit 1
chmod a+rx "$W/bin"/*
mkdir -m 777 "$W/data"

# start ID ARGS...: a guest that works on files named by ID, until it finds ID.stop.
declare -A pid
start()
{
	local id=$1

	shift
	rm -rf "$W/data/$id"*
	: >"$W/$id.out"
	$as "$STRAIT" run "$@" "$P" "/data/$id" >"$W/$id.out" 2>"$W/$id.err" </dev/null &
	pid[$id]=$!
	wait_line "$W/$id.out" ready
}

# stopped ID: it ends well, and what it says it wrote is what the machine's files hold.
stopped()
{
	local id=$1 rc n

	touch "$W/data/$id.stop"
	wait "${pid[$id]}"
	rc=$?
	[ $rc = 0 ] || fail "$CASE: $id: status $rc: $(cat "$W/$id.out" "$W/$id.err")"
	n=$(sed -n 's/^rounds //p' "$W/$id.out")
	[ "${n:-0}" -ge "${2:-20}" ] || fail "$CASE: $id: $n rounds: $(cat "$W/$id.out" "$W/$id.err")"
	[ "$(wc -l <"$W/data/$id/log")" = "${n:-0}" ] ||
		fail "$CASE: $id: $n rounds, $(wc -l <"$W/data/$id/log") lines"
	[ "$(sort -n "$W/data/$id/log" | uniq | wc -l)" = "${n:-0}" ] || fail "$CASE: $id: lines twice"
}

# Work goes on: ten rounds more than before.
goes_on()
{
	local id=$1 i n

	n=$(wc -l <"$W/data/$id/log")
	for i in $(seq 200); do
		[ "$(wc -l <"$W/data/$id/log")" -ge $((n + 10)) ] && return
		sleep 0.05
	done
	fail "$CASE: $id is stuck: $(cat "$W/$id.out" "$W/$id.err")"
}

netd() { $as "$STRAIT" ps | awk '$1 == "netd" { print $2 }'; }
fsd() { $as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }'; }

# is_back EPOCH
is_back()
{
	wait_line "$W/own.err" "fsd is back after [0-9]* ms (epoch $1)"
	goes_on own
	[ -z "${pid[joined]:-}" ] || goes_on joined
}

one_after_the_other()
{
	local n e=1

	CASE="$who: kill -9, again and again"
	start own --name inst --hang 1 -v "$W/data:/data" --mem /m
	start joined --join inst --name joined
	for n in 1 2 3 4 5; do
		kill -KILL "$(fsd)"
		is_back $((++e))
	done
	CASE="$who: both services at once"
	for n in 1 2 3; do
		kill -KILL "$(fsd)" "$(netd)"
		is_back $((++e))
	done
	CASE="$who: kill -STOP"
	kill -STOP "$(fsd)"
	is_back $((++e))
	CASE="$who: restart and swap"
	for n in 1 2 3; do
		$as "$STRAIT" restart inst --service fsd >"$W/out" 2>&1 || fail "$CASE: $(cat "$W/out")"
		is_back $((++e))
		$as "$STRAIT" swap inst --service fsd --with "$W/bin/fsd" >"$W/out" 2>&1 ||
			fail "$CASE: $(cat "$W/out")"
		is_back $((++e))
	done
	CASE="$who: what cannot serve changes nothing"
	$as "$STRAIT" swap inst --service fsd --with "$W/bin/netd" >"$W/out" 2>&1 &&
		fail "$CASE: $(cat "$W/out")"
	goes_on own
	goes_on joined
	CASE="$who: the joined guest leaves, and fsd is killed"
	stopped joined
	unset "pid[joined]"
	e=$($as "$STRAIT" ps | sed -n 's/^  fsd .* epoch \([0-9]*\),.*/\1/p')
	kill -KILL "$(fsd)"
	wait_line "$W/own.err" "fsd is back after [0-9]* ms (epoch [0-9]*)"
	goes_on own
	stopped own
	[ -e "$W/data/.strait-orphans" ] && fail "$CASE: left behind: $(find "$W/data/.strait-orphans")"
	nothing_left soon
	passed
}

# A guest that joins, and one that ends, while fsd is away.
coming_and_going()
{
	CASE="$who: a guest joins while fsd is away"
	start own --name inst -v "$W/data:/data" --mem /m
	start gone --join inst --name gone
	mv "$W/bin/fsd" "$W/bin/fsd.away"
	kill -KILL "$(fsd)"
	wait_line "$W/own.err" "did not start"
	start_late
	kill -KILL "$(pgrep -f "^$P /data/gone" | tail -1)"
	wait "${pid[gone]}" 2>/dev/null
	mv "$W/bin/fsd.away" "$W/bin/fsd"
	wait_line "$W/own.err" "fsd is back after"
	wait_line "$W/late.out" ready
	goes_on late
	goes_on own
	stopped late
	stopped own
	nothing_left soon
	passed
}

start_late()
{
	rm -rf "$W/data/late"*
	: >"$W/late.out"
	$as "$STRAIT" run --join inst --name late "$P" /data/late >"$W/late.out" 2>"$W/late.err" </dev/null &
	pid[late]=$!
}

# What --recover allows is counted from the end that is being waited out.
long_after_a_kill()
{
	CASE="$who: a swap longer after a kill than --recover"
	start own --name inst --recover 1 -v "$W/data:/data" --mem /m
	kill -KILL "$(fsd)"
	is_back 2
	sleep 1.2
	$as "$STRAIT" swap inst --service fsd >"$W/out" 2>&1 || fail "$CASE: $(cat "$W/out")"
	is_back 3
	stopped own
	nothing_left soon
	passed
}

given_up()
{
	CASE="$who: without another fsd calls fail, and the program goes on"
	start own --name inst --recover 1 -v "$W/data:/data" --mem /m
	start joined --join inst --name joined
	mv "$W/bin/fsd" "$W/bin/fsd.away"
	kill -KILL "$(fsd)"
	for id in own joined; do
		wait "${pid[$id]}"
		[ $? = 3 ] || fail "$CASE: $id: $(cat "$W/$id.out" "$W/$id.err")"
		grep -q "Input/output error\|I/O error" "$W/$id.out" || fail "$CASE: $id: $(cat "$W/$id.out")"
	done
	mv "$W/bin/fsd.away" "$W/bin/fsd"
	nothing_left soon
	passed
}

as=$alone
who=root
one_after_the_other
coming_and_going
long_after_a_kill
given_up
if [ "$whos" != root ]; then
	as=$user
	who=user
	rm -rf "$W/data" # with the orphans of a run that had no fsd at its end
	mkdir -m 777 "$W/data"
	one_after_the_other
fi
finish
