# SPDX-License-Identifier: MIT
"""harness.py - what bench/run stands on: processes held to a CPU, guests, medians,
the table and the plot.

A Row is one line of the table.  Ratios are taken round by round, native and Strait
next to each other in time, and their median is shown with its quartiles: the
machine's speed may change by a factor of two within minutes."""
import json
import math
import os
import signal
import statistics
import subprocess
import time


def median(v):
    return statistics.median(v)


def quartiles(v):
    if len(v) < 2:
        return v[0], v[0]
    q = statistics.quantiles(v, n=4, method="inclusive")
    return q[0], q[2]


class Failed(Exception):
    """A measure that cannot be taken here; its text says why."""


# ---- processes ----

def confine(cpu):
    """For preexec_fn: one CPU (None: all of them), a session of its own."""
    allowed = os.sched_getaffinity(0)

    def set_up():
        os.setsid()
        os.sched_setaffinity(0, {cpu} if cpu is not None else allowed)
        if os.geteuid() == 0:
            os.setpriority(os.PRIO_PROCESS, 0, -10)
    return set_up


class Proc:
    """A process that answers lines: started, "ready" awaited, stopped at the end."""
    everyone = []

    def __init__(self, argv, cpu, ready="ready", cwd=None, timeout=20):
        self.argv = argv
        self.err = open(os.path.join(Proc.log_dir, "stderr.%d" % len(Proc.everyone)), "w+b")
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=self.err, preexec_fn=confine(cpu), text=True,
                                  bufsize=1, cwd=cwd)
        Proc.everyone.append(self)
        self.timeout = timeout
        if ready and self.line() != ready:
            self.fail("did not start")

    def fail(self, what):
        self.stop()
        self.err.seek(0)
        said = self.err.read().decode(errors="replace").strip().splitlines()[-1:] or [""]
        raise Failed("%s: %s %s" % (os.path.basename(self.argv[0]), what, said[0]))

    def line(self):
        old = signal.signal(signal.SIGALRM, self._late)
        signal.alarm(self.timeout)
        try:
            s = self.p.stdout.readline()
        except TimeoutError:
            self.fail("no answer in %d s;" % self.timeout)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, old)
        if not s:
            self.fail("ended:")
        return s.strip()

    @staticmethod
    def _late(_sig, _frame):
        raise TimeoutError

    def ask(self, line=""):
        try:
            self.p.stdin.write(line + "\n")
        except BrokenPipeError:
            self.fail("ended:")

    def number(self, line):
        self.ask(line)
        return float(self.line())

    def round(self):
        """One round of ops: {name: ns}."""
        got = {}
        self.ask()
        while (s := self.line()) != "end":
            name, ns = s.split()
            got[name] = float(ns)
        return got

    def stop(self):
        if self.p.poll() is None:
            self.p.terminate()
            try:
                self.p.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.p.pid, signal.SIGKILL)
                self.p.wait()
        for f in (self.p.stdin, self.p.stdout):
            try:
                f.close()
            except OSError:
                pass

    @classmethod
    def stop_all(cls):
        for p in reversed(cls.everyone):
            p.stop()


def run_once(argv, cpu, timeout=120, cwd=None):
    """Run to the end: (seconds, standard output)."""
    t0 = time.monotonic()
    try:
        r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           preexec_fn=confine(cpu), timeout=timeout, cwd=cwd, check=False)
    except subprocess.TimeoutExpired as e:
        raise Failed("%s: not done in %d s" % (argv[0], timeout)) from e
    if r.returncode != 0:
        raise Failed("%s: exit %d %s" % (os.path.basename(argv[0]), r.returncode,
                                         r.stderr.strip()[-200:]))
    return time.monotonic() - t0, r.stdout


# ---- guests ----

def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(c) for c in f.read().split()]
    except OSError:
        return []


def descendants(pid):
    found = []
    for c in children(pid):
        found += [c] + descendants(c)
    return found


class Guest(Proc):
    """`strait run` of a program."""

    def __init__(self, strait, args, cpu, **kw):
        super().__init__([strait, "run"] + args, cpu, **kw)

    def guest_pid(self, program):
        for pid in children(self.p.pid):
            if os.path.basename(os.readlink("/proc/%d/exe" % pid)) == os.path.basename(program):
                return pid
        raise Failed("the guest's process is not to be seen")

    def netns(self):
        """A process in the network namespace at the other end of the guest's TAP."""
        by = time.monotonic() + 5
        while time.monotonic() < by:
            for pid in descendants(self.p.pid):
                try:
                    with open("/proc/%d/net/dev" % pid) as f:
                        if "strait0:" in f.read():
                            return pid
                except OSError:
                    pass
            time.sleep(0.02)
        raise Failed("no TAP device strait0 in any namespace of this guest")

    def inside(self, argv):
        """@argv run as a peer on the kernel's side of the TAP."""
        return ["nsenter", "--net=/proc/%d/ns/net" % self.netns()] + argv

    def address(self):
        out = subprocess.run(self.inside(["ip", "-j", "-4", "addr", "show", "dev", "strait0"]),
                             capture_output=True, text=True, check=True).stdout
        a = json.loads(out)[0]["addr_info"][0]["local"].split(".")
        return ".".join(a[:3] + [str(int(a[3]) + 1)])


# ---- results ----

class Row:
    """@ratios: one a round, or [value] when @unit is not "x".  @target: ("<=", 1.1) or None."""

    def __init__(self, group, what, path, place, ratios, target=None, unit="x", ours=None,
                 base=None, base_name="native"):
        self.group, self.what, self.path, self.place = group, what, path, place
        self.ratios, self.target, self.unit = ratios, target, unit
        self.ours, self.base, self.base_name = ours, base, base_name
        self.value = median(ratios)
        self.low, self.high = quartiles(ratios)

    def met(self):
        if not self.target:
            return None
        op, limit = self.target
        return {"<=": self.value <= limit, ">=": self.value >= limit,
                "<": self.value < limit}[op]

    def verdict(self):
        return {None: "", True: "met", False: "**missed**"}[self.met()]


def show(v):
    if v is None:
        return ""
    return "%.0f" % v if abs(v) >= 100 else "%.3g" % v


HEADER = ["what", "path", "CPUs", "Strait", "beside", "ratio (quartiles)", "target", ""]


def cells(r):
    beside = "%s %s" % (r.base_name, r.base) if r.base else r.base_name
    if r.unit == "x":
        value = "%s (%s to %s)" % (show(r.value), show(r.low), show(r.high))
    else:
        value, beside = "%s %s" % (show(r.value), r.unit), ""
    target = "%s %s%s" % (r.target[0], show(r.target[1]),
                          "" if r.unit == "x" else " " + r.unit) if r.target else ""
    return [r.what, r.path, r.place, r.ours or "", beside, value, target, r.verdict()]


def table(rows):
    """Markdown, columns aligned."""
    lines, group = [], None
    width = [max(len(c[i]) for c in [HEADER] + [cells(r) for r in rows])
             for i in range(len(HEADER))]

    def line(c):
        return "| " + " | ".join(x.ljust(w) for x, w in zip(c, width)) + " |"
    for r in rows:
        if r.group != group:
            group = r.group
            lines += ["", "### " + group, "", line(HEADER),
                      "|" + "|".join("-" * (w + 2) for w in width) + "|"]
        lines.append(line(cells(r)))
    return "\n".join(lines).strip() + "\n"


def escape(s):
    return s.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def svg(rows, title):
    """Ratios as bars on a logarithmic axis, 1 marked, targets as ticks."""
    rows = [r for r in rows if r.unit == "x"]
    left, width, step, top = 430, 520, 18, 60
    low = min([0.1] + [r.value for r in rows if r.value > 0]) * 0.8
    high = max([10] + [r.value for r in rows]) * 1.25

    def x(v):
        v = min(max(v, low), high)
        return left + width * (math.log(v) - math.log(low)) / (math.log(high) - math.log(low))
    height = top + step * len(rows) + 30
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
           'font-family="sans-serif" font-size="11">' % (left + width + 90, height),
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="10" y="20" font-size="14">%s</text>' % escape(title),
           '<text x="10" y="38" fill="#555">Ratio to what stands beside it, medians of '
           'rounds; thin line: quartiles; black tick: target. Green met, red missed, '
           'grey without a target.</text>']
    decade = math.floor(math.log10(low))
    while 10 ** decade <= high:
        v = 10.0 ** decade
        if v >= low:
            out.append('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="%s"/>'
                       % (x(v), x(v), top - 8, height - 25, "#444" if v == 1 else "#ddd"))
            out.append('<text x="%.1f" y="%d" text-anchor="middle">%s</text>'
                       % (x(v), height - 10, show(v)))
        decade += 1
    for i, r in enumerate(rows):
        y = top + i * step
        colour = {None: "#9aa5b1", True: "#4caf7d", False: "#d9534f"}[r.met()]
        label = "%s, %s: %s / %s" % (r.what, r.place, r.path, r.base_name)
        a, b = sorted((x(1), x(r.value)))
        out.append('<text x="%d" y="%d" text-anchor="end">%s</text>'
                   % (left - 8, y + 9, escape(label[:78])))
        out.append('<rect x="%.1f" y="%d" width="%.1f" height="11" fill="%s"/>'
                   % (a, y, max(b - a, 1), colour))
        out.append('<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#333"/>'
                   % (x(r.low), x(r.high), y + 5.5, y + 5.5))
        if r.target:
            out.append('<rect x="%.1f" y="%d" width="2" height="15"/>'
                       % (x(r.target[1]) - 1, y - 2))
        out.append('<text x="%.1f" y="%d">%s</text>'
                   % (max(b, x(r.high)) + 4, y + 9, show(r.value)))
    return "\n".join(out + ["</svg>"]) + "\n"
