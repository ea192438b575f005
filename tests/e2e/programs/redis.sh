#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# redis-server on Strait, driven from the host's side by its own benchmark and by a
# client that checks every value.
. "$STRAIT_SRC/tests/e2e/programs/lib.sh" || exit 1
port=$(port)
N=$P-native/redis/bin
cli() { "$S" run --no-squash --net host "$P/redis/bin/redis-cli" -h 127.0.0.1 -p "$port" "$@"; }
background "$S" run --name "t-redis-$$" --mem /data -w /data -p "$port:6379" \
	"$P/redis/bin/redis-server" --save '' --appendonly no --bind '0.0.0.0' --protected-mode no
server=${pids[-1]}
up "$port" || { cp "$T/server.log" "$T/log"; fail the_server_listens; }
ok the_server_listens
python3 - "$port" >"$T/log" 2>&1 <<'PY' || fail values_come_back
import random, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
f = s.makefile("rwb")
def cmd(*a):
    f.write(b"*%d\r\n" % len(a))
    for x in a:
        f.write(b"$%d\r\n%s\r\n" % (len(x), x))
def reply():
    l = f.readline()
    if l[:1] == b"$":
        n = int(l[1:])
        return None if n < 0 else f.read(n + 2)[:-2]
    return l.strip()
random.seed(7)
want = {}
for i in range(3000):
    k, v = b"k%d" % (i % 1000), random.randbytes(random.choice([1, 10, 1000, 50000 if i % 100 == 0 else 5]))
    want[k] = v
    cmd(b"SET", k, v)
f.flush()
for i in range(3000):
    assert reply() == b"+OK"
for k in want:
    cmd(b"GET", k)
f.flush()
for k in want:
    assert reply() == want[k], k
PY
ok values_come_back
want redis_cli_in_a_guest_reaches_it cli PING
for t in 1 16; do
	"$N/redis-benchmark" -h 127.0.0.1 -p "$port" -c 20 -n 20000 -P $t -t set,get,lpush,lpop -q >"$T/log" 2>&1 </dev/null ||
		fail "redis_benchmark_pipeline_$t"
	ok "redis_benchmark_pipeline_$t"
done
want redis_benchmark_in_a_guest "$S" run --no-squash --net host "$P/redis/bin/redis-benchmark" -h 127.0.0.1 -p "$port" -c 5 -n 2000 -t set,get -q
stop_well "$server" it_stops_on_sigterm
