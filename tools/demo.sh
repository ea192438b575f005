#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# demo.sh - what ./demo shows, once everything is built.
#
# usage: tools/demo.sh [--serve]
#
# A web server that nobody here wrote serves a folder that only fsd can see, over a TCP
# stack that only netd runs; SQLite works in a second guest on the same folder; every
# frame of both is traced.  --serve keeps the web server up until Ctrl-C.
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/tools/setup/lib.sh"
S=$here/build/bin/strait
P=$STRAIT_CACHE/programs
serve=
[ "${1:-}" != --serve ] || serve=1

T=$(mktemp -d) || exit 1
trace=$here/build/demo.pcapng
server=
cleanup() {
	[ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; }
	rm -rf "$T"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
bad() { printf 'demo: %s\n' "$*" >&2; [ ! -s "$T/server.log" ] || tail -n 20 "$T/server.log" >&2; exit 1; }

mkdir "$T/site" "$T/etc"
cat >"$T/site/index.html" <<'HTML'
<!doctype html><meta charset="utf-8"><title>Strait</title>
<body style="font-family:sans-serif;max-width:40em;margin:4em auto;line-height:1.5">
<h1>Served from a split system</h1>
<p>This page was read by <b>fsd</b>, the storage service, sent by a TCP stack in <b>netd</b>, the network
service, and put together by lighttpd in a guest that has neither files nor sockets of its own.</p>
<p><a href="big.bin">A large file</a></p>
HTML
head -c 33554432 /dev/urandom >"$T/site/big.bin"
cat >"$T/etc/lighttpd.conf" <<'CONF'
server.document-root = "/site"
server.port = 80
index-file.names = ( "index.html" )
mimetype.assign = ( ".html" => "text/html", "" => "application/octet-stream" )
CONF
port=${STRAIT_DEMO_PORT:-8080}
while (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done

say "1. A web server in a guest: files by fsd, sockets by netd"
rm -f "$trace"
cmd=("$S" run --no-squash --name "demo-$$" -v "$T/site:/site" -v "$T/etc:/conf:ro" -p "$port:80"
	--trace "$trace" "$P/lighttpd/bin/lighttpd" -D -f /conf/lighttpd.conf)
printf '  strait run --name demo-%s -v SITE:/site -p %s:80 --trace %s lighttpd -D -f /conf/lighttpd.conf\n' $$ "$port" "${trace#"$here"/}"
"${cmd[@]}" >"$T/server.log" 2>&1 </dev/null &
server=$!
for _ in $(seq 100); do
	(: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && curl -s -o /dev/null -m 2 "http://127.0.0.1:$port/" && break
	kill -0 "$server" 2>/dev/null || bad "the web server ended"
	sleep 0.1
done
curl -sS -f -m 10 -o "$T/page" "http://127.0.0.1:$port/" || bad "no page came"
cmp -s "$T/page" "$T/site/index.html" || bad "the page differs"
echo "  fetched the page: $(wc -c <"$T/page") bytes, equal"
speed=$(curl -sS -f -m 60 -o "$T/got" -w '%{speed_download}' "http://127.0.0.1:$port/big.bin") || bad "no file came"
cmp -s "$T/got" "$T/site/big.bin" || bad "the large file differs"
echo "  fetched 32 MiB: equal, $((${speed%.*} / 1000000)) MB/s"

say "2. SQLite in a second guest on the same fsd, its database in the folder that is served"
printf '  strait run --join demo-%s -w /site sqlite3 demo.db\n' $$
"$S" run --join "demo-$$" -w /site "$P/sqlite3/bin/sqlite3" demo.db >"$T/sql" 2>"$T/sql.err" <<'SQL'
CREATE TABLE t(id INTEGER PRIMARY KEY, word TEXT);
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<100000) INSERT INTO t SELECT i,'w'||(i*7919%100000) FROM c;
CREATE INDEX t_word ON t(word);
PRAGMA integrity_check;
SELECT 'rows', count(*), 'first', min(word) FROM t;
SQL
[ $? = 0 ] && grep -qx ok "$T/sql" || { cat "$T/sql" "$T/sql.err" >&2; bad "SQLite failed"; }
sed 's/^/  /' "$T/sql"
if command -v sqlite3 >/dev/null; then
	[ "$(sqlite3 "$T/site/demo.db" 'PRAGMA integrity_check; SELECT count(*) FROM t')" = $'ok\n100000' ] ||
		bad "the host's sqlite3 reads another database"
	echo "  the host's own sqlite3 reads the same 100000 rows"
fi
curl -sS -f -m 20 -o "$T/db" "http://127.0.0.1:$port/demo.db" && cmp -s "$T/db" "$T/site/demo.db" ||
	bad "the web server does not serve the new database"
echo "  and the web server serves the new database"

if [ -n "$serve" ]; then
	say "Serving http://127.0.0.1:$port/ until Ctrl-C"
	wait "$server"
fi
kill -TERM "$server"
wait "$server"
server=
say "3. Every frame was traced"
"$S" trace report "$trace" || bad "no report"
cat <<TXT

  The trace:          ${trace#"$here"/}  (Wireshark opens it: docs/TRACE.md)
  Try next:           build/bin/strait trace show ${trace#"$here"/} | less
                      ./demo --serve
                      build/bin/strait-cc -O2 prog.c -o prog && build/bin/strait run -v "\$PWD:/w" -w /w ./prog
                      build/bin/strait run --help
TXT
