#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# build.sh - build open programs from Debian's sources with strait-cc.
#
# usage: tests/programs/build.sh [--native] [--list] [NAME...]     (default: all)
#
#   --native   build with musl-gcc instead: the same programs on plain Linux
#   --list     print the names and where their executables are
#
# Executables land in ${STRAIT_CACHE:-~/.cache/strait}/programs/NAME/bin (--native:
# .../programs-native/NAME/bin), under their own names.  Sources are compiled again
# when the recipe changes, and only linked again when libos or the C library does.
# STRAIT_CC names another strait-cc than build/bin's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$root/tools/setup/lib.sh"
. "$here/recipes.sh"

all=(lighttpd sqlite3 lua5.4 redis busybox curl)
flavour=strait
list=
names=()
for arg; do
	case $arg in
	-h|--help) sed -n '3,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
	--native) flavour=native ;;
	--list) list=1 ;;
	-*) die "unknown option '$arg'; see --help" ;;
	*) names+=("$arg") ;;
	esac
done
[ ${#names[@]} -gt 0 ] || names=("${all[@]}")

HOST=x86_64-linux-musl
J=${STRAIT_JOBS:-2}
export LC_ALL=C
if [ $flavour = strait ]; then
	out=$STRAIT_CACHE/programs
	CC=${STRAIT_CC:-$root/build/bin/strait-cc}
else
	out=$STRAIT_CACHE/programs-native
	CC=$out/musl-cc
fi

if [ -n "$list" ]; then
	for name in "${names[@]}"; do
		echo "$name $out/$name/bin"
	done
	exit 0
fi

# musl-gcc with the kernel's headers, and nothing else of /usr/include.
make_musl_cc() {
	local d lock
	command -v musl-gcc >/dev/null || die "musl-gcc is missing: tools/setup/deps.sh check installs it"
	mkdir -p "$out/include/sys"
	exec {lock}>"$out/.lock" # several programs are built at once
	flock "$lock"
	for d in linux asm-generic mtd sound; do
		ln -sfn "/usr/include/$d" "$out/include/$d"
	done
	ln -sfn /usr/include/x86_64-linux-gnu/asm "$out/include/asm"
	cp -u /usr/include/x86_64-linux-gnu/sys/queue.h "$out/include/sys/queue.h"
	printf '#!/bin/sh\nexec musl-gcc -static -idirafter "%s" "$@"\n' "$out/include" >"$CC.new"
	chmod +x "$CC.new"
	mv "$CC.new" "$CC"
	exec {lock}>&-
}

# Two keys.  Compiling depends on the recipe and the headers; linking on what the
# compiler puts into every program, and on libc.
compile_key() {
	{
		echo "$CC"
		declare -f "configure_$1" "make_$1"
		declare -p "source_$1" "out_$1"
		printf '#include <stdio.h>\n#include <sys/socket.h>\n#include <sys/stat.h>\n#include <fcntl.h>\n#include <pthread.h>\n#include <signal.h>\n#include <linux/sockios.h>\n' |
			"$CC" -E -P -xc -
	} | sha256sum | cut -c1-32
}

link_key() {
	local tmp
	tmp=$(mktemp -d)
	echo 'int main(void) { return 0; }' >"$tmp/hello.c"
	(cd "$tmp" && "$CC" -static -c hello.c && "$CC" -static -o hello hello.o) ||
		{ rm -rf "$tmp"; die "$CC cannot build a program"; }
	cat "$tmp/hello" "$("$CC" -print-file-name=libc.a)" 2>/dev/null | sha256sum | cut -c1-32
	rm -rf "$tmp"
}

# step NAME FUNCTION DIR: run FUNCTION in DIR/work, its output in DIR/FUNCTION.log.
# Not as a condition: bash would then ignore set -e inside.
step() {
	local rc log=$3/$2.log
	set +e
	(set -e; cd "$3/work"; "$2") >"$log" 2>&1 </dev/null
	rc=$?
	set -e
	[ $rc = 0 ] && return 0
	tail -n 15 "$log" >&2
	die "$2 failed; the whole log is $log"
}

build_one() {
	local name=$1 id=${1//[.-]/_} dir=$out/$1 src ck exe
	local -n source=source_$id exes=out_$id
	ck=$(compile_key "$id")
	if [ -e "$dir/bin/.done" ] && [ "$(cat "$dir/bin/.done")" = "$ck $lk" ]; then
		return 0
	fi
	# shellcheck disable=SC2086
	fetch_source $source
	src=$STRAIT_CACHE/src/$(awk '{print $1 "-" $2}' <<<"$source")
	mkdir -p "$dir"
	if [ "$(cat "$dir/.configured" 2>/dev/null)" != "$ck" ]; then
		say "  building $name"
		rm -rf "$dir/work" "$dir/.configured"
		cp -a "$src" "$dir/work"
		step "$name" "configure_$id" "$dir"
		echo "$ck" >"$dir/.configured"
	else
		say "  linking $name anew"
	fi
	for exe in $exes; do
		rm -f "$dir/work/$exe"
	done
	step "$name" "make_$id" "$dir"
	mkdir -p "$dir/bin"
	for exe in $exes; do
		cp -f "$dir/work/$exe" "$dir/bin/.new"
		mv -f "$dir/bin/.new" "$dir/bin/${exe##*/}"
	done
	echo "$ck $lk" >"$dir/bin/.done"
}

[ $flavour = strait ] || { mkdir -p "$out"; make_musl_cc; }
[ -x "$CC" ] || command -v "$CC" >/dev/null || die "$CC is missing: build Strait first (./check --quick, or cmake --build)"
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9    # one build at a time
lk=$(link_key)
for name in "${names[@]}"; do
	declare -p "source_${name//[.-]/_}" >/dev/null 2>&1 ||
		die "no recipe for '$name'; there are: ${all[*]}"
	start=$SECONDS
	build_one "$name"
	[ $((SECONDS - start)) -lt 3 ] || say "  $name: $((SECONDS - start)) s"
done
