#!/bin/bash
# SPDX-License-Identifier: MIT
# strait deploy, down, ps, logs, console, wait, stop: the order of things, what is asked
# of xl, what is written into xenstore, what is removed when something fails.
. "$(dirname "$0")/xen/lib.sh"

site()
{
	description <<-END
	name = "site"
	services = [
	  "file, kind=file, memory=96, disk=$W/disk.img, mount=xvda:/srv:ro, mount=mem:/tmp:16m, squash=10:20",
	  "net, kind=net, bridge=br0, mac=00:16:3e:01:02:03, ip=192.0.2.10/24, gateway=192.0.2.1,
	   dns=192.0.2.1, dns=2001:db8::1, ip=2001:db8::10/64, port-min=80, log=info, trace=2, trace-size=1m"
	]
	guests = [
	  [ "web", "elf=$G", "args=-D '/srv/my conf'", "memory=32", "env=MODE=a b", "uid=33",
	    "gid=34", "groups=5,6", "cwd=/srv", 'xl=cpus="1"', "port=8080:80" ],
	  "db, elf=$G, service=file, log=channel",
	]
	END
	sed -i ':a;/,$/{N;s/\n */ /;ba}' "$W/site.cfg"
}

CASE=services_then_guests_each_paused_until_it_is_announced
fresh; site
"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
is calls "$(grep -v '^list\|^domid\|^info' "$FAKE_XEN/calls" | sed 's,/run/strait/site/,,' | tr '\n' ';')" \
	"create -p -e -q site.file.cfg;unpause 5;create -p -e -q site.net.cfg;unpause 6;create -p -e -q site.web.cfg;unpause 7;create -p -e -q site.db.cfg;unpause 8;"
grep -q "^site.web .*runs after" "$W/out" || fail "$CASE: $(cat "$W/out")"
passed

CASE=what_xl_is_told
for want in 'name = "site.file"' 'type = "pvh"' 'memory = 96' "kernel = \"$STRAIT_IMAGES/default/vmlinuz\"" \
	'on_poweroff = "preserve"'; do
	grep -qF "$want" "$FAKE_XEN/site.file.cfg" || fail "$CASE: no $want in $(cat "$FAKE_XEN/site.file.cfg")"
done
grep -q 'format=raw,vdev=xvda,access=rw,target=/dev/loop' "$FAKE_XEN/site.file.cfg" || fail "$CASE: disk"
grep -qF 'vif = [ "bridge=br0,mac=00:16:3e:01:02:03" ]' "$FAKE_XEN/site.net.cfg" || fail "$CASE: vif"
grep -qF "kernel = \"$G\"" "$FAKE_XEN/site.web.cfg" || fail "$CASE: the ELF"
grep -qxF 'cpus="1"' "$FAKE_XEN/site.web.cfg" || fail "$CASE: xl="
passed

CASE=a_service_finds_its_configuration
c=/local/domain/5/strait/file/config
is kind "$(store $c/kind)" file
is mount0 "$(store $c/mounts/0/guest) $(store $c/mounts/0/kind)" "/ mem"
is mount1 "$(store $c/mounts/1/guest) $(store $c/mounts/1/kind) $(store $c/mounts/1/source) $(store $c/mounts/1/ro)" \
	"/srv dir /dev/xvda 1"
is mount2 "$(store $c/mounts/2/guest) $(store $c/mounts/2/size)" "/tmp 16777216"
is squash "$(store $c/squash)" 10:20
c=/local/domain/6/strait/net/config
is net "$(for k in kind stack interface ip4 gateway4 ip6 dns port-min log epoch trace trace-size; do echo "$(store $c/$k)"; done | tr '\n' ' ')" \
	"net lwip eth0 192.0.2.10/24 192.0.2.1 2001:db8::10/64 192.0.2.1 2001:db8::1 80 2 1 2 1048576 "
passed

CASE=only_its_service_may_read_a_node
for p in /local/domain/5/strait /local/domain/5/strait/file /local/domain/5/strait/file/config/kind \
	/local/domain/5/strait/file/guests/7/uuid /local/domain/5/strait/file/config/mounts/1/source; do
	is "$p" "$(perms $p)" "n0 r5"
done
is guest "$(perms /local/domain/7/strait/client-id)" "n0 r7"
is alive "$(store /local/domain/7/strait/net/alive) $(perms /local/domain/7/strait/net/alive)" "1 n0 r6"
is release "$(perms /@releaseDomain)" "n0 r5 r6"
passed

CASE=a_guest_is_announced_and_finds_its_services
g=/local/domain/7/strait
is file "$(store $g/version) $(store $g/file/backend-id) $(store $g/file/path) $(store $g/file/epoch)" \
	"1 5 /local/domain/5/data/strait/file/7 1"
is net "$(store $g/net/backend-id) $(store $g/net/path)" "6 /local/domain/6/data/strait/net/7"
is client "$(store $g/client-id)" "$(store /local/domain/5/strait/file/guests/7/client-id)"
is id_length "$(store $g/client-id | wc -c)" 32
a=/local/domain/6/strait/net/guests/7
is ids "$(store $a/uid) $(store $a/gid) $(store $a/groups)" "33 34 5,6"
is uuid "$(store $a/uuid)" "$(cut -d' ' -f2 "$FAKE_XEN/doms/7")"
is no_net_for_db "$(store /local/domain/8/strait/net/path)$(store /local/domain/6/strait/net/guests/8/uuid)" ""
[ -n "$(store /local/domain/5/strait/file/guests/8/uuid)" ] || fail "$CASE: db is not announced"
passed

CASE=the_command_line_is_quoted
is cmdline "$(store $g/cmdline)" \
	"argv0=guest cwd=/srv uid=33 gid=34 groups=5,6 hostname=web 'env=MODE=a b' env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin env=HOME=/ env=HOSTNAME=web stamps=1 -- -D '/srv/my conf'"
passed

CASE=a_deployment_is_not_made_twice
"$STRAIT" deploy "$W/site.cfg" >/dev/null 2>"$W/err" && fail "$CASE: it is"
grep -q "site is deployed already; .strait down site" "$W/err" || fail "$CASE: $(cat "$W/err")"
is domains "$(ls "$FAKE_XEN/doms" | wc -l)" 4
passed

CASE=ps_lists_domains
"$STRAIT" ps >"$W/out" 2>"$W/err"
for want in "site.file .* 5 .* 96 service *runs" "site.web .* 7 .* 32 guest *runs"; do
	grep -q "$want" "$W/out" || fail "$CASE: no $want in $(cat "$W/out" "$W/err")"
done
[ ! -s "$W/err" ] || fail "$CASE: $(cat "$W/err")"
passed

CASE=console_attaches
is console "$("$STRAIT" console web)" "the console of 7"
passed

CASE=trace_fetch_asks_the_agent
is trace "$("$STRAIT" trace fetch net)" "trace of net in 6"
"$STRAIT" trace fetch web 2>"$W/err" && fail "$CASE: of a guest"
grep -q "is a guest; services record" "$W/err" || fail "$CASE: $(cat "$W/err")"
passed

CASE=logs_shows_what_a_domain_wrote
mount -t tmpfs none /var/log && mkdir -p /var/log/xen/console
echo "a line" >/var/log/xen/console/guest-site.web.log
is logs "$("$STRAIT" logs site.web)" "a line"
"$STRAIT" logs db >"$W/out" 2>"$W/err" && fail "$CASE: of db"
grep -q "xenconsoled keeps no logs" "$W/err" || fail "$CASE: $(cat "$W/err")"
passed

CASE=stop_asks_and_the_watcher_cleans_up
"$STRAIT" stop db 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
for i in $(seq 50); do [ -e "$FAKE_XEN/doms/8" ] || break; sleep 0.1; done
[ -e "$FAKE_XEN/doms/8" ] && fail "$CASE: domain 8 is still there: $(cat /run/strait/site/watch.log)"
grep -qx "shutdown 8" "$FAKE_XEN/calls" || fail "$CASE: xl shutdown"
[ -e "$FAKE_XEN/store/local/domain/5/strait/file/guests/8" ] && fail "$CASE: still announced"
"$STRAIT" ps | grep -q "site.db .*exit 0" || fail "$CASE: $("$STRAIT" ps)"
passed

CASE=wait_ends_as_the_guest
"$STRAIT" wait web & w=$!
sleep 0.3
kill -0 $w 2>/dev/null || fail "$CASE: it did not wait"
printf 'exit 37' >"$FAKE_XEN/store/local/domain/7/data/strait/state/.value"
sed -i 's/r----- -/---s-- 0/' "$FAKE_XEN/doms/7"; touch "$FAKE_XEN/release"
wait $w; is status $? 37
passed

CASE=a_service_that_ends_is_made_anew
crash() # DOMID COMMAND: until the command is true
{
	sed -i 's/r----- -/----c- 3/' "$FAKE_XEN/doms/$1"
	for i in $(seq 100); do
		touch "$FAKE_XEN/release" # again: the stand-in forgets what comes while it works
		eval "$2" && break
		sleep 0.1
	done
}
was=$(find "$FAKE_XEN/store/local/domain/6/strait/net/config" -name .value | wc -l)
crash 6 'grep -qx "unpause 9" "$FAKE_XEN/calls"'
"$STRAIT" ps | grep -q "site.net .* 9 .*runs" || fail "$CASE: $("$STRAIT" ps; cat /run/strait/site/watch.log)"
[ ! -e "$FAKE_XEN/doms/6" ] || fail "$CASE: domain 6 is still there"
is epoch "$(store /local/domain/9/strait/net/config/epoch)" 1001
is ip4 "$(store /local/domain/9/strait/net/config/ip4)" 192.0.2.10/24
is nodes "$(find "$FAKE_XEN/store/local/domain/9/strait/net/config" -name .value | wc -l)" "$was"
is perms "$(perms /local/domain/9/strait/net/config/kind)" "n0 r9"
passed

CASE=one_that_ends_again_and_again_is_kept_and_told
for n in 9 10; do # three in a row are made anew
	crash $n "grep -qx 'unpause $((n + 1))' '$FAKE_XEN/calls'"
done
crash 11 '"$STRAIT" ps | grep -q "site.net .*crash"'
"$STRAIT" ps | grep -q "site.net .*crash" || fail "$CASE: $("$STRAIT" ps)"
[ -e "$FAKE_XEN/doms/11" ] || fail "$CASE: it is gone"
passed

CASE=down_removes_guests_first
: >"$FAKE_XEN/calls"
"$STRAIT" down >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
is calls "$(grep 'destroy\|shutdown' "$FAKE_XEN/calls" | tr '\n' ';')" "shutdown 5;destroy 11;destroy 5;"
is release "$(perms /@releaseDomain)" n0
gone
passed

CASE=a_silent_domain_is_judged_by_what_xen_says
fresh
description <<END
services = [ "file, kind=file, disk=$W/disk.img, mount=xvda:/srv, hang=1", "net, kind=net, bridge=br0, ip=192.0.2.3/24, hang=1, paused=2" ]
END
"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
is policy "$(store /local/domain/5/strait/file/config/hang) $(store /local/domain/6/strait/net/config/hang) $(store /local/domain/6/strait/net/config/paused)" "1 1 2"
for i in $(seq 60); do [ -n "$(store /local/domain/5/data/strait/file/pong)" ] && [ -n "$(store /local/domain/6/data/strait/net/pong)" ] && break; sleep 0.1; done
sleep 2 # some answers
touch "$FAKE_XEN/silent"
sed -i 's/r----- -/--p--- -/' "$FAKE_XEN/doms/5" "$FAKE_XEN/doms/6"
for i in $(seq 80); do grep -qx "unpause 7" "$FAKE_XEN/calls" && break; sleep 0.1; done
grep -q "site.file is paused; it is left as it is" /run/strait/site/watch.log || fail "$CASE: $(cat /run/strait/site/watch.log)"
grep -q "site.net (domain 6) is paused for 2 s" /run/strait/site/watch.log || fail "$CASE: $(cat /run/strait/site/watch.log)"
[ -e "$FAKE_XEN/doms/5" ] || fail "$CASE: the one without paused= is gone"
[ ! -e "$FAKE_XEN/doms/6" ] || fail "$CASE: the other is not"
sed -i 's/--p--- -/r----- -/' "$FAKE_XEN/doms/5"
for i in $(seq 80); do grep -qx "unpause 8" "$FAKE_XEN/calls" && break; sleep 0.1; done
grep -q "site.file goes on" /run/strait/site/watch.log || fail "$CASE: $(cat /run/strait/site/watch.log)"
grep -q "site.file (domain 5) hangs: no answer for 2 s" /run/strait/site/watch.log || fail "$CASE: $(cat /run/strait/site/watch.log)"
is order "$(grep 'destroy 5\|create.*file\|unpause 8' "$FAKE_XEN/calls" | tail -3 | sed 's,/run/strait/site/,,' | tr '\n' ';')" \
	"destroy 5;create -p -e -q site.file.cfg;unpause 8;"
"$STRAIT" down >/dev/null; gone
passed

CASE=services_of_dom0_run_as_processes
fresh
ip link add eth7 type veth peer name eth8
mkdir -p "$W/www"
description <<END
services = [ "file, kind=file, image=dom0, mount=./www:/www:ro", "net, kind=net, image=dom0, interface=eth7, ip=192.0.2.3/24" ]
guests = [ "g, elf=guest" ]
END
(cd "$W" && "$STRAIT" deploy site.cfg >"$W/out" 2>"$W/err") || fail "$CASE: $(cat "$W/err")"
is source "$(store /local/domain/0/strait/file/config/mounts/1/source)" "$W/www"
is perms "$(perms /local/domain/0/strait/file/config/kind)" n0
is backend "$(store /local/domain/5/strait/net/backend-id)" 0
is agents "$(ps -eo args= | grep -c "[s]trait-agent --service")" 2
is log "$("$STRAIT" logs file)" "agent of file"
"$STRAIT" down site >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
ip link del eth7
gone
passed

CASE=guests_that_end_at_once
fresh
echo "exit 3" | tr -d '\n' >"$FAKE_XEN/site.g.state"
description <<END
guests = [ "g, elf=guest" ]
END
"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
grep -q "^site.g .*ended: exit 3" "$W/out" || fail "$CASE: $(cat "$W/out")"
"$STRAIT" wait site.g; is status $? 3
"$STRAIT" down >/dev/null; gone
passed

CASE=a_guest_that_another_destroys
fresh
"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
xl destroy 5
"$STRAIT" wait g 2>"$W/err"; is status $? 137
"$STRAIT" down >/dev/null; gone
passed

CASE=a_missing_image_is_built
fresh; site
rm -r "$STRAIT_IMAGES/default"
printf '#!/bin/sh\nmkdir -p "$1"; : >"$1/vmlinuz"; : >"$1/initramfs"; echo built\n' >"$W/mkimage"
chmod +x "$W/mkimage"
STRAIT_MKIMAGE=$W/mkimage "$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
grep -q built "$W/err" || fail "$CASE: $(cat "$W/err")"
"$STRAIT" down >/dev/null; gone
passed

# --- what fails, and that nothing stays -----------------------------------------
fresh; site
printf 'failed: no such interface eth0' >"$FAKE_XEN/site.net.state"
refused a_service_that_fails 125 "site.net: no such interface eth0"

fresh; site
echo dies >"$FAKE_XEN/site.file.state"
echo "Kernel panic" >/var/log/xen/console/guest-site.file.log
refused a_service_that_crashes 125 "site.file: its domain crashed before it was ready"
grep -q "Kernel panic" "$W/err" || fail "no console lines: $(cat "$W/err")"

fresh; site
printf starting >"$FAKE_XEN/site.net.state"
STRAIT_DEPLOY_TIMEOUT=4 refused a_silent_service 125 'site.net: does not say that it is ready (after 4 s it says "starting")'

fresh; site
echo "libxl: error: libxl_create.c:1:x: unable to create domain: No space left on device" >"$FAKE_XEN/create.site.web"
refused xl_that_fails 125 "site.web: xl create: libxl: error: libxl_create.c:1:x: unable"

fresh; site
FAKE_XS_FAIL="domain/7/strait/client-id 28" refused a_full_xenstore 125 "quota nodes"

fresh; site
printf 'failed: no more grants (xen_gntalloc.limit)' >"$FAKE_XEN/takes"
refused a_service_without_grants 125 "site.web: file does not take it: no more grants (xen_gntalloc.limit)"

fresh; site
printf 'exit 125' >"$FAKE_XEN/site.db.state"
printf 'strait: bad value of option uid=\n' >/var/log/xen/console/guest-site.db.log
refused a_guest_that_cannot_start 125 "site.db: it could not start (exit 125)"
grep -q "bad value of option" "$W/err" || fail "no console lines: $(cat "$W/err")"

fresh; site
printf 'crash at 0x0' >"$FAKE_XEN/site.db.state"
refused a_guest_that_crashes 125 "site.db: it could not start (crash at 0x0)"

fresh; site
echo destroyed >"$FAKE_XEN/site.web.state"
refused a_guest_that_vanishes 125 "site.web: its domain was destroyed before its program ran"

fresh
touch "$FAKE_XEN/agent.dies"
description <<END
services = [ "file, kind=file, image=dom0" ]
END
refused an_agent_that_dies 125 "site.file: its agent ended"

CASE=a_signal_while_it_waits
fresh; site
printf starting >"$FAKE_XEN/site.net.state"
env --default-signal=INT "$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" & p=$!
wait_line "$FAKE_XEN/calls" "unpause 6"
sleep 0.3; kill -INT $p
wait $p; is status $? 130
gone
passed

CASE=down_asks_guests_then_services
fresh; site
"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
: >"$FAKE_XEN/calls"
"$STRAIT" down site >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
is calls "$(grep 'destroy\|shutdown' "$FAKE_XEN/calls" | tr '\n' ';')" \
	"shutdown 7;shutdown 8;destroy 8;destroy 7;shutdown 5;shutdown 6;destroy 6;destroy 5;"
gone
passed

CASE=down_after_deploy_was_killed
fresh; site
printf starting >"$FAKE_XEN/site.net.state"
"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" & p=$!
wait_line "$FAKE_XEN/calls" "unpause 6"
kill -KILL $p; wait $p 2>/dev/null
is domains "$(ls "$FAKE_XEN/doms" | wc -l)" 2
"$STRAIT" down site >/dev/null 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
gone
passed

CASE=down_after_deploy_was_killed_while_xl_worked
fresh; site
touch "$FAKE_XEN/slow"
"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" & p=$!
for i in $(seq 100); do [ -e "$FAKE_XEN/creating" ] && break; sleep 0.05; done
kill -KILL $p; wait $p 2>/dev/null
for i in $(seq 100); do [ -e "$FAKE_XEN/doms/5" ] && break; sleep 0.05; done
"$STRAIT" down site >/dev/null 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
gone
passed

CASE=others_domains_are_not_touched
fresh
description <<END
guests = [ "g, elf=guest", "h, elf=guest" ]
END
"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
sed -i 's/^[^ ]* [^ ]*/other 11111111-2222-3333-4444-555555555555/' "$FAKE_XEN/doms/5" # the number came again
"$STRAIT" down >/dev/null 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
is domains "$(ls "$FAKE_XEN/doms")" 5
rm "$FAKE_XEN/doms/5"
gone
passed

CASE=a_watcher_that_was_killed
fresh
"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
"$STRAIT" watch site 2>"$W/err" && fail "$CASE: two watch"
grep -q "watch site: process [0-9]* does it" "$W/err" || fail "$CASE: $(cat "$W/err")"
kill -KILL "$(awk '$1 == "watch" { print $2 }' /run/strait/site/members)"
for i in $(seq 50); do "$STRAIT" wait g 2>"$W/err" && break; grep -q "has ended" "$W/err" && break; done
grep -q "wait g: the watcher of site has ended" "$W/err" || fail "$CASE: $(cat "$W/err")"
printf 'exit 5' >"$FAKE_XEN/store/local/domain/5/data/strait/state/.value"
sed -i 's/r----- -/---s-- 0/' "$FAKE_XEN/doms/5"
"$STRAIT" watch site >/dev/null & w=$!
wait_line /run/strait/site/members "^watch $w "
"$STRAIT" wait g; is status $? 5
"$STRAIT" down >/dev/null 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
wait $w 2>/dev/null
gone
passed

CASE=a_damaged_state_file
fresh
"$STRAIT" deploy "$W/site.cfg" >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
printf 'guest x' >>/run/strait/site/members
"$STRAIT" down >/dev/null 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
grep -q "members is damaged; what can be read" "$W/err" || fail "$CASE: $(cat "$W/err")"
gone
passed

ip link del br0
finish
