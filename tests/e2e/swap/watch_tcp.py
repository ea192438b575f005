# SPDX-License-Identifier: MIT
"""watch_tcp.py IFACE STOP - what goes over a link, looked at as it passes.

Every connection that begins while we watch: no RST, nothing sent beyond the window that the
other end has granted, no hole that is never filled.  Ends when the file STOP is there; then
prints what was seen, and fails if something was wrong or the capture is not complete.
"""
import os
import socket
import struct
import sys

SOL_PACKET, PACKET_STATISTICS, SO_RCVBUFFORCE = 263, 6, 33
FIN, SYN, RST, ACK = 1, 2, 4, 16
HEADERS = 14 + 60 + 60
WRAP = 1 << 32
seen = {"packets": 0, "connections": 0, "bytes": 0, "resets": 0, "beyond-window": 0, "holes": 0}
wrong = []
ends = {}  # (from, to) -> End


def after(a, b):
    """How far @a lies behind @b."""
    return (a - b + (WRAP >> 1)) % WRAP - (WRAP >> 1)


class End:
    """What one end of a connection has sent."""

    def __init__(self, isn, scale):
        self.next = (isn + 1) % WRAP  # all before it was seen
        self.pieces = []              # (from, to) behind a hole
        self.scale = scale            # None: it does not scale
        self.edge = None              # it has granted the other one up to here

    def take(self, seq, n):
        if after(seq, self.next) > 0:
            self.pieces.append((seq, (seq + n) % WRAP))
        elif after(seq + n, self.next) > 0:
            self.next = (seq + n) % WRAP
        again = True
        while again and self.pieces:
            again = False
            for p in list(self.pieces):
                if after(p[0], self.next) > 0:
                    continue
                self.pieces.remove(p)
                again = True
                if after(p[1], self.next) > 0:
                    self.next = p[1]


def window_scale(options):
    while options and options[0]:
        if options[0] == 1:
            options = options[1:]
            continue
        if len(options) < 2 or options[1] < 2:
            break
        if options[0] == 3:
            return options[2]
        options = options[options[1]:]
    return None


def note(what, text):
    seen[what] += 1
    if len(wrong) < 20:
        wrong.append("packet %d: %s: %s" % (seen["packets"], what, text))


def segment(src, dst, tcp, n):
    """A TCP segment of @n bytes, of which the beginning is there."""
    sport, dport, seq, ack, off, flags, window = struct.unpack("!HHIIBBH", tcp[:16])
    head = (off >> 4) * 4
    one, two = (src, sport), (dst, dport)
    seen["packets"] += 1
    name = "%s:%d to %s:%d" % (socket.inet_ntoa(src), sport, socket.inet_ntoa(dst), dport)
    if flags & RST:
        note("resets", name)
    if flags & SYN:
        if not flags & ACK and (one, two) not in ends:
            seen["connections"] += 1
        ends[one, two] = End(seq, window_scale(tcp[20:head]))
    me, other = ends.get((one, two)), ends.get((two, one))
    if not me:
        return  # it began before us
    size = n - head + (1 if flags & FIN else 0)
    if other and size and not flags & SYN:
        seen["bytes"] += n - head
        # One byte into a shut window asks whether it is open.
        if other.edge is not None and after(seq + n - head, other.edge) > 1:
            note("beyond-window", "%s: %d bytes" % (name, after(seq + n - head, other.edge)))
        me.take(seq, size)
    if flags & ACK and not flags & RST:
        scaled = not flags & SYN and me.scale is not None and other and other.scale is not None
        edge = (ack + (window << me.scale if scaled else window)) % WRAP
        if me.edge is None or after(edge, me.edge) > 0:
            me.edge = edge


def frame(b):
    if b[12:14] != b"\x08\x00" or b[23] != 6:
        return
    ihl, total = (b[14] & 15) * 4, struct.unpack("!H", b[16:18])[0]
    segment(b[26:30], b[30:34], b[14 + ihl:], total - ihl)


def main():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 30)
    s.bind((sys.argv[1], 0))
    s.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)  # from now on
    s.settimeout(0.1)
    print("watching", flush=True)
    while True:
        try:
            frame(s.recv(HEADERS))
        except TimeoutError:
            if os.path.exists(sys.argv[2]):
                break
    missed = struct.unpack("II", s.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    for pair, e in ends.items():
        if e.pieces:
            note("holes", "%s: %d" % (pair, len(e.pieces)))
    print(" ".join("%s %d" % i for i in seen.items()), "not-captured %d" % missed)
    print("\n".join(wrong))
    sys.exit(1 if wrong or missed or not seen["bytes"] else 0)


main()
