#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""qemu.py DIR SECONDS QEMU... - run an emulated machine of the lab.

Its first serial port is Xen's console: DIR/console.log.  The second is what the script
in dom0 says: DIR/script.log and our standard output, as it comes.  Lines in the logs
bear the seconds since the start.  Exit: the status in the script's last line, "@@ exit
N", or 0 when it was "@@ kill", for which the machine is killed at once; 96 when the
machine stands still, or dom0 does, which says "@@ beat" else (registers are in
console.log then), 98 when it ended without that line, 99 when the time ran out.
"""
import ctypes
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time


class Port:
    """One serial port: splits into lines, stamps them."""

    def __init__(self, fd, path, start):
        self.fd, self.start, self.rest = fd, start, b""
        self.log = open(path, "wb", buffering=0)

    def read(self, clean=None):
        """The whole lines that came, those that are not empty after @clean; None at the end."""
        data = os.read(self.fd, 65536)
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        if clean:
            lines = [new for old, new in ((line, clean(line)) for line in lines) if new or not old]
        return self.write(lines)

    def write(self, lines):
        lines = [line.replace(b"\r", b"") for line in lines]
        for line in lines:
            self.log.write(b"%7.2f %s\n" % (time.monotonic() - self.start, line))
        return lines

    def close(self):
        if self.rest:
            self.write([self.rest])


class Stillness:
    """Does the emulator do anything?  Xen that has nothing to do takes 0.3 s in a minute.
    And does dom0, which says so every 15 s?"""

    LIMIT = 60   # seconds
    LEAST = 0.05 # of CPU time in these
    BEATS = 150  # seconds; on a busy host, too

    def __init__(self, pid, counts):
        self.stat, self.since = f"/proc/{pid}/stat", time.monotonic()
        self.used = self.cpu()
        self.beat = None  # the last one
        self.counts = counts  # instructions: dom0's seconds are not ours

    def beats(self, line):
        """@line without the beat that may be in it."""
        if b"@@ beat" in line:
            self.beat = time.monotonic()
        return line.replace(b"@@ beat", b"")

    def cpu(self):
        with open(self.stat, encoding="ascii", errors="replace") as f:
            times = f.read().rpartition(")")[2].split()[11:13]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

    def lasts(self):
        used, now = self.cpu(), time.monotonic()
        if used - self.used >= self.LEAST:
            self.since, self.used = now, used
        if now - self.since > self.LIMIT:
            return f"the emulated machine has stood still for {self.LIMIT} s"
        if self.beat and not self.counts and now - self.beat > self.BEATS:
            return f"dom0 has stood still for {self.BEATS} s"
        return None


def evidence(monitor, console):
    """What the machine is at, three times, into the console's log."""
    monitor.settimeout(5)
    try:
        for command in ["info registers", "info lapic", "info irq", "info pic"] * 3:
            monitor.send(command.encode() + b"\n")
            said = b""
            while not said.endswith(b"(qemu) "):
                said += monitor.recv(65536)
            console.write(said.split(b"\n"))
            time.sleep(0.3)
    except OSError:
        console.write([b"the emulator itself does not answer"])


def die_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main():
    out, seconds, qemu = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    fifo = os.path.join(out, ".script")
    if os.path.exists(fifo):
        os.unlink(fifo)
    os.mkfifo(fifo)
    script_fd = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    qemu += ["-serial", "stdio", "-chardev", "file,id=script,path=" + fifo.replace(",", ",,"),
             "-serial", "chardev:script"]
    monitor, theirs = socket.socketpair()
    qemu += ["-chardev", f"socket,id=monitor,fd={theirs.fileno()}", "-mon", "monitor"]
    start = time.monotonic()
    process = subprocess.Popen(qemu, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, preexec_fn=die_with_us,
                               pass_fds=[theirs.fileno()])
    theirs.close()
    still = Stillness(process.pid, "-icount" in qemu)
    signal.signal(signal.SIGTERM, lambda *_: (process.kill(), sys.exit(130)))
    console = Port(process.stdout.fileno(), os.path.join(out, "console.log"), start)
    script = Port(script_fd, os.path.join(out, "script.log"), start)
    status, late, stands = None, None, None
    try:
        while True:
            left = start + seconds - time.monotonic()
            if left <= 0:
                late = f"after {seconds:.0f} s, {still.cpu():.0f} s of CPU time"
                break
            stands = still.lasts() if process.poll() is None else None
            if stands:
                evidence(monitor, console)
                break
            ready, _, _ = select.select([console.fd, script.fd], [], [], min(left, 1))
            if script.fd in ready:
                for line in script.read(still.beats):
                    match = re.match(rb"@@ exit (\d+)$", line)
                    if match:
                        status = int(match.group(1))
                    elif line == b"@@ kill":
                        process.kill()
                        status = 0
                    else:
                        sys.stdout.buffer.write(line + b"\n")
                sys.stdout.flush()
            elif console.fd in ready and console.read() is None:
                break
            elif console.fd in ready:
                continue
    finally:
        if late or stands:
            process.kill()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        console.close()
        script.close()
        os.unlink(fifo)
    if late:
        print(f"lab: stopped {late}", file=sys.stderr)
        return 99
    if stands:
        print(f"lab: {stands}", file=sys.stderr)
        return 96
    if status is None:
        print("lab: the machine ended before the script did", file=sys.stderr)
        return 98
    return status


sys.exit(main())
