# SPDX-License-Identifier: MIT
# dom0_demo.sh - in dom0: the demo.
title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
bad() {
	echo "demo: $*"
	for log in /var/log/xen/console/*.log; do
		echo "--- ${log##*/}"
		tail -n 5 "$log"
	done
	exit 1
}

bridge xenbr0 10.55.0.1/24
cat >/run/demo.desc <<'CFG'
name = "demo"
services = [
  "file, kind=file, disk=/dev/vdc, mount=xvda:/srv, squash=none, trace=1",
  "net, kind=net, bridge=xenbr0, ip=10.55.0.2/24, gateway=10.55.0.1, trace=1",
]
guests = [
  [ "web", "elf=/test/lighttpd", "args=-D -f /srv/lighttpd.conf", "memory=32" ],
  [ "sql", "elf=/test/sqlite3", "args=/srv/www/demo.db '.read /srv/demo.sql'", "memory=32" ],
]
CFG
echo "  $(xl info | sed -n 's/^xen_version *: */Xen /p'), dom0's Linux $(uname -r)"
title "3. strait deploy demo.desc"
sed 's/^/  | /' /run/demo.desc
strait deploy /run/demo.desc 2>&1 || bad "strait deploy failed"
strait ps
title "4. A page and a database"
for try in $(seq 50); do
	curl -s -f -m 10 -o /run/page http://10.55.0.2/ && break
	sleep 0.3
done
cmp /run/page /test/www/index.html || bad "no page, or another"
echo "  curl http://10.55.0.2/ in dom0: $(wc -c </run/page) bytes, equal: read by fsd, sent by netd, each a domain"
timeout 120 strait wait sql || bad "SQLite failed"
strait logs sql | tr -d '\r' | tail -n 2 | sed 's/^/  sqlite3: /'
curl -s -f -m 20 -o /run/db http://10.55.0.2/demo.db || bad "the web server does not serve the database"
echo "  curl http://10.55.0.2/demo.db: $(wc -c </run/db) bytes, written by the other guest"
title "5. Every call was traced"
for service in file net; do
	strait trace fetch $service >/out/$service.pcapng || bad "no trace of $service"
	strait trace report /out/$service.pcapng 2>&1 | head -n 24
done
strait down demo || bad "strait down failed"
echo "  taken down: $(xl list | tail -n +2 | wc -l) domain is left, dom0"
