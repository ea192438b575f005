# SPDX-License-Identifier: MIT
# dom0_bare.sh - in dom0: what a guest without services must do.
. /etc/cases.sh
. ./channel.sh

# probe NAME MEMORY SECONDS WORD...: run the probe; what it said is in /run/said.
probe() {
	local name=$1 memory=$2 seconds=$3
	shift 3
	guest "$name" /test/probe "$memory" "$*"
	run "$name" "$seconds" >/run/said
	tail -n 5 /run/said
	[ "$how" != hangs ] || cat /run/evidence
	echo "$name: $how"
}

said() { grep -qxF "$1" /run/said; }

# The toolstack waits a minute until it believes that a guest is not to be suspended:
# what comes of these is looked at in the last case.
case_save_and_migration_are_asked_for() {
	local name
	for name in saved moved; do
		guest $name /test/probe 16 wait
		start $name || fail "$name was not created"
	done
	guest ordered /test/probe 16 wait
	start ordered
	(xl save saved /run/saved.image; echo "status $?") >/run/saved.said 2>&1 &
	(xl migrate -s '' moved 'xl migrate-receive'; echo "status $?") >/run/moved.said 2>&1 &
	is_waiting ordered || fail "it does not run"
	xenstore-write "/local/domain/$(id ordered)/control/shutdown" suspend
	for try in $(seq 50); do
		console ordered | grep -q refused && break
		sleep 0.1
	done
	console ordered
	want "it refuses" grep -q '^strait: the toolstack orders suspend: refused' /var/log/xen/console/guest-ordered.log
	want "it runs on" [ "$(status ordered)" = running ]
	xl shutdown ordered >/dev/null
	ended ordered 20 >/dev/null
	how=$(status ordered)
	gone ordered
	want "it ends when it is told, not '$how'" [ "$how" = "signal 15" ]
}

is_waiting() {
	local try
	for try in $(seq 100); do
		console "$1" | grep -q waiting && return 0
		sleep 0.1
	done
	return 1
}

case_the_same_file_runs_hosted_and_here() {
	[ "$(sha256sum </test/probe)" = "$(cat /test/probe.sha256)" ] || fail "another file"
	probe hello 16 20 hello
	want "it says hello" said "hello, world"
	want "status 0" [ "$how" = "exit 0" ]
	want "nothing else is said" [ "$(wc -l </run/said)" = 1 ]
}

case_words_come_as_they_were_quoted() {
	guest words /test/probe 16
	cat >>/run/words.cfg <<'CFG'
cmdline="argv0=/bin/probe env=A=1 'env=B=two words' cwd=/tmp -- words 'one  arg' \"dou\\\"ble\" back\\ slash '' last"
CFG
	run words 20 >/run/said
	cat /run/said
	want "argv[0]" said "arg 0 </bin/probe>"
	want "blanks" said "arg 2 <one  arg>"
	want "a double quote" said 'arg 3 <dou"ble>'
	want "a backslash" said "arg 4 <back slash>"
	want "an empty word" said "arg 5 <>"
	want "the last" said "arg 6 <last>"
	want "no more" [ "$(grep -c '^arg' /run/said)" = 7 ]
	want "a variable" said "env <A=1>"
	want "a variable with a blank" said "env <B=two words>"
}

case_a_long_command_line_comes_by_xenstore() {
	local long
	long=$(awk 'BEGIN { for (i = 0; i < 3000; i++) printf "x" }')
	guest long /test/probe 16 ignored
	start long -p
	xenstore-write "/local/domain/$(id long)/strait/version" 1
	xenstore-write "/local/domain/$(id long)/strait/cmdline" "words $long end"
	xenstore-chmod -r "/local/domain/$(id long)/strait" n0 "r$(id long)"
	xl unpause long
	ended long 20 >/dev/null
	settle long
	console long >/run/said
	gone long
	want "the long word" said "arg 2 <$long>"
	want "the last word" said "arg 3 <end>"
}

case_the_exit_status_is_readable() {
	probe seven 16 20 exit 7
	want "status 7" [ "$how" = "exit 7" ]
}

case_the_console_loses_nothing() {
	probe flood 16 60 flood 2000
	want "status 0" [ "$how" = "exit 0" ]
	want "2000 lines" [ "$(grep -c '^line ' /run/said)" = 2000 ]
	awk '/^line / && $2 != sprintf("%06d", n++) { exit 1 }' /run/said || fail "lines out of order"
}

case_the_console_takes_input() {
	local tty
	guest input /test/probe 16 echo
	start input
	tty=$(xenstore-read "/local/domain/$(id input)/console/tty")
	stty -F "$tty" raw -echo
	sleep 1
	for word in first second; do echo "$word line" >"$tty"; done
	awk 'BEGIN { for (i = 0; i < 200; i++) printf "0123456789"; print "" }' >"$tty"
	echo end >"$tty"
	ended input 20
	how=$(status input)
	settle input
	console input >/run/said
	gone input
	cut -c1-100 /run/said
	want "a line" grep -q 'got 11 <first line>' /run/said
	want "another" grep -q 'got 12 <second line>' /run/said
	want "a long one" grep -q 'got 2001 <0123456789' /run/said
	want "it ends by itself" [ "$how" = "exit 0" ]
}

case_faults_become_signals() {
	local pair
	for pair in segv:11 call:11 text:11 exec:11 stack:11 fpe:8 ill:4 abort:6 term:15; do
		probe "die-${pair%:*}" 16 30 die "${pair%:*}"
		want "${pair%:*} is signal ${pair#*:}, not '$how'" [ "$how" = "signal ${pair#*:}" ]
	done
}

case_a_fault_that_nobody_handles_is_reported() {
	probe crash 16 30 die platform
	want "a crash, not '$how'" [ "$how" = crash ]
	grep -q '^strait: the guest crashed: a fault inside the platform' /run/said || fail "it is not said"
	grep -E '^vector 0+e .* address 0+8' /run/said || fail "no fault"
	grep -E '^rip [0-9a-f]{16} flags [0-9a-f]{16} rsp' /run/said || fail "no registers"
	grep -E '^stack [0-9a-f]{16}' /run/said || fail "no stack"
	grep -E '^thread [0-9]+, in the program; last call [a-z0-9_]+\(' /run/said || fail "no last call"
}

case_memory_ends_with_enomem() {
	probe memory 32 60 memory
	want "status 0" [ "$how" = "exit 0" ]
	want "most of 32 MiB was there" [ "$(sed -n 's/ MiB, then.*//p' /run/said)" -ge 20 ]
}

case_threads_are_preempted_under_load() {
	guest other /test/probe 16 'load 12'
	start other
	probe load 16 60 load 6
	want "status 0" [ "$how" = "exit 0" ]
	ended other 40
	how=$(status other)
	console other
	gone other
	want "the neighbour's status 0" [ "$how" = "exit 0" ]
}

case_xl_shutdown_is_sigterm() {
	guest wait /test/probe 16 wait
	start wait
	is_waiting wait
	xl shutdown wait
	want "it ends" ended wait 15
	how=$(status wait)
	gone wait
	want "by SIGTERM, not '$how'" [ "$how" = "signal 15" ]
}

case_xl_reboot_is_sigterm_too() {
	local word
	guest again /test/probe 16 wait
	start again
	is_waiting again
	xl reboot again
	word=$(ended again 15) || fail "it does not end"
	how=$(status again)
	gone again
	want "Xen is told reboot, not '$word'" [ "${word% *}" = reboot ]
	want "by SIGTERM, not '$how'" [ "$how" = "signal 15" ]
}

case_a_program_that_ignores_sigterm_is_ended() {
	local begin
	guest deaf /test/probe 16 'shutdown-timeout=2 -- ignore'
	start deaf
	is_waiting deaf
	begin=$(now)
	xl shutdown deaf
	sleep 1
	want "it has its time" [ "$(status deaf)" = running ]
	xl shutdown deaf 2>/dev/null # once more does not give it more
	want "it ends" ended deaf 20
	echo "after $(($(now) - begin)) hundredths of a second"
	how=$(status deaf)
	console deaf
	want "it is said" grep -q '^strait: the program did not end in time' /var/log/xen/console/guest-deaf.log
	gone deaf
	want "by SIGKILL, not '$how'" [ "$how" = "signal 9" ]
}

case_bad_options_are_refused_in_a_sentence() {
	guest bad /test/probe 16 "memory=lots -- hello"
	run bad 20 >/run/said
	cat /run/said
	want "status 125, not '$how'" [ "$how" = "exit 125" ]
	want "one line" [ "$(wc -l </run/said)" = 1 ]
	want "that names the option" grep -q 'memory' /run/said
	want "the program did not run" sh -c '! grep -q hello, /run/said'
}

# From what suffices down: each size either runs, or says in a sentence that it does not.
case_too_little_memory_is_said() {
	local size refused=0
	for size in 8 6 5 4; do
		guest small /test/probe $size hello
		run small 20 >/run/said
		echo "$size MiB: $how: $(tail -n 1 /run/said)"
		case $how in
		'exit 0') want "it says hello" said "hello, world" ;;
		'exit 125')
			want "a sentence about memory" grep -q 'strait: .*memory' /run/said
			refused=1 ;;
		not-created) refused=1 ;; # by xl: the ELF file itself does not fit
		*) fail "it ended with $how" ;;
		esac
	done
	want "the least is too little" [ $refused = 1 ]
}

case_five_guests_at_once() {
	local n names=
	for n in $(seq 5); do
		guest "many$n" /test/probe 16 wait
		start "many$n" || fail "guest $n was not created"
		names="$names many$n"
	done
	for n in $(seq 5); do
		for try in $(seq 50); do
			console "many$n" | grep -q waiting && break
			sleep 0.1
		done
		console "many$n" | grep -q waiting || fail "guest $n does not run"
	done
	gone $names
	want "all are gone" sh -c '! xl list | grep -q "^many"'
}

# In the same run: CPU time of a whole life of our hello and of the bare guest's, the
# least of three; size of both.
case_start_against_a_bare_guest() {
	local ours=999999999 bare=999999999 n
	guest ours /test/probe 16 hello
	guest bare /test/bare 16
	for n in 1 2 3; do
		run ours 20 >/run/said
		want "hello" said "hello, world"
		[ "$cpu" -ge $ours ] || ours=$cpu
		run bare 20 >/run/said
		want "hello of the bare guest" said "hello, world"
		[ "$cpu" -ge $bare ] || bare=$cpu
	done
	say "CPU time from the first instruction to the end: ours $ours us, bare guest $bare us:" \
		"$((ours * 100 / bare)) %" | tee -a /out/figures
	[ $bare -gt 0 ] && [ $ours -gt 0 ]
}

# refused_by NAME COMMAND: what the toolstack said of it; the guest has run on.
refused_by() {
	local name=$1 try
	for try in $(seq 900); do
		grep -q '^status' "/run/$name.said" && break
		sleep 0.1
	done
	cat "/run/$name.said"
	want "xl $2 fails" grep -qx 'status 1' "/run/$name.said"
	want "since the guest does not do it" grep -q "guest didn't acknowledge suspend" "/run/$name.said"
	console "$name"
	want "the guest says why" grep -q '^strait: the toolstack orders suspend: refused; there is no save' "/var/log/xen/console/guest-$name.log"
	want "it runs" [ "$(status "$name")" = running ]
	xl shutdown "$name" >/dev/null
	want "it ends" ended "$name" 20
	how=$(status "$name")
	gone "$name"
	want "when it is told, not '$how'" [ "$how" = "signal 15" ]
}

case_save_and_migration_were_refused() {
	refused_by saved save
	refused_by moved migrate
	want "nothing came of it" [ "$(xl list | wc -l)" = 2 ]
}

cases .script channel.sh
