#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is exported changes under a guest whose fsd is killed or swapped: the path leads
# to other files now, or the file system has no room for what must outlive fsd.  The guest
# goes on with the files that it had, or hears ESTALE for the one that could not be kept.
. "$(dirname "$0")/run/lib.sh"
. "$(dirname "$0")/run/guests.sh"

cat >"$W/keep.c" <<'END'
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void look(const char *name, int fd)
{
	char text[64] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	printf("%s: %s\n", name, n < 0 ? strerror(errno) : strtok(text, "\n"));
}

static void look_at(const char *name, int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		printf("%s: %s\n", name, strerror(errno));
	else
		printf("%s: %o %u:%u, %u links\n", name, st.st_mode, st.st_uid, st.st_gid,
		       (unsigned)st.st_nlink);
}

static void did(const char *what, int r)
{
	printf("%s: %s\n", what, r < 0 ? strerror(errno) : "done");
}

/* Two open files and a folder; one of them and the folder without a name after the first
 * round; a look at all in each round, which a file /c/N begins. */
int main(void)
{
	int a = open("/d/a", O_RDWR), gone = open("/d/gone", O_RDWR | O_CREAT, 0600);
	int dir = mkdir("/d/dir", 0700) ? -1 : open("/d/dir", O_RDONLY | O_DIRECTORY);
	char name[32];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (a < 0 || write(gone, "was here\n", 9) != 9)
		return perror("/d"), 1;
	puts("ready");
	for (int n = 0;; n++) {
		snprintf(name, sizeof(name), "/c/%d", n);
		while (access(name, F_OK) != 0)
			usleep(10000);
		if (access("/c/end", F_OK) == 0)
			return 0;
		if (n == 0)
			did("unlink", unlink("/d/gone") || fchmod(dir, 01250) || fchown(dir, 12, 34) ||
			                      rmdir("/d/dir") ? -1 : 0);
		look_at("dir", dir);
		look("a", a);
		look("gone", gone);
		snprintf(name, sizeof(name), "/d/new%d", n);
		did("new", open(name, O_WRONLY | O_CREAT, 0600));
		printf("round %d\n", n);
	}
}
END
"$STRAIT_BIN/strait-cc" -O1 -w -o "$W/bin/keep" "$W/keep.c" || exit 1
mkdir "$W/c"

# begin DIR: a guest that keeps files of it.
begin()
{
	rm -f "$W/c"/*
	echo mine >"$1/a"
	start inst --name inst --net none --no-squash -v "$1:/d" -v "$W/c:/c" "$W/bin/keep"
	until_says inst ready
}

# round N DIR A GONE [NEW]: what it finds.
round()
{
	local want

	touch "$W/c/$1"
	until_says inst "round $1"
	want=$(printf 'dir: %s\na: %s\ngone: %s\nnew: %s' "$2" "$3" "$4" "${5:-.*}")
	[[ "$(grep -B4 "^round $1" "$W/inst.out" | head -4)" =~ ^$want ]] ||
		fail "$CASE: round $1: $(cat "$W/inst.out" "$W/inst.err")"
}

killed()
{
	kill -KILL "$($as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }')"
	wait_line "$W/inst.err" "fsd is back after .*(epoch $1)"
}

end()
{
	touch "$W/c/end" "$W/c/$1"
	ended inst 0
	nothing_left soon
	passed
}

who=root as=$alone
CASE="another folder at the export's path"
mkdir "$W/export"
begin "$W/export"
looks="41250 12:34, 0 links"
round 0 "$looks" mine "was here" done
mv "$W/export" "$W/moved"
mkdir "$W/export"
echo "not mine" >"$W/export/a"
killed 2
round 1 "$looks" mine "was here" done
CASE="another file system at the export's path"
mount -t tmpfs none "$W/export"
echo "not mine" >"$W/export/a"
$as "$STRAIT" swap inst --service fsd >"$W/out" 2>&1 || fail "$CASE: $(cat "$W/out")"
round 2 "$looks" mine "was here" done
umount "$W/export"
[ -e "$W/moved/new2" ] && [ "$(ls -A "$W/export")" = a ] ||
	fail "$CASE: $(ls -A "$W/export" "$W/moved")"
end 3
grep -v "fsd ended (signal 9)\|fsd is back after" "$W/inst.err" && fail "$CASE: $(cat "$W/inst.err")"
[ -z "$(ls -A "$W/moved" | grep strait)" ] || fail "$CASE: left: $(ls -A "$W/moved")"

CASE="no room for a file that lost its name"
truncate -s 8M "$W/img"
mkdir "$W/disk"
if ! mkfs.ext4 -q -N 32 "$W/img" || ! mount -o loop "$W/img" "$W/disk" 2>"$W/err"; then
	echo "note: no loop device here: $(cat "$W/err")"
	finish
fi
trap 'umount "$W/disk"; rm -rf "$W"' EXIT
begin "$W/disk"
n=0
while touch "$W/disk/fill$n" 2>/dev/null; do n=$((n + 1)); done
[ $n -gt 0 ] && [ $n -lt 1000 ] || fail "$CASE: $n files"
# It is removed, as on Linux, and read on, as long as somebody has its descriptor; what fsd's
# death costs with its filekeeper's is told.
full="No space left on device"
touch "$W/c/0"
until_says inst "round 0"
grep -q "^unlink: done" "$W/inst.out" || fail "$CASE: $(cat "$W/inst.out")"
round 0 "$looks" mine "was here" "$full"
killed 2
round 1 "$looks" mine "was here" "$full"
grep -v "fsd ended (signal 9)\|fsd is back after" "$W/inst.err" && fail "$CASE: $(cat "$W/inst.err")"
kill -KILL "$(pgrep -x filekeeper)"
killed 3
stale="Stale file handle"
round 2 "$stale" mine "$stale"
grep -q "fsd: cannot be opened again, its calls give ESTALE" "$W/inst.err" ||
	fail "$CASE: nothing said: $(cat "$W/inst.err")"
round 3 "$stale" mine "$stale"
end 4
finish
