# SPDX-License-Identifier: MIT
# stand_ins.sh - after lib.sh: an instance of stand-ins for services and guest, "inst".

cp "$T"/stand_in_service* "$W/bin/"
chmod a+rx "$W/bin"/*
G=$W/bin/stand_in_guest
STRAIT=$W/bin/strait

start()
{
	: >"$W/guest.out"
	$as "$STRAIT" run --name inst "$@" >"$W/guest.out" 2>"$W/guest.err" </dev/null &
	pid=$!
	wait_line "$W/guest.out" ready
}

ended()
{
	exited "$1"
	nothing_left soon
	passed
}

# shows_soon SERVICE PATTERN: `strait ps` comes to say it.
shows_soon()
{
	local i

	for i in $(seq 100); do
		$as "$STRAIT" ps | grep -q "^  $1 .*$2" && return
		sleep 0.05
	done
	shows "$@"
}

shows() { $as "$STRAIT" ps | grep -q "^  $1 .*$2" || fail "$CASE: $1 is not $2: $($as "$STRAIT" ps)"; }
