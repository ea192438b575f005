# SPDX-License-Identifier: MIT
# dom0_shared.sh - in dom0: the services are processes there.
image=dom0
file="mount=/srv:/srv"
net="interface=vnet1"
bridge_with_vnet1
mkdir -p /srv
mount -t ext4 /dev/vdc /srv || exit 1

files_are_equal() { cmp /srv/wget.out /test/www/index.html && cmp /srv/curl.out /test/www/big.bin; }

. ./services.sh

# In the same run: a null call from a guest to fsd in dom0, and 16 bytes there and back
# between a bare guest and a libxenvchan server in dom0.
case_null_calls_against_a_bare_guest() {
	local path=/local/domain/0/data/echo null fstat bare
	deploy figures '[ "calls", "elf=/test/probe", "args=calls /srv/calls 1000", "memory=32" ]' ||
		fail "strait deploy"
	waits calls 0
	null=$(sed -n 's/null: .*calls, \([0-9]*\) us.*/\1/p' /run/calls.said)
	fstat=$(sed -n 's/fstat: .*calls, \([0-9]*\) us.*/\1/p' /run/calls.said)
	strait down figures || fail "strait down"
	guest ring /test/bare 16 "vchan 0 $path 1000"
	start ring -p || fail "the bare guest was not created"
	vchan-echo "$(id ring)" $path 1000 >/run/echo &
	soon grep -q ready /run/echo || fail "no echo server"
	xl unpause ring
	ended ring 60
	wait
	gone ring
	bare=$(sed -n 's/round-trip \([0-9]*\) us/\1/p' /run/echo)
	[ -n "$null" ] && [ -n "$fstat" ] && [ -n "$bare" ] || fail "no figures"
	say "libxenvchan to a bare guest $bare us; null RPC $null us: $((null * 100 / bare)) %;" \
		"fstat $fstat us: $((fstat * 100 / bare)) %" | tee -a /out/figures
}

# deploy_fails STATUS WORDS SERVICES GUESTS: a sentence with these words, and nothing is
# left of what was made.
deploy_fails() {
	local status=$1 words=$2 rc
	printf 'name = "bad"\nservices = [ %s ]\nguests = [ %s ]\n' "$3" "$4" >/run/bad.desc
	$as strait deploy /run/bad.desc >/run/said 2>&1
	rc=$?
	cat /run/said
	want "status $status, not $rc" [ $rc = "$status" ]
	want "it says: $words" grep -q "^strait: .*$words" /run/said
	want "no domain is left" [ "$(xl list | wc -l)" = 2 ]
	want "no process is left" sh -c '! pidof fsd netd strait-agent'
	want "no node is left" sh -c '! xenstore-ls -f /local/domain/0 | grep -q strait'
	want "no state is left" [ ! -e /run/strait/bad ]
}

case_what_cannot_be_deployed_is_said_and_undone() {
	local as='' file='"file, kind=file, image=dom0, mount=/srv:/srv"' id
	deploy_fails 125 'disk /dev/none: no such block device or image' '"file, kind=file, disk=/dev/none"' ''
	deploy_fails 126 'it has no Xen note' "$file" '"g, elf=/test/stand_in_guest"'
	deploy_fails 125 'memory: the domains need .* MiB .* are free' "$file" '"g, elf=/test/probe, memory=4000"'
	deploy_fails 125 'memory 3: want a number from 8' "$file" '"g, elf=/test/probe, memory=3"'
	as='env STRAIT_FSD=/bin/busybox'
	deploy_fails 125 'fsd ended before it was ready (exit status' "$file" '"g, elf=/test/probe"'
	as='su -s /bin/sh nobody -c'
	$as 'strait deploy /run/bad.desc' >/run/said 2>&1
	want "status 125 without rights" [ $? = 125 ]
	want "it says so" grep -q 'only root of dom0' /run/said
	as=''
	guest bad.g /test/probe 16 wait
	start bad.g -p
	id=$(xl domid bad.g)
	strait deploy /run/bad.desc >/run/said 2>&1
	want "status 125 where a name is taken" [ $? = 125 ]
	cat /run/said
	want "it says whose it is" grep -q "bad.desc:3: name bad.g: domain $id is called so already" /run/said
	want "that domain is not touched" [ "$(state bad.g)" = "--p---" ]
	gone bad.g
}

# fsd_again PID: another than PID is ready.
fsd_again() {
	[ -n "$(pidof fsd)" ] && [ "$(pidof fsd)" != "$1" ] &&
		[ "$(xenstore-read /local/domain/0/data/strait/file/state)" = ready ]
}

kill_fsd() {
	local pid
	pid=$(pidof fsd)
	kill -9 "$pid" || fail "no fsd"
	soon fsd_again "$pid" || fail "no other fsd comes"
}

log_of() { cat "/var/log/xen/console/guest-tight.$1.log"; }

# Two guests, one of them from its first recovery on, without a free page: neither for
# copies of the dead fsd's rings, with replies in them, nor to go on.
case_a_dead_service_under_guests_without_memory() {
	cat >/run/tight.desc <<-'DESC'
		name = "tight"
		services = [ "file, kind=file, image=dom0, squash=none, mount=/srv:/srv" ]
		guests = [ "now, elf=/test/probe, args=tight /srv/now, memory=8, log=channel",
		           "later, elf=/test/probe, args=tight /srv/later /srv/go, memory=8, log=channel" ]
	DESC
	strait deploy /run/tight.desc || fail "strait deploy"
	soon eval 'log_of now | grep -q ^tight' || fail "it does not run"
	kill_fsd
	soon eval 'log_of later | grep -q "the service is back"' || { log_of later; fail "it does not go on"; }
	touch /srv/go
	soon eval 'log_of later | grep -q ^tight' || fail "it does not go on"
	kill_fsd
	waits now 0
	want "no thread to wait in: it is said" grep -q \
		'the service is gone, and no thread can be made to wait for its next instance' /run/now.said
	want "and an error" grep -q '^EIO after' /run/now.said
	waits later 0
	want "no room for what is to be restored: it is said" \
		grep -q 'no memory to take the session over' /run/later.said
	want "and an error" grep -q '^EIO after' /run/later.said
	strait down tight || fail "strait down"
	rm /srv/go
}

# What deploy/xl/README.md says of a service in dom0, as it stands there.
case_a_service_in_dom0_by_hand_as_the_readme_says() {
	local line id
	cd /test/xl || fail "no deploy/xl"
	mkdir -p /srv/site && chmod 777 /srv/site
	PATH=$PATH:/usr/bin/xen
	guest web /test/probe 16 'wait /srv/here'
	start web -p
	id=$(xl domid web)
	sed -n '/^\*A service in dom0\*/,/^\*\*Order/s/^    //p' README.md >/run/readme
	want "there are three commands" [ "$(grep -c . /run/readme)" = 3 ]
	while read -r line <&3; do
		echo "$line"
		eval "$line" || fail "$line"
	done 3</run/readme
	soon said_by "files/guests/$id" || fail "the guest was not announced"
	xl unpause web
	soon grep -q waiting /var/log/xen/console/guest-web.log || { console web; fail "the guest does not run"; }
	want "its file is there" grep -qx here /srv/site/here
	xl destroy web
	./nodes.sh gone "$id" 0:files:file || fail "nodes.sh gone"
	soon said_nothing_of "$id" || fail "the service still has it"
	kill "$(pidof strait-agent)"
	xenstore-rm /local/domain/0/strait/files
	within 20 sh -c '! pidof strait-agent fsd' || fail "processes are left"
	rm -r /srv/site
}

said_by() { [ "$(xenstore-read "/local/domain/0/data/strait/$1/state")" = ready ]; }
said_nothing_of() { ! xenstore-exists "/local/domain/0/data/strait/files/guests/$1"; }

cases services.sh .script
rc=$?
umount /srv || rc=1
exit $rc
