#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh - run one conformance program on plain Linux (the oracle) or on Strait.
#
# usage: run.sh native EXE SOURCE
#        run.sh strait EXE SOURCE NATIVE-EXE [OPTION-OF-STRAIT-RUN...]
#
# Exit 0 pass, 1 fail, 77 skip.  On Strait its standard output must also be what the
# oracle prints, unless the source says "compare: no" in its head.  A line
# "strait-run: OPTIONS" there gives options for strait run; {dir} in it is an empty
# folder of the host.  "native: no" says that plain Linux cannot be the oracle, with
# a reason behind it.
set -u
how=$1 exe=$2 source=$3 native=${4:-}
shift $(($# < 4 ? $# : 4))
head=$(sed -n '1,40p' "$source")
mark() { sed -n "s/^.*[* ]$1:[[:space:]]*//p" <<<"$head" | head -n 1; }

tmp=$(mktemp -d) || exit 1
trap 'chmod -R u+rwx "$tmp" 2>/dev/null; rm -rf "$tmp"' EXIT
mkdir "$tmp/native" "$tmp/dir"

# In a session of its own: that of the caller may have its leader outside this pid
# namespace, and getsid() then has no number for it.
run_native() {
	(cd "$tmp/native" && exec setsid --wait timeout 50 "$1") </dev/null
}

no=$(mark native)
if [ "$how" = native ]; then
	case $no in no*) echo "plain Linux is no oracle here: $no"; exit 77 ;; esac
	run_native "$exe"
	exit
fi

read -ra options <<<"$(mark strait-run)"
options=("${options[@]//\{dir\}/$tmp/dir}" "$@")
timeout 50 "$STRAIT_BIN/strait" run -w /tmp "${options[@]}" "$exe" </dev/null >"$tmp/out" 2>"$tmp/err"
rc=$?
cat "$tmp/out"
cat "$tmp/err" >&2
[ $rc = 0 ] || exit $rc
case $(mark compare) in no*) exit 0 ;; esac
case $no in no*) exit 0 ;; esac
[ -x "$native" ] || exit 0
run_native "$native" >"$tmp/oracle" 2>/dev/null
case $? in
0) diff -u --label "plain Linux" --label Strait "$tmp/oracle" "$tmp/out" ;;
77) exit 0 ;;
*) echo "the oracle itself failed" >&2; exit 1 ;;
esac
