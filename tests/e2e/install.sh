#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `cmake --install` lays down works from there, with the source tree out of sight.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "install: $*" >&2; exit 1; }

cmake --install "$STRAIT_BUILD" --prefix "$tmp/usr" >"$tmp/log" || fail "$(tail -n 5 "$tmp/log")"
for f in bin/strait bin/strait-cc bin/fsd bin/netd share/strait/proto/file.proto share/man/man1/strait.1 \
	share/man/man1/strait-deploy.1 share/strait/xl/nodes.sh libexec/strait/xen/mkimage; do
	[ -e "$tmp/usr/$f" ] || fail "$f is not installed"
done

cat >"$tmp/hello.c" <<'C'
#include <linux/version.h>
#include <stdio.h>
int main(int argc, char **argv) { printf("hello %s %d\n", argv[argc - 1], LINUX_VERSION_CODE > 0); return 7; }
C
cd "$tmp"
export PKG_CONFIG_PATH=$tmp/usr/lib/pkgconfig
cc=$(pkg-config --variable=cc strait)
"$cc" -O2 hello.c -o hello
! "$cc" -print-file-name=libc.a | grep -q "$STRAIT_BUILD" || fail "the installed strait-cc uses the build folder"
rc=0
out=$("$tmp/usr/bin/strait" run ./hello there) || rc=$?
[ "$out" = "hello there 1" ] || fail "the program said '$out'"
[ $rc = 7 ] || fail "exit status $rc instead of 7"
