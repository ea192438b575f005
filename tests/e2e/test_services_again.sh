#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A service that ends or hangs is started again by strait run: what is said, what
# strait ps shows, pauses, and when it gives up.  With stand-ins for services and guest:
# whether a program gets its files back is e2e.recover_*'s question.
. "$(dirname "$0")/run/lib.sh"
. "$(dirname "$0")/run/stand_ins.sh"

export STRAIT_FSD=$W/bin/fsd.now STRAIT_NETD=$W/bin/stand_in_service
use() { ln -sf "stand_in_service$1" "$W/bin/fsd.now"; }

# One field of a service's line of strait ps: 2 is its process.
service() { $as "$STRAIT" ps | awk -v s="$1" -v n="$2" '$1 == s { print $n }'; }

# Lines that hold $1 in what strait says, once there are $2 of them.
says()
{
	local i

	for i in $(seq 200); do
		[ "$(grep -c -- "$1" "$W/guest.err")" -ge "${2:-1}" ] && return
		sleep 0.05
	done
	fail "$CASE: does not say \"$1\" ${2:-1} times: $(cat "$W/guest.err")"
}

killed()
{
	local s

	CASE="$who: a killed service is started again"
	use ""
	start "$G" wait
	shows fsd "epoch 1, up, 0 restarts"
	for s in fsd netd; do
		kill -KILL "$(service $s 2)"
		says "^strait: $s ended (signal 9); it is started again$"
		says "^strait: $s is back after [0-9]* ms (epoch 2)$"
		shows $s "epoch 2, up, 1 restarts"
	done
	kill -KILL "$(service fsd 2)"
	says "fsd is back after [0-9]* ms (epoch 3)"
	[ "$(wc -l <"$W/guest.err")" = 6 ] || fail "$CASE: says $(cat "$W/guest.err")"
	kill -TERM $pid
	ended 143
}

hung()
{
	CASE="$who: a hung service is killed and started again"
	start --hang 1 "$G" wait
	kill -STOP "$(service netd 2)"
	says "^strait: netd did not answer for 1 s and was killed; it is started again$"
	says "^strait: netd is back after [0-9]* ms (epoch 2)$"
	CASE="$who: a service that answers is left alone"
	sleep 2
	shows fsd "epoch 1, up"
	shows netd "epoch 2, up"
	CASE="$who: a supervisor that was stopped blames nobody"
	kill -STOP $pid
	sleep 2
	kill -CONT $pid
	sleep 1.5
	shows fsd "epoch 1, up"
	[ "$(wc -l <"$W/guest.err")" = 2 ] || fail "$CASE: says $(cat "$W/guest.err")"
	kill -TERM $pid
	ended 143
}

not_watched()
{
	CASE="$who: --hang 0 waits for ever"
	start --hang 0 "$G" wait
	kill -STOP "$(service netd 2)"
	sleep 2
	[ ! -s "$W/guest.err" ] || fail "$CASE: says $(cat "$W/guest.err")"
	kill -CONT "$(service netd 2)"
	kill -TERM $pid
	ended 143
}

gives_up()
{
	local t

	CASE="$who: a service that does not start is given up"
	use ""
	start "$G" wait
	use _GARBAGE
	kill -KILL "$(service fsd 2)"
	says "did not start: " 5
	says "^strait: fsd does not come back (it failed five times to start); what"
	shows fsd "gone"
	CASE="$who: nobody joins an instance whose fsd is gone"
	$as "$STRAIT" run --join inst "$G" exit 0 2>"$W/err"
	[ $? = 125 ] && grep -q "its fsd did not come back" "$W/err" || fail "$CASE: $(cat "$W/err")"
	CASE="$who: the guest of a given up service ends with its own status"
	kill -USR1 $pid
	wait_line "$W/guest.out" '^10$'
	kill -TERM $pid
	ended 143

	CASE="$who: a missing binary is waited for"
	use ""
	start "$G" wait
	rm "$W/bin/fsd.now"
	kill -KILL "$(service fsd 2)"
	says "did not start: No such file"
	use ""
	says "fsd is back after"
	kill -TERM $pid
	ended 143

	CASE="$who: a row of short lives ends with --recover, and has longer and longer pauses"
	use ""
	start --recover 2 "$G" wait
	use _DIES
	t=$(date +%s%N)
	kill -KILL "$(service fsd 2)"
	says "fsd does not come back (it was away longer than --recover allows)"
	t=$((($(date +%s%N) - t) / 1000000))
	[ $t -ge 1900 ] && [ $t -lt 5000 ] || fail "$CASE: gave up after $t ms"
	t=$(grep -c "fsd ended (exit status 9)" "$W/guest.err")
	[ $t -ge 4 ] && [ $t -le 12 ] || fail "$CASE: $t attempts: $(cat "$W/guest.err")"
	kill -TERM $pid
	ended 143
}

at_the_end()
{
	CASE="$who: a service that ends with the guest is not started again"
	use ""
	start "$G" wait
	kill -KILL "$(service fsd 2)" & kill -KILL "$(pgrep -f "^$G wait" | tail -1)"
	ended 137
	CASE="$who: the guest ends while its service is away"
	start "$G" wait
	rm "$W/bin/fsd.now"
	kill -KILL "$(service fsd 2)"
	says "did not start: No such file"
	kill -TERM $pid
	ended 143
	CASE="$who: strait is killed while a service is away"
	use ""
	start "$G" wait
	rm "$W/bin/fsd.now"
	kill -KILL "$(service fsd 2)"
	says "did not start: No such file"
	kill -KILL "$(pgrep -x strait | head -1)"
	ended 137
}

bad_options()
{
	local v

	for v in "" x -1 1.5 86401; do
		expect "--recover '$v'" 125 "want whole seconds" $as "$STRAIT" run --recover "$v" "$G"
		expect "$who: --hang '$v'" 125 "want whole seconds" $as "$STRAIT" run --hang "$v" "$G"
	done
	expect "$who: --join with --recover" 125 "--recover: cannot be given with --join" \
		$as "$STRAIT" run --join inst --recover 3 "$G"
	expect "$who: --join with --hang" 125 "--hang: cannot be given with --join" \
		$as "$STRAIT" run --join inst --hang 3 "$G"
}

for who in $whos; do
	if [ $who = root ]; then as=$alone; else as=$user; fi
	use ""
	killed
	[ $who = root ] || continue # the rest has nothing to do with who it is
	hung
	not_watched
	gives_up
	at_the_end
	bad_options
done
finish
