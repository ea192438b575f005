# SPDX-License-Identifier: MIT
# lib.sh - for tests of `strait run`: a machine of their own, and checks.
#
# A test that sources this runs in process, mount and network namespaces of its
# own (a loopback and nothing else), so that what is left behind can be seen:
# everything there is the test's.  "$user CMD" runs CMD as an ordinary user.

if [ "$(id -u)" != 0 ]; then
	echo "SKIP: needs root, to make a machine of its own"
	exit 77
fi
if [ -z "$STRAIT_TEST_INSIDE" ]; then
	export STRAIT_TEST_INSIDE=1
	exec unshare --pid --fork --kill-child --mount --mount-proc --net --ipc -- "$0" "$@"
fi
set -u
ip link set lo up
STRAIT=$STRAIT_BIN/strait
T=$STRAIT_BUILD/tests
W=$(mktemp -d /tmp/strait-test.XXXXXX)
chmod 755 "$W"
trap 'rm -rf "$W"' EXIT
failures=0

# An ordinary user may be far from the build folder: give it copies.
mkdir "$W/bin"
cp "$STRAIT" "$T/stand_in_guest" "$W/bin/"
chmod -R a+rX "$W/bin"

if [ -e /dev/net/tun ]; then
	mount -t tmpfs -o mode=755 none /mnt &&
		mknod -m 0666 /mnt/tun c 10 200 2>/dev/null &&
		{ test -w /mnt/tun && mount --bind /mnt/tun /dev/net/tun; } || echo "note: /dev/net/tun as it is"
fi

# A shell's background jobs ignore INT and QUIT; ours shall not.
alone="env --default-signal=INT,QUIT"
user="setpriv --reuid=65534 --regid=65534 --clear-groups -- $alone HOME=/"

# Where no user namespace can be had (in a chroot, by policy) an ordinary user cannot
# run guests: what is tested as a user is left out, and said.
whos="root user"
if ! $user unshare --user true 2>/dev/null; then
	echo "note: no user namespaces here: nothing is tested as an ordinary user"
	whos=root
fi

fail()
{
	echo "FAIL: $*"
	failures=$((failures + 1))
}

# Everything is as before: no process of ours, no link, no table, no name.
nothing_left()
{
	local i left

	for i in 1 2 3 4 5 6 7 8 9 10; do
		left=$(ps -eo pid=,ppid=,stat=,comm= | awk '
			$4 ~ /^(strait|fsd|netd|stand_in|pasta|passt|bad_)/ && $3 !~ /^Z/')
		left=$left$(ip -o link | grep -v ': lo:')
		left=$left$(nft list tables 2>/dev/null)
		left=$left$(grep -o '@strait/[^ ]*' /proc/net/unix)
		[ -z "$left" ] && return
		[ "${1:-}" = soon ] || break
		sleep 0.1
	done
	fail "$CASE: left behind: $left"
}

# expect NAME STATUS TEXT CMD...: CMD ends with STATUS, says one sentence that holds
# TEXT, and leaves nothing.
expect()
{
	CASE=$1
	local want=$2 text=$3 rc

	shift 3
	"$@" >"$W/out" 2>"$W/err" </dev/null
	rc=$?
	[ $rc = "$want" ] || fail "$CASE: status $rc, not $want: $(cat "$W/err")"
	if [ -n "$text" ]; then
		grep -qF -- "$text" "$W/err" || fail "$CASE: does not say \"$text\": $(cat "$W/err")"
		[ "$(wc -l <"$W/err")" = 1 ] || fail "$CASE: not one line: $(cat "$W/err")"
		grep -q '^strait: ' "$W/err" || fail "$CASE: who speaks? $(cat "$W/err")"
	else
		[ ! -s "$W/err" ] || fail "$CASE: says $(cat "$W/err")"
	fi
	nothing_left
	passed
}

# exited STATUS: the strait run of $pid, in the background, ends with it.
exited()
{
	local rc

	wait "$pid"
	rc=$?
	[ $rc = "$1" ] || fail "$CASE: status $rc, not $1: $(cat "$W/guest.err")"
}

# The case is over; say so if nothing was wrong with it.
passed()
{
	[ "$failures" = "${failures_before:-0}" ] && echo "ok: $CASE"
	failures_before=$failures
}

# Wait for a line in a file.  One that a process in the background is to write is emptied
# before (": >FILE"): its own shell may be late to do so.
wait_line()
{
	local i

	for i in $(seq 100); do
		grep -q -- "$2" "$1" 2>/dev/null && return 0
		sleep 0.05
	done
	fail "$CASE: no line $2 in $1: $(cat "$1")"
	return 1
}

finish()
{
	[ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
	exit 0
}
