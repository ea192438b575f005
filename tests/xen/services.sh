# SPDX-License-Identifier: MIT
# services.sh - in dom0: guests with a file and a network service, by strait deploy.
#
# Sourced by dom0_shared.sh (both services are processes in dom0) and dom0_domains.sh
# (each is a domain); they set $image ("dom0" or "default"), $file (keys of the file
# service: /srv is on /dev/vdc, an ext4) and $net (its network interface).  The cases stand
# in order: the first brings the site up, the last takes it down.
. /etc/cases.sh

A=10.55.0.2 # the services' address; dom0 has .1

# deploy NAME GUEST...: services as above, and the guests, each "NAME, KEY=VALUE, ...".
# $trace: keys of both services.
trace=
deploy() {
	local name=$1 guest
	shift
	{
		printf 'name = "%s"\nservices = [\n' "$name"
		printf '  "file, kind=file, image=%s, squash=none, %s%s",\n' "$image" "$file" "$trace"
		printf '  "net, kind=net, image=%s, %s, ip=%s/24, gateway=10.55.0.1%s",\n]\nguests = [\n' \
			"$image" "$net" $A "$trace"
		for guest; do printf '  %s,\n' "$guest"; done
		printf ']\n'
	} >"/run/$name.desc"
	strait deploy "/run/$name.desc"
}

# waits NAME STATUS: guest NAME ends with that exit status.
waits() {
	local rc
	timeout 60 strait wait "$1"
	rc=$?
	strait logs "$1" | tr -d '\r' >"/run/$1.said"
	tail -n 20 "/run/$1.said"
	want "$1 ends with $2, not $rc" [ $rc = "$2" ]
}

# soon COMMAND...: within 20 seconds; within SECONDS COMMAND...
soon() { within 20 "$@"; }
within() {
	local end=$(($(now) + $1 * 100))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now)" -lt $end ] || return 1
		sleep 0.2
	done
}

page() {
	curl -sS -f -m 60 -o /run/got -w 'curl: %{size_download} bytes in %{time_total} s\n' "http://$A/$1" &&
		cmp /run/got "/test/www/$1"
}

# no_domains: none but dom0 and the services' own.
no_zombies() { ! xl list | grep -q '(null)'; }

case_a_description_is_deployed() {
	local begin
	begin=$(now)
	deploy site \
		'[ "web", "elf=/test/lighttpd", "args=-D -f /srv/lighttpd.conf", "memory=32" ]' \
		'[ "sql", "elf=/test/sqlite3", "args=/srv/www/demo.db '"'.read /srv/demo.sql'"'", "memory=32" ]' \
		'[ "holder", "elf=/test/probe", "args=hold /srv/lock", "memory=32" ]' \
		'[ "waiter", "elf=/test/probe", "args=wait-lock /srv/lock", "memory=32" ]' ||
		fail "strait deploy"
	say "deployed after $((($(now) - begin) / 100)) s"
	strait ps
	xl list
}

case_a_page_comes_through_the_network_service() {
	soon page index.html || fail "no page, or another"
	echo "index.html is equal"
	page big.bin || fail "the large file differs"
	echo "big.bin is equal"
}

# The interface is netd's alone: the Linux under it answers for no address and no group.
case_only_netd_answers_on_its_interface() {
	arping -c 3 -w 5 -I xenbr0 $A >/run/arp
	cat /run/arp
	want "one answer a question" grep -q 'Received 3 response' /run/arp
	! arping -c 2 -w 3 -I xenbr0 10.55.0.77 || fail "somebody answers for another address"
	ping -6 -c 2 -W 2 ff02::1%xenbr0 >/run/group
	cat /run/group
	! grep 'bytes from' /run/group | grep -v "$(ip -6 addr show dev xenbr0 | sed -n 's|.*inet6 \(fe80[^/]*\)/.*|\1|p')" || fail "a kernel answers to the group of all nodes"
}

case_sqlite_works_on_the_file_service() {
	waits sql 0
	want "its own check" grep -qx ok /run/sql.said
	want "all rows" grep -qx '2000' /run/sql.said
	curl -s -f -m 20 -o /run/got "http://$A/demo.db" || fail "the web server does not serve the database"
	want "it is a database" sh -c 'head -c 15 /run/got | grep -q "SQLite format 3"'
}

case_a_killed_guest_frees_its_locks() {
	local end
	soon grep -q locked /var/log/xen/console/guest-*holder.log || fail "the holder has no lock"
	sleep 1
	! grep -q locked /var/log/xen/console/guest-*waiter.log || fail "both have the lock"
	xl destroy "$(xl list | awk '$1 ~ /holder$/ {print $1}')" || fail "xl destroy"
	waits waiter 0
	want "it got the lock" grep -q locked /run/waiter.said
	page index.html || fail "the services are not well"
	soon no_zombies || { xl list; fail "a zombie domain stays"; }
}

# A domain that nobody announced: neither the nodes of another guest's channel, nor its
# grants, are for it.
case_a_wrong_guest_is_refused() {
	local path domid
	path=$(xenstore-ls -f /local/domain | sed -n 's|^\(/local/domain/[0-9]*/data/strait/file/[0-9]*\)/ring-ref = .*|\1|p' | head -n 1)
	[ -n "$path" ] || fail "no channel is there to be stolen"
	domid=${path#/local/domain/} domid=${domid%%/*}
	guest thief /test/bare 16 "vchan $domid $path 1"
	run thief 20 >/run/said
	cat /run/said
	want "it gets nothing" grep -qx 'bare: no vchan' /run/said
	page index.html || fail "the services are not well"
}

# Guests map its pages until they notice; then nothing of it may stay.
case_a_dead_service_leaves_no_zombie() {
	if [ "$image" = dom0 ]; then
		kill -9 $(pidof netd) || fail "no netd"
	else
		xl destroy site.net || fail "xl destroy"
	fi
	soon no_zombies || { xl list; fail "a zombie domain stays"; }
}

case_all_is_taken_down() {
	strait down site || fail "strait down"
	want "no domain is left" [ "$(xl list | wc -l)" = 2 ]
	xenstore-ls -f /local/domain >/run/nodes
	! grep strait /run/nodes || fail "nodes are left"
	! pidof fsd netd strait-agent || fail "processes are left"
}

case_real_programs_run() {
	httpd -p 10.55.0.1:8000 -h /test/www
	trace=", trace=1"
	deploy programs \
		'[ "lua", "elf=/test/lua", "args=/srv/try.lua", "memory=32" ]' \
		'[ "wget", "elf=/test/strait-busybox", "argv0=wget", "args=-O /srv/wget.out http://10.55.0.1:8000/index.html", "memory=32" ]' \
		'[ "curl", "elf=/test/strait-curl", "args=-s -o /srv/curl.out http://10.55.0.1:8000/big.bin", "memory=32" ]' \
		'[ "redis", "elf=/test/redis-server", "args=--save '"''"' --appendonly no --protected-mode no", "memory=64" ]' ||
		fail "strait deploy"
	waits lua 0
	want "Lua's answer" grep -qx 'fib 6765, 3 lines' /run/lua.said
	waits wget 0
	waits curl 0
	soon redis_answers || fail "redis does not answer"
	strait trace fetch file >/out/file.pcapng || fail "no trace of the file service"
	strait trace fetch net >/out/net.pcapng || fail "no trace of the network service"
	strait trace report /out/file.pcapng | tee /out/report | grep -q '^File.Open ' || fail "no File.Open in the trace"
	strait trace report /out/net.pcapng | tee -a /out/report | grep -q '^Net.Connect ' || fail "no Net.Connect in the trace"
	strait down programs || fail "strait down"
	files_are_equal || fail "a file that was fetched differs"
}

redis_answers() {
	[ "$(printf 'SET a b\r\nGET a\r\nQUIT\r\n' | nc -w 5 $A 6379 | tr -d '\r' | tr '\n' ' ')" = '+OK $1 b +OK ' ]
}

case_no_such_bridge_is_said_and_nothing_stays() {
	sed "s/bridge=[a-z0-9]*/bridge=nobridge/; s/interface=[a-z0-9]*/interface=nothere0/" /run/site.desc >/run/bad.desc
	strait deploy /run/bad.desc >/run/said 2>&1
	rc=$?
	cat /run/said
	want "status 125, not $rc" [ $rc = 125 ]
	want "it names it" grep -Eq 'nobridge|nothere0' /run/said
	want "no domain is left" [ "$(xl list | wc -l)" = 2 ]
	! pidof fsd netd strait-agent || fail "processes are left"
}
