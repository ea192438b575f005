# SPDX-License-Identifier: MIT
# guests.sh - after lib.sh: several guests of the real services, each by a name of the
# test's.

cp "$STRAIT_BIN/fsd" "$STRAIT_BIN/netd" "$W/bin/"
STRAIT=$W/bin/strait
mkdir -m 777 "$W/shared"

# start ID ARGS...: strait run ARGS in the background; output in $W/ID.out.
declare -A pid
start()
{
	local id=$1

	shift
	: >"$W/$id.out"
	$as "$STRAIT" run "$@" >"$W/$id.out" 2>"$W/$id.err" </dev/null &
	pid[$id]=$!
}

# until ID LINE: wait for it in ID's output.
until_says()
{
	wait_line "$W/$1.out" "^$2\$" || fail "$CASE: $1 says: $(cat "$W/$1.out" "$W/$1.err")"
}

# ended ID STATUS: wait for it.
ended()
{
	local rc

	wait "${pid[$1]}" 2>/dev/null # bash would tell of KILL
	rc=$?
	[ $rc = "$2" ] || fail "$CASE: $1: status $rc, not $2: $(cat "$W/$1.out" "$W/$1.err")"
}

stop()
{
	$as "$STRAIT" stop "$1" || fail "$CASE: stop $1"
}
