#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The Wireshark dissector, in tshark, on a made-up trace: columns, fields to filter by,
# messages through Wireshark's protobuf dissector, replies linked to calls.
set -euo pipefail
. "$(dirname "$0")/lib_trace.sh"
command -v tshark >/dev/null || skip "no tshark here"
t=$tmp/story.pcapng
"$STRAIT_BUILD/tests/trace_gen" "$t" payload

run_tshark "$t" >"$tmp/list"
[ "$(wc -l <"$tmp/list")" = 32 ] || fail "32 packets, listed: $(cat "$tmp/list")"
expect "$tmp/list" "STRAIT 77 File.Open call slot=1 seq=1 /etc/motd"
expect "$tmp/list" "File.Open reply slot=1 seq=2 ENOENT"
expect "$tmp/list" 'File.Open call slot=1 seq=2 /no\012such'
expect "$tmp/list" "File.Lock reply slot=2 seq=1 queued"
expect "$tmp/list" "Net.Data post [19 bytes]"
expect "$tmp/list" "Session.Done event"

# fields FILTER FIELD...: rows of the fields, with commas, in two passes.
fields() {
	local filter=$1 f args=()
	shift
	for f; do args+=(-e "$f"); done
	run_tshark "$t" -2 -Y "$filter" -T fields -E separator=, "${args[@]}"
}
is() {
	[ "$1" = "$2" ] || fail "got '$1', not '$2'"
}
is "$(fields 'strait.err == 2' frame.number strait.method strait.response_to)" 10,File.Open,9
is "$(fields 'pbf.file.OpenReq.path == "/etc/motd"' frame.number pbf.file.OpenReq.handle)" 7,3
is "$(fields 'strait.method == "File.Read" && strait.kind == 1' \
	strait.response_in strait.slot strait.seq strait.queue_time strait.wake_time)" 12,1,3,1,2
is "$(fields 'strait.method == "File.Read" && strait.kind == 2' \
	strait.response_time strait.payload)" 10,68656c6c6f
is "$(fields 'strait.path matches "^/tmp"' strait.method strait.path)" File.Unlink,/tmp/dir
is "$(fields 'strait.flags.queued == 1' frame.number)" 21
is "$(fields 'strait.service == 2 && strait.kind == 4' strait.method | sort -u | tr '\n' ' ')" \
	"Net.Accepted Net.Data Net.Error "
is "$(fields 'pbf.net.AcceptedEvt.handle == 65536' strait.domid)" 1
is "$(fields 'strait.failed' frame.number | tr '\n' ' ')" "10 17 "
is "$(fields '_ws.malformed || strait.malformed' frame.number)" ""

run_tshark "$t" -V -Y 'frame.number == 7' >"$tmp/tree"
expect "$tmp/tree" "Protocol Buffers: file.OpenReq (Message: file.OpenReq)"
expect "$tmp/tree" "path: /etc/motd"
expect "$tmp/tree" "handle: 3"

# A frame that lies about its length is marked, and costs no other.
printf '\xff' | dd of="$t" bs=1 seek=$((92 + 28 + 16)) conv=notrunc status=none
is "$(fields 'strait.malformed' frame.number)" 1
is "$(fields 'strait' frame.number | wc -l)" 32
