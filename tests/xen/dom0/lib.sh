# SPDX-License-Identifier: MIT
# lib.sh - functions for scripts in dom0 (busybox sh); already there when they start.

# say TEXT: a line with the time since dom0's kernel started.
say() {
	local up
	read -r up _ </proc/uptime
	echo "$up $*"
}

# now: that time in hundredths of a second.
now() {
	local up
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}"
}

# guest NAME ELF [MEMORY [COMMAND-LINE [LINE-OF-XL-CFG...]]]: write /run/NAME.cfg.
# What ends or crashes stays, so that its state can be read, until gone NAME.
# tsc_mode: the emulated CPU has no invariant TSC, and by default Xen would then take
# each read of the clock for itself: 135 us instead of 0.2.
guest() {
	local name=$1 elf=$2 memory=${3:-32} line=$4
	[ $# -gt 4 ] && shift 4 || shift $#
	{
		printf 'name="%s"\ntype="pvh"\nkernel="%s"\nmemory=%s\nvcpus=1\n' "$name" "$elf" "$memory"
		printf 'tsc_mode="native"\n'
		printf 'on_poweroff="preserve"\non_crash="preserve"\non_reboot="preserve"\n'
		[ -z "$line" ] || printf "cmdline='%s'\n" "$line"
		[ $# = 0 ] || printf '%s\n' "$@"
	} >"/run/$name.cfg"
}

# start NAME [OPTION-OF-XL-CREATE...]: create it, and do not wait.
start() {
	local name=$1
	shift
	: >"/var/log/xen/console/guest-$name.log"
	rm -f "/run/$name.domid"
	xl create -q -e "$@" "/run/$name.cfg" >/run/xl.said 2>&1 || { cat /run/xl.said; return 1; }
	xl domid "$name" >"/run/$name.domid"
}

# id NAME: the domid of what start made.
id() { cat "/run/$1.domid" 2>/dev/null || xl domid "$1"; }

# state NAME: its word in xl list: "r-----" and the like; empty when it is gone.
state() { xl list "$1" 2>/dev/null | awk -v n="$1" '$1 == n {print $5}'; }

# status NAME: what it left in data/strait/state ("running", "exit 0", "signal 11").
status() { xenstore-read "/local/domain/$(id "$1")/data/strait/state" 2>/dev/null; }

# ended NAME SECONDS: wait until it has shut down, 1 when it has not by then; prints
# "poweroff", "crash", "gone", ... and the CPU time it took, in microseconds.
ended() {
	local id
	id=$(id "$1" 2>/dev/null) || { echo gone; return 0; }
	set -- $(domwatch "$2" "$id")
	[ $# -gt 1 ] || return 1
	shift
	echo "$*"
}

# run NAME SECONDS: start, wait, print its console and destroy it.  In $how: how it
# ended ("exit 0", "signal 11", "crash", "hangs", ...); in $cpu the microseconds.
run() {
	local word
	cpu=0
	start "$1" </dev/null || { how=not-created; return 1; }
	word=$(ended "$1" "$2")
	how=$(status "$1")
	case $word in
	'') how=hangs; evidence "$1" >/run/evidence 2>&1 ;;
	crash*) how=crash ;;
	gone*) how=gone ;;
	*) cpu=${word#* } how=${how:-no-status} ;;
	esac
	settle "$1"
	console "$1"
	gone "$1"
}

# evidence NAME: where a domain stands that does not end, and what Xen said last.
evidence() {
	local n
	xl list
	for n in 1 2 3; do /usr/lib/xen-4.17/bin/xenctx -a "$(id "$1")" | sed -n '1,10p;/^Code/,$p'; done
	xl debug-keys q
	xl dmesg | tail -n 60
}

# die_now: the machine is switched off in this moment, by its plug.
die_now() { echo "@@ kill"; }

# settle NAME: wait until xenconsoled has written all that the domain said.
settle() {
	local size last=-1
	while size=$(stat -c %s "/var/log/xen/console/guest-$1.log" 2>/dev/null); [ "$size" != "$last" ]; do
		last=$size
		sleep 0.1
	done
}

# gone NAME...: destroy what is left of them.
gone() {
	local name
	for name; do xl destroy "$name" 2>/dev/null; done
	return 0
}

# console NAME: what it wrote, without carriage returns.
console() { tr -d '\r' <"/var/log/xen/console/guest-$1.log"; }

# bridge NAME ADDRESS/PREFIX: a bridge of dom0.
bridge() {
	[ -d "/sys/class/net/$1" ] || ip link add "$1" type bridge
	ip addr add "$2" dev "$1" 2>/dev/null
	ip link set "$1" up
}

# The bridge of the guests, and vnet1 on it: the interface of a netd that runs in dom0.
bridge_with_vnet1() {
	bridge xenbr0 10.55.0.1/24
	ip link add vnet0 type veth # busybox names the other end veth0
	ip link set veth0 name vnet1
	brctl addif xenbr0 vnet0
	ip link set vnet0 up
}
