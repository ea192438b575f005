# SPDX-License-Identifier: MIT
"""sql.py - a guest's sqlite3 that is fed rows and says which are committed."""
import random
import subprocess

from harness import Native, Running, Wrong, program, until

MODES = ("delete", "wal")


class Shell:
    """sqlite3 in a guest, in the folder @db, on the database t.db.

    Row n is acknowledged once its line "row n" is there: its transaction has ended."""

    def __init__(self, db, options=(), seed=0, native=False):
        if native:
            self.r = Native(["sqlite3", "-bail", "t.db"], db, stdin=subprocess.PIPE)
        else:
            self.r = Running(
                ["--net", "none", "--no-squash", *options, "-v", db + ":/w", "-w", "/w"],
                [program("sqlite3", "sqlite3"), "-bail", "t.db"], stdin=subprocess.PIPE)
        self.told, self.rng = 0, random.Random(seed)

    def tell(self, text):
        self.r.p.stdin.write(text.encode())
        self.r.p.stdin.flush()

    def create(self, mode, synchronous="FULL"):
        """@mode: a journal mode."""
        self.tell("PRAGMA journal_mode=%s; PRAGMA synchronous=%s; CREATE TABLE IF NOT EXISTS t(id "
                  "INTEGER PRIMARY KEY, v BLOB); CREATE INDEX IF NOT EXISTS i ON t(v);\n"
                  % (mode, synchronous))

    def insert(self, n):
        """Row @n, in a transaction of its own."""
        self.told = n
        self.tell("INSERT INTO t VALUES(%d, randomblob(%d)); SELECT 'row ' || %d;\n"
                  % (n, self.rng.randrange(3000), n))

    def rows(self):
        """The last row that was acknowledged; 0: none was."""
        words = self.r.printed().rpartition("row ")[2].split(maxsplit=1)
        return int(words[0]) if words and words[0].isdigit() else 0

    def wait_rows(self):
        """Until all that was told is acknowledged, or the guest has ended."""
        try:
            until("row %d" % self.told,
                  lambda: self.r.p.poll() is not None or self.rows() >= self.told, 40)
        except Wrong as e:
            raise Wrong("%s: %s" % (e, self.r.said())) from e

    def end(self):
        """No more is told: how it ended, None: well."""
        try:
            self.r.p.stdin.close()
        except OSError:
            pass  # what was not written yet
        late = self.r.wait(60)
        if late or self.r.p.returncode != 0:
            return "sqlite3: %s, exit status %s: %s" % (late, self.r.p.returncode, self.r.said())
        return None

    def stop(self):
        if self.r.p.poll() is None:
            self.r.p.terminate()
            self.r.wait(10)
