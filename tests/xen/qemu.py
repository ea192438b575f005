#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""qemu.py DIR SECONDS QEMU... - run an emulated machine of the lab.

Its first serial port is Xen's console: DIR/console.log.  The second is what the script
in dom0 says: DIR/script.log and our standard output, as it comes.  Lines in the logs
bear the seconds since the start.  Exit: the status in the script's last line, "@@ exit
N", or 0 when it was "@@ kill", for which the machine is killed at once; 98 when the machine ended without it, 99 when the time ran out.
"""
import ctypes
import os
import re
import select
import signal
import subprocess
import sys
import time


class Port:
    """One serial port: splits into lines, stamps them."""

    def __init__(self, fd, path, start):
        self.fd, self.start, self.rest = fd, start, b""
        self.log = open(path, "wb", buffering=0)

    def read(self):
        """The whole lines that came; None at the end."""
        data = os.read(self.fd, 65536)
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        lines = [line.replace(b"\r", b"") for line in lines]
        for line in lines:
            self.log.write(b"%7.2f %s\n" % (time.monotonic() - self.start, line))
        return lines

    def close(self):
        if self.rest:
            self.log.write(b"%7.2f %s\n" % (time.monotonic() - self.start, self.rest))


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
    start = time.monotonic()
    process = subprocess.Popen(qemu, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, preexec_fn=die_with_us)
    signal.signal(signal.SIGTERM, lambda *_: (process.kill(), sys.exit(130)))
    console = Port(process.stdout.fileno(), os.path.join(out, "console.log"), start)
    script = Port(script_fd, os.path.join(out, "script.log"), start)
    status, late = None, False
    try:
        while True:
            left = start + seconds - time.monotonic()
            if left <= 0:
                late = True
                break
            ready, _, _ = select.select([console.fd, script.fd], [], [], min(left, 1))
            if script.fd in ready:
                for line in script.read():
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
        process.kill() if late else None
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        console.close()
        script.close()
        os.unlink(fifo)
    if late:
        print(f"lab: stopped after {seconds:.0f} s", file=sys.stderr)
        return 99
    if status is None:
        print("lab: the machine ended before the script did", file=sys.stderr)
        return 98
    return status


sys.exit(main())
