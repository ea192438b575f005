# SPDX-License-Identifier: MIT
# lib.sh - functions for scripts in dom0 (busybox sh); already there when they start.

# say TEXT: a line with the time since dom0's kernel started.
say() { echo "$(cut -d' ' -f1 /proc/uptime) $*"; }

# now: that time in hundredths of a second.
now() { cut -d' ' -f1 /proc/uptime | tr -d .; }

# guest NAME ELF [MEMORY [COMMAND-LINE [LINE-OF-XL-CFG...]]]: write /run/NAME.cfg.
# What ends or crashes stays, so that its state can be read, until gone NAME.
guest() {
	local name=$1 elf=$2 memory=${3:-32} line=$4
	[ $# -gt 4 ] && shift 4 || shift $#
	{
		printf 'name="%s"\ntype="pvh"\nkernel="%s"\nmemory=%s\nvcpus=1\n' "$name" "$elf" "$memory"
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
	xl create -q -e "$@" "/run/$name.cfg"
}

# state NAME: its word in xl list: "r-----" and the like; empty when it is gone.
state() { xl list "$1" 2>/dev/null | awk -v n="$1" '$1 == n {print $5}'; }

# status NAME: what it left in data/strait/state ("running", "exit 0", "signal 11").
status() { xenstore-read "/local/domain/$(xl domid "$1")/data/strait/state" 2>/dev/null; }

# ended NAME SECONDS: wait until it has shut down; 1 when it has not by then.
ended() {
	local id end=$(($(now) + $2 * 100)) s n=0
	id=$(xl domid "$1" 2>/dev/null) || return 0
	while [ "$(now)" -lt $end ]; do
		case $(xenstore-read "/local/domain/$id/data/strait/state" 2>/dev/null) in
		exit*|signal*|crash*) sleep 0.1; n=9 ;;
		esac
		if [ $((n = n + 1)) -ge 10 ]; then
			n=0
			s=$(state "$1")
			case $s in
			''|*s*|*c*|*d*) return 0 ;;
			esac
		fi
		sleep 0.1
	done
	return 1
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
