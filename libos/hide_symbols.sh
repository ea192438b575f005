#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs do not carry the names of libos's own functions (50 KiB): they become
# temporary ones, which strait-cc's link leaves out.  -Wl,--discard-none keeps them.
#
#   hide_symbols.sh LIBSTRAIT.O NM OBJCOPY
set -eu
names=$(mktemp)
trap 'rm -f "$names"' EXIT
"$2" "$1" | awk '$2 ~ /^[a-z]$/ && $2 != "w" && $2 != "v" && $3 !~ /^\./ { print $3, ".L." $3 }' | sort -u >"$names"
"$3" --redefine-syms="$names" "$1"
