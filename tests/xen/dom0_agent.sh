# SPDX-License-Identifier: MIT
# dom0_agent.sh - in dom0: strait-agent with fsd, and Linux programs as its guests, which
# use Xen's own libxenvchan (service_client).  What goes wrong is said in one sentence.
. /etc/cases.sh

AT=/local/domain/0/strait/file
DATA=/local/domain/0/data/strait/file
ID=00112233445566778899aabbccddeeff
echo 8192 >/sys/module/xen_gntalloc/parameters/limit

# node NAME VALUE: below the service's node.
node() { xenstore-write "$AT/$1" "$2"; }

# is STATE-NODE TEXT: wait until it begins so.
is() {
	local n=0
	while [ $n -lt 150 ]; do
		case $(xenstore-read "$1" 2>/dev/null) in
		"$2"*) return 0 ;;
		esac
		sleep 0.1
		n=$((n + 1))
	done
	echo "$1 is $(xenstore-read "$1" 2>&1)"
	return 1
}

configure() {
	xenstore-rm $AT 2>/dev/null
	xenstore-rm $DATA 2>/dev/null
	mkdir -p /srv/data
	echo 'hello from dom0' >/srv/data/hello
	node config/mounts/0/guest /
	node config/mounts/0/kind mem
	node config/mounts/1/guest /data
	node config/mounts/1/kind dir
	node config/mounts/1/source /srv/data
	node config/squash none
	node config/trace 1
	node config/kind file
}

agent() {
	/usr/bin/xen/strait-agent --service file >/run/agent.said 2>&1 &
	echo $! >/run/agent.pid
}

# announced UUID: dom0 itself is a guest, and may connect.
announced() {
	node guests/0/client-id $ID
	node guests/0/uuid "$1"
	is $DATA/guests/0/state ready
}

client() { timeout 60 ./service_client 0 $DATA/0 $ID file "$@" >/run/client 2>&1; }

# fails TEXT: the agent, as it is configured, ends with 125 and that sentence.
fails() {
	local rc
	timeout 30 /usr/bin/xen/strait-agent --service file >/run/agent.said 2>&1
	rc=$?
	cat /run/agent.said
	want "exit status 125, not $rc" [ $rc = 125 ]
	want "it says: $1" grep -qF "$1" /run/agent.said
	want "its state says: $1" sh -c "xenstore-read $DATA/state | grep -qF '$1'"
	want "nothing is left running" sh -c '! pidof fsd'
}

case_a_wrong_configuration_is_one_sentence() {
	configure
	node config/mounts/1/source /nowhere
	fails 'mount /data: cannot serve /nowhere: No such file or directory'
	node config/mounts/1/source /dev/console
	fails 'mount /data: cannot mount /dev/console (ext4)'
	configure
	node config/mounts/1/guest /
	fails 'two mounts at /'
	configure
	node config/kind disk
	fails "xenstore node $AT/config/kind is \"disk\", not file or net"
}

case_the_service_starts() {
	configure
	agent
	is $DATA/state ready || { cat /run/agent.said; fail "not ready"; }
	echo "fsd: $(grep -E 'Seccomp:|NoNewPrivs|CapPrm' /proc/"$(pidof fsd)"/status | tr -d '\n')"
	want "it has two devices" [ "$(ls /proc/"$(pidof fsd)"/root/dev/xen | tr '\n' ' ')" = 'evtchn gntalloc ' ]
}

case_files_cross_the_real_libxenvchan() {
	announced one || fail "not announced"
	want "the nodes are the guest's alone" sh -c "xenstore-ls -fp $DATA | grep -q 'ring-ref.*(n0,r0)'"
	client put /tmp/a 'some text' get /tmp/a get /data/hello stress /tmp/b 20 ping 100
	cat /run/client
	want "what was written" grep -qx 'CLIENT get /tmp/a: "some text"' /run/client
	want "dom0's file" grep -q 'hello from dom0' /run/client
	want "bulk" grep -q 'CLIENT stress 20 rounds' /run/client
	want "a clean end" grep -qx 'CLIENT done' /run/client
}

# The guest left: its node must go before another may come with that domain's number.
case_a_guest_comes_again_when_it_is_announced_again() {
	node guests/0/uuid two
	announced two || fail "not announced again"
	client get /tmp/a
	cat /run/client
	want "another session, the same files" grep -qx 'CLIENT get /tmp/a: "some text"' /run/client
}

case_a_client_with_another_id_is_refused() {
	xenstore-rm $AT/guests/0
	announced three || fail "not announced again"
	timeout 20 ./service_client 0 $DATA/0 ffeeddccbbaa99887766554433221100 file get /tmp/a >/run/client 2>&1
	cat /run/client
	want "no hello" grep -q 'CLIENT FAIL hello' /run/client
	want "the log says why" grep -q 'not the client that was announced' /run/agent.said
}

case_a_hostile_index_closes_that_channel_alone() {
	xenstore-rm $AT/guests/0
	announced four || fail "not announced again"
	client ping 3 break
	cat /run/client
	want "hung up" grep -qx 'CLIENT the service hung up' /run/client
	want "the log says why" grep -q 'index is out of range' /run/agent.said
	want "fsd lives" pidof fsd
}

case_a_killed_client_frees_its_locks() {
	xenstore-rm $AT/guests/0
	announced five || fail "not announced again"
	client lock /tmp/lock hold 60 &
	sleep 3
	killall -9 service_client
	xenstore-rm $AT/guests/0
	announced six || fail "not announced again"
	client lock /tmp/lock
	cat /run/client
	want "the lock is free" grep -qx 'CLIENT lock /tmp/lock: mine' /run/client
}

case_the_trace_is_fetched() {
	/usr/bin/xen/strait-agent --trace-of 0 --service file >/out/trace.pcapng || fail "not fetched"
	want "pcapng" sh -c "head -c 4 /out/trace.pcapng | od -An -tx1 | grep -q '0a 0d 0d 0a'"
	want "it holds what was done" grep -q /tmp/lock /out/trace.pcapng
	/usr/bin/xen/strait-agent --trace-of 0 --service none >/run/none 2>&1 && fail "a trace of nobody"
	cat /run/none
}

# another PID: fsd runs as another process, and is ready.
another() { [ -n "$(pidof fsd)" ] && [ "$(pidof fsd)" != "$1" ] && [ "$(xenstore-read $DATA/state)" = ready ]; }

case_a_service_that_dies_is_followed_by_another() {
	local pid end
	xenstore-rm $AT/guests/0
	announced seven || fail "not announced again"
	client ping 1 hold 60 &
	sleep 2
	pid=$(pidof fsd)
	kill -9 "$pid"
	end=$(($(now) + 2000))
	until another "$pid"; do [ "$(now)" -lt $end ] || fail "no other comes"; sleep 0.1; done
	wait $!
	cat /run/client
	want "a client that does not recover sees it" grep -q 'CLIENT' /run/client
	want "the next epoch" [ "$(xenstore-read $DATA/epoch)" = 2 ]
	is $DATA/guests/0/state ready || fail "the guest may not connect again"
	want "its channel is of that epoch" [ "$(xenstore-read $DATA/0/epoch)" = 2 ]
}

case_one_that_dies_again_and_again_has_failed() {
	local pid n end
	for n in 2 3 4 5; do
		pid=$(pidof fsd)
		kill -9 "$pid"
		end=$(($(now) + 2000))
		until another "$pid"; do [ "$(now)" -lt $end ] || fail "no other comes after end $n"; sleep 0.1; done
	done
	kill -9 "$(pidof fsd)"
	is $DATA/state 'failed: fsd ended unasked (signal 9), 6 times in a row' || fail "its state"
	want "no channel's nodes stay" sh -c "! xenstore-exists $DATA/0"
	sleep 1
	! kill -0 "$(cat /run/agent.pid)" 2>/dev/null || fail "the agent of dom0 still runs"
}

case_an_orderly_end_leaves_nothing() {
	configure
	agent
	is $DATA/state ready || fail "not ready"
	announced eight || fail "not announced"
	client put /data/last 'the last words'
	kill "$(cat /run/agent.pid)"
	wait "$(cat /run/agent.pid)"
	want "no nodes" sh -c "! xenstore-exists $DATA"
	want "no process" sh -c '! pidof fsd strait-agent'
	want "what was written is there" grep -qx 'the last words' /srv/data/last
}

cases
