#!/bin/bash
# SPDX-License-Identifier: MIT
# What strait run promises a program, with the real services: statuses, files,
# environment, terminal, call log; as root and as an ordinary user.
. "$(dirname "$0")/run/lib.sh"

cp "$STRAIT_BIN/fsd" "$STRAIT_BIN/netd" "$W/bin/"
"$STRAIT_BIN/strait-cc" -O1 -o "$W/bin/probe" "$STRAIT_SRC/tests/e2e/run/probe.c" || exit 1
chmod a+rx "$W/bin"/*
STRAIT=$W/bin/strait
P=$W/bin/probe
mkdir -m 777 "$W/shared"

# ends NAME STATUS TEXT ARGS...: strait run ARGS ends with STATUS and prints TEXT.
ends()
{
	CASE="$who: $1"
	local want=$2 text=$3 rc

	shift 3
	timeout -k 5 60 $as "$STRAIT" run "$@" >"$W/out" 2>"$W/err" </dev/null
	rc=$?
	[ $rc = "$want" ] || fail "$CASE: status $rc, not $want: $(cat "$W/err")"
	[ -z "$text" ] || grep -qE -- "$text" "$W/out" || fail "$CASE: prints $(cat "$W/out" "$W/err")"
	nothing_left
	passed
}

statuses()
{
	ends "exit status" 42 "" "$P" exit 42
	ends "abort" 134 "" "$P" abort
	ends "TERM" 143 "" "$P" raise 15
	ends "KILL" 137 "" "$P" raise 9
	CASE="$who: TERM from outside"
	: >"$W/out"
	timeout -k 5 60 $as "$STRAIT" run "$P" calls 3000 >"$W/out" 2>"$W/err" &
	pid=$!
	wait_line "$W/out" ready
	pkill -TERM -x -o strait
	wait $pid
	[ $? = 143 ] || fail "$CASE: status"
	nothing_left
	passed
}

files()
{
	rm -f "$W/shared"/*
	echo "from the machine" >"$W/shared/in"
	ends "reads a mounted directory" 0 "^from the machine" -v "$W/shared:/data" "$P" read /data/in
	ends "writes a mounted directory" 0 "" -v "$W/shared:/data" "$P" write /data/out
	[ "$(cat "$W/shared/out")" = "written by the guest" ] || fail "$CASE: not there"
	ends "may not write a read-only one" 1 "" -v "$W/shared:/data:ro" "$P" write /data/out2
	grep -q "Read-only" "$W/err" || fail "$CASE: $(cat "$W/err")"
	ends "a deep mount point" 0 "^in out" -v "$W/shared:/a/b/c" "$P" ls /a/b/c
	ends "... is seen from above" 0 "^c $" -v "$W/shared:/a/b/c" "$P" ls /a/b
	ends "root of its own" 0 "^dev etc proc root run tmp var" "$P" ls /
	ends "/etc is there" 0 "^root:x:0:0" "$P" read /etc/passwd
	ends "ports have names" 0 "^echo.*7/tcp" "$P" read /etc/services
	ends "/tmp can be written" 0 "" "$P" write /tmp/x
	ends "root can write its root" 0 "" "$P" write /x
	ends "memory has a size" 0 "^ENOSPC at [78]" --mem /m:8m "$P" fill /m/x
	ends "... also the root's" 0 "^ENOSPC at [78]" --mem /:8m "$P" fill /x
	ends "memory is the user's" 0 "" -u 7:8 --mem /m "$P" write /m/x
	ends "a working directory and a user" 0 "^7:8 /w/d box" -w /w/d -u 7:8 --hostname box "$P" who
	ends "a working directory that is not there" 125 "" -v "$W/shared:/data" -w /data/none "$P" who
	grep -q "working directory /data/none: there is none" "$W/err" || fail "$CASE: $(cat "$W/err")"
	ends "a working directory that is a file" 125 "" -v "$W/shared:/data" -w /data/in "$P" who
	grep -q "working directory /data/in: is not a directory" "$W/err" || fail "$CASE: $(cat "$W/err")"
	mkdir -m 700 "$W/shared/shut"
	ends "a working directory that is shut" 125 "" -v "$W/shared:/data" -u 7:8 -w /data/shut "$P" who
	grep -q "working directory /data/shut: the program's user" "$W/err" || fail "$CASE: $(cat "$W/err")"
	rmdir "$W/shared/shut"
	ends "processors" 0 "^1$" --cpus 1 "$P" cpus
	ends "all processors" 0 "^$(nproc)$" "$P" cpus
	ends "memory within the limit" 0 "^taken" --memory 64m "$P" take 16
	ends "memory beyond the limit" 0 "^refused" --memory 64m "$P" take 128
	ln -s /etc/hostname "$W/shared/link"
	echo box >"$W/want"
	ends "a link resolves in the guest's root" 0 "^box" --hostname box -v "$W/shared:/data" "$P" read /data/link
	rm "$W/shared/link"
}

environment()
{
	printf '# a comment\nFROM_FILE=yes\n' >"$W/env"
	OUTSIDE=seen ends "environment" 0 "^A=b c" -e "A=b c" -e OUTSIDE --env-file "$W/env" "$P" env x "y z"
	grep -q '^OUTSIDE=seen$' "$W/out" || fail "$CASE: OUTSIDE"
	grep -q '^FROM_FILE=yes$' "$W/out" || fail "$CASE: FROM_FILE"
	grep -q '^arg y z$' "$W/out" || fail "$CASE: arguments"
	grep -q '^STRAIT' "$W/out" && fail "$CASE: strait's own variables"
}

# Keys of a terminal: once each; Ctrl-Z stops, fg goes on.
terminal()
{
	CASE="$who: keys of the terminal"
	timeout -k 5 60 python3 - $as "$STRAIT" run "$P" wait <<'PY' || fail "$CASE"
import os, pty, signal, sys, time

def until(text, limit=20):
    global seen
    end = time.time() + limit
    while text not in seen and time.time() < end:
        try:
            seen += os.read(fd, 4096)
        except OSError:
            break
    assert text in seen, (text, seen)

seen = b''
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
until(b'ready')
os.write(fd, b'\x03')
until(b'INT')
time.sleep(0.3)
os.set_blocking(fd, False)
try:
    seen += os.read(fd, 4096)
except BlockingIOError:
    pass
os.set_blocking(fd, True)
assert seen.count(b'INT') == 1, seen
time.sleep(2)
os.write(fd, b'\x1a')
p, status = os.waitpid(pid, os.WUNTRACED)
assert os.WIFSTOPPED(status), status
os.kill(pid, signal.SIGCONT)
for n in (2, 3):
    time.sleep(1.2)
    os.write(fd, b'\x03')
p, status = os.waitpid(pid, 0)
assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 30, status
PY
	nothing_left
	passed
}

call_log()
{
	ends "a line for every call" 0 "" --strace "$P" exit 0
	grep -q "exit_group" "$W/err" || fail "$CASE: $(head -3 "$W/err")"
	CASE="$who: the call log is switched while running"
	: >"$W/out"
	timeout -k 5 60 $as "$STRAIT" run --name logged "$P" calls 3000 >"$W/out" 2>"$W/err" &
	pid=$!
	wait_line "$W/out" ready
	[ ! -s "$W/err" ] || fail "$CASE: says $(head -3 "$W/err")"
	$as "$STRAIT" strace logged on || fail "$CASE: on"
	wait_line "$W/err" getppid
	$as "$STRAIT" strace logged off || fail "$CASE: off"
	sleep 0.3
	n=$(wc -l <"$W/err")
	sleep 0.3
	[ "$n" = "$(wc -l <"$W/err")" ] || fail "$CASE: goes on after off"
	$as "$STRAIT" stop logged || fail "$CASE: stop"
	wait $pid
	[ $? = 143 ] || fail "$CASE: status"
	nothing_left
	passed
}

tracing()
{
	rm -f "$W/shared/t"
	ends "a trace" 0 "^root:" --trace "$W/shared/t" "$P" read /etc/passwd
	"$STRAIT" trace report "$W/shared/t" >"$W/report" 2>&1 || fail "$CASE: $(cat "$W/report")"
	grep -qi "open" "$W/report" || fail "$CASE: $(cat "$W/report")"
	"$STRAIT" trace show "$W/shared/t" >"$W/show" 2>&1 || fail "$CASE: $(cat "$W/show")"
	grep -q "etc/passwd" "$W/show" || fail "$CASE: $(cat "$W/show")"
}

squashed()
{
	mkdir -m 755 "$W/roots"
	CASE="root: the guest's root is nobody"
	"$STRAIT" run -v "$W/roots:/data" "$P" write /data/x 2>"$W/err" && fail "$CASE: wrote"
	grep -q -- "--no-squash" "$W/err" || fail "$CASE: no note: $(cat "$W/err")"
	ends "... but root in memory" 0 "^given away" -v "$W/roots:/data" --mem /m "$P" give /m/x
	ends "... and in its root" 0 "^given away" -v "$W/roots:/data" "$P" give /x
	ends "--no-squash" 0 "" --no-squash -v "$W/roots:/data" "$P" write /data/x
	[ "$(stat -c %u "$W/roots/x")" = 0 ] || fail "$CASE: owner"
	SUDO_UID=65534 SUDO_GID=65534 ends "the caller of sudo" 0 "" -v "$W/shared:/data" "$P" write /data/x
	[ "$(stat -c %u "$W/shared/x")" = 65534 ] || fail "$CASE: owner"
}

for who in $whos; do
	if [ $who = root ]; then as=$alone; else as=$user; fi
	statuses
	files
	environment
	terminal
	call_log
	tracing
done
who=root as=
squashed
finish
