#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# deps.sh - install what is missing to build (and check) Strait.
#
# usage: tools/setup/deps.sh [build|check|xen|bench|dev]...     (default: build)
#
# Debian packages come from apt, as packages.tbl says; the sources of musl, lwIP
# and protobuf-c from apt-get source, into ${STRAIT_CACHE:-~/.cache/strait}/src.
# With nothing to do it is silent and quick.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

case ${1:-} in
-h|--help) sed -n '3,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
[ $# -gt 0 ] || set -- build
for arg; do
	case $arg in build|check|xen|bench|dev) ;; *) die "unknown set '$arg'; see --help" ;; esac
done
mkdir -p "$STRAIT_CACHE/src" || die "cannot make $STRAIT_CACHE; set STRAIT_CACHE to a folder of yours"
command -v dpkg-query >/dev/null || die "this needs Debian (or a system with apt and dpkg)"

# Packages of the sets named, "package<TAB>why".
wanted=$(awk -v sets=" $* " '$1 !~ /^#/ && index(sets, " " $1 " ") {
	p = $2; $1 = $2 = ""; sub(/^ +/, ""); print p "\t" $0 }' "$here/packages.tbl")
installed=$(cut -f1 <<<"$wanted" |
	xargs dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' 2>/dev/null | awk '$2 == "ii" {print $1}') || true
missing=$(awk -F'\t' 'NR == FNR {have[$1] = 1; next} !($1 in have)' <(printf '%s\n' "$installed") <(printf '%s\n' "$wanted"))

if [ -n "$missing" ]; then
	say "Installing from Debian's packages:"
	awk -F'\t' '{printf "  %-20s %s\n", $1, $2}' <<<"$missing"
	names=$(cut -f1 <<<"$missing" | tr '\n' ' ')
	need_root "Installing packages" "apt-get install $names"
	apt_update
	# tshark's package asks whether users may capture; nobody needs to here.
	# shellcheck disable=SC2086
	apt_get install --no-install-recommends $names >>"$STRAIT_CACHE/apt.log" 2>&1 ||
		die "apt-get install failed; its output is in $STRAIT_CACHE/apt.log:
$(tail -n 5 "$STRAIT_CACHE/apt.log")"
fi

fetch_source musl 1.2.3 1.2.3-1
fetch_source lwip 2.1.3+dfsg1 2.1.3+dfsg1-2
fetch_source protobuf-c 1.4.1 1.4.1-1
