#!/bin/sh
# SPDX-License-Identifier: MIT
# libos stands alone: what its object still wants may only be these, of the program
# or of its C library's assembly.  Anything else is a call into the program's libc.
#
#   check_symbols.sh LIBSTRAIT.O
set -eu
wanted=$(nm -u "$1" | awk '$1 == "U" { print $2 }' |
	grep -vxE '_start|_GLOBAL_OFFSET_TABLE_' || true)
[ -z "$wanted" ] && exit 0
echo "libos must be freestanding, but wants:" $wanted >&2
rm -f "$1"
exit 1
