# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# prepare.sh - what each boot takes along; sourced by boot.
#
# prepare_NAME [CASE...] fills `files` and `options` for the lab, in folder $work;
# after_NAME looks at what is there once the machine is off ($out, disks in $work).

# sys_row WORDS NAME: the rest of the row of sys.tbl that begins with them, if any.
sys_row() {
	sed -n "s/^$1  *$2  *//p" "$here/sys.tbl" | grep .
}

# sys_kind NAME: the service that the program needs: file, net, none.
sys_kind() {
	local kind
	for kind in file net; do
		[[ $1 == ${kind}_* ]] || sys_row "with $kind" "$1" >/dev/null && { echo $kind; return; }
	done
	echo none
}

# sys_programs KINDS WANTED...: those programs, each with its line of the list; long ones only
# if they are WANTED.
sys_programs() {
	local kinds=$1 exe name kind size options
	shift
	mkdir "$work/sys"
	for exe in "$STRAIT_BUILD"/tests/sys/strait/*; do
		name=${exe##*/test_sys_}
		kind=$(sys_kind "$name")
		[[ " $kinds " == *" $kind "* ]] || continue
		if [ $# = 0 ]; then
			! sys_row long "$name" >/dev/null || continue
		else
			[[ " $* " == *" $name "* ]] || continue
		fi
		cp "$exe" "$work/sys/$name"
		size=$(sys_row set "$name") || size="32 60"
		case $kind in
		none) echo "$name $size" ;;
		net) echo "$name net ${size% *} / none" ;;
		file)
			options=$(sed -n '1,40s/^.*[* ]strait-run:[[:space:]]*//p' "$top/tests/sys/test_sys_$name.c")
			case $name/$options in
			[!f]*/*|fifo/*) echo "$name file ${size% *} /tmp none" ;; # as hosted: memory
			*--mem*) echo "$name file ${size% *} /m/$name mem" ;;
			*:/ro:ro*) echo "$name file ${size% *} /ro ro" ;;
			*) echo "$name file ${size% *} /t/$name dir" ;;
			esac ;;
		esac
	done >"$work/list"
	files=("$work/sys" "$work/list")
}

prepare_sys() {
	sys_programs none "$@"
	seconds=420
}

prepare_calls() {
	sys_programs "file net" "$@"
	mkdir "$work/disk"
	mke2fs -q -F -t ext4 -d "$work/disk" "$work/disk.img" 256M
	options+=(-T -d "$work/disk.img")
	seconds=400
}

prepare_bare() {
	cp "$STRAIT_BUILD"/tests/xen/{probe,bare} "$work/"
	sha256sum <"$STRAIT_BUILD/tests/xen/probe" >"$work/probe.sha256"
	files=("$work"/{probe,bare,probe.sha256} "$here/channel.sh")
	options+=(-b crash)
	seconds=420
}

# An ext4 for the file service, and programs: $STRAIT_CACHE/programs has them.
prepare_site() {
	local programs=$STRAIT_CACHE/programs
	mkdir -p "$work/www" "$work/disk"
	echo '<title>Strait on Xen</title>' >"$work/www/index.html"
	head -c 1000000 /dev/urandom >"$work/www/big.bin"
	cp -r "$work/www" "$work/disk/"
	cat >"$work/disk/lighttpd.conf" <<-'CONF'
		server.document-root = "/srv/www"
		server.port = 80
		index-file.names = ( "index.html" )
		mimetype.assign = ( ".html" => "text/html", "" => "application/octet-stream" )
	CONF
	cat >"$work/disk/demo.sql" <<-'SQL'
		CREATE TABLE t(id INTEGER PRIMARY KEY, word TEXT);
		WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<2000) INSERT INTO t SELECT i,'w'||(i*7919%2000) FROM c;
		CREATE INDEX t_word ON t(word);
		PRAGMA integrity_check;
		SELECT count(*) FROM t;
	SQL
	cat >"$work/disk/try.lua" <<-'LUA'
		local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
		local f = assert(io.open("/srv/lua.out", "w"))
		for i = 1, 3 do f:write(i, "\n") end
		f:close()
		local n = 0
		for _ in io.lines("/srv/lua.out") do n = n + 1 end
		print(string.format("fib %d, %d lines", fib(20), n))
	LUA
	mke2fs -q -F -t ext4 -d "$work/disk" "$work/disk.img" 64M
	cp "$programs/lighttpd/bin/lighttpd" "$programs/sqlite3/bin/sqlite3" "$work/"
	files=("$work"/{lighttpd,sqlite3,www})
	options+=(-T -d "$work/disk.img")
}

# More programs, for services.sh.
prepare_more() {
	local programs=$STRAIT_CACHE/programs
	cp "$programs/lua5.4/bin/lua" "$programs/redis/bin/redis-server" \
		"$STRAIT_BUILD"/tests/xen/{probe,bare} "$work/"
	cp "$programs/busybox/bin/busybox" "$work/strait-busybox"
	cp "$programs/curl/bin/curl" "$work/strait-curl"
	files+=("$work"/{lua,redis-server,probe,bare,strait-busybox,strait-curl} "$here/services.sh")
}

# check_disk [CASE...]: the disk from outside: the file system is whole, and another SQLite reads
# the rows, if they were written.
check_disk() {
	local rows
	e2fsck -fn "$work/disk.img" >"$out/e2fsck" 2>&1 || { echo "e2fsck: $(tail -n 3 "$out/e2fsck")" >&2; return 1; }
	[ $# = 0 ] || [[ " $* " == *" sqlite_works_on_the_file_service "* ]] || return 0
	debugfs -R "dump /www/demo.db $work/demo.db" "$work/disk.img" 2>/dev/null
	rows=$(sqlite3 "$work/demo.db" 'PRAGMA integrity_check; SELECT count(*) FROM t' | tr '\n' ' ')
	[ "$rows" = "ok 2000 " ] || { echo "sqlite3 outside reads: $rows" >&2; return 1; }
}

prepare_shared() {
	prepare_site
	prepare_more
	echo "${STRAIT_XEN_ROUNDS:-5}" >"$work/rounds"
	files+=("$top/deploy/xl" "$STRAIT_BUILD/tests/stand_in_guest" "$work/rounds")
	seconds=400
}

after_shared() { check_disk "$@"; }

prepare_recover() {
	prepare_site
	{
		echo 'CREATE TABLE t(id INTEGER PRIMARY KEY, word TEXT);'
		seq -f "INSERT INTO t VALUES(%.0f, 'word');" 100
		echo 'PRAGMA integrity_check; SELECT count(*) FROM t;'
	} >"$work/many.sql"
	debugfs -w -R "write $work/many.sql many.sql" "$work/disk.img" 2>/dev/null
	cp "$STRAIT_BUILD/tests/xen/probe" "$work/"
	truncate -s 24M "$work/disk/www/huge.bin" # more than fits into windows
	mke2fs -q -F -t ext4 -d "$work/disk" "$work/far.img" 32M
	prepare_image
	options+=(-d "$work/far.img")
	files+=("$work/probe" "$STRAIT_BUILD"/tests/xen/{domhang,away} "$here/services.sh")
	seconds=700
}

prepare_swap() {
	prepare_site
	prepare_image
	prepare_bad_images
	cp "$STRAIT_BUILD/tests/xen/probe" "$work/"
	files+=("$work/probe" "$STRAIT_BUILD/tests/stand_in_service_DIES" "$here/services.sh")
	seconds=560
}

prepare_domains() {
	prepare_site
	prepare_more
	prepare_image
	prepare_bad_images
	local many=${STRAIT_XEN_GUESTS:-8}
	echo "$many" >"$work/many"
	files+=("$top/deploy/xl" "$work/many")
	seconds=$((420 + 10 * many))
}

after_domains() { check_disk "$@"; }

# The image of service domains.
prepare_image() {
	local xen
	xen=$("$here/lab" where)
	"$STRAIT_BIN/xen/mkimage" --plain --kernel "$xen/vmlinux" --modules "$xen/x/lib/modules/$(cat "$xen/kver")" \
		"$work/image" || die "mkimage failed"
	options+=(-f "$work/image=/var/lib/strait/images/default")
	du -cm "$work/image"/* | sed -n 's/\ttotal/ MiB: image of a service domain/p' >"$out/image.size"
}

# Images whose services cannot start, without their kernels: in /var/lib/strait/images, "dies",
# whose programs end at once, and "agentless", whose kernel finds no agent and panics.
prepare_bad_images() {
	local xen
	xen=$("$here/lab" where)
	mkdir "$work/dies.bin" "$work/agentless"
	cp "$STRAIT_BIN/xen/strait-agent" "$work/dies.bin/"
	cp /bin/false "$work/dies.bin/fsd"
	cp /bin/false "$work/dies.bin/netd"
	"$STRAIT_BIN/xen/mkimage" --bin "$work/dies.bin" --plain --kernel "$xen/vmlinux" \
		--modules "$xen/x/lib/modules/$(cat "$xen/kver")" "$work/dies" >/dev/null || die "mkimage failed"
	rm "$work/dies/vmlinuz"
	head -c 512 /dev/zero | gzip -n >"$work/agentless/initramfs"
	options+=(-f "$work/dies=/var/lib/strait/images/dies" -f "$work/agentless=/var/lib/strait/images/agentless")
}

prepare_killed() {
	mkdir -p "$work/disk"
	mke2fs -q -F -t ext4 -d "$work/disk" "$work/disk.img" 64M
	cp "$STRAIT_BUILD/tests/xen/probe" "$work/"
	prepare_image
	files=("$work/probe")
	options+=(-T -d "$work/disk.img")
	seconds=200
}

# What dom0 was told to be on the disk is there.
after_killed() {
	local last name=every_acknowledged_fsync_is_in_the_image
	last=$(sed -n 's/.*acknowledged \([0-9]*\)$/\1/p' "$out/script.log" | tail -n 1)
	{
		echo "acknowledged before the machine was killed: ${last:-nothing}"
		e2fsck -fy "$work/disk.img" || [ $? -le 2 ] || echo "e2fsck: the file system is broken"
		debugfs -R "dump /log $work/log" "$work/disk.img"
		echo "in the image: $(wc -l <"$work/log") lines"
	} >"$out/case.$name" 2>&1
	if [ "${last:-0}" -ge 50 ] && ! grep -q '^e2fsck:' "$out/case.$name" &&
	   [ "$(head -n $((last + 1)) "$work/log")" = "$(seq -f 'acknowledged %.0f' 0 "$last")" ]; then
		echo "ok $name 0" >"$out/results"
	else
		echo "not ok $name 0" >"$out/results"
	fi
}

prepare_agent() {
	files=("$STRAIT_BUILD/tests/xen/service_client")
	options+=(-T)
	seconds=200
}

prepare_demo() {
	prepare_site
	prepare_image
}
