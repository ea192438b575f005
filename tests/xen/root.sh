# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# root.sh - dom0's root file system, an initramfs; source it after fetch.sh.
#
# busybox, Xen's tools, what they need and the kernel's modules.  Built once for a
# kernel version and a state of these files; what a run needs besides comes by a disk.

XEN_MODULES="xenfs xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xen-netback xen-blkback
	loop bridge tun af_packet virtio_pci virtio_blk ext4 dummy veth"

# libraries ROOT PROGRAM...: copy the dynamic libraries of the programs; Xen's come
# from its packages, the others from this machine.
libraries() {
	local root=$1 file
	shift
	mkdir -p "$root/usr/lib/x86_64-linux-gnu" "$root/lib64"
	LD_LIBRARY_PATH="$XEN_DIR/x/usr/lib/x86_64-linux-gnu" ldd "$@" 2>/dev/null |
		awk '/=> \//{print $3} /^\t\/lib64/{print $1}' | sort -u |
		while read -r file; do
			case $file in
			/lib64/*) cp -Lu "$file" "$root/lib64/" ;;
			*) cp -Lu "$file" "$root/usr/lib/x86_64-linux-gnu/" ;;
			esac
		done
}

root_modules() {
	local root=$1 kver=$2 module file rel
	mkdir -p "$root/usr/lib/modules/$kver"
	cp "$XEN_DIR/x/lib/modules/$kver"/modules.{order,builtin,builtin.modinfo} "$root/usr/lib/modules/$kver/"
	for module in $XEN_MODULES; do
		modprobe -d "$XEN_DIR/x" -S "$kver" --show-depends "$module" 2>/dev/null || true
	done | awk '$1 == "insmod" {print $2}' | sort -u | while read -r file; do
		rel=usr/lib/modules/${file#*lib/modules/}
		mkdir -p "$root/$(dirname "$rel")"
		cp "$file" "$root/$rel"
	done
	depmod -b "$root/usr" "$kver" 2>/dev/null || depmod -b "$root" "$kver"
}

root_make() {
	local root=$1 x=$XEN_DIR/x bin=usr/lib/xen-4.17/bin name
	mkdir -p "$root"/{dev,proc,sys,tmp,run,root,test,out,guests,var/lib,var/log,etc/xen/scripts} \
		"$root"/usr/{bin,sbin,lib} "$root/$bin"
	ln -s usr/bin "$root/bin"
	ln -s usr/sbin "$root/sbin"
	ln -s usr/lib "$root/lib"
	cp "$x/bin/busybox" "$root/usr/bin/"
	ln -s busybox "$root/usr/bin/sh"
	ln -s ../bin/busybox "$root/usr/sbin/modprobe" # the kernel calls it there
	cp "$x/$bin"/{xl,libxl-save-helper,xenstored,xenconsoled,xen-init-dom0,xenconsole,xenctx,lsevtchn} "$root/$bin/"
	cp "$x/usr/bin/xenstore" "$root/usr/bin/"
	for name in read write ls chmod rm list exists watch; do
		ln -s xenstore "$root/usr/bin/xenstore-$name"
	done
	cp "$here"/dom0/init "$root/init"
	cp "$here"/dom0/{block,vif-bridge} "$root/etc/xen/scripts/"
	cp "$here"/dom0/lib.sh "$root/etc/lab.sh"
	cp "$here"/dom0/cases.sh "$root/etc/cases.sh"
	chmod +x "$root/init" "$root"/etc/xen/scripts/*
	printf 'autoballoon="off"\nclaim_mode=0\n' >"$root/etc/xen/xl.conf"
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
	printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
	cp "$(command -v curl)" "$root/usr/bin/"
	for name in domwatch:xenctrl vchan-echo:xenvchan; do
		gcc -O2 -Wall -Wextra -I"$x/usr/include" -o "$root/usr/bin/${name%:*}" "$here/dom0/${name%:*}.c" \
			-L"$x/usr/lib/x86_64-linux-gnu" -Wl,-rpath-link,"$x/usr/lib/x86_64-linux-gnu" "-l${name#*:}"
	done
	# pthread_cancel() loads it; ldd does not tell
	mkdir -p "$root/usr/lib/x86_64-linux-gnu"
	cp -L /lib/x86_64-linux-gnu/libgcc_s.so.1 "$root/usr/lib/x86_64-linux-gnu/"
	libraries "$root" "$root/$bin"/* "$root"/usr/bin/{xenstore,curl,domwatch,vchan-echo}
	root_modules "$root" "$(cat "$XEN_DIR/kver")"
}

xen_root() {
	local key tmp
	key=$(cat "$XEN_DIR/kver" "$here/root.sh" "$here"/dom0/* | sha256sum | cut -c1-32)
	[ "$(cat "$XEN_DIR/.root" 2>/dev/null)" != "$key" ] || return 0
	exec {xen_lock}>"$STRAIT_CACHE/.xen.lock"
	flock "$xen_lock"
	tmp=$(mktemp -d "$STRAIT_CACHE/.dom0.XXXXXX")
	# not as a condition: bash would then ignore set -e inside
	root_make "$tmp/root"
	(cd "$tmp/root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$tmp/dom0.cpio"
	mv "$tmp/dom0.cpio" "$XEN_DIR/dom0.cpio"
	echo "$key" >"$XEN_DIR/.root"
	rm -rf "$tmp"
	exec {xen_lock}>&-
}

# Strait's own commands, with their libraries, into the files of a run.
xen_tools() {
	local root=$1 bin=${STRAIT_BIN:-$top/build/bin} name
	mkdir -p "$root/usr/bin"
	for name in strait xen/fsd xen/netd xen/strait-agent; do
		[ -x "$bin/$name" ] || die "no $bin/$name: build Strait first"
	done
	cp "$bin/strait" "$root/usr/bin/"
	cp -r "$bin/xen" "$root/usr/bin/"
	find "$root/usr/bin" -type f -exec file {} + | awk -F: '/ELF/ {print $1}' |
		while read -r name; do libraries "$root" "$name"; done
}
