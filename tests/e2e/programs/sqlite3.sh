#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SQLite on fsd: a database of 100,000 rows with indexes, checked by itself and then
# read by the host's own sqlite3; both journal modes; its own benchmark.
. "$STRAIT_SRC/tests/e2e/programs/lib.sh" || exit 1
mkdir "$T/d"

build() { # JOURNAL FILE
	cat <<SQL
PRAGMA journal_mode=$1;
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, n INTEGER, v REAL);
BEGIN;
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<100000)
  INSERT INTO t SELECT i, 'name-'||(i*7919%100000), i*i%1000, i/7.0 FROM c;
COMMIT;
CREATE INDEX t_name ON t(name);
CREATE INDEX t_n ON t(n);
UPDATE t SET v=v+1 WHERE n<10;
DELETE FROM t WHERE id%1000=7;
PRAGMA integrity_check;
SELECT count(*), sum(n), min(name), max(name) FROM t;
SQL
}
for mode in delete wal; do
	build $mode >"$T/in.sql"
	"$S" run --no-squash -v "$T/d:/data" -w /data "$P/sqlite3/bin/sqlite3" $mode.db <"$T/in.sql" >"$T/out" 2>"$T/log" ||
		fail "sqlite_builds_a_database_$mode" "exit $?"
	grep -qx ok "$T/out" || fail "integrity_check_$mode" "$(head -3 "$T/out")"
	ok "sqlite_builds_a_database_$mode"
	(cd "$T" && sqlite3 "native-$mode.db" <"$T/in.sql" >"$T/native")
	same "results_are_native_ones_$mode" "$T/native" "$T/out"
	sqlite3 "$T/d/$mode.db" 'PRAGMA integrity_check; SELECT * FROM t ORDER BY id' >"$T/a"
	sqlite3 "$T/native-$mode.db" 'PRAGMA integrity_check; SELECT * FROM t ORDER BY id' >"$T/b"
	same "the_host_reads_the_same_rows_$mode" "$T/a" "$T/b"
done
want speedtest1_runs "$S" run --mem /m -w /m "$P/sqlite3/bin/speedtest1" --size 5 /m/s.db
