# SPDX-License-Identifier: MIT
# Sourced by the trace tests: $tmp, fail, expect, and strait_trace, which is the
# `strait` command's where it is built, else the same code as a program of its own.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
name=$(basename "$0" .sh)

fail() {
	echo "$name: $*" >&2
	exit 1
}

skip() {
	echo "$name: skipped: $*" >&2
	exit 77
}

strait_trace() {
	if [ -x "$STRAIT_BIN/strait" ]; then
		"$STRAIT_BIN/strait" trace "$@"
	else
		"$STRAIT_BUILD/tests/trace" "$@"
	fi
}

# expect FILE TEXT: a line of FILE holds TEXT.
expect() {
	grep -qF -e "$2" "$1" || fail "no line of $(basename "$1") holds: $2
$(head -n 40 "$1")"
}

# run_tshark TRACE ARGS...: with our dissector and .proto files, and no user's profile.
run_tshark() {
	local trace=$1
	shift
	HOME=$tmp XDG_CONFIG_HOME=$tmp tshark -n -r "$trace" \
		-X "lua_script:$STRAIT_SRC/tools/trace/strait.lua" \
		-o "uat:protobuf_search_paths:\"$STRAIT_SRC/proto\",\"TRUE\"" \
		-o protobuf.preload_protos:TRUE -o protobuf.pbf_as_hf:TRUE \
		-o protobuf.bytes_as_string:TRUE "$@" 2>"$tmp/tshark.err" ||
		fail "tshark failed: $(cat "$tmp/tshark.err")"
	! grep -i 'lua.*error' "$tmp/tshark.err" || fail "the dissector has an error"
}
