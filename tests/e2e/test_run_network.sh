#!/bin/bash
# SPDX-License-Identifier: MIT
# Around a guest on netd's TCP/IP: published ports, names, the way out by pasta and
# by veth, what is left; as root and as an ordinary user.  The machine and the
# world beyond it are namespaces of the test's own.
. "$(dirname "$0")/run/lib.sh"

cp "$STRAIT_BIN/fsd" "$STRAIT_BIN/netd" "$W/bin/"
"$STRAIT_BIN/strait-cc" -O1 -o "$W/bin/talk" "$STRAIT_SRC/tests/e2e/run/talk.c" || exit 1
chmod a+rx "$W/bin"/*
STRAIT=$W/bin/strait
TALK=$W/bin/talk

# The world: 198.51.100.2, knows nobody but the machine (198.51.100.1).
cat >"$W/world.py" <<'P'
import socket, threading

def tcp():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('198.51.100.2', 7000))
    s.listen()
    while True:
        c, a = s.accept()
        c.sendall(('you are %s\n' % a[0]).encode())
        c.close()

def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('198.51.100.2', 7001))
    while True:
        d, a = s.recvfrom(2048)
        s.sendto(d + (' from %s\n' % a[0]).encode(), a)

silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(('198.51.100.2', 7009))
threading.Thread(target=tcp, daemon=True).start()
udp()
P
unshare --net sh -c 'echo up; exec sleep 300' >"$W/world" &
world=$!
while [ ! -s "$W/world" ]; do sleep 0.05; done
ip link add world0 type veth peer name world1 netns $world
ip addr add 198.51.100.1/24 dev world0
ip link set world0 up
nsenter -t $world -n ip addr add 198.51.100.2/24 dev world1
nsenter -t $world -n ip link set world1 up
nsenter -t $world -n ip link set lo up
nsenter -t $world -n python3 "$W/world.py" &
servers=$!
ip route add default via 198.51.100.2

# A resolver on the machine's loopback that knows one name.
cat >"$W/names.py" <<'P'
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 53))
while True:
    q, a = s.recvfrom(512)
    end = q.index(b'\0', 12) + 5
    name, kind = q[12:end - 4], struct.unpack('>H', q[end - 4:end - 2])[0]
    known = name == b'\x03www\x05world\x00'
    answer = b'\xc0\x0c' + struct.pack('>HHIH', 1, 1, 60, 4) + socket.inet_aton('198.51.100.2')
    n = 1 if known and kind == 1 else 0
    s.sendto(q[:2] + struct.pack('>HHHHH', 0x8180 if known else 0x8183, 1, n, 0, 0) +
             q[12:end] + (answer if n else b''), a)
P
python3 "$W/names.py" &
names=$!
echo "nameserver 127.0.0.1" >"$W/resolv.conf"
mount --bind "$W/resolv.conf" /etc/resolv.conf
trap 'kill $servers $names $world 2>/dev/null; rm -rf "$W"' EXIT

# The world's own links are not left behind by strait.
nothing_left()
{
	local i left

	for i in $(seq 20); do
		left=$(ps -eo ppid=,stat=,comm= | awk '$3 ~ /^(strait|fsd|netd|talk|pasta|passt)/ && $2 !~ /^Z/')
		left=$left$(ip -o link | grep -v -e ': lo:' -e 'world0')
		left=$left$(nft list tables 2>/dev/null)
		left=$left$(grep -o '@strait/[^ ]*' /proc/net/unix)
		[ -z "$left" ] && return
		[ "${1:-}" = soon ] || break
		sleep 0.1
	done
	fail "$CASE: left behind: $left"
}

start()
{
	CASE=$1
	shift
	: >"$W/guest.out"
	timeout -k 5 60 $as "$STRAIT" run "$@" >"$W/guest.out" 2>"$W/guest.err" </dev/null &
	pid=$!
	wait_line "$W/guest.out" ready
}

ended()
{
	exited "$1"
	nothing_left
	passed
}

# says NAME TEXT CMD...: CMD ends with 0 and prints TEXT.
says()
{
	CASE=$1
	local text=$2

	shift 2
	timeout -k 5 60 "$@" >"$W/out" 2>"$W/err" </dev/null || fail "$CASE: status $?: $(cat "$W/err")"
	grep -qF -- "$text" "$W/out" || fail "$CASE: prints $(cat "$W/out")"
	nothing_left
	passed
}

published()
{
	start "$who: a published TCP port" -p 18080:80 -p [::1]:18081:80 "$TALK" serve 80
	python3 - <<'P' || fail "$CASE"
import socket
def once(addr, m):
    s = socket.create_connection(addr, timeout=20)
    s.sendall(m)
    s.shutdown(socket.SHUT_WR)
    r = b''
    while True:
        d = s.recv(65536)
        if not d:
            return r
        r += d
assert once(('127.0.0.1', 18080), b'hello') == b'hello'
assert once(('::1', 18081), b'hello') == b'hello'
m = bytes(range(256)) * 8192
assert once(('127.0.0.1', 18080), m) == m
for i in range(50):
    assert once(('127.0.0.1', 18080), b'%d' % i) == b'%d' % i
assert once(('127.0.0.1', 18080), b'quit') == b'quit'
P
	ended 0
	start "$who: a published UDP port" -p 18080:80/udp "$TALK" serve-udp 80
	python3 - <<'P' || fail "$CASE"
import socket
socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for i in range(8)]
for i, s in enumerate(socks):
    s.settimeout(20)
    s.sendto(b'from %d' % i, ('127.0.0.1', 18080))
for i, s in enumerate(socks):
    assert s.recv(100) == b'from %d' % i
s.sendto(b'quit', ('127.0.0.1', 18080))
assert s.recv(100) == b'quit'
P
	ended 0
	start "$who: what is sent last arrives, and half-close works" -p 18080:80 "$TALK" source 80 32
	python3 - <<'P' || fail "$CASE"
import socket
s = socket.create_connection(('127.0.0.1', 18080), timeout=20)
n = 0
while True:
    d = s.recv(1 << 20)
    if not d:
        break
    n += len(d)
assert n == 32 << 20, n
s.sendall(b'z' * 300000)
P
	ended 0
	grep -q '^got 300000$' "$W/guest.out" || fail "$CASE: $(cat "$W/guest.out")"
	start "$who: a port where nobody listens is refused" -p 18080:81 "$TALK" serve 80
	python3 - <<'P' || fail "$CASE"
import socket
try:
    s = socket.create_connection(('127.0.0.1', 18080), timeout=20)
    assert s.recv(10) == b''
except ConnectionResetError:
    pass
P
	kill -TERM $pid
	ended 143
}

host_stack()
{
	start "$who: the machine's own stack" --net host "$TALK" serve 18090
	python3 - <<'P' || fail "$CASE"
import socket
s = socket.create_connection(('127.0.0.1', 18090), timeout=20)
s.sendall(b'quit')
assert s.recv(10) == b'quit'
P
	ended 0
	says "$who: out by the machine's own stack" "you are 198.51.100.1" \
		$as "$STRAIT" run --net host "$TALK" ask www.world 7000
}

way_out()
{
	says "$who: TCP out by $1" "you are 198.51.100.1" $as "$STRAIT" run "$TALK" ask 198.51.100.2 7000
	says "$who: UDP out by $1" "ping from 198.51.100.1" $as "$STRAIT" run "$TALK" ask-udp 198.51.100.2 7001
	says "$who: a name, by $1" "you are 198.51.100.1" $as "$STRAIT" run "$TALK" ask www.world 7000
}

# killed WAY CMD: strait is killed when CMD says that the way out is there.
killed()
{
	local i up=

	CASE="$who: strait is killed with $1 up"
	timeout -k 5 60 $as "$STRAIT" run --name out "$TALK" ask-udp 198.51.100.2 7009 \
		>"$W/guest.out" 2>&1 &
	pid=$!
	# Once: while pasta goes into the background a second look may find neither process.
	for i in $(seq 200); do
		eval "$2" >/dev/null && up=yes && break
		sleep 0.05
	done
	[ -n "$up" ] || fail "$CASE: not up"
	ip -o link | grep -q ': strait' || [ $1 = pasta ] || fail "$CASE: no link"
	pkill -KILL -x -o strait
	wait $pid
	nothing_left soon
	passed
}

for who in $whos; do
	if [ $who = root ]; then as=$alone; else as=$user; fi
	published
	host_stack
	if command -v pasta >/dev/null; then
		way_out pasta
		killed pasta "pgrep -f ^/usr/bin/pasta"
	else
		echo "note: no pasta (package passt): way out not tested without forwarding"
	fi
	CASE="$who: no way out"
	STRAIT_PASTA=$W/none timeout -k 5 60 $as "$STRAIT" run "$TALK" ask 198.51.100.2 7000 \
		>"$W/out" 2>"$W/err"
	[ $? = 1 ] || fail "$CASE: status"
	grep -q "strait: warning: no way out" "$W/err" || fail "$CASE: $(cat "$W/err")"
	nothing_left
	passed
done

who=root
as=$alone
sysctl -qw net.ipv4.ip_forward=1
way_out veth
killed veth "nft list tables | grep 'table ip strait-out'"
finish
