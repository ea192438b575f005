#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# netd is killed, and hangs, while a guest serves: listeners and datagrams go on, a
# connection ends as after a reset, with what came before it.
. "$(dirname "$0")/run/lib.sh"

cp "$STRAIT_BIN/fsd" "$STRAIT_BIN/netd" "$W/bin/"
"$STRAIT_BIN/strait-cc" -O1 -D_GNU_SOURCE -o "$W/bin/sockets" \
	"$STRAIT_SRC/tests/e2e/recover/sockets.c" || exit 1
chmod a+rx "$W/bin"/*
STRAIT=$W/bin/strait

# The world's side.  Commands by standard input, one answer each: hold (a connection
# that the guest keeps unread, six bytes in it), first, second, udp; early (a connection
# and a datagram that find no answer for now), late (the answers come).
cat >"$W/world.py" <<'P'
import socket, sys, time

PORT = int(sys.argv[1])

def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect(("127.0.0.1", PORT))
    s.settimeout(0.2)
    return s

def tcp(port):
    s = socket.create_connection(("127.0.0.1", port), 5)
    s.settimeout(5)
    return s

def echo(s, what):
    s.sendall(what)
    got = b""
    while len(got) < len(what):
        more = s.recv(64)
        if not more:
            raise OSError("end")
        got += more
    return got == what

def tries(n, fn):
    for i in range(n):
        try:
            if fn():
                return True
        except OSError:
            pass
        time.sleep(0.05)
    return False

u, held, n = udp(), [], 0
def dgram():
    global n
    n += 1
    word = b"dgram %d" % n
    u.send(word)
    while u.recv(64) != word:
        pass
    return True

for line in sys.stdin:
    w = line.split()
    if w[0] == "hold":
        s = tcp(PORT)
        r = echo(s, b"hold")
        s.sendall(b"unread")
        held.append(s)
    elif w[0] == "early":
        e = tcp(PORT)
        e.sendall(b"early")
        e.settimeout(0.3)
        u.send(b"early")
        r = True
        for s in e, u:
            try:
                s.recv(64)  # neither an answer nor an error
                r = False
            except TimeoutError:
                pass
            except OSError:
                r = False
    elif w[0] == "late":
        e.settimeout(5)
        r = e.recv(64) == b"early" and u.recv(64) == b"early"
    elif w[0] != "udp":
        def once():
            second = w[0] == "second"
            with tcp(PORT + second) as s:
                return echo(s, b"hello") and (not second or s.recv(1) == b"")
        r = tries(60, once)
    else:
        r = tries(40, dgram)
    print("yes" if r else "no", flush=True)
P

ask()
{
	local answer=none

	echo "$*" >&"${world[1]}"
	read -r -t 30 answer <&"${world[0]}"
	[ "$answer" = yes ] || fail "$CASE: $*: $answer: $(cat "$W/guest.err")"
}

all_serve()
{
	ask first
	ask second
	ask udp
}

netd() { $as "$STRAIT" ps | awk '$1 == "netd" { print $2 }'; }
guest() { pgrep -fx "$W/bin/sockets $port"; }

# again SIGNAL N: netd gets it, and the Nth instance after the first comes.
again()
{
	local i

	kill "-$1" "$(netd)" || fail "$CASE: no netd"
	for i in $(seq 400); do
		grep -q "netd is back after [0-9]* ms (epoch $(($2 + 1)))" "$W/guest.err" && return
		sleep 0.02
	done
	fail "$CASE: netd does not come back: $(cat "$W/guest.err")"
}

start()
{
	: >"$W/guest.out"
	$as "$STRAIT" run --name inst --hang 1 "$@" "$W/bin/sockets" $port \
		>"$W/guest.out" 2>"$W/guest.err" </dev/null &
	pid=$!
	wait_line "$W/guest.out" ready
	coproc world { exec python3 "$W/world.py" $port; }
	all_serve
}

stop()
{
	local rc

	kill -TERM $pid
	wait $pid
	rc=$?
	[ $rc = 143 ] || fail "$CASE: status $rc: $(cat "$W/guest.err")"
	grep -v "netd ended (signal 9)\|netd is back after\|netd did not answer" "$W/guest.err" &&
		fail "$CASE: says $(cat "$W/guest.err")"
	kill $world_PID
	wait $world_PID 2>/dev/null
	nothing_left soon
	passed
}

# nobody_is_refused N: what comes before the guest has made its sockets again waits.
nobody_is_refused()
{
	local program

	CASE="$CASE; what comes before its guest is back is late, not refused"
	program=$(guest)
	kill -STOP "$program" || fail "$CASE: no program"
	again KILL "$1"
	ask early
	kill -CONT "$program"
	ask late
	all_serve
}

# serving NAME OPTIONS...
serving()
{
	local i

	local what=$1
	CASE="$who: $what: all goes on after netd was killed"
	shift
	port=$((port + 10)) # the one before is still taken by what was closed
	start "$@"
	for i in 1 2 3; do
		ask hold
		sleep 0.1
		again KILL $i
		all_serve
		wait_line "$W/guest.out" '^held: "unread" then ECONNRESET$'
		[ "$(grep -c . "$W/guest.out")" = $((i + 1)) ] ||
			fail "$CASE: guest says $(cat "$W/guest.out")"
	done
	again STOP 4
	all_serve
	[ "$what" = host ] || nobody_is_refused 5
	stop
}

port=7000
for who in $whos; do
	if [ $who = root ]; then as=$alone; else as=$user; fi
	next=$((port + 10))
	serving lwip -p $next:$next -p $((next + 1)):$((next + 1)) -p $next:$next/udp
	serving host --net host
done
finish
