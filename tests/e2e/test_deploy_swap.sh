#!/bin/bash
# SPDX-License-Identifier: MIT
# strait swap on Xen: the order of things, what the two domains are told, what is undone
# when a step fails, what is refused, and what the watcher does when strait is killed.
# The services' side is tests/xen/dom0_swap.sh's.
. "$(dirname "$0")/xen/lib.sh"
export STRAIT_BLOCK_SCRIPT=$W/block-shared
: >"$STRAIT_BLOCK_SCRIPT"
chmod +x "$STRAIT_BLOCK_SCRIPT"
# Never opened: a loop device would be freed between xl create and the watcher, without
# blkback, and another test's disk might take its number.
mknod "$W/vg" b 7 77 || { echo "SKIP: no device nodes here"; exit 77; }

site()
{
	fresh
	description <<-END
	services = [ "file, kind=file, disk=$W/vg, mount=xvda:/srv", "net, kind=net, bridge=br0, ip=192.0.2.10/24" ]
	guests = [ "web, elf=$G", "db, elf=$G, service=file" ]
	END
	"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>&1 || fail "$CASE: $(cat "$W/out")"
	: >"$FAKE_XEN/calls"
}

# swap ARG...: into $W/out and $W/err; its status.
swap() { "$STRAIT" swap "$@" >"$W/out" 2>"$W/err"; }
calls() { grep -v '^list\|^domid\|^info' "$FAKE_XEN/calls" | sed 's,/run/strait/site/,,' | tr '\n' ';'; }
domains() { cat "$FAKE_XEN"/doms/* | cut -d' ' -f1 | sort | tr '\n' ' '; }
# verb DOMID SERVICE: the last order.
verb() { store "/local/domain/$1/strait/$2/swap" | cut -d' ' -f2-; }
soon()
{
	local i
	for i in $(seq 100); do "$@" && return; sleep 0.1; done
	return 1
}

# The guest has been told of domain 9.
moved() { [ "$(store /local/domain/7/strait/file/backend-id)" = 9 ]; }
# leave N: the pipe at descriptor 9 takes N bytes more.
leave() { python3 -c 'import fcntl, os, sys
os.write(9, b"." * (fcntl.fcntl(9, fcntl.F_SETPIPE_SZ, 4096) - int(sys.argv[1])))' "$1"; }

CASE=another_domain_takes_the_disk
site
# What the next domain says of one guest's channel; of the other's it says nothing.
for node in ring-ref:33 event-channel:44; do
	mkdir -p "$FAKE_XEN/store/local/domain/9/data/strait/file/7/${node%:*}"
	printf '%s' "${node#*:}" >"$FAKE_XEN/store/local/domain/9/data/strait/file/7/${node%:*}/.value"
done
swap site.web --service fsd || fail "$CASE: $(cat "$W/err")"
is calls "$(calls)" "rename 5 site.file.spare;create -p -e -q site.file.next;unpause 9;destroy 5;"
grep -q "access=rw,script=$STRAIT_BLOCK_SCRIPT,target=$W/vg" "$FAKE_XEN/site.file.cfg" || fail "$CASE: the disk of both"
! grep -q script= /run/strait/site/site.file.cfg || fail "$CASE: a rebuilt one would share its disk"
is uuid "$(sed -n 's/^uuid = //p' /run/strait/site/site.file.cfg)" "$(sed -n 's/^uuid = //p' "$FAKE_XEN/site.file.cfg")"
is domains "$(domains)" "site.db site.file site.net site.web "
is "the guests' service" "$(store /local/domain/7/strait/file/backend-id) $(store /local/domain/8/strait/file/backend-id)" "9 9"
is "its path" "$(store /local/domain/7/strait/file/path)" /local/domain/9/data/strait/file/7
is "its channel" "$(store /local/domain/7/strait/file/next)" "1001 9 33 44 /local/domain/9/data/strait/file/7"
is "the other's" "$(store /local/domain/8/strait/file/next)" "1001 "
is "what it was told" "$(store /local/domain/9/strait/file/config/mounts/1/source)" /dev/xvda
is epoch "$(store /local/domain/9/strait/file/config/epoch)" 1001
grep -q '2 guests have' "$W/out" && grep -q 'ms  they have all back' "$W/out" || fail "$CASE: $(cat "$W/out")"
is "its last order" "$(verb 9 file)" "import 2 100 go"
is kind "$(store /local/domain/9/strait/file/config/kind)$(store /local/domain/9/strait/file/config/standby)" file
tail -1 "$W/out" | grep -q '^site.file: domain 5 to 9, epoch .* to 1001 in .* ms, guests waited .* ms$' || fail "$CASE: $(cat "$W/out")"
"$STRAIT" ps | grep -q spare && fail "$CASE: $("$STRAIT" ps)"
passed

CASE=who_waits_for_no_reader
site
mkfifo "$W/full"
exec 9<>"$W/full"
leave 120 # room for what is said while the old one serves
"$STRAIT" swap site.web --service fsd >&9 2>"$W/err" &
swapping=$!
soon moved || fail "$CASE: the guests wait until somebody reads"
kill -0 $swapping || fail "$CASE: nothing was printed"
cat <&9 >/dev/null &
reading=$!
wait $swapping || fail "$CASE: $(cat "$W/err")"
kill $reading
exec 9>&-
passed

CASE=an_older_image_is_told_to_go
site
echo '=ready' >"$FAKE_XEN/swap.import"
swap site.web --service fsd || fail "$CASE: $(cat "$W/err")"
is "its last order" "$(verb 9 file)" go
! grep -q 'all back' "$W/out" || fail "$CASE: $(cat "$W/out")" # it does not say so
rm "$FAKE_XEN/swap.import"
passed

CASE=the_watcher_follows
rm -f "$FAKE_XEN/doms/9"
touch "$FAKE_XEN/release"
soon grep -q 'site.file is domain 10 now' /run/strait/site/watch.log || fail "$CASE: $(cat /run/strait/site/watch.log)"
is epoch "$(store /local/domain/10/strait/file/config/epoch)" 2001
"$STRAIT" down site >/dev/null 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
gone
passed

CASE=the_interface_keeps_its_address_and_the_state_travels
site
mkdir "$W/image"
: >"$W/image/vmlinuz"
: >"$W/image/initramfs"
printf none >"$FAKE_XEN/takes" # the agent counts: nobody asks the guests' nodes
echo '=serves 1' >"$FAKE_XEN/swap.go"
swap site.net --service netd --with "$W/image" || fail "$CASE: $(cat "$W/err")"
rm "$FAKE_XEN/takes" "$FAKE_XEN/swap.go"
grep -q 'vif = \[ "bridge=br0,mac=00:16:3e:00:00:6" \]' "$FAKE_XEN/site.net.cfg" || fail "$CASE: $(grep vif "$FAKE_XEN/site.net.cfg")"
grep -q "kernel = \"$W/image/vmlinuz\"" /run/strait/site/site.net.cfg || fail "$CASE: the other image"
for want in 'stands by' 'a channel' 'sealed: 2 connections in 100 bytes' 'has 2 connections' '1 guests have' 'domain 6 is destroyed'; do
	grep -q " ms  .*$want" "$W/out" || fail "$CASE: no \"$want\" in $(cat "$W/out")"
done
passed

# undone TEXT SERVICE: the swap that failed said so, and nothing has changed.
undone()
{
	is status $? 125
	is "its sentence" "$(cat "$W/err")" "strait: site.$2: $1; the old one serves on"
	is domains "$(domains)" "site.db site.file site.net site.web "
	is "the guest's service" "$(store "/local/domain/7/strait/$2/backend-id")" "$3"
	! ls /run/strait/site | grep -q 'next\|after' || fail "$CASE: $(ls /run/strait/site)"
	"$STRAIT" ps | grep -q spare && fail "$CASE: $("$STRAIT" ps)"
	passed
}

CASE=a_domain_that_cannot_be_made
site
echo 'libxl: error: not enough free memory' >"$FAKE_XEN/create.site.file"
swap site.web --service fsd
undone "xl create: libxl: error: not enough free memory" file 5

CASE=a_domain_that_dies
rm "$FAKE_XEN/create.site.file"
echo dies >"$FAKE_XEN/site.file.state"
swap site.web --service fsd
undone "the domain crashed" file 5

CASE=an_image_that_is_older
echo 'failed: no such disk' >"$FAKE_XEN/site.file.state"
swap site.web --service fsd
undone "no such disk" file 5

CASE=memory_that_would_be_lost
rm "$FAKE_XEN/site.file.state"
echo '!/tmp is in memory' >"$FAKE_XEN/swap.export"
swap site.web --service fsd
undone "/tmp is in memory" file 5
is "the old one's last order" "$(verb 5 file)" go

CASE=a_state_that_is_refused
echo '!the new one refuses: no' >"$FAKE_XEN/swap.import"
rm "$FAKE_XEN/swap.export"
: >"$FAKE_XEN/calls"
swap site.web --service netd
undone "the new one refuses: no" net 6
is "the old one's last order" "$(verb 6 net)" go
rm "$FAKE_XEN/swap.import"

# refuses TEXT ARG...: at once, and nothing is tried.
refuses()
{
	local text=$1
	shift
	: >"$FAKE_XEN/calls"
	swap "$@"
	is status $? 125
	is "its sentence" "$(cat "$W/err")" "strait: $text"
	is calls "$(calls)" ""
	passed
}

CASE=what_is_no_image
refuses "site.net: image $W: there is no file vmlinuz in it" site.net --service netd --with "$W"
CASE=a_service_it_does_not_have
refuses "swap site.db: it has no such service" site.db --service netd
CASE=one_that_is_being_started_again
printf starting >"$FAKE_XEN/store/local/domain/6/data/strait/net/state/.value"
refuses "site.net: its netd is being started again; ask again when it is up" site.net --service netd
printf ready >"$FAKE_XEN/store/local/domain/6/data/strait/net/state/.value"

CASE=two_at_once
echo '-wait' >"$FAKE_XEN/swap.export"
: >"$W/first"
"$STRAIT" swap site.web --service fsd >"$W/first" 2>&1 &
first=$!
soon test -n "$(verb 5 file)"
soon grep -q rename "$FAKE_XEN/calls"
swap site.web --service netd
is status $? 125
is "its sentence" "$(cat "$W/err")" "strait: site.net: another swap is under way, or a domain is being made anew"
passed

CASE=killed_before_the_commit
soon grep -q 'stands by' "$W/first" || fail "$CASE: $(cat "$W/first")"
kill -9 $first
rm "$FAKE_XEN/swap.export"
touch "$FAKE_XEN/release"
back() { [ "$(domains)" = "site.db site.file site.net site.web " ] && [ "$(verb 5 file)" = go ]; }
soon back || fail "$CASE: $(domains) $(cat /run/strait/site/watch.log)"
is "the guest's service" "$(store /local/domain/7/strait/file/backend-id)" 5
soon swap site.web --service fsd || fail "$CASE: $(cat "$W/err")"
passed

CASE=killed_after_the_commit
site
printf none >"$FAKE_XEN/takes"
echo '=serves' >"$FAKE_XEN/swap.import" # and not how many: it is awaited
: >"$W/first"
"$STRAIT" swap site.web --service fsd >"$W/first" 2>&1 &
first=$!
soon moved || fail "$CASE: $(cat "$W/first")"
kill -9 $first
rm "$FAKE_XEN/takes" "$FAKE_XEN/swap.import"
touch "$FAKE_XEN/release"
soon test ! -e "$FAKE_XEN/doms/5" || fail "$CASE: the old one stays"
soon test ! -e /run/strait/site/site.file.after || fail "$CASE: its configuration"
is "the guest's service" "$(store /local/domain/7/strait/file/backend-id)" 9
is domains "$(domains)" "site.db site.file site.net site.web "
swap site.web --service fsd || fail "$CASE: $(cat "$W/err")"
"$STRAIT" down site >/dev/null 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
gone
passed

CASE=a_process_of_dom0
fresh
description <<-END
services = [ "file, kind=file, image=dom0, mount=mem:/" ]
guests = [ "db, elf=$G" ]
END
"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>&1 || fail "$CASE: $(cat "$W/out")"
printf 1 >"$FAKE_XEN/epoch"
swap site.db --service fsd --with /bin/true || fail "$CASE: $(cat "$W/err")"
is order "$(verb 0 file)" "process $(realpath /bin/true)"
is said "$(tail -1 "$W/out")" "site.file: epoch 1 to 2, guests waited 1.0 ms"
echo '!it has no room; the old one serves on' >"$FAKE_XEN/swap.process"
swap site.db --service fsd
is status $? 125
is "its sentence" "$(cat "$W/err")" "strait: site.file: it has no room; the old one serves on"
"$STRAIT" down site >/dev/null 2>&1
gone
passed

ip link del br0
finish
