# SPDX-License-Identifier: MIT
# dom0_swap.sh - in dom0: services are swapped under guests which go on.
image=dom0
file="mount=/srv:/srv"
net="interface=vnet1"
bridge_with_vnet1
mkdir -p /srv
# What a slow reader has not taken waits in the guest, not in its own kernel.
echo 4096 8192 16384 >/proc/sys/net/ipv4/tcp_rmem

. ./services.sh

# slowly: from stdin, some bytes at a time until it may go on.  Not often: each dd is a
# process that the emulated CPU starts.
slowly() {
	while [ ! -e /run/go_on ]; do
		dd bs=4000 count=5 2>/dev/null
		sleep 1
	done
	cat
}

# download: a page over one connection, in the background, until downloaded.
download() {
	rm -f /run/slow /run/slow.* /run/go_on
	{
		curl -sS -f -m 300 -w '%{stderr}%{num_connects}\n' "http://$A/big.bin" 2>/run/slow.said
		echo $? >/run/slow.status
	} | slowly >/run/slow &
	soon test -s /run/slow || fail "the download does not begin"
}

# downloaded: it was on its way all the time until now, and comes to its end, whole.
downloaded() {
	want "the download goes on over the swap" [ ! -e /run/slow.status ]
	touch /run/go_on
	soon test -e /run/slow.status || fail "the download does not end"
	sleep 0.3
	cat /run/slow.said
	want "it ends well" [ "$(cat /run/slow.status)" = 0 ]
	want "over one connection" [ "$(cat /run/slow.said)" = 1 ]
	want "with the right bytes" cmp /run/slow /test/www/big.bin
}

# swap NAME SERVICE [--with FILE]: and note what guests waited.
swap() {
	local name=$1 service=$2
	shift 2
	strait swap "$name" --service "$service" "$@" >/run/swap 2>&1 || { cat /run/swap; return 1; }
	cat /run/swap
	sed -n "s|.*guests waited \(.*\) ms|\1 ms: $image $service: guests waited for a swap|p" /run/swap >>/out/figures
}

# refused WORDS COMMAND...: it fails, says so in one sentence with these words.
refused() {
	local words=$1
	shift
	"$@" >/run/refused 2>&1
	want "status 125" [ $? = 125 ]
	cat /run/refused
	want "it says: $words" grep -q "$words" /run/refused
	want "in one sentence" [ "$(wc -l </run/refused)" = 1 ]
}

# syncs_end NAME: its guest that syncs each line saw no error, and ends when it is told.
syncs_end() {
	local said=/var/log/xen/console/guest-$1.log.log
	strait stop "$1.log"
	timeout 60 strait wait "$1.log" || fail "the guest that syncs each line fails"
	tr -d '\r' <"$said" | grep -v acknowledged
	tr -d '\r' <"$said" | sed -n "s|^longest wait \(.*\)|\1: $image fsd: the longest append and fsync over a swap|p" >>/out/figures
	tr -d '\r' <"$said" | sed -n 's/^acknowledged //p' | tail -n 1 >/run/last
}

# calls_end NAME: its guest that calls netd all the time saw no error; its longest wait.
calls_end() {
	local said=/var/log/xen/console/guest-$1.calls.log
	strait stop "$1.calls"
	timeout 60 strait wait "$1.calls" || fail "the guest that calls netd fails"
	tr -d '\r' <"$said" | sed -n "s|^waited \(.*\)|\1: $image netd: the longest call over a swap|p" | sort -n | tail -n 1 >>/out/figures
}

# each_line_once: all lines are there, once, in order; one more may not be acknowledged.
each_line_once() {
	local last
	last=$(cat /run/last)
	echo "acknowledged: $last"
	want "lines were synced" [ "$last" -gt 50 ]
	seq 0 "$last" | sed 's/^/acknowledged /' | cmp - /srv/log || fail "lines are lost, or there twice"
	rm /srv/log
}

# could_be_swapped_again GUEST: its file service, a domain that took over, finds nothing of a
# guest's in its memory; it says so before another domain is made.
could_be_swapped_again() {
	local at
	at=$(xenstore-read "/local/domain/$(xl domid "$1")/strait/file/backend-id")
	xenstore-write "/local/domain/$at/strait/file/swap" "again offer 0"
	soon sh -c "xenstore-read /local/domain/$at/data/strait/file/swap | grep -q '=written out'" ||
		fail "$(xenstore-read "/local/domain/$at/data/strait/file/swap")"
}

case_processes_of_dom0_are_swapped() {
	local pid
	mount -t ext4 /dev/vdc /srv || fail "no disk"
	deploy near \
		'[ "log", "elf=/test/probe", "args=append-fsync /srv/log 1000000", "memory=16", "log=channel" ]' \
		'[ "calls", "elf=/test/probe", "args=stalls", "memory=16" ]' \
		'[ "web", "elf=/test/lighttpd", "args=-D -f /srv/lighttpd.conf", "memory=32" ]' ||
		fail "strait deploy"
	soon page index.html || fail "no page"
	download
	pid=$(pidof netd)
	swap near.web netd || fail "netd is not swapped"
	want "another process serves" [ "$(pidof netd)" != "$pid" ]
	pid=$(pidof fsd)
	swap near.web fsd --with /usr/bin/xen/fsd || fail "fsd is not swapped"
	want "another process serves" [ "$(pidof fsd)" != "$pid" ]
	downloaded
	calls_end near
	syncs_end near
	each_line_once
	ps_says 'near.file .* service  runs 0:0[0-9]:[0-9]*, epoch 2, 1 sessions, [0-9]* calls in flight, [1-9][0-9]* files$'
	ps_says 'near.net .* service  runs 0:0[0-9]:[0-9]*, epoch 2, 1 sessions, 0 calls in flight, [1-9][0-9]* sockets$'
}

# ps_says WORDS: a line of `strait ps`, once guests that have ended are let go.
ps_says() {
	soon ps_has "$1" || { cat /run/ps; fail "strait ps does not say $1"; }
	grep "^$1" /run/ps
}

ps_has() {
	strait ps >/run/ps
	grep -q "^$1" /run/ps
}

# It says that it is ready, answers, and ends when it gets its first guest.
case_what_was_swapped_in_and_dies_gives_way() {
	local agent=/run/strait/near/file.agent
	strait swap near.web --service fsd --with /test/stand_in_service_DIES >/run/swap 2>&1
	want "status 125" [ $? = 125 ]
	cat /run/swap
	want "it is said" grep -q '^strait: near.file: the new fsd ended (exit status 9) and is started again$' /run/swap
	soon grep -q ' /usr/bin/xen/fsd takes the place of /test/stand_in_service_DIES again' $agent ||
		{ cat $agent; fail "what was there before does not come back"; }
	soon page index.html || fail "the web server's files are gone"
	want "the one before serves" [ "$(readlink "/proc/$(pidof fsd)/exe")" = /usr/bin/xen/fsd ]
	ps_says 'near.file .* service  runs 0:0[0-9]:[0-9]*, epoch 4, 1 sessions, '
}

# Its connections are the kernel's, and go to the next instance as they are.
case_a_network_service_on_the_kernels_sockets_is_swapped() {
	local A=10.55.0.1 pid
	cat >/run/kern.desc <<-'DESC'
		name = "kern"
		services = [ "files, kind=file, image=dom0, mount=/srv:/srv", "sockets, kind=net, image=dom0, stack=host" ]
		guests = [ [ "web", "elf=/test/lighttpd", "args=-D -f /srv/lighttpd.conf", "memory=32" ] ]
	DESC
	strait deploy /run/kern.desc || fail "strait deploy"
	soon page index.html || fail "no page from dom0's own address"
	pid=$(pidof netd)
	download
	swap kern.web netd || fail "netd is not swapped"
	want "another process serves" [ "$(pidof netd)" != "$pid" ]
	downloaded
	page index.html || fail "the web server does not answer"
	strait down kern || fail "strait down"
}

case_a_swap_that_cannot_be_made_changes_nothing() {
	local pid
	pid=$(pidof netd)
	refused 'cannot be run' strait swap near.web --service netd --with /test/www/big.bin
	refused 'serves on' strait swap near.web --service netd --with /usr/bin/strait
	refused 'serves on' strait swap near.web --service netd --with /usr/bin/xen/fsd
	refused 'no such service' strait swap near.file --service netd
	refused 'fsd or netd' strait swap near.web --service dns
	want "the same process serves" [ "$(pidof netd)" = "$pid" ]
	page big.bin || fail "the web server does not answer"
	strait down near || fail "strait down"
	umount /srv || fail "the disk is in use"
}

# too_little_memory: Xen has none for another service domain.
too_little_memory() {
	local free
	free=$(xl info | sed -n 's/^free_memory *: *//p')
	guest eater /test/probe $((free - 100)) wait
	start eater -p || fail "no domain that takes what is free"
	xl info | grep free_memory
	refused 'memory: .* MiB .* are free' strait swap far.web --service netd
	gone eater
}

case_domains_are_swapped() {
	image=default file="disk=/dev/vdc, mount=xvda:/srv" net="bridge=xenbr0"
	deploy far \
		'[ "log", "elf=/test/probe", "args=append-fsync /srv/log 1000000", "memory=16", "log=channel" ]' \
		'[ "calls", "elf=/test/probe", "args=stalls", "memory=16" ]' \
		'[ "web", "elf=/test/lighttpd", "args=-D -f /srv/lighttpd.conf", "memory=32", "log=channel", "recover=120" ]' ||
		fail "strait deploy"
	soon page index.html || fail "no page"
	strait swap far.web --service fsd >/run/first 2>&1 &
	sleep 1
	refused 'another swap' strait swap far.web --service netd
	wait $! || { cat /run/first; fail "fsd's domain is not swapped"; }
	cat /run/first
	xl list
	too_little_memory
	cp -r /var/lib/strait/images/default /run/other-image
	download
	swap far.web netd --with /run/other-image || fail "netd's domain is not swapped"
	downloaded
	want "it is of the other image" grep -q /run/other-image/vmlinuz /run/strait/far/far.net.cfg
	calls_end far
	could_be_swapped_again far.log
	syncs_end far
	ps_says 'far.file .* 128 service  runs 0:0[0-9]:[0-9]*, epoch 1001, [12] sessions, [0-9]* calls in flight, [1-9][0-9]* files$'
	ps_says 'far.net .* 128 service  runs 0:0[0-9]:[0-9]*, epoch 1001, [12] sessions, 0 calls in flight, [1-9][0-9]* sockets$'
}

# Its service cannot start, or nothing of it: the next domain goes, the old one was not touched.
case_an_image_that_cannot_serve_is_refused() {
	local images=/var/lib/strait/images net file
	net=$(xl domid far.net) file=$(xl domid far.file)
	ln -s ../default/vmlinuz $images/dies/
	ln -s ../default/vmlinuz $images/agentless/
	refused 'the new netd ended (exit status 1); the old one serves on' \
		strait swap far.web --service netd --with $images/dies
	refused 'self-check: its fsd ended, or does not speak strait'"'"'s protocol; the old one serves on' \
		strait swap far.web --service fsd --with $images/dies
	refused 'the domain crashed; the old one serves on' \
		strait swap far.web --service fsd --with $images/agentless
	want "the same domains serve" [ "$(xl domid far.net) $(xl domid far.file)" = "$net $file" ]
	want "and no others" [ "$(xl list | wc -l)" = 5 ]
	page big.bin || fail "the web server does not answer"
}

# said DOMID TEXT: its agent does, of the last order.
said() { xenstore-read "/local/domain/$1/data/strait/file/swap" | grep -q "$2"; }

# What `strait swap` tells it when nobody could take the disk, or was there to take it.
case_a_hand_over_that_is_called_back() {
	local id at
	id=$(xl domid far.file)
	at=/local/domain/$id/strait/file
	xenstore-write "$at/swap" "00000000000000e1 export"
	soon said "$id" '=[0-9]' || fail "it does not hand over"
	xenstore-write "$at/swap" "00000000000000e2 go"
	soon said "$id" '=serves on' || fail "it does not serve on"
	page big.bin || fail "the web server does not answer"
	want "the same domain" [ "$(xl domid far.file)" = "$id" ]
	want "its service is another one" [ "$(xenstore-read "/local/domain/$id/data/strait/file/epoch")" = 1002 ]
}

# destroyed_in_a_swap SERVICE KIND DOMAIN WHEN: DOMAIN is destroyed in a swap of that service, once
# WHEN is so; $rc is the swap's status.
destroyed_in_a_swap() {
	local swap
	before=$(xl domid "far.$2")
	: >/run/swap
	strait swap far.web --service "$1" >/run/swap 2>&1 &
	swap=$!
	within 100 eval "$4" || { cat /run/swap; fail "never: $4"; }
	xl destroy "$3" || fail "xl destroy $3"
	wait $swap
	rc=$?
	cat /run/swap
	echo "the swap ended with $rc"
}

next_boots() {
	xl domid far.net.spare && [ "$(xl domid far.net)" -gt "$before" ] && ! state far.net | grep p
}

# came_anew KIND: another domain than before serves, made by the watcher.
came_anew() {
	grep -q "^[-0-9: ]* far.$1 is domain $(xl domid "far.$1") now" /run/strait/far/watch.log &&
		[ "$(xenstore-read "/local/domain/$(xl domid "far.$1")/data/strait/$1/state")" = ready ]
}

case_the_next_domain_is_destroyed_before_it_stands_by() {
	local before rc
	destroyed_in_a_swap netd net far.net next_boots
	want "status 125, not $rc" [ $rc = 125 ]
	want "it is said" grep -q 'the domain .*; the old one serves on' /run/swap
	want "the same domain serves" [ "$(xl domid far.net)" = "$before" ]
	page index.html || fail "the web server does not answer"
}

long_who_serves_is_destroyed_in_a_swap() {
	local before rc
	destroyed_in_a_swap netd net far.net.spare next_boots
	want "status 125, not $rc" [ $rc = 125 ]
	want "it is said" grep -q '; the watcher makes it anew' /run/swap
	within 120 came_anew net || { cat /run/strait/far/watch.log; fail "no other domain comes"; }
	soon page index.html || fail "the web server does not answer any more"
	destroyed_in_a_swap netd net far.net 'grep "the new one has" /run/swap'
	want "status 125, not $rc" [ $rc = 125 ]
	want "it is said" grep -q 'domain [1-9][0-9]* served, then the domain .*; the watcher makes it anew' /run/swap
	within 120 came_anew net || { cat /run/strait/far/watch.log; fail "no other domain comes"; }
	soon page index.html || fail "the web server does not answer any more"
	xl list
	want "nothing is left of the swaps" [ "$(xl list | wc -l)" = 5 ]
}

case_all_is_taken_down_after_swaps() {
	cat /run/strait/far/watch.log
	strait down far || fail "strait down"
	want "no domain is left" [ "$(xl list | wc -l)" = 2 ]
	mount -t ext4 /dev/vdc /srv || fail "the disk"
	each_line_once
	umount /srv
	xenstore-ls -f /local/domain >/run/nodes
	! grep strait /run/nodes || fail "nodes are left"
}

cases .script
