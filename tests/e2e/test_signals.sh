#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A program that a signal ends, and one that handles a signal from outside: the
# statuses that a shell sees are those of plain Linux.
set -u
W=$(mktemp -d) || exit 1
trap 'rm -rf "$W"' EXIT
failed=0

cat >"$W/victim.c" <<'END'
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void handler(int sig)
{
	if (sig == SIGTERM) {
		write(1, "term\n", 5);
		_exit(3);
	}
	write(1, "usr1\n", 5);
}

static void *spin(void *arg)
{
	for (;;)
		;
	return arg;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	struct rlimit cpu = {1, 2};
	pthread_t t;

	if (!strcmp(how, "raise"))
		raise(atoi(argv[2]));
	if (!strcmp(how, "segv"))
		*(volatile int *)16 = 1;
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "cpu")) {
		signal(SIGXCPU, SIG_IGN);
		setrlimit(RLIMIT_CPU, &cpu);
		for (;;)
			;
	}
	if (strstr(how, "catch")) {
		signal(SIGTERM, handler);
		signal(SIGUSR1, handler);
	}
	if (strstr(how, "thread"))
		pthread_create(&t, NULL, spin, NULL);
	if (!strcmp(how, "threadonly-catch")) {
		write(1, "ready\n", 6);
		pthread_exit(NULL);
	}
	write(1, "ready\n", 6);
	if (strstr(how, "spin"))
		for (;;)
			;
	for (;;)
		pause();
}
END
"$STRAIT_BIN/strait-cc" -O1 -w -o "$W/strait" "$W/victim.c" -lpthread || exit 1
cc -O1 -w -o "$W/native" "$W/victim.c" -lpthread || exit 1

on() # native|strait ARGS: run the program there
{
	local where=$1

	shift
	case $where in
	native) (cd "$W" && ulimit -c 0 && exec ./native "$@") ;;
	strait) "$STRAIT_BIN/strait" run "$W/strait" "$@" ;;
	esac
}

ends() # NAME ARGS: the same status on both
{
	local name=$1 want got

	shift
	on native "$@" >/dev/null 2>&1 </dev/null
	want=$?
	timeout 30 "$STRAIT_BIN/strait" run "$W/strait" "$@" >"$W/out" 2>"$W/err" </dev/null
	got=$?
	if [ $want = $got ]; then
		echo "ok $name"
	else
		echo "not ok $name: status $got, not $want: $(cat "$W/err")"
		failed=1
	fi
}

wait_for() # FILE WORD
{
	for _ in $(seq 100); do
		grep -qs "$2" "$1" && return
		sleep 0.05
	done
}

signalled() # NAME HOW STATUS SIGNAL...: send them from outside
{
	local name=$1 how=$2 want=$3 pid got sig

	shift 3
	: >"$W/out"
	"$STRAIT_BIN/strait" run "$W/strait" "$how" >"$W/out" 2>"$W/err" </dev/null &
	pid=$!
	wait_for "$W/out" ready
	for sig; do
		kill -"$sig" $pid
		[ "$sig" = TERM ] || wait_for "$W/out" "${sig,,}"
	done
	wait $pid
	got=$?
	if [ $got = "$want" ]; then
		echo "ok $name"
	else
		echo "not ok $name: status $got, not $want: $(cat "$W/out" "$W/err")"
		failed=1
	fi
}

ends a_fault_ends_with_139 segv
ends an_abort_ends_with_134 abort
for sig in 1 2 3 9 13 14 15 24 40 64; do
	ends "signal_${sig}_ends_with_128_more" raise $sig
done
ends the_hard_limit_of_processor_time_kills cpu
"$STRAIT_BIN/strait" run "$W/strait" segv 2>&1 </dev/null | grep -q 'SIGSEGV at address 0x10' &&
	echo "ok a_fault_is_told_with_its_address" ||
	{ echo "not ok a_fault_is_told_with_its_address"; failed=1; }
signalled term_ends_a_waiting_program pause 143 TERM
signalled term_ends_a_computing_program spin 143 TERM
signalled term_ends_a_program_of_threads thread-spin 143 TERM
signalled term_is_handled_while_waiting pause-catch 3 USR1 TERM
signalled term_is_handled_while_computing spin-catch 3 USR1 TERM
signalled term_reaches_the_last_thread threadonly-catch 3 TERM
exit $failed
