#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Files of a guest as the host sees them: what shared mappings leave behind, that no
# path and no link leads out of a mount, locks beside the host's.
set -u
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }
here=$(cd "$(dirname "$0")" && pwd)
"$STRAIT_BIN/strait-cc" -O1 -o "$tmp/guest" "$here/guest.c" || exit 1
mkdir "$tmp/d"
run() { timeout 20 "$STRAIT_BIN/strait" run --net none --no-squash -v "$tmp/d:/d" -w /d "$tmp/guest" "$@"; }

# 1. Stores to a shared mapping are in the file when the program has ended.
for how in return _exit abort; do
	head -c 8192 /dev/zero >"$tmp/d/$how"
	run store $how /d/$how
	rc=$?
	[ $rc = $([ $how = abort ] && echo 134 || echo 0) ] || fail "store $how: status $rc"
	[ "$(tr -d '\0' <"$tmp/d/$how")" = X ] || fail "a store was lost at $how"
	[ "$(stat -c %s "$tmp/d/$how")" = 8192 ] || fail "the size changed at $how"
done

# 2. Nothing outside the mount can be named.
echo outside >"$tmp/secret"
echo inside >"$tmp/d/plain"
ln -s ../secret "$tmp/d/up"
ln -s "$tmp/secret" "$tmp/d/absolute"
ln -s ../../../../../../../../etc/hostname "$tmp/d/far"
mkdir "$tmp/d/sub"
ln -s ../plain "$tmp/d/sub/near"
[ "$(run look /d/plain)" = inside ] || fail "a plain file can not be read"
[ "$(run look /d/sub/near)" = inside ] || fail "a link within the mount does not work"
for path in /d/up /d/absolute /d/../secret /d/sub/../../secret; do
	[ "$(run look $path)" = "errno 2" ] || fail "$path leads to '$(run look $path)'"
done
[ "$(run look /d/far)" != "$(cat /etc/hostname)" ] || [ ! -s /etc/hostname ] ||
	fail "a link read the host's /etc/hostname"

# 3. Locks of the guest are the host's, too, and end with the guest.
head -c 100 /dev/zero >"$tmp/d/locked"
mkfifo "$tmp/in"
exec 3<>"$tmp/in"
run hold /d/locked <"$tmp/in" >"$tmp/out" 3>&- &
guest=$!
for _ in $(seq 100); do grep -q held "$tmp/out" && break; sleep 0.05; done
try() {
	python3 - "$tmp/d/locked" "$1" <<'PY'
import fcntl, sys
f = open(sys.argv[1], "r+b")
try:
    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, int(sys.argv[2]))
    print("free")
except OSError:
    print("taken")
PY
}
[ "$(try 12)" = taken ] || fail "the host does not see the guest's lock"
[ "$(try 20)" = free ] || fail "the host sees more than the guest locked"
kill -KILL $guest
wait $guest 2>/dev/null
exec 3>&-
for _ in $(seq 100); do [ "$(try 12)" = free ] && break; sleep 0.05; done
[ "$(try 12)" = free ] || fail "the lock outlived its guest"

[ $failures = 0 ] && echo ok
exit $((failures != 0))
