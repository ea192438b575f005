# SPDX-License-Identifier: MIT
# dom0_domains.sh - in dom0: each service is a domain.
image=default
file="disk=/dev/vdc, mount=xvda:/srv"
net="bridge=xenbr0"
bridge xenbr0 10.55.0.1/24

files_are_equal() {
	mount -o ro /dev/vdc /srv && cmp /srv/wget.out /test/www/index.html && cmp /srv/curl.out /test/www/big.bin
	local rc=$?
	umount /srv
	return $rc
}

mkdir -p /srv
. ./services.sh

# cannot_deploy IMAGE WORDS [LINE]: it fails, says so with these words, and with LINE among the
# last ones of the domain's console; nothing is left.
cannot_deploy() {
	local rc
	cat >/run/bad.desc <<-DESC
		name = "bad"
		services = [ "file, kind=file, image=$images/$1, $file" ]
		guests = [ "g, elf=/test/probe, memory=16" ]
	DESC
	strait deploy /run/bad.desc >/run/said 2>&1
	rc=$?
	cat /run/said
	want "status 125, not $rc" [ $rc = 125 ]
	want "it says: $2" grep -q "^strait: bad.file: $2" /run/said
	sed "1,/^its console's last lines:$/d" /run/said >/run/last
	[ $# = 2 ] || want "with its last lines" grep -q "$3" /run/last
	want "it says that nothing is left" grep -qx "strait: nothing is left of bad" /run/said
	want "no domain is left" [ "$(xl list | wc -l)" = 2 ]
	want "no state is left" [ ! -e /run/strait/bad ]
	xenstore-ls -f /local/domain >/run/nodes
	! grep strait /run/nodes || fail "nodes are left"
}

case_a_service_that_dies_while_starting_is_said_and_undone() {
	local images=/var/lib/strait/images
	ln -s ../default/vmlinuz $images/dies/
	ln -s ../default/vmlinuz $images/agentless/
	mkdir $images/text
	echo "no kernel" | tee $images/text/vmlinuz >$images/text/initramfs
	cannot_deploy dies 'fsd ended before it was ready (exit status 1)' 'strait-agent: fsd ended before'
	cannot_deploy agentless 'its domain crashed before it was ready' 'Kernel panic - not syncing'
	cannot_deploy text 'xl create: .*xc_dom'
}

# own_nodes KIND: how many nodes that service's domain owns, and how many of them for guests.
own_nodes() {
	xenstore-ls -fp /local/domain | grep "(n$(xl domid "many.$1")[,)]" >/run/nodes
	echo "$(wc -l </run/nodes) $(grep -c "/data/strait/$1/\(guests/\)\?[0-9]" /run/nodes)"
}

# Into /run/ps; `strait ps` waits a second for what services say of themselves, and a busy
# one on a slow machine is asked again.
all_said() {
	strait ps >/run/ps
	[ "$(grep -c '^many\.[a-z]* .* calls in flight' /run/ps)" = 2 ]
}

# One guest more on one service domain than Linux's default limit of grants lets it have,
# which is seven; in the soak thirty (prepare.sh).  Each has its own file there, locked and
# written to, and its own port of the network service.  With xenstored's quota of a domain,
# 1000 nodes, there is room for thirty.
case_many_guests_on_one_service() {
	local n many=$(cat /test/many) all own
	{
		printf 'name = "many"\nservices = [ "file, kind=file, squash=none, %s",' "$file"
		printf ' "net, kind=net, %s, ip=%s/24" ]\nguests = [\n' "$net" $A
		for n in $(seq "$many"); do
			echo "[ \"g$n\", \"elf=/test/probe\", \"args=wait /srv/many$n $((7000 + n))\", \"memory=8\" ],"
		done
		echo ']'
	} >/run/many.desc
	strait deploy /run/many.desc >/run/said 2>&1 || { cat /run/said; fail "strait deploy"; }
	for n in $(seq "$many"); do
		soon grep -q waiting "/var/log/xen/console/guest-many.g$n.log" ||
			{ console "many.g$n"; fail "guest $n has no file"; }
		want "guest $n is there" [ "$(nc -w 10 $A $((7000 + n)) </dev/null)" = "/srv/many$n" ]
	done
	soon all_said || true # then it shows
	cat /run/ps
	want "all have a session and a file" \
		grep -q "^many.file .*, $many sessions, 0 calls in flight, [0-9]* files$" /run/ps
	want "all have a session and a socket" \
		grep -q "^many.net .*, $many sessions, [0-9]* calls in flight, [0-9]* sockets$" /run/ps
	for n in file net; do
		set -- $(own_nodes $n)
		all=$1 own=$2
		echo "$n's domain owns $all nodes, $own of them for $many guests"
		want "six a guest (docs/XEN.md)" [ "$own" = $((6 * many)) ]
		want "room for thirty" [ $((all - own + 6 * 30)) -lt 1000 ]
	done
	strait down many >/run/said 2>&1 || { cat /run/said; fail "strait down"; }
	want "no domain is left" [ "$(xl list | wc -l)" = 2 ]
	mount -o ro /dev/vdc /srv || fail "the disk"
	n=$(cat /srv/many* | grep -cx here)
	umount /srv
	want "$many files were written, not $n" [ "$n" = "$many" ]
}

# readme: the commands of deploy/xl/README.md, up to what follows them.
readme() { sed -n '/^As root in dom0:/,/^The name of a service/s/^    //p' README.md; }

# said_of COMMAND WORDS: its answer begins so, once the time has come.
said_of() { eval "$1" | grep -q "^$2"; }

# One after the other as they stand there; a state is asked for until it is the one.
case_all_by_hand_as_its_readme_says() {
	local line web
	cd /test/xl || fail "no deploy/xl"
	mkdir -p /dev/vg /srv/strait
	ln -sf ../vdc /dev/vg/site
	cp /test/lighttpd /srv/strait/
	ip addr add 192.0.2.1/24 dev xenbr0
	readme >/run/readme
	want "there are commands" [ "$(grep -c nodes.sh /run/readme)" = 3 ]
	while read -r line <&3; do
		echo "$line"
		case $line in
		''|'#'*|mkimage*) continue ;; # prepare.sh has made it
		'xl console'*) continue ;;    # its log is looked at instead
		*'domid web)/data/strait/state') soon said_of "$line" 'exit 0' || { eval "$line"; fail "$line"; } ;;
		*state) within 100 said_of "$line" ready || { eval "$line"; fail "$line"; } ;;
		'xl shutdown web')
			web=$(xl domid web)
			A=192.0.2.10 soon page index.html || fail "no page"
			eval "$line" || fail "$line" ;;
		*) eval "$line" || fail "$line" ;;
		esac
	done 3</run/readme
	soon sh -c '[ "$(xl list | wc -l)" = 2 ]' || { xl list; fail "a domain is left"; }
	xenstore-ls -f /local/domain >/run/nodes
	! grep strait /run/nodes || fail "nodes are left"
	want "the guest ran: $web" grep -q . /run/got
	ip addr del 192.0.2.1/24 dev xenbr0
}

cases services.sh .script
