# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# lib.sh - functions for set-up scripts; source it.  Needs bash.

STRAIT_CACHE=${STRAIT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/strait}
export STRAIT_CACHE

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Run a command as root, asking nothing.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		return 126
	fi
}

can_root() {
	[ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

need_root() {   # need_root WHAT-FOR COMMAND-TO-TYPE
	can_root || die "$1 needs root, and neither root nor sudo without a password is at hand.
    Run this as root, then try again:
      $2"
}

apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# Refresh apt's lists, at most once a run.
apt_updated=
apt_update() {
	[ -z "$apt_updated" ] || return 0
	say "  refreshing apt's package lists"
	apt_get update >"$STRAIT_CACHE/apt.log" 2>&1 ||
		die "apt-get update failed; its output is in $STRAIT_CACHE/apt.log"
	apt_updated=1
}

have_deb_src() {
	[ -n "$(apt-get indextargets --format '$(CREATED_BY)' 'Created-By: Sources' 2>/dev/null)" ]
}

# Those of the files that are there.
cat_any() {
	local f
	for f; do
		[ -r "$f" ] && { cat "$f"; echo; }
	done
	return 0
}

# Print deb822 stanzas of type deb-src for every Debian archive that apt uses
# for packages, with the same mirror, suites and keys.
deb_src_stanzas() {
	local uris
	uris=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | sort -u)
	[ -n "$uris" ] || uris=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u)
	# paragraphs of *.sources
	cat_any /etc/apt/sources.list.d/*.sources | sed 's/\r$//; /^#/d' |
	awk -v uris="$uris" '
		BEGIN { RS = ""; n = split(uris, u, "\n"); for (i = 1; i <= n; i++) ok[u[i]] = 1 }
		tolower($0) ~ /(^|\n)enabled:[ \t]*(no|false|without|off|disable)/ { next }
		{
			keep = 0; deb = 0; out = ""
			m = split($0, line, "\n")
			for (i = 1; i <= m; i++) {
				low = tolower(line[i])
				if (low ~ /^types:/) { deb = (low ~ /[ \t]deb([ \t]|$)/); line[i] = "Types: deb-src" }
				if (low ~ /^uris:/) {
					k = split(substr(line[i], 6), w, /[ \t]+/)
					for (j = 1; j <= k; j++) {
						s = w[j]; if (s != "" && s !~ /\/$/) s = s "/"
						if (s in ok) keep = 1
					}
				}
				if (low ~ /^architectures:/) continue
				out = out line[i] "\n"
			}
			if (keep && deb) print out
		}'
	# one-line entries: deb [options] URI SUITE COMPONENT...
	cat_any /etc/apt/sources.list /etc/apt/sources.list.d/*.list |
	sed 's/\r$//; s/#.*//' | awk -v uris="$uris" '
		BEGIN { n = split(uris, u, "\n"); for (i = 1; i <= n; i++) ok[u[i]] = 1 }
		$1 == "deb" {
			opt = ""
			rest = $0; sub(/^[ \t]*deb[ \t]+/, "", rest)
			if (rest ~ /^\[/) { opt = rest; sub(/^\[[ \t]*/, "", opt); sub(/\].*/, "", opt); sub(/^[^\]]*\][ \t]*/, "", rest) }
			k = split(rest, w, /[ \t]+/)
			s = w[1]; if (s !~ /\/$/) s = s "/"
			if (!(s in ok)) next
			print "Types: deb-src\nURIs: " w[1] "\nSuites: " w[2]
			comps = ""
			for (j = 3; j <= k; j++) if (w[j] != "") comps = comps " " w[j]
			if (comps != "") print "Components:" comps
			o = split(opt, p, /[ \t]+/)
			for (j = 1; j <= o; j++) {
				if (p[j] ~ /^signed-by=/) print "Signed-By: " substr(p[j], 11)
				if (p[j] ~ /^trusted=/) print "Trusted: " substr(p[j], 9)
			}
			print ""
		}'
}

# Make apt know source packages.
ensure_deb_src() {
	local file=/etc/apt/sources.list.d/strait-src.sources text
	have_deb_src && return 0
	text=$(deb_src_stanzas)
	[ -n "$text" ] || die "apt has no deb-src entry, and no Debian mirror to make one from"
	need_root "Adding source packages to apt" "printf '%s\n' '$text' >$file && apt-get update"
	say "  apt has no deb-src entry: adding one for the configured mirror, in $file"
	printf '# Source packages for Strait, from the mirror that apt already uses.\n%s\n' "$text" |
		as_root tee "$file" >/dev/null
	apt_updated=
	apt_update
}

# The versions of source package $1 that apt lists, newest first.
source_versions() {
	{ apt-cache showsrc --only-source "$1" 2>/dev/null || true; } |
		awk '$1 == "Version:" {print $2}' | sort -rV
}

# fetch_source NAME UPSTREAM [REVISION...]: unpack Debian's source package NAME of
# upstream version UPSTREAM into $STRAIT_CACHE/src/NAME-UPSTREAM, Debian's patches
# applied.  apt verifies it.  Tries the given versions, then whatever apt lists: a
# mirror may list a version whose files are gone.
fetch_source() {
	local name=$1 upstream=$2 dir tmp version versions
	shift 2
	dir=$STRAIT_CACHE/src/$name-$upstream
	[ -e "$dir/.fetched" ] && return 0
	ensure_deb_src
	mkdir -p "$STRAIT_CACHE/src"
	tmp=$(mktemp -d "$STRAIT_CACHE/src/.$name.XXXXXX")
	versions="$* $(source_versions "$name")"
	if [ -z "${versions//[[:space:]]/}" ]; then
		apt_update
		versions=$(source_versions "$name")
	fi
	say "  fetching the source of $name $upstream"
	for version in $(printf '%s\n' $versions | awk '!seen[$0]++'); do
		case $version in
		"$upstream"-*|*:"$upstream"-*|"$upstream"|*:"$upstream") ;;
		*) continue ;;
		esac
		if (cd "$tmp" && apt-get -q -o Acquire::Retries=3 source "$name=$version") >"$STRAIT_CACHE/$name.log" 2>&1 &&
		   [ -d "$tmp/$name-$upstream" ]; then
			printf '%s\n' "$version" >"$tmp/$name-$upstream/.fetched"
			rm -rf "$dir"
			mv "$tmp/$name-$upstream" "$dir" 2>/dev/null || [ -e "$dir/.fetched" ] || return 1
			rm -rf "$tmp"
			return 0
		fi
		find "$tmp" -mindepth 1 -delete
	done
	rm -rf "$tmp"
	if [ -z "$apt_updated" ]; then      # the lists may be old
		apt_update
		fetch_source "$name" "$upstream" "$@"
		return
	fi
	die "no source package $name $upstream could be fetched; the last output is in $STRAIT_CACHE/$name.log"
}
