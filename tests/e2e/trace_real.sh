#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A real run recorded: what the program did is in its trace, with times and, on
# demand, payload; the file is private; tshark reads it.
set -euo pipefail
. "$(dirname "$0")/lib_trace.sh"
cat >"$tmp/prog.c" <<'C'
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	char b[100];
	int fd = open("/data/in", O_RDONLY), out;

	if (fd < 0 || read(fd, b, sizeof(b)) != 11)
		return 1;
	out = open("/data/out", O_WRONLY | O_CREAT | O_EXCL, 0640);
	if (out < 0 || write(out, b, 11) != 11 || close(out) || close(fd))
		return 2;
	return open("/data/none", O_RDONLY) < 0 && errno == ENOENT ? 0 : 3;
}
C
mkdir "$tmp/data"
printf 'hello world' >"$tmp/data/in"
chmod 777 "$tmp" "$tmp/data"
"$STRAIT_BIN/strait-cc" -O1 "$tmp/prog.c" -o "$tmp/prog"
for payload in "" --trace-payload; do
	rm -f "$tmp/data/out"
	"$STRAIT_BIN/strait" run --trace "$tmp/t.pcapng" $payload -v "$tmp/data:/data" "$tmp/prog" ||
		fail "the program ended with $?"
	[ "$(stat -c %a "$tmp/t.pcapng")" = 600 ] || fail "the trace is not private"
	cp "$tmp/t.pcapng" "$tmp/trace$payload"
done

strait_trace show --path /data "$tmp/trace" >"$tmp/show" || fail "show: exit $?"
expect "$tmp/show" 'path="/data/in", flags=O_RDONLY'
expect "$tmp/show" 'path="/data/none"'
expect "$tmp/show" ' = ENOENT (No such file or directory) <'
expect "$tmp/show" '</data/out>'
expect "$tmp/show" '[11 bytes]'
! grep -q hello "$tmp/show" || fail "payload was recorded unasked"
strait_trace show --call read "$tmp/trace--trace-payload" >"$tmp/show"
expect "$tmp/show" '"hello world"'

strait_trace report --json "$tmp/trace" >"$tmp/json" || fail "report: exit $?"
python3 - "$tmp/json" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))
assert r["bad_packets"] == 0 and r["orphan_replies"] == 0 and r["damage"] is None, r
m = {x["method"]: x for x in r["methods"]}
assert m["Session.Hello"]["calls"] >= 1, list(m)
assert m["File.Open"]["calls"] >= 3 and m["File.Open"]["errno"].get("ENOENT", 0) >= 1
q, s, t = (m["File.Open"][k] for k in ("queueing_ns", "service_ns", "latency_ns"))
assert q["count"] == s["count"] == t["count"], "stamps are missing"
assert 0 < s["max"] < 10**9 and t["max"] >= s["max"]
assert any(x["wakeup_ns"] for x in r["methods"]), "no wake-up time at all"
PY

command -v tshark >/dev/null || exit 0
run_tshark "$tmp/trace" -2 -Y 'strait.malformed' >"$tmp/bad"
[ ! -s "$tmp/bad" ] || fail "tshark: $(cat "$tmp/bad")"
run_tshark "$tmp/trace" -2 -Y 'pbf.file.OpenReq.path == "/data/in"' -T fields \
	-e strait.response_in >"$tmp/open"
grep -q '^[0-9]' "$tmp/open" || fail "the open's reply is not linked: $(cat "$tmp/open")"
