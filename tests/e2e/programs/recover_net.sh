#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Servers that nobody here wrote know nothing of services that are killed: they serve
# on, without a new start.
. "$STRAIT_SRC/tests/e2e/programs/lib.sh" || exit 1
mkdir "$T/www" "$T/etc"
echo '<h1>hello</h1>' >"$T/www/index.html"
cat >"$T/etc/www.conf" <<CONF
server.document-root = "/www"
server.port = 80
server.modules = ( "mod_indexfile", "mod_staticfile" )
index-file.names = ( "index.html" )
CONF

# again PID N: the netd of this strait is killed; the Nth one after the first comes.
again()
{
	local i

	kill -KILL "$(pgrep -P "$1" -x netd)" || return 1
	for i in $(seq 200); do
		grep -q "netd is back after [0-9]* ms (epoch $(($2 + 1)))" "$T/server.log" && return
		sleep 0.05
	done
	cp "$T/server.log" "$T/log"
	return 1
}

page() { curl -sS -f -m 20 --retry 5 --retry-all-errors --retry-delay 0 -o "$T/page" "http://127.0.0.1:$1/"; }

# web NAME PORT COMMAND...
web()
{
	local name=$1 port=$2 server i

	shift 2
	: >"$T/server.log"
	background "$@"
	server=${pids[-1]}
	up "$port" || { cp "$T/server.log" "$T/log"; fail "$name: the_server_listens"; }
	want "$name: a_page_is_served" page "$port"
	for i in 1 2 3; do
		again "$server" $i || fail "$name: netd_comes_back"
		want "$name: a_page_is_served_after_kill_$i" page "$port"
		same "$name: it_is_right_$i" "$T/www/index.html" "$T/page"
	done
	stop_well "$server" "$name: it_stops_on_sigterm"
}

port=$(port)
web lighttpd "$port" "$S" run --no-squash --name "t-recover-www-$$" -v "$T/www:/www:ro" \
	-v "$T/etc:/conf:ro" -p "$port:80" "$P/lighttpd/bin/lighttpd" -D -f /conf/www.conf

port=$(port)
: >"$T/server.log"
background "$S" run --no-squash --name "t-recover-redis-$$" -p "$port:6379" \
	"$P/redis/bin/redis-server" --save "" --protected-mode no
server=${pids[-1]}
up "$port" || { cp "$T/server.log" "$T/log"; fail "redis: the_server_listens"; }
cli() { "$P-native/redis/bin/redis-cli" -p "$port" "$@"; }
[ "$(cli set key value)" = OK ] || fail "redis: a_value_is_kept"
for i in 1 2 3; do
	again "$server" $i || fail "redis: netd_comes_back"
	for k in $(seq 20); do
		got=$(cli get key 2>/dev/null) && [ "$got" = value ] && break
		sleep 0.1
	done
	[ "$got" = value ] || fail "redis: the_value_is_there_after_kill_$i" "$got"
	ok "redis: the_value_is_there_after_kill_$i"
done
stop_well "$server" "redis: it_stops_on_sigterm"
