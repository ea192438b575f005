#!/bin/bash
# SPDX-License-Identifier: MIT
# strait run's statuses, signals, names and confinement, and what is left when it is
# killed; with stand-ins for services and guest, as root and as an ordinary user.
. "$(dirname "$0")/run/lib.sh"

cp "$T/stand_in_service" "$W/bin/"
chmod a+rx "$W/bin"/*
export STRAIT_FSD=$W/bin/stand_in_service STRAIT_NETD=$W/bin/stand_in_service
G=$W/bin/stand_in_guest
STRAIT=$W/bin/strait
mkdir -m 777 "$W/out.d"

# Start a guest in the background; $pid is strait's.
start()
{
	CASE=$1
	shift
	: >"$W/guest.out"
	$as "$STRAIT" run "$@" >"$W/guest.out" 2>"$W/guest.err" </dev/null &
	pid=$!
	wait_line "$W/guest.out" ready
}

ended()
{
	exited "$1"
	nothing_left
	passed
}

statuses()
{
	local n net

	for net in lwip host none; do
		for n in 0 1 77 255; do
			expect "$who: exit_$n net_$net" $n "" $as "$STRAIT" run --net $net "$G" exit $n
		done
	done
	expect "$who: status_not_in_the_doorbell" 9 "" $as "$STRAIT" run "$G" plain 9
	expect "$who: crash" 139 "signal 11" $as "$STRAIT" run "$G" crash
}

signals()
{
	local sig

	for sig in HUP INT QUIT USR1 USR2 WINCH; do
		start "$who: SIG$sig reaches the guest once" "$G" wait
		kill -$sig $pid
		wait_line "$W/guest.out" "^$(kill -l $sig)\$"
		sleep 0.1
		[ "$(grep -c "^$(kill -l $sig)\$" "$W/guest.out")" = 1 ] || fail "$CASE: not once"
		kill -TERM $pid
		ended 143
	done
	as="setsid $as" start "$who: a group's signal reaches the guest once" "$G" wait
	kill -USR1 -- -$pid
	wait_line "$W/guest.out" "^10\$"
	sleep 0.1
	[ "$(grep -c '^10$' "$W/guest.out")" = 1 ] || fail "$CASE: not once"
	kill -TERM -- -$pid
	ended 143
	start "$who: TERM ends a guest that catches nothing" "$G" deaf
	kill -TERM $pid
	ended 143
	start "$who: three INT kill" "$G" wait
	for n in 1 2 3; do kill -INT $pid; sleep 0.2; done
	ended 137
}

names()
{
	start "$who: a name is taken once" --name web "$G" wait
	$as "$STRAIT" ps | grep -q '^web .*stand_in_guest' || fail "$CASE: ps: $($as "$STRAIT" ps)"
	$as "$STRAIT" run --name web "$G" exit 0 2>"$W/err"
	[ $? = 125 ] && grep -q "a guest of that name runs" "$W/err" || fail "$CASE: $(cat "$W/err")"
	$as "$STRAIT" strace web on || fail "$CASE: strace on"
	$as "$STRAIT" strace web off || fail "$CASE: strace off"
	$as "$STRAIT" strace web maybe 2>"$W/err" && fail "$CASE: strace maybe"
	$as "$STRAIT" strace nobody on 2>"$W/err" && fail "$CASE: strace nobody"
	grep -q "no guest named nobody" "$W/err" || fail "$CASE: $(cat "$W/err")"
	$as "$STRAIT" stop web || fail "$CASE: stop"
	ended 143
}

killed()
{
	local what p

	start "$who: strait is killed" --name victim -p 8088:80 "$G" wait
	kill -KILL "$(straits | head -1)"
	wait "$pid"
	nothing_left soon
	passed
	start "$who: fsd is killed" --name victim --recover 0 "$G" wait
	# The stand-ins all have one name; the services were started first.
	for p in $(pgrep -x fsd; pgrep -f '^fsd '); do kill -KILL "$p"; break; done
	ended 125
	grep -q "fsd ended while the guest ran (signal 9)" "$W/guest.err" ||
		fail "$CASE: $(cat "$W/guest.err")"
	start "$who: the guest's process is killed" "$G" wait
	kill -KILL "$(pgrep -f "^$G wait" | tail -1)"
	ended 137
}

# Processes of strait itself, the supervisor first.
straits()
{
	pgrep -x strait
}

confined()
{
	CASE="$who: the guest sees nothing of the machine"
	$as "$STRAIT" run --hostname box -w /tmp -e A=1 --memory 64m --cpus 1 -u 5:6 "$G" look \
		>"$W/look" 2>&1
	grep -q "^root entries 0, pid 1, .* host box\$" "$W/look" || fail "$CASE: root"
	grep -q "^no_new_privs 1" "$W/look" || fail "$CASE: no_new_privs"
	grep -q "^cwd /tmp, hostname box, ids 5:6, memory 67108864, cpus 1" "$W/look" ||
		fail "$CASE: boot block"
	[ "$(grep -c '^fd ' "$W/look")" -le 11 ] || fail "$CASE: descriptors: $(cat "$W/look")"
	grep -q '^env A=1$' "$W/look" || fail "$CASE: -e"
	grep -q '^env STRAIT_TEST' "$W/look" && fail "$CASE: this shell's environment"
	start "$CASE (from outside)" "$G" wait
	for p in $(pgrep -f "^$G wait" | tail -1) $(pgrep -f '^fsd ') $(pgrep -f '^netd '); do
		grep -q '^NoNewPrivs:	1' /proc/$p/status || fail "$CASE: $p NoNewPrivs"
		[ "$(readlink /proc/$p/ns/mnt)" != "$(readlink /proc/$$/ns/mnt)" ] || fail "$CASE: $p mnt"
		[ "$(readlink /proc/$p/ns/net)" != "$(readlink /proc/$$/ns/net)" ] || fail "$CASE: $p net"
	done
	p=$(pgrep -f "^$G wait" | tail -1)
	for set in CapPrm CapEff CapBnd CapInh CapAmb; do
		grep -q "^$set:	0000000000000000" /proc/$p/status || fail "$CASE: guest $set"
	done
	p=$(pgrep -f '^netd ')
	grep -q "^CapEff:	0000000000000000" /proc/$p/status || fail "$CASE: netd CapEff"
	kill -TERM $pid
	ended 143
}

files()
{
	CASE="$who: a trace is private"
	rm -f "$W/out.d/t"
	$as "$STRAIT" run --trace "$W/out.d/t" "$G" exit 0 || fail "$CASE: status"
	[ "$(stat -c %a "$W/out.d/t")" = 600 ] || fail "$CASE: mode"
	python3 - "$W/out.d/t" <<'P' || fail "$CASE: not pcapng"
import struct, sys
b = open(sys.argv[1], 'rb').read()
kinds, at = [], 0
while at < len(b):
    kind, n = struct.unpack_from('<II', b, at)
    assert n % 4 == 0 and n == struct.unpack_from('<I', b, at + n - 4)[0]
    if kind == 1:
        assert struct.unpack_from('<H', b, at + 8)[0] == 147
    kinds.append(kind)
    at += n
assert kinds == [0x0a0d0d0a, 1, 1], kinds
P
	passed
	expect "$who: a program nobody else may run" 4 "" $as "$STRAIT" run "$G.$1" exit 4
	expect "$who: a mount in a mount in memory" 0 "" $as "$STRAIT" run --mem /a/b -v "$W/bin:/a/b/c:ro" "$G"
}

cp "$G" "$G.root" && chmod 700 "$G.root"
cp "$G" "$G.user" && chmod 500 "$G.user" && chown 65534 "$G.user"

for who in $whos; do
	if [ $who = root ]; then as=$alone; else as=$user; fi
	statuses
	signals
	names
	killed
	confined
	files $who
done
finish
