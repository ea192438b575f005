# SPDX-License-Identifier: MIT
# channel.sh - in dom0: guests whose nodes in xenstore are wrong, and peers that are.
#
# Sourced by dom0_bare.sh.  Each ends before main() with a sentence that names the thing.

# nodes NAME NODE=VALUE...: create NAME paused with what a toolstack would write, changed
# by the arguments (an empty value: the node is missing), and let it run.
nodes() {
	local name=$1 at node
	shift
	guest "$name" /test/probe 16 hello
	start "$name" -p || fail "$name was not created"
	at=/local/domain/$(id "$name")/strait
	xenstore-write "$at/version" 1 "$at/client-id" 00112233445566778899aabbccddeeff \
		"$at/file/backend-id" 0 "$at/file/path" "/local/domain/0/data/peer/$name" "$at/file/epoch" 1
	for node; do
		xenstore-write "$at/${node%%=*}" "${node#*=}"
		[ -n "${node#*=}" ] || xenstore-rm "$at/${node%%=*}"
	done
	xenstore-chmod -r "$at" n0 "r$(id "$name")"
}

# refused NAME TEXT: it runs, ends with 125 and says TEXT.
refused() {
	xl unpause "$1"
	ended "$1" 45 >/dev/null
	how=$(status "$1")
	settle "$1"
	console "$1" >/run/said
	gone "$1"
	cat /run/said
	want "status 125, not '$how'" [ "$how" = "exit 125" ]
	want "one line" [ "$(wc -l </run/said)" = 1 ]
	want "that says: $2" grep -qF "strait: guest start: $2" /run/said
}

# rendezvous NAME RING-REF PORT: as a vchan server would.
rendezvous() {
	local at="/local/domain/0/data/peer/$1"
	xenstore-write "$at/ring-ref" "$2" "$at/event-channel" "$3"
	xenstore-chmod -r "$at" n0 "r$(id "$1")"
}

case_corrupt_nodes_are_named() {
	nodes v version=2
	refused v 'xenstore: strait/version names a version that this program does not speak'
	nodes v version=
	refused v 'xenstore: strait/version is missing'
	nodes c client-id=0123
	refused c 'xenstore: strait/client-id is malformed: not 32 hex digits'
	nodes c client-id=
	refused c 'xenstore: strait/client-id is missing'
	nodes b file/backend-id=0x0
	refused b 'xenstore: strait/file/backend-id is malformed: not a number in range'
	nodes b file/backend-id=32752
	refused b 'xenstore: strait/file/backend-id is malformed: not a number in range'
	nodes p file/path=data/x
	refused p 'xenstore: strait/file/path is malformed: not an absolute path'
	nodes p "file/path=/$(awk 'BEGIN { for (i = 0; i < 600; i++) printf "x" }')"
	refused p 'xenstore: strait/file/path is too long'
	nodes e file/epoch=
	refused e 'xenstore: strait/file/epoch is missing'
}

case_a_channel_that_is_none_is_refused() {
	nodes r
	rendezvous r abc 5
	refused r 'service file: its ring-ref is malformed'
	nodes r
	rendezvous r 5 99999999999
	refused r 'service file: its event-channel is malformed'
	nodes g
	rendezvous g 4000000 5
	refused g 'service file: its control page cannot be mapped: no such grant'
}

# libxenvchan's own server, with rings of 1 and 2 KiB.
case_rings_of_a_wrong_size_are_refused() {
	nodes s
	vchan-echo "$(id s)" /local/domain/0/data/peer/s 1 >/run/echo 2>&1 &
	for try in 1 2 3 4 5 6 7 8 9 10; do
		grep -q ready /run/echo && break
		sleep 0.3
	done
	refused s 'service file: its rings have a size that is not allowed'
	kill $! 2>/dev/null
	wait
	want "no zombie" sh -c '! xl list | grep -q "(null)"'
}
