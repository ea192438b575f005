# SPDX-License-Identifier: MIT
# lib.sh - for the tests that make real programs do real work on Strait.  Sourced.
#
# Each test has a folder $T of its own, removed at its end; every case prints
# "ok NAME" or ends the test with "not ok NAME".
set -uo pipefail
S=$STRAIT_BIN/strait
P=$STRAIT_CACHE/programs
T=$(mktemp -d)
pids=()

cleanup() {
	local p
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
	for p in "${pids[@]}"; do wait "$p" 2>/dev/null; done
	chmod -R u+rwx "$T" 2>/dev/null
	rm -rf "$T"
}
trap cleanup EXIT

fail() {
	echo "not ok $1${2:+: $2}"
	[ ! -s "$T/log" ] || { echo "--- log"; tail -n 40 "$T/log"; }
	exit 1
}
ok() { echo "ok $1"; }

# want NAME COMMAND...: the command must succeed; its output goes to $T/log.
want() {
	local name=$1
	shift
	"$@" >"$T/log" 2>&1 </dev/null || fail "$name" "exit $? from: $*"
	ok "$name"
}
# same NAME A B: two files, or two folders, are equal.
same() { diff -r "$2" "$3" >"$T/log" 2>&1 || fail "$1"; ok "$1"; }

# port: a port of the loopback that nobody listens on now.
port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
# up PORT: wait until a server behind 127.0.0.1:PORT keeps a connection open.  A
# published port accepts before the guest's server listens, and then closes.
up() {
	python3 - "$1" <<'PY'
import socket, sys, time
for i in range(100):
    try:
        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
        s.settimeout(0.2)
        s.recv(1)
    except socket.timeout:
        sys.exit(0)
    except OSError:
        pass
    time.sleep(0.05)
sys.exit(1)
PY
}
# background COMMAND...: run it until the test ends; its pid is ${pids[-1]}.
background() { "$@" >>"$T/server.log" 2>&1 </dev/null & pids+=($!); }
# ended PID NAME: a server told to stop must end by itself.
stop_well() {
	kill -TERM "$1"
	local i
	for ((i = 0; i < 200; i++)); do
		kill -0 "$1" 2>/dev/null || { wait "$1"; ok "$2"; return; }
		sleep 0.05
	done
	fail "$2" "still running 10 s after SIGTERM"
}
