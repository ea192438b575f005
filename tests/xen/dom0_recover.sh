# SPDX-License-Identifier: MIT
# dom0_recover.sh - in dom0: services that are killed under guests which go on.
image=dom0
file="mount=/srv:/srv"
net="interface=vnet1"
bridge xenbr0 10.55.0.1/24
ip link add vnet0 type veth # busybox names the other end veth0
ip link set veth0 name vnet1
brctl addif xenbr0 vnet0
ip link set vnet0 up
mkdir -p /srv
mount -t ext4 /dev/vdc /srv || exit 1

. ./services.sh

state_of() { xenstore-read "/local/domain/0/data/strait/$1/state"; }
is_ready() { [ "$(state_of "$1")" = ready ]; }
lines() { [ "$(wc -l </srv/log)" -ge "$1" ]; }
# another FILE-OR-NET PID: that service runs as another process than PID, and is ready.
another() { [ -n "$(pidof "$2")" ] && [ "$(pidof "$2")" != "$3" ] && is_ready "$1"; }

case_guests_go_on_over_kills_of_the_file_service() {
	local pid n kills=0
	deploy site \
		'[ "sql", "elf=/test/sqlite3", "args=/srv/www/many.db '"'.read /srv/many.sql'"'", "memory=32", "log=channel" ]' \
		'[ "log", "elf=/test/probe", "args=append /srv/log 900", "memory=16", "log=channel" ]' \
		'[ "web", "elf=/test/lighttpd", "args=-D -f /srv/lighttpd.conf", "memory=32" ]' ||
		fail "strait deploy"
	for n in 100 300 500; do
		soon lines $n || fail "the log does not grow"
		pid=$(pidof fsd)
		kill -9 "$pid" || fail "no fsd"
		kills=$((kills + 1))
		soon another file fsd "$pid" || fail "no other fsd comes: $(state_of file)"
	done
	waits log 0
	want "each line once, in order" [ "$(cat /srv/log)" = "$(seq 0 899 | sed 's/^/acknowledged /')" ]
	waits sql 0
	want "SQLite's own check" grep -qx ok /run/sql.said
	want "all rows" grep -qx 100 /run/sql.said
	grep 'the service is back' /run/log.said || fail "the guest did not notice $kills kills"
	page index.html || fail "the web server's files are gone"
}

case_a_listener_outlives_netd() {
	local pid
	pid=$(pidof netd)
	kill -9 "$pid" || fail "no netd"
	soon another net netd "$pid" || fail "no other netd comes: $(state_of net)"
	soon page index.html || fail "the web server does not answer any more"
	page big.bin || fail "the large file differs"
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

# A line that was synced before it was acknowledged outlives the domain that had it; one
# that was not may be lost, and then the guest is told.
case_a_service_domain_is_made_anew() {
	local last said=/var/log/xen/console/guest-far.log.log
	image=default file="disk=/dev/vdd, mount=xvda:/srv" net="bridge=xenbr0"
	deploy far '[ "log", "elf=/test/probe", "args=append-fsync /srv/log 300", "memory=16", "log=channel", "recover=120" ]' ||
		fail "strait deploy"
	soon grep -q 'acknowledged 50' $said || fail "the log does not grow"
	xl destroy far.file || fail "xl destroy"
	timeout 120 strait wait far.log
	echo "the guest ended with $?"
	cat /run/strait/far/watch.log
	tr -d '\r' <$said | grep -v acknowledged
	grep -q 'the service is back' $said || fail "the guest did not notice"
	last=$(tr -d '\r' <$said | sed -n 's/^acknowledged //p' | tail -n 1)
	if [ "$last" != 299 ]; then
		want "it ends by an error of fsync" grep -q 'append: I/O error' $said
		echo "told of a loss behind line $last"
	fi
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
