#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# curl in a guest fetches 100 MiB from a server of the host and sends it back, over
# netd's TCP and the way out of its namespace.  Runs in a network namespace of its own.
[ "$(id -u)" = 0 ] || { echo "needs root for a network namespace" >&2; exit 77; }
if [ "${1:-}" != inside ]; then
	exec unshare -n "$0" inside
fi
. "$STRAIT_SRC/tests/e2e/programs/lib.sh" || exit 1
ip link set lo up
# The server stands on another machine: a second namespace at the end of a cable.
unshare -n sleep 600 &
far=$!
pids+=($far)
until [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do
	kill -0 "$far" || exit 1
	sleep 0.05
done
on_far() { nsenter -t "$far" -n "$@"; }
ip link add far0 type veth peer name far1 netns "$far"
ip addr add 192.0.2.2/24 dev far0
ip link set far0 up
on_far ip addr add 192.0.2.1/24 dev far1
on_far ip link set far1 up
on_far ip link set lo up
ip route add default via 192.0.2.1
mkdir "$T/srv" "$T/d"
head -c 104857600 /dev/urandom >"$T/srv/big"
cat >"$T/server.py" <<'PY'
import http.server, os, sys
os.chdir(sys.argv[1])
class H(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        with open("put" + self.path.replace("/", "-"), "wb") as f:
            while left:
                b = self.rfile.read(min(left, 65536))
                if not b: break
                f.write(b); left -= len(b)
        self.send_response(201); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), H).serve_forever()
PY
background nsenter -t "$far" -n python3 "$T/server.py" "$T/srv"
for i in $(seq 100); do
	(: <>/dev/tcp/192.0.2.1/8000) 2>/dev/null && break
	sleep 0.1
done
c() { "$S" run --no-squash -v "$T/d:/d" -w /d "$P/curl/bin/curl" -sS -f -m 120 "$@"; }
for way in veth pasta; do # a machine that forwards; one that does not
	[ $way = veth ] && on=1 || on=0
	echo $on >/proc/sys/net/ipv4/ip_forward
	rm -f "$T/d/got" "$T/srv/put-back"
	want "curl_fetches_100_mib_by_$way" c -o got http://192.0.2.1:8000/big
	same "what_came_is_what_was_sent_by_$way" "$T/srv/big" "$T/d/got"
	want "curl_sends_it_back_by_$way" c -T got http://192.0.2.1:8000/back
	same "what_went_back_is_equal_by_$way" "$T/srv/big" "$T/srv/put-back"
done
echo 1 >/proc/sys/net/ipv4/ip_forward
"$S" run --no-squash "$P/curl/bin/curl" -sS -m 10 http://192.0.2.1:9/ >"$T/log" 2>&1
rc=$?
[ $rc = 7 ] || fail a_refused_port_is_curls_exit_7 "exit $rc"
ok a_refused_port_is_curls_exit_7
