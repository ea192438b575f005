#!/bin/bash
# SPDX-License-Identifier: MIT
# strait run --join: several guests on one fsd and netd, as root and as an ordinary user.
. "$(dirname "$0")/run/lib.sh"
. "$(dirname "$0")/run/guests.sh"

"$STRAIT_BIN/strait-cc" -O1 -o "$W/bin/join" "$STRAIT_SRC/tests/e2e/run/join.c" || exit 1
chmod a+rx "$W/bin"/*
P=$W/bin/join

# joins STATUS OUTPUT ARGS...: a guest that joins inst, ends so and says this.
joins()
{
	local want=$1 text=$2 rc

	shift 2
	timeout -k 5 60 $as "$STRAIT" run --join inst "$@" >"$W/out" 2>"$W/err" </dev/null
	rc=$?
	[ $rc = "$want" ] || fail "$CASE: $*: status $rc, not $want: $(cat "$W/out" "$W/err")"
	[ "$(cat "$W/out")" = "$text" ] || fail "$CASE: $*: says $(cat "$W/out" "$W/err"), not $text"
}

# The process of the guest that runs PROG ARGS.
guest_pid()
{
	pgrep -f "^$P $1\$"
}

instance_up()
{
	start inst --name inst -v "$W/shared:/data" "$@" "$P" hold /data/held
	until_says inst ready
}

# It must be as well as ever.
instance_down()
{
	local before=$(grep -c '^wrote$' "$W/inst.out")

	kill -USR1 "${pid[inst]}"
	for _ in $(seq 100); do
		[ "$(grep -c '^wrote$' "$W/inst.out")" = $((before + 1)) ] && break
		sleep 0.05
	done
	stop inst
	ended inst 0
	grep -q "^size $((before + 1))\$" "$W/inst.out" || fail "$CASE: instance: $(cat "$W/inst.out" "$W/inst.err")"
	nothing_left
}

files()
{
	CASE="$who: what one guest writes another reads"
	rm -f "$W/shared"/*
	instance_up
	joins 0 "" "$P" write /data/f "of another guest"
	[ "$(cat "$W/shared/f")" = "of another guest" ] || fail "$CASE: on the machine"
	joins 0 "of another guest" "$P" read /data/f
	joins 0 "" "$P" write /tmp/in-memory "only in fsd"
	joins 0 "only in fsd" -w /tmp "$P" read in-memory
	CASE="$who: appends of two guests do not mix"
	start a --join inst --name a "$P" append /data/log "aaaaaaaaaaaaaaa" 300
	joins 0 "" "$P" append /data/log "bbbbbbbbbbbbbbb" 300
	ended a 0
	[ "$(fold -w 15 "$W/shared/log" | sort | uniq -c | awk '{print $1 $2}' | paste -sd,)" = \
		300aaaaaaaaaaaaaaa,300bbbbbbbbbbbbbbb ] || fail "$CASE"
	CASE="$who: a file that another guest unlinks stays open"
	joins 0 "" "$P" write /data/gone "still here"
	start a --join inst --name a "$P" unlink-held /data/gone
	until_says a ready
	joins 1 "/data/gone: No such file or directory" "$P" read /data/gone
	stop a
	ended a 0
	grep -q "^still here" "$W/a.out" || fail "$CASE: $(cat "$W/a.out")"
	CASE="$who: files, and the instance is as before"
	instance_down
	passed
}

locks()
{
	local kind how busy

	instance_up
	for kind in flock fcntl ofd; do
		CASE="$who: $kind: held by one guest, seen and waited for by another"
		rm -f "$W/shared/lk"
		start a --join inst --name a "$P" lock $kind /data/lk
		until_says a locked
		busy="try: Resource temporarily unavailable"
		[ $kind = flock ] || busy=$'somebody holds it\n'$busy
		joins 1 "$busy" "$P" try $kind /data/lk
		start b --join inst --name b "$P" lock $kind /data/lk
		until_says b waiting
		sleep 0.3
		grep -q '^locked$' "$W/b.out" && fail "$CASE: both have it"
		stop a
		until_says b locked
		ended a 0
		passed
		for how in guest strait; do
			CASE="$who: $kind: SIGKILL of a guest's $how frees it"
			start c --join inst --name c "$P" lock $kind /data/lk
			until_says c waiting
			if [ $how = guest ]; then
				kill -KILL "$(guest_pid "lock $kind /data/lk" | head -1)"
				ended b 137
			else
				kill -KILL "${pid[b]}"
				ended b 137
			fi
			until_says c locked
			start b --join inst --name b2 "$P" lock $kind /data/lk
			until_says b waiting
			stop c
			ended c 0
			until_says b locked
			passed
		done
		kill -TERM "${pid[b]}"
		ended b 0
		CASE="$who: $kind: two guests count to 600 together"
		rm -f "$W/shared/n"
		start a --join inst "$P" count $kind /data/n 300
		joins 0 "" "$P" count $kind /data/n 300
		ended a 0
		[ "$(cat "$W/shared/n")" = 600 ] || fail "$CASE: $(cat "$W/shared/n")"
		passed
	done
	CASE="$who: a lock of the instance's own guest"
	instance_down
	passed
}

network()
{
	local addr host

	CASE="$who: two guests have one address"
	instance_up
	joins 0 "$($as "$STRAIT" run --join inst "$P" address)" "$P" address
	addr=$(cat "$W/out")
	case $addr in 10.213.*) ;; *) fail "$CASE: $addr" ;; esac
	passed
	start a --join inst --name a "$P" serve 7000
	until_says a ready
	for host in 127.0.0.1 self; do
		CASE="$who: TCP from guest to guest by $host"
		joins 0 "hello there" "$P" talk $host 7000 "hello there"
		passed
	done
	grep -q "^from 127.0.0.1\$" "$W/a.out" && grep -q "^from $addr\$" "$W/a.out" ||
		fail "$CASE: $(cat "$W/a.out")"
	CASE="$who: a port of one guest is taken for the other"
	joins 1 "bind: Address in use" "$P" bind tcp 7000
	start b --join inst --name b "$P" bind udp 7000
	until_says b ready
	joins 1 "bind: Address in use" "$P" bind udp 7000
	stop b
	ended b 0
	joins 1 "connect: Connection refused" "$P" talk 127.0.0.1 7001 x
	passed
	CASE="$who: a guest that is killed disturbs no other"
	start b --join inst --name b "$P" hang 127.0.0.1 7000
	until_says b connected
	kill -KILL "$(guest_pid "hang 127.0.0.1 7000")"
	ended b 137
	until_says a '\(lost\|closed\)'
	joins 0 "quit now" "$P" talk 127.0.0.1 7000 "quit now"
	ended a 0
	passed
	CASE="$who: its port is free when a guest has ended"
	start a --join inst --name a "$P" bind tcp 7005
	until_says a ready
	kill -KILL "$(guest_pid "bind tcp 7005")"
	ended a 137
	start a --join inst --name a "$P" bind tcp 7005
	until_says a ready
	stop a
	ended a 0
	instance_down
	passed
}

# A published port is one of the address that all guests share.
published()
{
	CASE="$who: a joined guest serves a port that the instance published"
	instance_up -p 8093:7000
	start a --join inst --name a "$P" serve 7000
	until_says a ready
	[ "$(printf quit | timeout 10 python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", 8093), 5)
s.sendall(sys.stdin.buffer.read())
print(s.recv(100).decode())')" = quit ] || fail "$CASE: $(cat "$W/a.out" "$W/inst.err")"
	ended a 0
	instance_down
	passed
}

ends()
{
	local how want

	for how in stop kill; do
		CASE="$who: the instance ends by $how while guests run"
		instance_up
		start a --join inst --name a "$P" until-eio /data/x
		start b --join inst --name b "$P" serve 7001
		until_says b ready
		start s --join inst --name s "$P" serve 7000
		until_says s ready
		until_says a ready
		sleep 0.1
		if [ $how = stop ]; then
			stop inst
			ended inst 0
		else
			kill -KILL "${pid[inst]}"
			ended inst 137
		fi
		ended a 7
		ended b 1
		ended s 1
		grep -q '^EIO$' "$W/a.out" || fail "$CASE: a says $(cat "$W/a.out")"
		for id in a b s; do
			grep -q "^strait: inst has ended, and with it the files and the network of $id\$" \
				"$W/$id.err" || fail "$CASE: $id's strait says $(cat "$W/$id.err")"
		done
		nothing_left soon
		passed
	done
}

options()
{
	CASE="$who: a joined guest has its own name, user, environment and status"
	instance_up
	joins 1 "/data/none: No such file or directory" "$P" read /data/none
	start a --join inst --name a "$P" hold /data/x
	until_says a ready
	$as "$STRAIT" ps | grep -q '^a .* lwip  inst ' || fail "$CASE: ps: $($as "$STRAIT" ps)"
	$as "$STRAIT" ps | grep -q '^inst .* lwip  - ' || fail "$CASE: ps: $($as "$STRAIT" ps)"
	$as "$STRAIT" strace a on || fail "$CASE: strace"
	kill -USR1 "${pid[a]}"
	wait_line "$W/a.err" write
	joins 0 "" -u 7:8 -e A=b --memory 64m --cpus 1 --log channel --hostname box "$P" write /tmp/of7 x
	stop a
	ended a 0
	passed
	CASE="$who: kill -TERM of a joined guest's strait"
	start a --join inst --name a "$P" lock flock /data/x
	until_says a locked
	kill -TERM "${pid[a]}"
	ended a 0
	instance_down
	passed
}

# refused TEXT ARGS...
refused()
{
	local text=$1 rc

	shift
	$as "$STRAIT" run "$@" "$P" address >"$W/out" 2>"$W/err" </dev/null
	rc=$?
	[ $rc = 125 ] || fail "$CASE: $*: status $rc"
	grep -qF -- "$text" "$W/err" && [ "$(wc -l <"$W/err")" = 1 ] || fail "$CASE: $*: $(cat "$W/err")"
	[ ! -s "$W/out" ] || fail "$CASE: $*: ran"
}

# A guest may come while the instance itself is starting.
early()
{
	local i rc

	CASE="$who: guests that come before the instance is up"
	for i in 1 2 3 4 5; do
		start inst --name inst "$P" hold /tmp/held
		while :; do
			$as "$STRAIT" run --join inst "$P" write /tmp/early x >"$W/out" 2>"$W/err" </dev/null
			rc=$?
			[ $rc = 125 ] && grep -q "no guest of that name" "$W/err" || break
		done
		[ $rc = 0 ] || fail "$CASE: status $rc: $(cat "$W/out" "$W/err")"
		until_says inst ready
		instance_down
	done
	passed
}

# Whatever network the instance has, joined guests have.
other_networks()
{
	CASE="$who: join an instance without a network"
	instance_up --net none
	joins 1 "socket: $1" "$P" bind tcp 7000
	joins 0 "" "$P" write /data/x x
	instance_down
	passed
	CASE="$who: join an instance on the machine's network"
	instance_up --net host
	start a --join inst --name a "$P" serve 7000
	until_says a ready
	joins 0 "from guest to guest" "$P" talk 127.0.0.1 7000 "from guest to guest"
	joins 1 "bind: Address in use" "$P" bind tcp 7000
	joins 0 quit "$P" talk 127.0.0.1 7000 quit
	ended a 0
	instance_down
	passed
}

refusals()
{
	CASE="$who: what cannot be joined"
	refused "--join nobody: no guest of that name runs; \`strait ps\` lists them" --join nobody
	refused "want the name of a guest that runs" --join ../x
	instance_up
	for opt in "-v $W/shared:/x" "--mem /x" "--net none" "-p 8094:80" "--no-squash" "--trace $W/t"; do
		# shellcheck disable=SC2086
		refused "cannot be given with --join, the files, network and trace are inst's" --join inst $opt
	done
	[ ! -e "$W/t" ] || fail "$CASE: a trace was made"
	start a --join inst --name a "$P" hold /data/x
	until_says a ready
	refused "it uses the services of inst; join that one" --join a
	refused "a guest of that name runs" --join inst --name a
	stop a
	ended a 0
	refused "--join a: no guest of that name runs" --join a
	instance_down
	passed
}

others()
{
	CASE="another user is refused"
	as=$alone
	instance_up
	as=$user
	refused "--join inst: that guest is another user's; only who started it may join it" --join inst
	as=$alone
	# A client of its own make gets no answer either.
	$user python3 - <<'PY' || fail "$CASE: a client of its own make"
import socket, struct
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(5)
s.connect(b"\0strait/0/inst")
try:
    s.send(struct.pack("8sIII64s", b"join", 2, 0, 0, b"evil"))
    assert s.recv(4096) == b""
except (BrokenPipeError, ConnectionResetError):
    pass
PY
	instance_down
	passed
}

# Broken questions and early hang-ups harm nobody.
hostile()
{
	CASE="clients that break off or talk nonsense"
	as=$alone
	instance_up
	python3 - <<'PY' || fail "$CASE"
import array, socket, struct, time
def ask(data, hang_up=False):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(b"\0strait/0/inst")
    s.settimeout(10)
    s.send(data)
    if hang_up:
        s.close()
        return None, []
    data, anc, _, _ = s.recvmsg(4096, 4096)
    fds = array.array("i")
    for _, _, d in anc:
        fds.frombytes(d)
    return s, (data, list(fds))
good = struct.pack("8sIII64s", b"join", 2, 0, 0, b"py")
for bad in (good[:-1], good + b"x", b"join", struct.pack("8sIII64s", b"join", 1, 0, 0, b"py"),
            struct.pack("8sIII64s", b"join", 2, 0, 0, b"p" * 64)):
    _, (data, fds) = ask(bad)
    assert struct.unpack_from("II", data)[1] == 0 and not fds, data
    assert b"another version" in data, data
for _ in range(200):
    ask(good, True)
kept = []
for _ in range(5):
    for _ in range(100): # until those that broke off are released
        s, (data, fds) = ask(good)
        if fds or b"(64)" not in data:
            break
        time.sleep(0.05)
    assert struct.unpack_from("II", data)[1] > 1 and len(fds) == 5, (data, fds)
    kept.append(s)
kept[0].send(b"and another thing")
assert kept[0].recv(100) == b""
PY
	joins 0 "" "$P" write /data/after ok
	instance_down
	passed
}

many()
{
	local i n=0

	CASE="sixty-four guests, and no more"
	as=$alone
	instance_up
	for i in $(seq 63); do start "g$i" --join inst --name "g$i" "$P" lock fcntl "/tmp/l$i"; done
	for i in $(seq 63); do until_says "g$i" locked; done
	refused "it has as many guests as it can have (64)" --join inst
	stop g7
	ended g7 0
	joins 0 "" "$P" write /tmp/one-more x
	for i in $(seq 63); do [ "$i" = 7 ] || stop "g$i"; done
	for i in $(seq 63); do [ "$i" = 7 ] || ended "g$i" 0; done
	instance_down
	passed
}

traced()
{
	CASE="the trace covers joined guests"
	as=$alone
	rm -f "$W/t"
	instance_up --trace "$W/t"
	joins 0 "" "$P" write /data/traced-by-a-joined-guest x
	instance_down
	"$STRAIT" trace show --domid 2 "$W/t" | grep -q traced-by-a-joined-guest || fail "$CASE: guest 2"
	"$STRAIT" trace show --domid 1 "$W/t" | grep -q /data/held || fail "$CASE: guest 1"
	"$STRAIT" trace show --domid 1 "$W/t" | grep -q traced-by-a && fail "$CASE: mixed up"
	passed
}

for who in $whos; do
	if [ $who = root ]; then as=$alone; else as=$user; fi
	files
	locks
	network
	published
	ends
	options
	early
	other_networks "Address family not supported by protocol"
	refusals
done
others
hostile
many
traced
finish
