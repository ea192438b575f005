#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# --log unsupported names each call that libos/syscalls.tbl refuses, once, however
# often it is made; and says nothing when it is not asked for.
set -u
W=$(mktemp -d) || exit 1
trap 'rm -rf "$W"' EXIT
prog=$STRAIT_BUILD/tests/sys/strait/test_sys_refused
fail=0

"$STRAIT_BIN/strait" run --log unsupported "$prog" </dev/null >"$W/out" 2>"$W/err" || {
	cat "$W/out" "$W/err"
	exit 1
}
sed -n 's/.*unsupported: //p' "$W/err" | sort >"$W/said"
awk '!/^#/ && $5 == "-" && $1 != "-" { print $3 }' "$STRAIT_SRC/libos/syscalls.tbl" | sort >"$W/rows"
[ "$(wc -l <"$W/rows")" -gt 50 ] || { echo "the table was not read"; fail=1; }
# Two more are not rows: a number that none has, and a clone() that is a fork.
printf '%s\n' "a call without a number in the table" "clone: a process" | sort - "$W/rows" >"$W/want"
diff "$W/want" "$W/said" || fail=1

"$STRAIT_BIN/strait" run "$prog" </dev/null >"$W/out" 2>"$W/err" || fail=1
! grep unsupported "$W/err" || fail=1
exit $fail
