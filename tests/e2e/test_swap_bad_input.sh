#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# strait restart and strait swap: what they print, what they refuse, and that the
# running instance is as well as before.  With stand-ins for services and guest.
. "$(dirname "$0")/run/lib.sh"
. "$(dirname "$0")/run/stand_ins.sh"

S=$W/bin/stand_in_service
export STRAIT_FSD=$S STRAIT_NETD=$S
as=$alone

# refused TEXT ARGS...: the command says TEXT in its last line and ends with 125; nothing
# else changed.
refused()
{
	local text=$1 before after

	shift
	before=$(instances)
	timeout -k 5 20 $as "$STRAIT" "$@" >"$W/out" 2>"$W/err"
	[ $? = 125 ] || fail "$CASE: $*: status"
	grep -qF -- "$text" "$W/err" || fail "$CASE: $*: does not say \"$text\": $(cat "$W/err")"
	[ "$(wc -l <"$W/err")" = 1 ] || fail "$CASE: $*: not one line: $(cat "$W/err")"
	after=$(instances)
	[ "$before" = "$after" ] || fail "$CASE: $*: not as before: $before; $after"
}

# Process and epoch of each service that is up.
instances()
{
	$as "$STRAIT" ps | sed -n 's/^  \([a-z]*\) *\([0-9]*\) .* epoch \([0-9]*\), up, .*/\1 \2 \3/p'
}

# goes FROM TO ARGS...: it prints phases with their times, and what became of it.
goes()
{
	local from=$1 to=$2 svc

	shift 2
	timeout -k 5 20 $as "$STRAIT" "$@" >"$W/out" 2>"$W/err" || fail "$CASE: $*: $(cat "$W/err")"
	[ ! -s "$W/err" ] || fail "$CASE: $*: says $(cat "$W/err")"
	[ "$(grep -c '^ *[0-9]*\.[0-9][0-9][0-9] ms  ' "$W/out")" -ge 3 ] ||
		fail "$CASE: $*: no phases: $(cat "$W/out")"
	case "$*" in *"--service netd"*) svc=netd ;; *) svc=fsd ;; esac
	grep -q "^$svc of inst: epoch $from to $to in [0-9.]* ms, guests waited [0-9.]* ms\($\|, [0-9]* [a-z]* [a-z]*\(,\|$\)\)" "$W/out" ||
		fail "$CASE: $*: $(cat "$W/out")"
}

CASE="restart and swap"
start "$G" wait
goes 1 2 restart inst --service fsd
goes 2 3 swap inst --service fsd
goes 3 4 swap --with "$S" --service fsd inst
goes 1 3 restart inst --service netd # the one that was checked had 2
goes 3 4 swap inst --service netd
grep -q "sealed: 3 connections in 3 bytes" "$W/out" || fail "$CASE: $(cat "$W/out")"
grep -q "the new one has 3 connections" "$W/out" || fail "$CASE: $(cat "$W/out")"
shows fsd "epoch 4, up, 3 restarts"
shows netd "epoch 4, up, 2 restarts"
CASE="what was swapped in is what is started again"
cp "$S" "$W/bin/other"
goes 4 5 swap inst --service fsd --with "$W/bin/other"
sleep 0.4 # else it has not lived: see below
kill -KILL "$($as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }')"
wait_line "$W/guest.err" "fsd is back after .*(epoch 6)"
[ "$(readlink "/proc/$($as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }')/exe")" = "$W/bin/other" ] ||
	fail "$CASE: $(ls -l "/proc/$($as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }')/exe")"
passed

CASE="what passes the check and does not live gives way to what was there"
$as "$STRAIT" swap inst --service fsd --with "${S}_DIES" >"$W/out" 2>"$W/err"
[ $? = 125 ] && grep -q "it ended meanwhile (exit status 9) and is started again" "$W/err" ||
	fail "$CASE: $(cat "$W/out" "$W/err")"
wait_line "$W/guest.err" "fsd: $W/bin/other takes the place of ${S}_DIES again"
wait_line "$W/guest.err" "fsd is back after .*(epoch 8)"
[ "$(readlink "/proc/$($as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }')/exe")" = "$W/bin/other" ] ||
	fail "$CASE: $($as "$STRAIT" ps)"
passed

CASE="what is no service is refused"
for v in restart swap; do
	refused "want \`strait $v NAME" $v
	refused "want \`strait $v NAME" $v inst
	refused "unknown option --what" $v inst --what
	refused "needs a value" $v inst --service
	refused "one at a time" $v inst other --service fsd
	refused "want fsd or netd" $v inst --service agent
	refused "no guest named nobody runs" $v nobody --service fsd
done
refused "unknown option --with" restart inst --service fsd --with "$S"
refused "No such file" swap inst --service fsd --with "$W/nothing"
refused "cannot be run" swap inst --service fsd --with "$W/guest.err"
refused "cannot be run" swap inst --service fsd --with "$W"
refused "the new one ended (exit status 0)" swap inst --service fsd --with /bin/true
refused "the new one ended (exit status 1" swap inst --service netd --with /bin/sleep
refused "does not speak strait's protocol" swap inst --service netd --with "${S}_GARBAGE"
refused "speaks protocol version 42" swap inst --service fsd --with "${S}_VERSION"
refused "does not say that it is ready" swap inst --service fsd --with "${S}_SILENT"
echo "#!/bin/sh" >"$W/bin/script"
chmod 755 "$W/bin/script"
refused "the new one ended" swap inst --service fsd --with "$W/bin/script"
passed

CASE="a hand-over that fails leaves the old one at work"
refused "the new one refuses: no room" swap inst --service netd --with "${S}_NOIMPORT"
# That it ended, or that nobody reads: the old one may be the first to see it.
refused "; the old one serves on" swap inst --service netd --with "${S}_DIES_IMPORTING"
goes 4 "[0-9]*" swap inst --service netd --with "${S}_NOEXPORT"
refused "nothing was handed over: not today" swap inst --service netd --with "$S"
passed

CASE="two at once"
$as "$STRAIT" swap inst --service fsd --with "${S}_SILENT" >/dev/null 2>&1 &
swap=$!
shows_soon fsd "up, its next is starting"
for s in fsd netd; do
	$as "$STRAIT" restart inst --service $s 2>"$W/err"
	[ $? = 125 ] && grep -q "another restart or swap is under way" "$W/err" ||
		fail "$CASE: $(cat "$W/err")"
done
CASE="the old one dies while the new one is checked"
kill -KILL "$($as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }')"
wait $swap
[ $? = 125 ] || fail "$CASE: the swap went well"
shows_soon fsd "epoch [0-9]*, up, "
CASE="who asked hangs up"
$as "$STRAIT" swap inst --service fsd --with "${S}_SILENT" >/dev/null 2>&1 &
swap=$!
shows_soon fsd "up, its next is starting"
kill $swap
wait $swap
shows fsd "up, its next is starting"
CASE="the guest ends meanwhile"
kill -TERM $pid
ended 143

CASE="a service that will not end is killed"
start "$G" wait
kill -STOP "$($as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }')"
goes 1 2 swap inst --service fsd
grep -q "^ *[2-4][0-9][0-9][0-9]\.[0-9]* ms  the old one has ended" "$W/out" || fail "$CASE: $(cat "$W/out")"
CASE="a service that is being started again is not swapped"
mv "$S" "$S.away"
kill -KILL "$($as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }')"
wait_line "$W/guest.err" "did not start"
$as "$STRAIT" swap inst --service fsd --with "$W/bin/other" 2>"$W/err"
[ $? = 125 ] && grep -q "is being started again; ask again when it is up" "$W/err" ||
	fail "$CASE: $(cat "$W/err")"
mv "$S.away" "$S"
wait_line "$W/guest.err" "fsd is back after .*(epoch [3-9])"
kill -TERM $pid
ended 143

CASE="what cannot be swapped"
start --net none "$G" wait
refused "it has no netd" swap inst --service netd
$as "$STRAIT" run --join inst --name joined "$G" wait >"$W/joined.out" 2>&1 </dev/null &
joined=$!
wait_line "$W/joined.out" ready
refused "it uses the services of inst" swap joined --service fsd
goes 1 2 swap inst --service fsd
kill -TERM $joined
wait $joined
kill -TERM $pid
ended 143
start --recover 0 "$G" wait
refused "it runs with --recover 0" restart inst --service fsd
kill -TERM $pid
ended 143
finish
