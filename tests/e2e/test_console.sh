#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Standard input, output and error of a guest: slow, fast, ended, broken.
set -u
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
rc=0
ok() { echo "ok $1"; }
bad() { echo "not ok $1"; rc=1; }
check() { # name command...
	local name=$1
	shift
	if "$@"; then ok "$name"; else bad "$name"; fi
}
"$STRAIT_BIN/strait-cc" -O1 -o "$tmp/cat" "$STRAIT_SRC/tests/e2e/console/cat.c" || exit 1
run() { timeout 50 "$STRAIT_BIN/strait" run "$tmp/cat" "$@"; }
slowly() {
	echo one
	sleep 0.2
	printf 'two, '
	sleep 0.2
	echo three
}
slowly >"$tmp/want"
head -c 3000000 /dev/urandom >"$tmp/big"

for how in read poll epoll select nonblock; do
	slowly | run $how >"$tmp/out"
	[ "${PIPESTATUS[1]}" = 0 ] && cmp -s "$tmp/want" "$tmp/out" && ok "slow_input_by_$how" ||
		bad "slow_input_by_$how"
	run $how <"$tmp/big" >"$tmp/out"
	check "a_file_by_$how" cmp "$tmp/big" "$tmp/out"
done
# shellcheck disable=SC2002 # a pipe is what is meant
cat "$tmp/big" | run read | cat >"$tmp/out"
check through_pipes cmp "$tmp/big" "$tmp/out"
check no_input_ends_at_once run poll </dev/null

# Who writes to a reader that left is ended by SIGPIPE.
run read <"$tmp/big" | head -c 10 >/dev/null
check broken_output_is_sigpipe [ "${PIPESTATUS[0]}" = 141 ]

# A full disk is told.
run read <"$tmp/big" >/dev/full
check an_error_of_output_arrives [ $? = 2 ]

run flags </dev/null >"$tmp/out" 2>"$tmp/err"
cat >"$tmp/want" <<'END'
0 mode 0 tty 0 winsize -1 seek -1
1 mode 1 tty 0 winsize -1 seek -1
2 mode 1 tty 0 winsize -1 seek -1
END
check streams_that_are_no_terminal diff "$tmp/want" "$tmp/out"
if command -v script >/dev/null; then
	script -qec "$STRAIT_BIN/strait run $tmp/cat flags" /dev/null </dev/null | tr -d '\r' >"$tmp/out"
	cat >"$tmp/want" <<'END'
0 mode 2 tty 1 winsize 0 seek -1
1 mode 2 tty 1 winsize 0 seek -1
2 mode 2 tty 1 winsize 0 seek -1
END
	check streams_that_are_a_terminal diff "$tmp/want" "$tmp/out"
fi
exit $rc
