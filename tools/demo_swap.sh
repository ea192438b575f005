#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# demo_swap.sh - what ./demo --swap shows: a download goes on while the services that
# carry it are exchanged.
#
# A web server in a guest sends a file that fsd reads, by TCP that netd runs.  In the
# middle of one download each service is swapped twice; then fsd is killed, too.  The
# checksum at the end must be the file's.
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/tools/setup/lib.sh"
S=${STRAIT_BIN:-$here/build/bin}/strait
P=$STRAIT_CACHE/programs
name=demo-$$ size=$((96 << 20)) rate=$((8 << 20))

T=$(mktemp -d) || exit 1
server='' loader=''
cleanup() {
	[ -z "$loader" ] || kill "$loader" 2>/dev/null
	[ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; }
	rm -rf "$T"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
bad() { printf 'demo: %s\n' "$*" >&2; [ ! -s "$T/server.log" ] || tail -n 20 "$T/server.log" >&2; exit 1; }
got() { stat -c %s "$T/got" 2>/dev/null || echo 0; }
progress() { printf '  download: %3d of %d MiB\n' $(($(got) >> 20)) $((size >> 20)); }

mkdir "$T/site" "$T/etc"
head -c $size /dev/urandom >"$T/site/big.bin"
cat >"$T/etc/lighttpd.conf" <<'CONF'
server.document-root = "/site"
server.port = 80
mimetype.assign = ( "" => "application/octet-stream" )
CONF
port=${STRAIT_DEMO_PORT:-8080}
while (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done

title "1. A web server in a guest, and a download of $((size >> 20)) MiB at $((rate >> 20)) MiB/s"
printf '  strait run --name %s -v SITE:/site -p %s:80 lighttpd -D -f /conf/lighttpd.conf\n' "$name" "$port"
"$S" run --no-squash --name "$name" -v "$T/site:/site:ro" -v "$T/etc:/conf:ro" -p "$port:80" \
	"$P/lighttpd/bin/lighttpd" -D -f /conf/lighttpd.conf >"$T/server.log" 2>&1 </dev/null &
server=$!
for _ in $(seq 100); do
	curl -s -r 0-0 -o /dev/null -m 2 "http://127.0.0.1:$port/big.bin" && break
	kill -0 "$server" 2>/dev/null || bad "the web server ended"
	sleep 0.1
done
curl -sS -f --limit-rate $rate -o "$T/got" "http://127.0.0.1:$port/big.bin" 2>"$T/curl.err" &
loader=$!
sleep 1.5
progress

title "2. Both services are swapped under it, twice"
for service in fsd netd fsd netd; do
	printf '  strait swap %s --service %s\n' "$name" "$service"
	"$S" swap "$name" --service "$service" >"$T/swap" 2>&1 || { cat "$T/swap" >&2; bad "the swap failed"; }
	sed 's/^/    /' "$T/swap"
	kill -0 "$loader" 2>/dev/null || bad "the download ended: $(cat "$T/curl.err")"
	sleep 1
	progress
done

title "3. fsd is killed (SIGKILL)"
for p in $(cat /proc/"$server"/task/*/children); do
	[ "$(cat /proc/"$p"/comm 2>/dev/null)" != fsd ] || kill -KILL "$p"
done
sleep 1
grep -e 'fsd ended' -e 'fsd is back' "$T/server.log" | tail -n 2 | sed 's/^/  /'
progress

title "4. The download ends"
wait "$loader" || bad "curl: $(cat "$T/curl.err")"
loader=
progress
a=$(sha256sum <"$T/site/big.bin") b=$(sha256sum <"$T/got")
printf '  the file   %s\n  downloaded %s\n' "${a%% *}" "${b%% *}"
[ "$a" = "$b" ] || bad "they differ"
echo "  equal: one connection, three instances each of fsd and netd and one more of fsd"
"$S" ps 2>/dev/null | grep -e NAME -e "$name" | sed 's/^/  /'
cat <<TXT

  What holds and what does not: docs/RECOVERY.md
TXT
