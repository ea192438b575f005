#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A web server that nobody here wrote serves a folder that only fsd can see, over a
# TCP stack that only netd runs.
. "$STRAIT_SRC/tests/e2e/programs/lib.sh" || exit 1
mkdir "$T/www" "$T/etc"
echo '<h1>hello</h1>' >"$T/www/index.html"
head -c 20000000 /dev/urandom >"$T/www/big.bin"
for i in $(seq 200); do head -c $((i * 97)) /dev/urandom >"$T/www/f$i"; done
cat >"$T/etc/www.conf" <<CONF
server.document-root = "/www"
server.port = 80
server.modules = ( "mod_indexfile", "mod_dirlisting", "mod_staticfile" )
index-file.names = ( "index.html" )
mimetype.assign = ( ".html" => "text/html" )
server.stat-cache-engine = "inotify"
CONF
port=$(port)
background "$S" run --no-squash --name "t-lighttpd-$$" -v "$T/www:/www:ro" -v "$T/etc:/conf:ro" \
	-p "$port:80" "$P/lighttpd/bin/lighttpd" -D -f /conf/www.conf
server=${pids[-1]}
up "$port" || { cp "$T/server.log" "$T/log"; fail "the_server_listens"; }
ok the_server_listens
want a_page_is_served curl -sS -f -m 20 -o "$T/page" "http://127.0.0.1:$port/"
same the_page_is_right "$T/www/index.html" "$T/page"
want a_large_file_is_served curl -sS -f -m 60 -o "$T/big" "http://127.0.0.1:$port/big.bin"
same the_large_file_is_right "$T/www/big.bin" "$T/big"
want a_range_is_served curl -sS -f -m 20 -r 1000000-1999999 -o "$T/range" "http://127.0.0.1:$port/big.bin"
dd if="$T/www/big.bin" of="$T/part" bs=1000000 skip=1 count=1 status=none
cmp -s "$T/part" "$T/range" || fail the_range_is_right
ok the_range_is_right
# It keeps what it knows of a file for 16 seconds, but for what inotify tells.
echo '<h1>another page</h1>' >"$T/www/index.html"
changed=
for _ in $(seq 50); do
	curl -sS -f -m 20 -o "$T/page" "http://127.0.0.1:$port/" && cmp -s "$T/page" "$T/www/index.html" && changed=1 && break
	sleep 0.1
done
[ "$changed" ] || fail a_page_that_the_host_changed_is_seen_soon
ok a_page_that_the_host_changed_is_seen_soon
mkdir "$T/got"
want two_hundred_files_over_kept_connections curl -sS -f -m 60 --parallel --parallel-max 16 \
	-o "$T/got/f#1" "http://127.0.0.1:$port/f[1-200]"
rm -f "$T/www/index.html" "$T/www/big.bin"
same all_of_them_are_right "$T/www" "$T/got"
[ "$(curl -s -m 20 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/none")" = 404 ] || fail a_missing_page_is_404
ok a_missing_page_is_404
stop_well "$server" it_stops_on_sigterm
