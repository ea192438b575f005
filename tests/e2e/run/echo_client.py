# SPDX-License-Identifier: MIT
# echo_client.py PORT SECONDS CONNECTIONS: send without end on each connection, compare
# what comes back.  Prints "up" when all are connected and had an answer, then "ok BYTES", or what went wrong; status 1 then.
import hashlib
import os
import socket
import sys
import threading
import time

port, secs, n = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
results = []


def receive(s, digest, count):
    while True:
        try:
            data = s.recv(65536)
        except OSError: # the sender is told, too
            return
        if not data:
            return
        if not count[0]:
            up.wait()
        digest.update(data)
        count[0] += len(data)


def one():
    sent, got, count, total = hashlib.md5(), hashlib.md5(), [0], 0
    try:
        s = socket.create_connection(("127.0.0.1", port), timeout=20)
        t = threading.Thread(target=receive, args=(s, got, count))
        t.start()
        end = time.monotonic() + secs
        while time.monotonic() < end:
            block = os.urandom(8192)
            s.sendall(block)
            sent.update(block)
            total += len(block)
        s.shutdown(socket.SHUT_WR)
        t.join()
        same = sent.digest() == got.digest() and total == count[0]
        results.append(None if same else f"sent {total}, got {count[0]}: not the same")
    except OSError as e:
        results.append(str(e))
    bytes_moved[0] += total


bytes_moved = [0]
up = threading.Barrier(n, lambda: print("up", flush=True))
threads = [threading.Thread(target=one) for _ in range(n)]
for t in threads:
    t.start()
for t in threads:
    t.join()
wrong = [r for r in results if r]
print("\n".join(wrong) if wrong or len(results) != n else f"ok {bytes_moved[0]}")
sys.exit(1 if wrong or len(results) != n else 0)
