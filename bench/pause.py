# SPDX-License-Identifier: MIT
"""pause.py - for bench/run: how long programs wait when a service dies or is
exchanged, and what being able to go on costs when nothing happens."""
import os
import re
import signal
import socket
import statistics
import subprocess
import threading
import time

from harness import Failed, Guest, Proc, Row, children, show

CALLS = [("fstat", "fstat"), ("pread_4k", "read 4 KiB"), ("pwrite_4k", "write 4 KiB"),
         ("stat", "stat, 3 components"), ("open_close", "open and close"),
         ("create_unlink", "create, close and unlink"), ("fstat_32", "fstat in 32 threads")]
NAME = "bench-pause-%d" % os.getpid()
WINDOW = 0.5  # seconds of each round
QUEUED = 20 << 20  # bytes in netd, of connections whose peers do not read
QUEUES = 72        # of a third of a megabyte each, at least
SETTLE = 0.3  # and between rounds: lives shorter than this count as a row of failures


def hit(b, guest, service, how):
    """Kill or swap @service of @guest.  Bytes that the swap handed over."""
    if how == "swap":
        p = subprocess.run([b.strait, "swap", NAME, "--service", service], capture_output=True,
                           text=True, timeout=30)
        if p.returncode != 0:
            raise Failed("swap: %s" % p.stderr.strip())
        moved = re.search(r"connections in (\d+) bytes", p.stdout)
        return int(moved.group(1)) if moved else 0
    for pid in children(guest.p.pid):
        try:
            with open("/proc/%d/comm" % pid) as f:
                if f.read().strip() == service:
                    os.kill(pid, signal.SIGKILL)
                    return 0
        except OSError:
            pass
    raise Failed("no %s to kill" % service)


def file_pauses(b, guest, how, rounds):
    """ms of each round's longest wait; how None: nothing happens."""
    got = []
    for _ in range(rounds):
        guest.ask("%d" % (WINDOW * 1000))
        time.sleep(WINDOW / 3)
        if how:
            hit(b, guest, "fsd", how)
        text = guest.line()
        if text.startswith("error"):
            raise Failed("the program saw an %s" % text)
        got.append(float(text) / 1e6)
        time.sleep(SETTLE)
    return got


class Pinger(threading.Thread):
    """Sends a byte and waits for it to come back, again and again."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.s = port, None
        self.longest = self.broken = 0
        self.ended = False

    def connect(self):
        self.s = socket.create_connection(("127.0.0.1", self.port), 2)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s.settimeout(5)
        self.s.sendall(b"r")  # bench/net.c: echo

    def once(self):
        if not self.s:
            self.connect()
        self.s.sendall(b"x")
        if not self.s.recv(1):
            raise OSError("closed")

    def run(self):
        last = time.monotonic()
        while not self.ended:
            try:
                self.once()
                now = time.monotonic()
                self.longest = max(self.longest, now - last)
                last = now
            except OSError:
                self.broken += self.s is not None
                self.s = None
                time.sleep(0.001)


def queue_up(port):
    """Connections that the guest has written to until nothing more fits."""
    conns = []
    for _ in range(QUEUES):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", port))
        s.sendall(b"q")
        conns.append(s)
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        s.sendall(b"a")
        s.recv(1)  # one after the other: all are full
    return conns


def net_pauses(b, guest, port, how, rounds, queued=0):
    p = Pinger(port)
    p.start()
    time.sleep(SETTLE)
    got = []
    try:
        for _ in range(rounds):
            p.longest = 0
            time.sleep(WINDOW / 3)
            if how and hit(b, guest, "netd", how) < queued:
                raise Failed("less than %d bytes were queued" % queued)
            time.sleep(WINDOW * 2 / 3)
            got.append(p.longest * 1e3)
            time.sleep(SETTLE)
    finally:
        p.ended = True
        p.join()
    if p.broken and how != "kill":
        raise Failed("%d connections broke" % p.broken)
    return got


def row(b, what, path, got, target):
    """Shown are median, 99 % and longest; the target is the median's."""
    got = sorted(got)
    p99 = got[min(len(got) - 1, int(len(got) * 0.99))]
    r = Row("Pauses", what, path, "unpinned", [statistics.median(got)],
            ("<=", target) if target else None, "ms")
    r.ours = "p50 %s, p99 %s, max %s ms" % (show(statistics.median(got)), show(p99), show(got[-1]))
    b.rows.append(r)


CASES = [(None, "nothing happens", None), ("swap", "planned swap", 10), ("kill", "crash", 150)]


def pauses(b):
    rounds = max(20, len(b.rounds()) * 2)
    g = Guest(b.strait, ["--name", NAME, "--no-squash", "--net", "none", "-v", b.ram + ":/w",
                         b.guest("pause"), "/w/pause"], None)
    for how, text, target in CASES:
        row(b, text + ", reads and writes", "fsd, dir mount on tmpfs",
            file_pauses(b, g, how, rounds), target)
    g.stop()
    if os.geteuid() != 0:
        b.skip("pauses of netd", "needs root")
        return
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    g = Guest(b.strait, ["--name", NAME, "-p", "%d:7000" % port, b.guest("net"), "server", "7000"],
              None)
    for how, text, target in CASES:
        also = ", until a new connection works" if how == "kill" else ", one connection"
        row(b, text + also, "kernel, TAP, netd", net_pauses(b, g, port, how, rounds), target)
    conns = queue_up(port)
    row(b, "planned swap, one connection, 20 MB queued in others", "kernel, TAP, netd",
        net_pauses(b, g, port, "swap", rounds, QUEUED), 50)
    for s in conns:
        s.close()
    g.stop()


def cost(b):
    """The same calls with --recover 30 and --recover 0, taking turns."""
    ms = str(2 if b.o.quick else 5)
    for place, cpu in b.placements[:1]:
        sides, got = {}, {}
        for after in ("0", "30"):
            d = os.path.join(b.ram, "recover-" + after)
            os.makedirs(d, exist_ok=True)
            sides[after] = Guest(b.strait, ["--recover", after, "--no-squash", "--net", "none", "-v",
                                            d + ":/w", b.guest("ops"), "/w", ms], cpu)
            sides[after].round()
            got[after] = {}
        for _ in range(3 * len(b.rounds())):
            for after, side in sides.items():
                for op, v in side.round().items():
                    got[after].setdefault(op, []).append(v)
        for op, what in CALLS:
            b.compare("Pauses", what + ", able to recover", "dir mount on tmpfs", place,
                      got["30"][op], got["0"][op], ("<=", 1.03), base_name="--recover 0")
    Proc.stop_all()


def part_pause(b):
    b.attempt("pauses", pauses, b)
    Proc.stop_all()
    b.attempt("cost of being able to recover", cost, b)
