#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs of the host rename and remove what a guest has open while its fsd is no more;
# the next fsd, which may not open it by its identity alone (rootless), or has none to
# go by (ramfs), finds it by the descriptor that was kept.
. "$(dirname "$0")/run/lib.sh"
. "$(dirname "$0")/run/guests.sh"

"$STRAIT_BIN/strait-cc" -O1 -D_GNU_SOURCE -o "$W/bin/kept" "$STRAIT_SRC/tests/e2e/recover/kept.c" ||
	exit 1
chmod a+rx "$W/bin"/*
fsd() { $as "$STRAIT" ps | awk '$1 == "fsd" { print $2 }'; }

there() { (cd "$D" && $as "$@"); }

begin()
{
	CASE="$who: $1"
	D=$2
	rm -f "$W/in"
	mkfifo -m 666 "$W/in"
	there sh -c 'mkdir dir && chmod 750 dir && ln -s far link && printf text >file && printf other >gone' ||
		fail "$CASE: files"
	tag=
	there python3 -c 'import os; os.setxattr("dir", "user.tag", b"mine")' 2>/dev/null && tag=mine
	: >"$W/inst.out"
	$as "$STRAIT" run --name inst --net none $squash -v "$D:/d" "$W/bin/kept" /d \
		<"$W/in" >"$W/inst.out" 2>"$W/inst.err" &
	pid[inst]=$!
	exec 9>"$W/in"
	until_says inst ready
	looks=0 file=text gone=other
}

# look FILE_LINKS GONE_LINKS: all is as it was, and what the last look wrote is there.
look()
{
	local want

	echo $looks >&9
	until_says inst "looked $looks"
	want="file: $file, $1 links
gone: $gone, $2 links
dir: 40750 tag $tag
link: far
again: $file+"
	[ "$(grep -B5 "^looked $looks\$" "$W/inst.out" | head -5)" = "$want" ] ||
		fail "$CASE: look $looks: $(cat "$W/inst.out" "$W/inst.err")
not: $want"
	looks=$((looks + 1)) file=$file+ gone=$gone+
}

# With fsd's ids and capabilities.
as_fsd()
{
	nsenter --user --target "$(fsd)" -- setpriv --inh-caps=-all --bounding-set=-all,+chown,+dac_override,+dac_read_search,+fowner,+fsetid,+setgid,+setuid -- "$@"
}

# How often fsd came back.
backs() { grep -c "fsd is back after" "$W/inst.err"; }

# killed CMD...: fsd is, and CMD is done before there is another one.
killed()
{
	local n=$(backs) was=$(fsd)

	kill -STOP "${pid[inst]}"
	kill -KILL "$was"
	there "$@" || fail "$CASE: $*"
	kill -CONT "${pid[inst]}"
	for _ in $(seq 400); do
		[ "$(backs)" -gt "$n" ] && return
		sleep 0.02
	done
	fail "$CASE: fsd is not back: $(cat "$W/inst.err")"
}

end()
{
	exec 9>&-
	ended inst 0
	grep -v "fsd ended (signal 9)\|fsd is back after" "$W/inst.err" &&
		fail "$CASE: $(cat "$W/inst.err")"
	nothing_left soon
	passed
}

# files WHERE DIR
files()
{
	begin "$1" "$2"
	look 1 1
	killed mv file moved
	look 1 1
	killed sh -c 'rm gone && echo "not yours" >gone && echo "not yours" >file && mv link away'
	look 1 0
	killed sh -c 'rmdir dir && mkdir dir && rm moved away'
	look 0 0
	$as "$STRAIT" swap inst --service fsd >"$W/out" 2>&1 || fail "$CASE: $(cat "$W/out")"
	look 0 0
	# Twice in a row, the second time before the guest is back.
	kill -STOP "$(pgrep -f "^$W/bin/kept" | tail -1)"
	killed true
	killed true
	kill -CONT "$(pgrep -f "^$W/bin/kept" | tail -1)"
	look 0 0
	$as "$STRAIT" restart inst --service fsd >"$W/out" 2>&1 || fail "$CASE: $(cat "$W/out")"
	look 0 0
	[ "$(there cat file gone)" = "not yours
not yours" ] || fail "$CASE: another file was written: $(there cat file gone)"
	end
}

# What it had is lost when it does not answer, and nobody waits for it for long.
hangs()
{
	local from

	begin "the filekeeper hangs" "$1"
	look 1 1
	for p in $(pgrep -x "strait-init|filekeeper"); do # they have what fsd must not have
		grep -q "^CapPrm:	0000000000000000" /proc/$p/status &&
			grep -q "^NoNewPrivs:	1" /proc/$p/status || fail "$CASE: $p has rights"
		as_fsd readlink /proc/$p/root 2>/dev/null && fail "$CASE: $p can be looked into"
	done
	as_fsd readlink "/proc/$(fsd)/root" >/dev/null || fail "$CASE: nothing can be looked into"
	[ "$(pgrep -xc "strait-init|filekeeper")" = 2 ] || fail "$CASE: who is there"
	kill -STOP "$(pgrep -x filekeeper)"
	from=$(date +%s)
	killed mv gone moved
	[ $(($(date +%s) - from)) -le 4 ] || fail "$CASE: it is waited for"
	echo after >&9
	until_says inst "looked after"
	grep -q "^file: $file, 1 links" "$W/inst.out" || fail "$CASE: file: $(cat "$W/inst.out")"
	grep -q "^gone: Stale file handle" "$W/inst.out" || fail "$CASE: gone: $(cat "$W/inst.out")"
	grep -q "fsd: not all files that were open could be kept" "$W/inst.err" ||
		fail "$CASE: nothing said: $(cat "$W/inst.err")"
	exec 9>&-
	ended inst 0
	nothing_left soon
	passed
}

for who in $whos; do
	if [ $who = root ]; then as=$alone squash=--no-squash; else as=$user squash=; fi
	mkdir -m 777 "$W/$who"
	files "on the disk" "$W/$who"
	for fs in tmpfs ramfs; do
		mkdir -p "$W/$fs"
		mount -t $fs none "$W/$fs" && chmod 777 "$W/$fs" || continue
		files $fs "$W/$fs"
		umount "$W/$fs"
	done
	[ $who = root ] && continue # it opens the file by its handle
	mkdir -m 777 "$W/hangs"
	hangs "$W/hangs"
done
finish
