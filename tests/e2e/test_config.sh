#!/bin/bash
# SPDX-License-Identifier: MIT
# strait run --config: guests of one description, hosted.
. "$(dirname "$0")/run/lib.sh"

P=$W/probe
cat >"$W/probe.c" <<'END'
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_term(int sig)
{
	printf("signal %d\n", sig);
	fflush(stdout);
	_exit(9);
}

/* Words: put FILE TEXT, get FILE, await FILE, exit N, sleep, env NAME, args. */
int main(int argc, char **argv)
{
	char buf[256];

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "put")) {
			snprintf(buf, sizeof(buf), "%s.new", argv[i + 1]); /* then whole */
			FILE *f = fopen(buf, "w");

			if (!f || fputs(argv[i + 2], f) < 0 || fclose(f) ||
			    rename(buf, argv[i + 1]))
				return perror(argv[i + 1]), 1;
			i += 2;
		} else if (!strcmp(argv[i], "get")) {
			FILE *f = fopen(argv[++i], "r");

			if (!f || !fgets(buf, sizeof(buf), f))
				return perror(argv[i]), 1;
			printf("%s\n", buf);
		} else if (!strcmp(argv[i], "await")) {
			for (int n = 0; access(argv[i + 1], F_OK) && n < 200; n++)
				usleep(50000);
			i++;
		} else if (!strcmp(argv[i], "env")) {
			printf("%s uid %d cwd %s\n", getenv(argv[++i]), getuid(), getcwd(buf, 256));
		} else if (!strcmp(argv[i], "exit")) {
			fflush(stdout);
			fprintf(stderr, "going\n");
			return atoi(argv[i + 1]);
		} else if (!strcmp(argv[i], "sleep")) {
			signal(SIGTERM, on_term);
			printf("sleeping\n");
			fflush(stdout);
			sleep(60);
		} else if (!strcmp(argv[i], "args")) {
			while (++i < argc)
				printf("[%s]", argv[i]);
			printf(" of %s", argv[0]);
		}
	}
	return 0;
}
END
"$STRAIT_BIN/strait-cc" -O1 "$W/probe.c" -o "$P" || exit 1
mkdir -m 777 "$W/data"

# run STATUS: the description on standard input, run.
run()
{
	local rc

	cat >"$W/d.cfg"
	"$STRAIT" run --config "$W/d.cfg" >"$W/out" 2>"$W/err" </dev/null
	rc=$?
	[ $rc = "$1" ] || fail "$CASE: status $rc, not $1: $(cat "$W/out" "$W/err")"
	nothing_left soon
}
says() { grep -qxF -- "$2" "$W/$1" || fail "$CASE: $1 has no line \"$2\": $(cat "$W/out" "$W/err")"; }

CASE=one_guest_is_as_strait_run
run 7 <<END
services = [ "kind=file, mount=./data:/data" ]
guests = [ [ "a", "elf=./probe", "args=env GREETING exit 7", "env=GREETING=hello there",
             "uid=1000", "gid=1000", "cwd=/data" ] ]
END
says out "hello there uid 1000 cwd /data"
says err "going"
passed

CASE=guests_share_files_and_outlive_the_first
run 0 <<END
services = [ "file, kind=file, mount=mem:/shared", "net, kind=net" ]
guests = [
  "first, elf=probe, args=put /shared/a one",
  "second, elf=probe, args=await /shared/a get /shared/a put /shared/b two",
  "third, elf=probe, args=await /shared/b get /shared/b args \"q r\", argv0=me",
]
END
says out "second | one"
says out "third | two"
says out "third | [q r] of me"
passed

CASE=the_status_is_the_first_that_is_not_0
run 3 <<END
services = [ "kind=file" ]
guests = [ "a, elf=probe", "b, elf=probe, args=exit 3", "c, elf=probe, args=exit 4" ]
END
says err "b | going"
passed

CASE=instances_of_their_own_services
run 0 <<END
services = [ "f1, kind=file, mount=mem:/x", "f2, kind=file, mount=mem:/x" ]
guests = [
  "a, elf=probe, service=f1, args=put /x/a from-a get /x/a",
  "b, elf=probe, service=f2, args=put /x/a from-b get /x/a",
]
END
says out "a | from-a"
says out "b | from-b"
passed

CASE=term_reaches_every_guest
cat >"$W/d.cfg" <<END
services = [ "kind=file" ]
guests = [ "a, elf=probe, args=sleep", "b, elf=probe, args=sleep" ]
END
"$STRAIT" run --config "$W/d.cfg" >"$W/out" 2>"$W/err" </dev/null & p=$!
wait_line "$W/out" "^a | sleeping" && wait_line "$W/out" "^b | sleeping"
"$STRAIT" ps | grep -q "^d.b .* d.a " || fail "$CASE: $("$STRAIT" ps)"
kill -TERM $p; wait $p; rc=$?
[ $rc = 9 ] || fail "$CASE: status $rc"
says out "a | signal 15"
says out "b | signal 15"
nothing_left soon
passed

CASE=a_service_is_killed_after_its_own_patience
cat >"$W/h.cfg" <<END
services = [ "f, kind=file, hang=1" ]
guests = [ "a, elf=probe, args=sleep" ]
END
"$STRAIT" run --config "$W/h.cfg" >"$W/out" 2>"$W/err" </dev/null & p=$!
wait_line "$W/out" "^sleeping"
below() { local c; for c in $(ps -o pid= --ppid "$1"); do echo "$c"; below "$c"; done; }
fsd=$(for c in $(below $p); do [ "$(cat "/proc/$c/comm" 2>/dev/null)" = fsd ] && echo "$c"; done | head -1)
[ -n "$fsd" ] || fail "$CASE: no fsd"
kill -STOP "$fsd"
wait_line "$W/err" "fsd.* 1 s" || fail "$CASE: $(cat "$W/err")"
kill -TERM $p; wait $p
nothing_left soon
passed

CASE=nothing_outlives_the_supervisor
"$STRAIT" run --config "$W/d.cfg" >"$W/out" 2>"$W/err" </dev/null & p=$!
wait_line "$W/out" "^b | sleeping"
kill -KILL $p; wait $p 2>/dev/null
nothing_left soon
passed

CASE=a_disk_image_is_mounted
truncate -s 16M "$W/disk.img"
if mkfs.ext4 -q "$W/disk.img" && [ -e /dev/loop-control ] && losetup -f >/dev/null 2>&1; then
	run 0 <<-END
	services = [ "file, kind=file, disk=disk.img, mount=xvda:/disk" ]
	guests = [ "a, elf=probe, args=put /disk/note kept get /disk/note" ]
	END
	says out kept
	debugfs -R "cat /note" "$W/disk.img" 2>/dev/null | grep -q kept || fail "$CASE: not in the image"
	losetup -a | grep "$W" && fail "$CASE: a loop device stays"
	passed
else
	echo "note: no loop devices here: $CASE is left out"
fi
finish
