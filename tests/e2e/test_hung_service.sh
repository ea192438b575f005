#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A service that hangs or is killed under a guest that cannot get another (--recover 0):
# the guest says so, can be ended, and nothing stays behind.
. "$STRAIT_SRC/tests/e2e/run/lib.sh"

cat >"$W/loop.c" <<'END'
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void handler(int sig)
{
	(void)sig;
}

static void *look(void *arg)
{
	struct stat st;

	for (;;) {
		if (stat("/", &st) != 0)
			usleep(10000);
		usleep(1000);
	}
	return arg;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	pthread_t t;
	char *p;
	int fd;

	if (!strcmp(how, "net"))
		socket(AF_INET, SOCK_STREAM, 0);
	if (!strcmp(how, "catch"))
		signal(SIGTERM, handler);
	if (!strcmp(how, "mapped")) { /* the end would write this back */
		fd = open("/m/f", O_CREAT | O_RDWR, 0600);
		ftruncate(fd, 4096);
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		p[0] = 1;
	}
	write(1, "ready\n", 6);
	if (!strcmp(how, "mapped")) {
		pthread_create(&t, NULL, look, NULL);
		for (;;)
			pause();
	}
	look(NULL);
}
END
"$STRAIT_BIN/strait-cc" -O1 -w -o "$W/loop" "$W/loop.c" -lpthread || exit 1

now() { date +%s%N; }

# begin HOW: a guest at work; its services' processes in $fsd, $netd.
begin()
{
	: >"$W/out"
	"$STRAIT" run --recover 0 --mem /m "$W/loop" "$1" >"$W/out" 2>"$W/err" </dev/null &
	run=$!
	wait_line "$W/out" ready
	fsd=$(pgrep -x fsd)
	netd=$(pgrep -x netd)
}

# ended STATUS [MS]: the run ends so, within that time
ended()
{
	local t=$(now) rc

	wait "$run"
	rc=$?
	t=$((($(now) - t) / 1000000))
	[ $rc = "$1" ] || fail "$CASE: status $rc, not $1: $(cat "$W/err")"
	[ $t -lt "${2:-15000}" ] || fail "$CASE: took $t ms"
	nothing_left soon
	passed
}

# The guest itself ends at once; letting go of a service that hangs takes longer.
guest_gone()
{
	local i

	for i in $(seq 30); do
		pgrep -x loop >/dev/null || return
		sleep 0.1
	done
	fail "$CASE: the guest is still there"
}

for how in plain mapped; do
	CASE="term_ends_a_guest_whose_fsd_hangs ($how)"
	begin $how
	kill -STOP $fsd
	for i in $(seq 80); do
		grep -q 'fsd: .*it hangs' "$W/err" && break
		sleep 0.1
	done
	grep -q 'fsd: .*it hangs' "$W/err" || fail "$CASE: nothing said: $(cat "$W/err")"
	kill -TERM $run
	guest_gone
	ended 143
done

CASE=a_caught_signal_waits_for_the_service
begin catch
kill -STOP $fsd
sleep 4
kill -TERM $run
sleep 2
pgrep -x loop >/dev/null || fail "$CASE: the guest ended"
kill -CONT $fsd
sleep 0.5
kill -KILL $(pgrep -x loop)
ended 137

CASE=a_killed_fsd_ends_the_run
begin plain
kill -KILL $fsd
ended 125 5000
grep -q '^strait: fsd ended while the guest ran (signal 9)' "$W/err" ||
	fail "$CASE: $(cat "$W/err")"

CASE=a_killed_netd_ends_the_run
begin net
kill -KILL $netd
ended 125 5000
grep -q '^strait: netd ended while the guest ran (signal 9)' "$W/err" ||
	fail "$CASE: $(cat "$W/err")"

finish
