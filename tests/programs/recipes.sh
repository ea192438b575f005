# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# recipes.sh - how each test program is built from Debian's unmodified source.
#
# For a program P (its name with _ for . and -):
#   source_P      "NAME UPSTREAM [REVISION]" for fetch_source
#   out_P         the executables, relative to the work folder
#   configure_P   run once in a fresh copy of the source
#   make_P        builds whatever out_P lacks: run again after out_P was deleted, it
#                 only links
# $CC is the compiler, $HOST the GNU triplet, $J make's -j.

quiet_autotools=(ACLOCAL=: AUTOMAKE=: AUTOCONF=: AUTOHEADER=: MAKEINFO=:)

source_lighttpd="lighttpd 1.4.69 1.4.69-1"
out_lighttpd="src/lighttpd"
configure_lighttpd() {
	# The modules come in statically: their list is an input of the build.
	./configure CC="$CC" --host="$HOST" LDFLAGS=-static --enable-static --disable-shared \
		--without-pcre2 --without-pcre --without-zlib --without-bzip2 \
		--disable-ipv6 LIGHTTPD_STATIC=yes
	local m
	for m in access accesslog alias auth authn_file cgi deflate dirlisting evhost expire \
		extforward fastcgi indexfile proxy redirect rewrite scgi setenv simple_vhost \
		sockproxy ssi staticfile status userdir vhostdb; do
		echo "PLUGIN_INIT(mod_$m)"
	done >src/plugin-static.h
	sed -i '/mod_vhostdb/d' src/plugin-static.h
}
make_lighttpd() {
	make -C src "${quiet_autotools[@]}" parsers versionstamp
	make -j"$J" -C src "${quiet_autotools[@]}" CPPFLAGS=-DLIGHTTPD_STATIC LDFLAGS=-all-static lighttpd
}

source_sqlite3="sqlite3 3.40.1"
out_sqlite3="strait/sqlite3 strait/speedtest1 strait/threadtest4"
sqlite3_flags="-O2 -DSQLITE_THREADSAFE=1 -DSQLITE_OMIT_LOAD_EXTENSION -I."
configure_sqlite3() {
	mkdir -p strait
	cd strait
	../configure --host="$HOST" --disable-tcl --disable-readline CC="$CC"
	make BCC=gcc LTLINK=gcc sqlite3.c shell.c # lemon and its like run on this machine
}
make_sqlite3() {
	cd strait
	[ -e sqlite3.o ] || $CC $sqlite3_flags -c sqlite3.c
	[ -e shell.o ] || $CC $sqlite3_flags -c shell.c
	[ -e speedtest1.o ] || $CC $sqlite3_flags -c ../test/speedtest1.c
	[ -e threadtest4.o ] || $CC $sqlite3_flags -c ../test/threadtest4.c
	[ -e sqlite3 ] || $CC -static -o sqlite3 shell.o sqlite3.o -lpthread -lm
	[ -e speedtest1 ] || $CC -static -o speedtest1 speedtest1.o sqlite3.o -lpthread -lm
	[ -e threadtest4 ] || $CC -static -o threadtest4 threadtest4.o sqlite3.o -lpthread -lm
}

source_lua5_4="lua5.4 5.4.4"
out_lua5_4="src/lua"
configure_lua5_4() {
	echo '#define DEB_HOST_MULTIARCH "x86_64-linux-gnu"' >src/lua5.4-deb-multiarch.h
}
make_lua5_4() {
	cd src
	local f
	for f in *.c; do
		[ "$f" = luac.c ] || [ -e "${f%.c}.o" ] ||
			$CC -std=gnu99 -O2 -DLUA_COMPAT_5_3 -DLUA_USE_POSIX -I. -c "$f"
	done
	[ -e lua ] || $CC -static -o lua ./*.o -lm
}

source_redis="redis 7.0.15"
out_redis="src/redis-server src/redis-cli src/redis-benchmark"
configure_redis() { :; }
make_redis() {
	make -j"$J" -C src CC="$CC" MALLOC=libc CFLAGS="" LDFLAGS="-static" BUILD_TLS=no USE_SYSTEMD=no \
		redis-server redis-cli redis-benchmark
}

source_busybox="busybox 1.35.0"
out_busybox="busybox"
configure_busybox() {
	# Debian's source keeps a config of its own; ours is busybox's default, static.
	make defconfig HOSTCC=gcc
	sed -i 's/^# CONFIG_STATIC is not set/CONFIG_STATIC=y/' .config
	yes '' | make oldconfig HOSTCC=gcc || [ -s .config ]
}
make_busybox() {
	rm -f busybox_unstripped
	make -j"$J" CC="$CC" HOSTCC=gcc busybox
}

source_curl="curl 7.88.1"
out_curl="src/curl"
configure_curl() {
	./configure CC="$CC" --host="$HOST" LDFLAGS=-static --disable-shared --enable-static \
		--disable-dependency-tracking --without-ssl --without-libpsl --disable-ldap \
		--disable-ntlm-wb --without-brotli --without-zstd --without-libidn2 \
		--without-nghttp2 --without-librtmp --without-zlib --disable-manual
}
make_curl() {
	make -j"$J" -C lib "${quiet_autotools[@]}" LDFLAGS=-all-static
	make -j"$J" -C src "${quiet_autotools[@]}" LDFLAGS=-all-static curl
}
