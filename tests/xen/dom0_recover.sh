# SPDX-License-Identifier: MIT
# dom0_recover.sh - in dom0: services that are killed under guests which go on.
image=dom0
file="mount=/srv:/srv, hang=4"
net="interface=vnet1"
bridge_with_vnet1
mkdir -p /srv
mount -t ext4 /dev/vdc /srv || exit 1

. ./services.sh

state_of() { xenstore-read "/local/domain/0/data/strait/$1/state"; }
is_ready() { [ "$(state_of "$1")" = ready ]; }
# Guests that call one service each, all the time, and say what takes longer than 5 ms.
callers='[ "files", "elf=/test/probe", "args=stalls /srv/lighttpd.conf 5", "memory=16", "recover=240" ],
  [ "calls", "elf=/test/probe", "args=stalls '"''"' 5", "memory=16", "recover=240" ]'
lines() { [ "$(wc -l </srv/log)" -ge "$1" ]; }
# another FILE-OR-NET PID: that service runs as another process than PID, and is ready.
another() { [ -n "$(pidof "$2")" ] && [ "$(pidof "$2")" != "$3" ] && is_ready "$1"; }

# crash SERVICE GUEST [PID]: its service ends, as `away` does it.  Into figures: what it waited for,
# and by how much the longest call of GUEST, which calls it all the time, was longer.
crash() {
	local service=$1 guest=$2 log=/var/log/xen/console/guest-$2.log before what=fsd
	shift 2
	[ "$service" = file ] || what=netd
	[ $# -gt 0 ] && what="dom0 $what" || what="default $what"
	before=$(grep -c '^waited' "$log")
	/test/away "$service" "$(xl domid "$guest")" "$@" >/run/away || fail "away"
	soon has_waited "$log" $before || fail "the guest does not go on"
	awk -v what="$what" '
		FILENAME == "/run/waited" { if ($2 + 0 > longest) longest = $2 + 0; next }
		{ steps = steps $1 " " $2 ", "; if ($1 == "ready") ready = $2 }
		END { printf "%.1f ms: %s: the longest call over a crash, beyond its being ready again (%scall %.1f)\n",
			longest - ready, what, steps, longest }' /run/waited /run/away | tee -a /out/figures
}

# has_waited LOG LINES: behind those, the guest says of a call that it took about as long.
has_waited() {
	tr -d '\r' <"$1" | grep '^waited' | tail -n +$(($2 + 1)) >/run/waited
	awk 'FILENAME == "/run/waited" { if ($2 + 0 > longest) longest = $2 + 0; next }
		$1 == "ready" { exit (longest < $2 / 2) }' /run/waited /run/away
}

case_guests_go_on_over_kills_of_the_file_service() {
	local pid n last
	deploy site \
		'[ "sql", "elf=/test/sqlite3", "args=/srv/www/many.db '"'.read /srv/many.sql'"'", "memory=32", "log=channel" ]' \
		'[ "log", "elf=/test/probe", "args=append /srv/log 1000000", "memory=16", "log=channel" ]' \
		'[ "web", "elf=/test/lighttpd", "args=-D -f /srv/lighttpd.conf", "memory=32" ]' \
		"$callers" || fail "strait deploy"
	for n in 1 2 3; do
		within 60 lines $(($(wc -l </srv/log) + 100)) || fail "the log does not grow"
		pid=$(pidof fsd)
		crash file site.files "$pid"
		another file fsd "$pid" || fail "no other fsd comes: $(state_of file)"
	done
	within 60 lines $(($(wc -l </srv/log) + 100)) || fail "the log does not grow"
	strait stop site.log
	waits log 0
	last=$(sed -n 's/^acknowledged //p' /run/log.said | tail -n 1)
	want "each line once, in order" [ "$(cat /srv/log)" = "$(seq 0 "$last" | sed 's/^/acknowledged /')" ]
	waits sql 0
	want "SQLite's own check" grep -qx ok /run/sql.said
	want "all rows" grep -qx 100 /run/sql.said
	want "the guest noticed three kills" [ "$(grep -c 'the service is back' /run/log.said)" = 3 ]
	page index.html || fail "the web server's files are gone"
}

case_a_listener_outlives_netd() {
	local pid
	pid=$(pidof netd)
	crash net site.calls "$pid"
	another net netd "$pid" || fail "no other netd comes: $(state_of net)"
	soon page index.html || fail "the web server does not answer any more"
	page big.bin || fail "the large file differs"
}

case_a_service_that_hangs_is_killed() {
	local pid
	pid=$(pidof fsd)
	kill -STOP "$pid" || fail "no fsd"
	soon another file fsd "$pid" || fail "no other fsd comes: $(state_of file)"
	[ ! -e "/proc/$pid" ] || fail "the one that hangs is still there"
	grep 'fsd does not answer for 4 s and is killed' /run/strait/site/file.agent || fail "it is not said"
	page big.bin || fail "the web server's files are gone"
}

case_an_ordered_restart_is_not_noticed() {
	local pid
	pid=$(pidof fsd)
	strait restart site.web --service fsd || fail "strait restart"
	[ -n "$(pidof fsd)" ] && [ "$(pidof fsd)" != "$pid" ] || fail "the same process serves"
	page big.bin || fail "the web server's files are gone"
	strait down site || fail "strait down"
	want "nothing hidden is left" [ -z "$(find /srv -name '.strait*')" ]
}

# --- services in domains of their own, and what may happen to these ---------------

far_log=/run/strait/far/watch.log
# came_anew SERVICE DOMID: it is another domain than that, and ready.
came_anew() {
	local id
	id=$(xl domid "far.$1" 2>/dev/null) && [ "$id" != "$2" ] &&
		[ "$(xenstore-read "/local/domain/$id/data/strait/$1/state")" = ready ]
}

# swap GUEST SERVICE: into figures, what GUEST, which calls it all the time, waited.
swap() {
	local log=/var/log/xen/console/guest-$1.log before longest
	before=$(grep -c '^waited' "$log")
	strait swap "$1" --service "$2" >/run/swap 2>&1 || { cat /run/swap; fail "strait swap"; }
	cat /run/swap
	want "all went on" grep -q 'guests waited' /run/swap
	sleep 1
	longest=$(tr -d '\r' <"$log" | grep '^waited' | tail -n +$((before + 1)) | sort -k 2 -n | tail -n 1)
	echo "${longest:-under 5 ms}: $image $2: the longest call over a swap, one guest" | sed 's/^waited //' | tee -a /out/figures
}

# Only when it is asked for: one guest at a time, alone on the machine with its services.
long_one_guest_is_alone() {
	local kind service pid of path
	for of in dom0 default; do
		image=$of file="disk=/dev/vdd, mount=xvda:/srv" net="bridge=xenbr0"
		[ $of = default ] || file="mount=/srv:/srv" net="interface=vnet1"
		for kind in file net; do
			service=netd
			[ $kind = net ] || service=fsd
			[ $kind = net ] && path="''" || path=/srv/lighttpd.conf
			deploy one '[ "guest", "elf=/test/probe", "args=stalls '"$path"' 5", "memory=16", "recover=240" ]' ||
				fail "strait deploy"
			sleep 5
			pid=
			[ $of = default ] || pid=$(pidof $service)
			crash $kind one.guest $pid
			sleep 5
			for _ in 1 2 3; do
				swap one.guest $service
				sleep 2
			done
			strait down one || fail "strait down"
		done
	done
	sed -i 's/its being ready again (\(.*\)/its being ready again, one guest (\1/' /out/figures
}

# A line that was synced before it was acknowledged outlives the domain that had it; one
# that was not may be lost, and then the guest is told.
case_a_service_domain_is_made_anew() {
	local last said=/var/log/xen/console/guest-far.log.log
	image=default file="disk=/dev/vdd, mount=xvda:/srv, hang=3" net="bridge=xenbr0, hang=3"
	deploy far \
		'[ "log", "elf=/test/probe", "args=append-fsync /srv/log 150", "memory=16", "log=channel", "recover=120" ]' \
		'[ "web", "elf=/test/lighttpd", "args=-D -f /srv/lighttpd.conf", "memory=32", "log=channel", "recover=120" ]' \
		"$callers" || fail "strait deploy"
	soon grep -q 'acknowledged 50' $said || fail "the log does not grow"
	crash file far.files
	timeout 120 strait wait far.log
	echo "the guest ended with $?"
	cat $far_log
	tr -d '\r' <$said | grep -v acknowledged
	grep -q 'the service is back' $said || fail "the guest did not notice"
	last=$(tr -d '\r' <$said | sed -n 's/^acknowledged //p' | tail -n 1)
	if [ "$last" != 149 ]; then
		want "it ends by an error of fsync" grep -q 'append: I/O error' $said
		echo "told of a loss behind line $last"
	fi
	echo "$last" >/run/far.last
	soon page index.html || fail "the web server's files are gone"
}

# Only when it is asked for: boot recover a_service_domain_is_made_anew a_network_domain_is_made_anew
long_a_network_domain_is_made_anew() {
	crash net far.calls
	soon page index.html || fail "the web server does not answer any more"
}

# Who loads a page then is reset; the server need not know.
case_both_service_domains_are_destroyed_under_traffic() {
	local net file client rc
	net=$(xl domid far.net) file=$(xl domid far.file)
	curl -sS -f -m 110 --keepalive-time 3 --limit-rate 150k -o /run/half "http://$A/huge.bin" >/run/curl.said 2>&1 &
	client=$!
	soon test -s /run/half || fail "nothing comes"
	xl destroy far.net || fail "xl destroy"
	xl destroy far.file || fail "xl destroy"
	within 120 came_anew net "$net" || fail "no other domain comes: $(tail -n 3 $far_log)"
	within 120 came_anew file "$file" || fail "no other domain comes: $(tail -n 3 $far_log)"
	wait $client
	rc=$?
	echo "curl ended with $rc after $(stat -c %s /run/half) bytes: $(cat /run/curl.said)"
	[ $rc = 56 ] || fail "the connection was not reset"
	rm -f /run/half
	soon page big.bin || fail "the web server does not answer any more"
	! grep 'far.web' $far_log || fail "the web server ended"
}

case_a_service_domain_is_rebooted() {
	local id
	id=$(xl domid far.file)
	xl reboot far.file || fail "xl reboot"
	within 120 came_anew file "$id" || fail "it does not come back: $(tail -n 3 $far_log)"
	tail -n 2 $far_log
	page big.bin || fail "the web server's files are gone"
}

# That is an administrator's act: said, and else left alone.
case_a_paused_service_domain_is_left_alone() {
	local id
	id=$(xl domid far.file)
	xl pause far.file || fail "xl pause"
	soon grep 'far.file is paused; it is left as it is' $far_log || fail "it is not noticed"
	strait ps | grep 'far.file .*paused' || fail "strait ps does not say it"
	sleep 7 # a domain that hangs would be destroyed by now
	[ "$(xl domid far.file)" = "$id" ] || fail "it was made anew"
	xl unpause far.file
	page big.bin || fail "the web server's files are gone"
	soon grep 'far.file goes on' $far_log || fail "its return is not said"
}

case_a_hung_service_domain_is_made_anew() {
	local id
	id=$(xl domid far.file)
	/test/domhang "$id" || fail "domhang"
	within 120 came_anew file "$id" || fail "no other domain comes: $(tail -n 3 $far_log)"
	grep "far.file (domain $id) hangs: no answer for 6 s" $far_log || fail "it is not said"
	page big.bin || fail "the web server's files are gone"
}

case_what_was_acknowledged_is_on_the_disk() {
	local last
	last=$(cat /run/far.last)
	strait down far || fail "strait down"
	want "no domain is left" [ "$(xl list | wc -l)" = 2 ]
	mkdir -p /far && mount -o ro /dev/vdd /far || fail "the disk"
	head -n $((last + 1)) /far/log >/run/log
	umount /far
	want "all that was acknowledged" [ "$(cat /run/log)" = "$(seq 0 "$last" | sed 's/^/acknowledged /')" ]
}

cases .script
rc=$?
umount /srv || rc=1
exit $rc
