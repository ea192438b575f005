#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A disk that does not answer for long is no service that hangs: fsd is not killed, what
# is asked of it waits, and goes on with the disk.
. "$(dirname "$0")/run/lib.sh"
. "$(dirname "$0")/run/guests.sh"

for tool in mkfs.ext4 fsfreeze; do
	command -v $tool >/dev/null || { echo "SKIP: no $tool"; exit 77; }
done
truncate -s 16M "$W/img"
mkdir "$W/disk"
mkfs.ext4 -q "$W/img" && mount -o loop "$W/img" "$W/disk" 2>"$W/err" ||
	{ echo "SKIP: no loop device here: $(cat "$W/err")"; exit 77; }
trap 'fsfreeze -u "$W/disk" 2>/dev/null; umount "$W/disk"; rm -rf "$W"' EXIT
cat >"$W/make.c" <<'END'
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Make and remove a file until there is one named "end". */
int main(void)
{
	for (int n = 0; access("/d/end", F_OK) != 0; n++) {
		int fd = open("/d/f", O_CREAT | O_EXCL | O_WRONLY, 0600);

		if (fd < 0 || close(fd) || unlink("/d/f"))
			return perror("/d/f"), 1;
		if (n == 100)
			puts("ready"), fflush(stdout);
		usleep(1000);
	}
	return 0;
}
END
"$STRAIT_BIN/strait-cc" -O1 -o "$W/bin/make" "$W/make.c" || exit 1

who=root as=$alone
CASE="a disk that stands still for three times as long as --hang allows"
start inst --name inst --net none --no-squash --hang 1 -v "$W/disk:/d" "$W/bin/make"
until_says inst ready
fsd=$($as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }')
fsfreeze -f "$W/disk" || fail "$CASE: fsfreeze"
wait_line "$W/inst.err" "fsd did not answer for 1 s: it waits for a disk" ||
	fail "$CASE: $(cat "$W/inst.err")"
sleep 2
CASE="one that hangs is killed all the same"
[ "$($as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }')" = "$fsd" ] ||
	fail "$CASE: $(cat "$W/inst.err")"
fsfreeze -u "$W/disk"
sleep 0.3
kill -STOP "$fsd"
wait_line "$W/inst.err" "fsd is back after .*(epoch 2)" || fail "$CASE: $(cat "$W/inst.err")"
touch "$W/disk/end"
ended inst 0
[ "$(grep -c "it is started again" "$W/inst.err")" = 1 ] || fail "$CASE: $(cat "$W/inst.err")"
[ ! -e "$W/disk/f" ] || fail "$CASE: the file is there"
nothing_left soon
passed
finish
