#!/bin/sh
# SPDX-License-Identifier: MIT
# nodes.sh - write the xenstore nodes of services and guests by hand (docs/XEN.md).
#
# usage: nodes.sh file DOMAIN NAME GUESTDIR=SOURCE...    a file service's configuration
#        nodes.sh net DOMAIN NAME ADDRESS/PREFIX [GATEWAY [INTERFACE]]
#        nodes.sh guest DOMAIN SERVICE-DOMAIN:NAME:KIND...
#        nodes.sh gone DOMID SERVICE-DOMAIN:NAME:KIND...
#
# DOMAIN: its name or number; 0 is dom0.  SOURCE: a block device (/dev/xvda), a folder
# (dom0 only), or mem.  KIND: file or net.  A guest's domain must be paused; "gone" tells
# services that it ended, when they cannot see it themselves.
set -eu

usage() { sed -n '5,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
die() { echo "nodes.sh: $*" >&2; exit 1; }

# number DOMAIN: its number.
number() {
	case $1 in
	*[!0-9]*) xl domid "$1" ;;
	*) echo "$1" ;;
	esac
}

# node PATH VALUE READER: dom0's, READER may read it.  A watch may fire in between: the
# node that completes a group is written last.
node() {
	xenstore-write "$1" "$2"
	xenstore-chmod "$1" n0 "r$3"
}

service() {
	at=/local/domain/$1/strait/$2
	node "/local/domain/$1/strait" "" "$1"
	for folder in "$at" "$at/guests" "$at/config"; do node "$folder" "" "$1"; done
	node "$at/config/epoch" 1 "$1"
	node "$at/config/log" 1 "$1"
}

# Who may see that domains end: all service domains, each time anew.
releases() {
	readers=
	for id in $(xenstore-list /local/domain); do
		for name in $(xenstore-list "/local/domain/$id/strait" 2>/dev/null); do
			[ "$id" = 0 ] || ! xenstore-exists "/local/domain/$id/strait/$name/config/kind" ||
				readers="$readers r$id"
		done
	done
	# shellcheck disable=SC2086
	xenstore-chmod @releaseDomain n0 $readers
}

configure_file() {
	domid=$(number "$1") name=$2 n=0
	shift 2
	service "$domid" "$name"
	config=/local/domain/$domid/strait/$name/config
	node "$config/mounts" "" "$domid"
	for mount; do
		m=$config/mounts/$n n=$((n + 1))
		node "$m" "" "$domid"
		node "$m/guest" "${mount%%=*}" "$domid"
		case ${mount#*=} in
		mem) node "$m/kind" mem "$domid" ;;
		/*)
			node "$m/kind" dir "$domid"
			node "$m/source" "${mount#*=}" "$domid"
			;;
		*) die "$mount: want GUESTDIR=SOURCE" ;;
		esac
	done
	node "$config/kind" file "$domid"
	[ "$domid" = 0 ] || releases
}

configure_net() {
	domid=$(number "$1") name=$2
	service "$domid" "$name"
	config=/local/domain/$domid/strait/$name/config
	node "$config/stack" lwip "$domid"
	node "$config/ip4" "$3" "$domid"
	[ -z "${4:-}" ] || node "$config/gateway4" "$4" "$domid"
	node "$config/interface" "${5:-eth0}" "$domid"
	node "$config/kind" net "$domid"
	[ "$domid" = 0 ] || releases
}

hex() { od -An -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }

announce() {
	domid=$(number "$1") id=$(hex 16)
	uuid=$(xenstore-read "/local/domain/$domid/vm")
	shift
	at=/local/domain/$domid/strait
	node "$at" "" "$domid"
	node "$at/version" 1 "$domid"
	node "$at/client-id" "$id" "$domid"
	node "$at/entropy" "$(hex 32)" "$domid"
	for service; do
		s=$(number "${service%%:*}") kind=${service##*:}
		name=${service#*:} name=${name%:*}
		node "$at/$kind" "" "$domid"
		node "$at/$kind/backend-id" "$s" "$domid"
		node "$at/$kind/path" "/local/domain/$s/data/strait/$name/$domid" "$domid"
		node "$at/$kind/epoch" 1 "$domid"
		node "$at/$kind/alive" 1 "$s"
		g=/local/domain/$s/strait/$name/guests/$domid
		node "$g" "" "$s"
		node "$g/client-id" "$id" "$s"
		node "$g/uid" 0 "$s"
		node "$g/gid" 0 "$s"
		node "$g/uuid" "${uuid#/vm/}" "$s"
	done
}

gone() {
	domid=$1
	shift
	for service; do
		s=$(number "${service%%:*}") name=${service#*:}
		xenstore-rm "/local/domain/$s/strait/${name%:*}/guests/$domid"
	done
}

command=${1:-}
[ $# -gt 2 ] || usage
shift
case $command in
file) [ $# -gt 2 ] || usage; configure_file "$@" ;;
net) [ $# -gt 2 ] || usage; configure_net "$@" ;;
guest) announce "$@" ;;
gone) gone "$@" ;;
*) usage ;;
esac
