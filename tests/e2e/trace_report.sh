#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `strait trace` as a command: both verbs, filters, JSON that a parser takes, and what
# it says and answers about bad usage and bad files.
set -euo pipefail
. "$(dirname "$0")/lib_trace.sh"
t=$tmp/story.pcapng
"$STRAIT_BUILD/tests/trace_gen" "$t" payload

strait_trace report --slowest 2 "$t" >"$tmp/report" || fail "report: exit $?"
expect "$tmp/report" "story.pcapng: 32 frames in 1.19ms"
expect "$tmp/report" "ENOENT (No such file or directory)"
expect "$tmp/report" "where the time went"
expect "$tmp/report" "answered queued"
expect "$tmp/report" "slowest calls"
awk '$1 == "File.Open" && $2 == 3 && $5 == 1 && $8 == "23.0us" { n++ } END { exit n != 1 }' \
	"$tmp/report" || fail "File.Open's row is wrong: $(grep File.Open "$tmp/report")"

strait_trace report --json --slowest 1 "$t" >"$tmp/json"
python3 - "$tmp/json" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))
m = {x["method"]: x for x in r["methods"]}
assert r["frames"] == 32 and r["damage"] is None, r
assert m["File.Open"]["calls"] == 3 and m["File.Open"]["errno"] == {"ENOENT": 1}
assert m["File.Open"]["service_ns"]["min"] == 20000
assert m["File.Read"]["wakeup_ns"]["max"] == 2000
assert m["Net.Data"]["posts"] == 1 and m["Net.Data"]["events"] == 1
assert m["File.Lock"]["queued"] == 1 and m["File.Lock"]["queued_until_done_ns"]["count"] == 1
assert [s["service"] for s in r["sessions"]] == ["fsd", "netd"]
assert r["slowest"][0]["latency_ns"] == 33000 and "File.Write" in r["slowest"][0]["call"]
PY

strait_trace show --path /etc --times "$t" >"$tmp/show"
[ "$(wc -l <"$tmp/show")" = 4 ] || fail "show --path: $(cat "$tmp/show")"
expect "$tmp/show" "<21.0us: queue 1.00us, service 20.0us>"
strait_trace show --errno any --call open <"$t" - >"$tmp/show"
[ "$(wc -l <"$tmp/show")" = 1 ] || fail "show --errno: $(cat "$tmp/show")"
TZ=UTC strait_trace show --wall --call Ping "$t" >"$tmp/show"
[ ! -s "$tmp/show" ] || fail "no ping was made"
strait_trace --help >"$tmp/help"
expect "$tmp/help" "--slowest N"

# complains STATUS TEXT ARGS...
complains() {
	local want=$1 text=$2 rc=0
	shift 2
	strait_trace "$@" >"$tmp/out" 2>"$tmp/err" || rc=$?
	[ "$rc" = "$want" ] || fail "trace $*: exit $rc, not $want: $(cat "$tmp/err")"
	expect "$tmp/err" "$text"
}
complains 125 "want report or show"
complains 125 "unknown verb tell" tell "$t"
complains 125 "no file named" report
complains 125 "one file at a time" show "$t" "$t"
complains 125 "unknown option --frob" show --frob "$t"
complains 125 "unknown option --json" show --json "$t"
complains 125 "--slowest needs a value" report "$t" --slowest
complains 125 "--slowest -1: want a number" report --slowest -1 "$t"
complains 125 "--call Fly: no such method" show --call Fly "$t"
complains 125 "--errno EWHAT: want an errno" show --errno EWHAT "$t"
complains 125 "cannot open $tmp/none: No such file" show "$tmp/none"
complains 125 "cannot be read: Is a directory" show "$tmp"
complains 125 "this is not a pcapng file" show "$0"
complains 125 "the file is empty" show /dev/null

head -c -10 "$t" >"$tmp/cut"
complains 1 "the file ends" report "$tmp/cut"
expect "$tmp/err" "$tmp/cut: block 35 at offset"
expect "$tmp/out" "31 frames"
if [ -e /dev/full ]; then
	rc=0
	strait_trace report "$t" >/dev/full 2>"$tmp/err" || rc=$?
	[ $rc = 125 ] || fail "a full disk gave $rc"
	expect "$tmp/err" "No space left"
fi
