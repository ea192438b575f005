#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# busybox applets that do not fork, on a real tree: what they print and write is what
# the same applets, built the same way, do on plain Linux.
. "$STRAIT_SRC/tests/e2e/programs/lib.sh" || exit 1
B=$P/busybox/bin/busybox
N=$P-native/busybox/bin/busybox
mkdir "$T/d"
tree=$(find "$STRAIT_CACHE/src" -maxdepth 1 -type d -name 'musl-*' | head -n 1)
[ -n "$tree" ] || fail a_source_tree_is_there
cp -a "$tree" "$T/d/src"
ln -s src/COPYRIGHT "$T/d/link"
ln -s nowhere "$T/d/dangling"
g() { "$S" run --no-squash -v "$T/d:/d" -w /d "$B" "$@"; }
n() { (cd "$T/d" && "$N" "$@"); }
both() { # NAME APPLET ARGS: the same output
	local name=$1
	shift
	g "$@" >"$T/g" 2>"$T/log" || fail "$name" "exit $?"
	n "$@" >"$T/n" 2>/dev/null
	if [ "${sorted:-}" ]; then
		sort -o "$T/g" "$T/g"
		sort -o "$T/n" "$T/n"
	fi
	same "$name" "$T/n" "$T/g"
}
both wc_counts wc src/COPYRIGHT src/README
both md5sum_of_a_file md5sum src/COPYRIGHT
both ls_recursive ls -lRn src/src
sorted=1 both find_finds find src -name '*.c' -size +2k
sorted=1 both find_by_type find . -type l
both sha256sum_follows_links sha256sum link
both head_and_long_lines head -n 30 src/COPYRIGHT
both sort_sorts sort -r src/COPYRIGHT
both grep_greps grep -rn -c malloc src/src/malloc/lite_malloc.c
want cp_copies_a_tree g cp -a src copy
same the_copy_is_equal "$T/d/src" "$T/d/copy"
want tar_packs g tar cf out.tar src
(cd "$T" && mkdir un && tar xf d/out.tar -C un) || fail the_hosts_tar_reads_it
same the_tar_is_right "$T/d/src" "$T/un/src"
tar cf "$T/d/host.tar" -C "$T/d" src
want tar_unpacks sh -c "mkdir '$T/d/x'; '$S' run --no-squash -v '$T/d:/d' -w /d/x '$B' tar xf ../host.tar"
same the_unpacked_tree_is_right "$T/d/src" "$T/d/x/src"
port=$(port)
background python3 -m http.server --bind 127.0.0.1 --directory "$T/d/src" "$port"
up "$port" || fail the_hosts_server_listens
want wget_fetches "$S" run --no-squash --net host -v "$T/d:/d" -w /d "$B" wget -q -O got "http://127.0.0.1:$port/COPYRIGHT"
same what_wget_fetched_is_right "$T/d/src/COPYRIGHT" "$T/d/got"
want rm_removes_a_tree g rm -r copy x
[ ! -e "$T/d/copy" ] && [ -e "$T/d/src/COPYRIGHT" ] || fail rm_removed_the_right_one
ok rm_removed_the_right_one
