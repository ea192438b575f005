# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# fetch.sh - the files of Xen and of dom0's kernel, from Debian's packages; source it.
#
# apt downloads and verifies them; they are unpacked into $XEN_DIR/x, not installed.
# $XEN_DIR then holds xen.elf (the hypervisor), vmlinux (the kernel as ELF: unpacking
# the bzImage in an emulator takes longer than all the rest), kver (its version).

XEN_DIR=$STRAIT_CACHE/xen

XEN_PACKAGES="xen-hypervisor-4.17-amd64 xen-utils-4.17 xen-utils-common xenstore-utils
	libxencall1 libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 libxengnttab1
	libxenhypfs1 libxenmisc4.17 libxenstore4 libxentoolcore1 libxentoollog1
	libxen-dev libyajl2 libuuid1 liblzma5 libzstd1 zlib1g busybox-static"

xen_kernel_package() {
	apt-cache depends linux-image-amd64 2>/dev/null | awk '$1 == "Depends:" {print $2; exit}'
}

xen_fetch() {
	[ "$(cat "$XEN_DIR/.fetched" 2>/dev/null)" != "$XEN_PACKAGES" ] || return 0
	local tmp kernel deb log=$STRAIT_CACHE/xen-fetch.log
	command -v apt-get >/dev/null || die "this needs Debian's apt"
	mkdir -p "$STRAIT_CACHE"
	exec {xen_lock}>"$STRAIT_CACHE/.xen.lock"
	flock "$xen_lock"
	[ "$(cat "$XEN_DIR/.fetched" 2>/dev/null)" != "$XEN_PACKAGES" ] || return 0
	say "Fetching Xen and its dom0 from Debian's packages (80 MB)" >&2
	rm -rf "$STRAIT_CACHE"/.xen.new.*
	tmp=$(mktemp -d "$STRAIT_CACHE/.xen.new.XXXXXX")
	mkdir "$tmp/debs" "$tmp/x"
	kernel=$(xen_kernel_package)
	[ -n "$kernel" ] || { apt_update; kernel=$(xen_kernel_package); }
	[ -n "$kernel" ] || die "apt knows no package linux-image-amd64"
	# shellcheck disable=SC2086
	if ! (cd "$tmp/debs" && apt-get -q -o Acquire::Retries=3 download $XEN_PACKAGES "$kernel") >"$log" 2>&1; then
		apt_update # the lists may be old
		kernel=$(xen_kernel_package)
		(cd "$tmp/debs" && apt-get -q -o Acquire::Retries=3 download $XEN_PACKAGES "$kernel") >"$log" 2>&1 ||
			die "apt-get download failed; its output is in $log:
$(tail -n 5 "$log")"
	fi
	for deb in "$tmp"/debs/*.deb; do
		dpkg -x "$deb" "$tmp/x"
	done
	rm -rf "$tmp/debs"
	gunzip -c "$tmp/x/boot/xen-4.17-amd64.gz" >"$tmp/xen.elf"
	basename "$(echo "$tmp"/x/lib/modules/*)" >"$tmp/kver"
	python3 "$here/vmlinux.py" "$tmp/x/boot/vmlinuz-$(cat "$tmp/kver")" "$tmp/vmlinux"
	depmod -b "$tmp/x" "$(cat "$tmp/kver")"
	echo "$XEN_PACKAGES" >"$tmp/.fetched"
	rm -rf "$XEN_DIR"
	mv "$tmp" "$XEN_DIR"
	exec {xen_lock}>&-
}
