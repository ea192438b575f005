# SPDX-License-Identifier: MIT
# dom0_sys.sh - in dom0: run the conformance programs as domains, some at a time.
#
# /test/list: a line "NAME MEMORY SECONDS [COMMAND-LINE]" for each; the programs are in
# /test/sys.  For each, /out/results gets "NAME STATUS SECONDS", STATUS being "exit-0",
# "signal-11", "crash", "hangs", "gone", "not-created"; its console is in the usual place.
at_once=4
(cd /test/sys && sha256sum *) >/out/sha256

# finished NAME STATUS
finished() {
	local took=$(($(now) - $(cat "/run/sys/$1.begin")))
	echo "$1 $2 $((took / 100)).$(printf %02d $((took % 100)))" | tee -a /out/results
	rm -f "/run/sys/$1".*
	gone "sys-$1"
}

# reap: wait until one has ended, or is late; note how.
reap() {
	local id name end word ids=
	for id in /run/sys/*.id; do ids="$ids $(cat "$id")"; done
	set -- $(domwatch 1 $ids)
	for id in /run/sys/*.id; do
		name=${id#/run/sys/} name=${name%.id}
		if [ "$(cat "$id")" = "$1" ]; then
			word=$(xenstore-read "/local/domain/$1/data/strait/state" 2>/dev/null | cut -c1-40 | tr ' ' -)
			case $2 in
			poweroff) finished "$name" "${word:-no-status}" ;;
			*) finished "$name" "$2" ;;
			esac
			return
		elif [ "$(now)" -ge "$(cat "/run/sys/$name.end")" ]; then
			finished "$name" hangs
		fi
	done
}

running() { ls /run/sys/*.id 2>/dev/null | wc -l; }

mkdir -p /run/sys
while read -r name memory seconds line; do
	while [ "$(running)" -ge $at_once ]; do reap; done
	now >"/run/sys/$name.begin"
	echo $(($(now) + seconds * 100)) >"/run/sys/$name.end"
	guest "sys-$name" "/test/sys/$name" "$memory" "$line"
	if start "sys-$name" </dev/null; then
		id "sys-$name" >"/run/sys/$name.id"
	else
		finished "$name" not-created
	fi
done </test/list
while [ "$(running)" -gt 0 ]; do reap; done
sleep 0.5 # xenconsoled writes the rest
! grep -qv ' exit-\(0\|77\) ' /out/results
