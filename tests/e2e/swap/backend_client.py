# SPDX-License-Identifier: MIT
"""Clients of backend.c.

usage: backend_client.py new TCP-PORT UDP-PORT    a new connection and a datagram are echoed
       backend_client.py lives TCP-PORT SECONDS   one connection is echoed all the time
       backend_client.py reset TCP-PORT BYTES     holds a connection, sends, waits for RST
"""
import socket
import sys
import time

WAIT = 20


def connect(port):
    s = socket.create_connection(("127.0.0.1", port), WAIT)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def echo(s, byte):
    s.sendall(byte)
    got = s.recv(1)
    assert got == byte, got


def new(port, udp):
    echo(connect(port), b"x")
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1)
    s.connect(("127.0.0.1", udp))
    for _ in range(WAIT):  # what netd had at the time of a swap may be lost
        s.send(b"datagram")
        try:
            assert s.recv(100) == b"datagram"
            return
        except TimeoutError:
            pass
    sys.exit("no datagram came back")


def lives(port, seconds):
    s = connect(port)
    echo(s, b"x")
    print("up", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        echo(s, b"y")
        time.sleep(0.01)


def reset(port, n):
    s = connect(port)
    echo(s, b"x")
    s.sendall(b"h" + b"d" * n)
    print("up", flush=True)
    try:
        sys.exit("the connection ended without a reset: %r" % s.recv(1))
    except ConnectionResetError:
        print("reset", flush=True)


what, args = sys.argv[1], [int(a) for a in sys.argv[2:]]
{"new": new, "lives": lives, "reset": reset}[what](*args)
