# SPDX-License-Identifier: MIT
# lib.sh - for tests of `strait deploy` without Xen: stand-ins of xl, xenstore and
# strait-agent.  See xl for what $FAKE_XEN holds.
. "$(dirname "$0")/run/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
mount -t tmpfs none /run || { echo "SKIP: cannot mount a /run of its own"; exit 77; }
mkdir -p /run/lock
mount -t sysfs none /sys # that of our network
export FAKE_XEN=$W/xen STRAIT_LIBXENSTORE=$T/fake_xenstore.so PATH=$here/xen:$PATH
export STRAIT_AGENT=$here/xen/strait-agent STRAIT_IMAGES=$W/images
G=$W/guest
cp "$T/stand_in_pvh" "$G"
ip link add br0 type bridge
: >"$W/disk.img"
truncate -s 1M "$W/disk.img"

# A machine with Xen on which nothing was done yet.
fresh()
{
	local d

	down_all
	rm -rf "$FAKE_XEN" "$STRAIT_IMAGES"
	mkdir -p "$FAKE_XEN/store" "$STRAIT_IMAGES/default"
	: >"$STRAIT_IMAGES/default/vmlinuz"
	: >"$STRAIT_IMAGES/default/initramfs"
	cat >"$FAKE_XEN/info" <<-END
	host                   : test
	virt_caps              : pv hvm hap
	total_memory           : 3071
	free_memory            : 1024
	xen_commandline        : dom0_mem=1536M
	END
	: >"$FAKE_XEN/calls"
}

down_all()
{
	for d in /run/strait/*; do
		[ -d "$d" ] && "$STRAIT" down "${d##*/}" >/dev/null 2>&1
	done
}

description()
{
	cat >"$W/site.cfg"
}

# store PATH: a node's value; perms PATH: who may read it.
store() { cat "$FAKE_XEN/store$1/.value" 2>/dev/null; }
perms() { cat "$FAKE_XEN/store$1/.perms" 2>/dev/null; }

is()
{
	[ "$2" = "$3" ] || fail "$CASE: $1 is \"$2\", not \"$3\""
}

# No domain, no agent, no watcher, no folder, nothing in dom0's part of the store.
gone()
{
	local left i

	left=
	for i in "$FAKE_XEN/doms" /run/strait "$FAKE_XEN/store/local/domain/0/strait" "$FAKE_XEN/store/local/domain/0/data/strait"; do
		left=$left$(ls "$i" 2>/dev/null)
	done
	for i in 1 2 3 4 5 6 7 8 9 10; do
		ps -eo args= | grep -q "[s]trait watch\|[s]trait-agent" || losetup -a 2>/dev/null | grep -q "$W" || break
		sleep 0.1
	done
	left=$left$(ps -eo args= | grep "[s]trait watch\|[s]trait-agent --")
	left=$left$(losetup -a 2>/dev/null | grep "$W")
	[ -z "$left" ] || fail "$CASE: left behind: $left"
}

# refused NAME STATUS TEXT [ARG...]: deploy says TEXT in its first line, ends with STATUS,
# leaves nothing.
refused()
{
	CASE=$1
	local want=$2 text=$3 rc

	shift 3
	"$STRAIT" deploy "${@:-$W/site.cfg}" >"$W/out" 2>"$W/err" </dev/null
	rc=$?
	[ $rc = "$want" ] || fail "$CASE: status $rc, not $want: $(cat "$W/err")"
	head -1 "$W/err" | grep -qF -- "strait: " && head -1 "$W/err" | grep -qF -- "$text" ||
		fail "$CASE: does not say \"$text\": $(cat "$W/err")"
	gone
	passed
}
