#!/bin/sh
# SPDX-License-Identifier: MIT
# Build the guest's C library: musl's unpatched source with our syscall_arch.h ahead
# of its own, and our objects in place of the assembly that traps.
#
#   build.sh MUSL_SRC BUILD_DIR SYSROOT
#
# Fills SYSROOT/include (musl's and the kernel's headers) and SYSROOT/lib.
set -eu

[ $# = 3 ] || { echo "usage: build.sh MUSL_SRC BUILD_DIR SYSROOT" >&2; exit 2; }
src=$(cd "$1" && pwd)
mkdir -p "$2" "$3"
build=$(cd "$2" && pwd)
root=$(cd "$3" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
jobs=${STRAIT_JOBS:-2}

quiet() {
	"$@" >"$build/log" 2>&1 || { cat "$build/log" >&2; exit 1; }
}

cd "$build"
if [ ! -f config.mak ]; then
	quiet env CC="gcc -fno-pie -no-pie -I$here/arch" CFLAGS="-O2 -fno-asynchronous-unwind-tables" \
		"$src/configure" --target=x86_64-linux-musl --prefix="$root" \
		--syslibdir="$root/lib" --disable-shared --disable-wrapper
fi
# musl's makefile does not know our headers.
for h in "$here"/arch/*.h; do
	if [ "$h" -nt obj ]; then rm -rf obj; fi
done
# The target prefix must not pick a cross ar.
quiet make -j"$jobs" CROSS_COMPILE= AR=ar RANLIB=ranlib

# Our objects stand where musl's assembly was when the archive is made.
for f in thread/x86_64/clone thread/x86_64/syscall_cp thread/x86_64/__unmapself \
	thread/x86_64/__set_thread_area \
	signal/x86_64/restore process/x86_64/vfork; do
	gcc -c "$here/asm/${f##*/}.S" -o "$build/obj/src/$f.o"
done
rm -f "$build/lib/libc.a"
quiet make CROSS_COMPILE= AR=ar RANLIB=ranlib install

# Kernel headers, and nothing else of the host's /usr/include.
multi=/usr/include/$(gcc -print-multiarch)
for d in linux asm-generic mtd sound rdma video misc scsi drm xen; do
	[ -d "/usr/include/$d" ] || continue
	# musl has scsi/ of its own.
	[ "$d" = scsi ] && continue
	rm -rf "$root/include/$d"
	cp -rL "/usr/include/$d" "$root/include/$d"
done
rm -rf "$root/include/asm"
if [ -d "$multi/asm" ]; then
	cp -rL "$multi/asm" "$root/include/asm"
else
	cp -rL /usr/include/asm "$root/include/asm"
fi
# BSD lists: macros only, needed by programs that musl's headers leave alone.
sed '/#include <sys\/cdefs.h>/d' "$multi/sys/queue.h" >"$root/include/sys/queue.h"
touch "$root/.built"
