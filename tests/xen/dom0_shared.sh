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

# ratios WHAT: of each round, median and spread; the rounds are lines "NULL FSTAT ECHO".
ratios() {
	awk -v what="$1" '
	function sorted(a,  i, j, t) { for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] < a[j - 1]; j--) {
		t = a[j]; a[j] = a[j - 1]; a[j - 1] = t } }
	{ n++; call[n] = $(what == "null" ? 1 : 2); ratio[n] = call[n] * 100 / $3; echo[n] = $3 }
	END { sorted(call); sorted(ratio); sorted(echo); m = int((n + 1) / 2)
		printf "%s %d us: %d %% (%d to %d) of %d us", what, call[m], ratio[m], ratio[1], ratio[n], echo[m] }' /run/rounds
}

# In the same run, by turns: null calls from a guest to fsd in dom0, and 16 bytes there and
# back between a bare guest and a libxenvchan server in dom0.  While one of them is timed,
# little else runs: no process of this script's, and a look of the other guest's now and then.
case_null_calls_against_a_bare_guest() {
	local path=/local/domain/0/data/echo count=250 rounds r n line
	rounds=$(cat /test/rounds)
	deploy figures "\"calls, elf=/test/probe, args=calls /srv/calls $count $rounds, memory=32\"" ||
		fail "strait deploy"
	guest ring /test/bare 16 "vchan 0 $path $((rounds * (count + count / 4)))"
	start ring -p || fail "the bare guest was not created"
	mkfifo /run/go /run/echo
	vchan-echo "$(id ring)" $path $count $rounds </run/go >/run/echo &
	exec 8>/run/go 9</run/echo
	read -r line <&9
	[ "$line" = ready ] || fail "no echo server"
	xl unpause ring
	sleep 2 # the toolstack is done by then with what it had to do for them
	for r in $(seq "$rounds"); do
		touch "/srv/calls.$r"
		for n in $(seq 60); do
			sleep 1
			[ ! -e "/srv/calls.$r.done" ] || break
		done
		echo >&8
		read -r line <&9
		echo "$line" >>/run/echoes
	done
	exec 8>&- 9<&-
	waits calls 0
	ended ring 60
	gone ring
	strait down figures || fail "strait down"
	for r in null fstat; do sed -n "s/$r: .*calls, \([0-9]*\) us.*/\1/p" /run/calls.said >"/run/$r"; done
	sed -n 's/round-trip \([0-9]*\) us/\1/p' /run/echoes | paste -d ' ' /run/null /run/fstat - >/run/rounds
	cat /run/rounds
	[ "$(awk 'NF == 3' /run/rounds | wc -l)" = "$rounds" ] || fail "no figures"
	say "against 16 bytes there and back, $rounds rounds: $(ratios null); $(ratios fstat)" | tee -a /out/figures
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

log_of_tight() { tr -d '\r' </var/log/xen/console/guest-tight.g.log; }
said_times() { [ "$(log_of_tight | grep -c "$1")" = "$2" ]; }

# kill_under_tight FSD-OR-NETD TIMES: kill it; the guest says then that it is back, so many times.
kill_under_tight() {
	kill -9 "$(pidof "$1")" || fail "no $1"
	soon said_times "channel $1: the service is back" "$2" || { log_of_tight; fail "it does not go on"; }
}

# The guest has not one free page: what it needs to go on was put aside when it started.
case_a_dead_service_under_a_guest_without_memory() {
	cat >/run/tight.desc <<-DESC
		name = "tight"
		services = [ "file, kind=file, image=dom0, squash=none, $file", "net, kind=net, image=dom0, $net, ip=$A/24" ]
		guests = [ "g, elf=/test/probe, args=tight /srv/tight, memory=8, log=channel" ]
	DESC
	strait deploy /run/tight.desc || fail "strait deploy"
	soon said_times ^tight 1 || fail "it does not run"
	kill_under_tight fsd 1
	kill_under_tight netd 1
	kill_under_tight fsd 2
	sleep 1
	strait stop tight.g
	waits tight.g 0
	strait down tight || fail "strait down"
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
