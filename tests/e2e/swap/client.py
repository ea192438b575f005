# SPDX-License-Identifier: MIT
# client.py PORT STOP - keeps connections to transfer.c busy until the file STOP is there
# and enough was moved: one that fetches, one that sends, some that say a word now and then, and ever new
# ones.  Every byte is accounted for; prints what was done and the longest silence.
import os, socket, sys, threading, time, zlib

port, stop = int(sys.argv[1]), sys.argv[2]
PIECE = 8 << 20
ENOUGH = int(os.environ.get('STRAIT_TEST_MIB', 100)) << 20  # in each direction, however slow the machine
moved = {'fetched': 0, 'sent': 0, 'said': 0, 'connections': 0}
longest = {'fetching': 0.0, 'saying': 0.0}
wrong = []


def ended(what=None):
    return os.path.exists(stop) and (not what or moved[what] >= ENOUGH or wrong)


def connect():
    return socket.create_connection(('127.0.0.1', port), timeout=60)


def whole(s, n):
    b = bytearray()
    while len(b) < n:
        d = s.recv(min(n - len(b), 1 << 16))
        if not d:
            raise OSError('the connection ended after %d of %d bytes' % (len(b), n))
        b += d
    return bytes(b)


def fetch():
    s = connect()
    while not ended('fetched'):
        s.sendall(b'get %d\n' % PIECE)
        got, sum, last = 0, 0, time.monotonic()
        while got < PIECE:
            d = s.recv(min(PIECE - got, 1 << 18))
            now = time.monotonic()
            longest['fetching'] = max(longest['fetching'], now - last)
            last = now
            if not d:
                raise OSError('the connection ended in a fetch')
            sum = zlib.crc32(d, sum)
            got += len(d)
        if int(whole(s, 9), 16) != sum:
            raise ValueError('what was fetched has changed')
        moved['fetched'] += PIECE


def send():
    s = connect()
    data = os.urandom(PIECE)
    want = zlib.crc32(data)
    while not ended('sent'):
        s.sendall(b'put %d\n' % PIECE)
        s.sendall(data)
        if int(whole(s, 9), 16) != want:
            raise ValueError('what was sent has changed')
        moved['sent'] += PIECE


def say():
    s = connect()
    while not ended():
        t = time.monotonic()
        word = b'word%d\n' % moved['said']
        s.sendall(b'say ' + word)
        if whole(s, len(word)) != word:
            raise ValueError('another word came back')
        longest['saying'] = max(longest['saying'], time.monotonic() - t)
        moved['said'] += 1
        time.sleep(0.02)


def come_and_go():
    while not ended():
        s = connect()
        s.sendall(b'say hello\n')
        if whole(s, 6) != b'hello\n':
            raise ValueError('another word came back')
        s.close()
        moved['connections'] += 1
        time.sleep(0.01)


def run(what):
    try:
        what()
    except Exception as e:
        wrong.append('%s: %s' % (what.__name__, e))


threads = [threading.Thread(target=run, args=(f,)) for f in (fetch, send, say, say, come_and_go)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(' '.join('%s %d' % i for i in moved.items()), ' '.join(
    'longest-%s-ms %d' % (k, v * 1000) for k, v in longest.items()))
for w in wrong:
    print(w, file=sys.stderr)
sys.exit(1 if wrong else 0)
