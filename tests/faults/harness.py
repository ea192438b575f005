# SPDX-License-Identifier: MIT
"""harness.py - what the fault tests stand on: one sequence run natively and on
Strait, faults while it runs, comparison, and shrinking of what differs."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

BIN = os.environ.get("STRAIT_BIN", "")
BUILD = os.environ.get("STRAIT_BUILD", "")
CACHE = os.environ.get("STRAIT_CACHE") or os.path.expanduser("~/.cache/strait")
USER = 1234  # an ordinary user, for sequences that are refused things


class Wrong(Exception):
    """What does not hold."""


def program(package, name, native=False):
    path = os.path.join(CACHE, "programs-native" if native else "programs", package, "bin", name)
    if not os.access(path, os.X_OK):
        print("SKIP: %s is not built: tests/programs/build.sh %s" % (path, package), file=sys.stderr)
        sys.exit(77)
    return path


def until(what, fn, seconds=15):
    by = time.monotonic() + seconds
    while time.monotonic() < by:
        try:
            if fn():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise Wrong("%s: not within %d s" % (what, seconds))


def fault_build(service):
    """The service with fault points (tests/faults/CMakeLists.txt)."""
    return os.path.join(BUILD, "faults", service)


def fileops(side):
    return os.path.join(BUILD, "faults", "fileops." + side)


class Case:
    """One sequence: what fileops is told, and who runs it."""

    def __init__(self, seed, count=200, threads=1, user=False, only=None, recovers=True):
        self.seed, self.count, self.threads = seed, count, threads
        self.user, self.only, self.recovers = user, only, recovers

    def argv(self, pause=0):
        a = ["--seed", str(self.seed), "--count", str(self.count), "--threads",
             str(self.threads)]
        if self.only is not None:
            a += ["--only", ",".join(map(str, self.only)) or "99999"]
        if self.recovers:
            a.append("--recovers")
        return a + (["--pause", str(pause)] if pause else [])

    def steps(self):
        return list(range(self.count)) if self.only is None else list(self.only)

    def less(self, only):
        return Case(self.seed, self.count, self.threads, self.user, only, self.recovers)

    def __str__(self):
        return "seed %d, %d steps%s%s" % (
            self.seed, len(self.steps()), ", %d threads" % self.threads if self.threads > 1 else "",
            ", a user" if self.user else "")


def fresh(path, user):
    """An empty folder at @path."""
    if os.path.exists(path):
        wipe(path)
    os.makedirs(path)
    os.chmod(path, 0o755)
    if user:
        os.chown(path, USER, USER)


def wipe(path):
    if os.geteuid() != 0:
        subprocess.run(["chmod", "-R", "u+rwx", path], check=False)
    shutil.rmtree(path)


def tree(path):
    out = subprocess.run([fileops("native"), "--dump", path], capture_output=True, text=True)
    return out.stdout + out.stderr


def run_native(case, path):
    fresh(path, case.user)
    argv = [fileops("native"), *case.argv(), path]
    if case.user:
        argv = ["setpriv", "--reuid=%d" % USER, "--regid=%d" % USER, "--clear-groups", *argv]
    p = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    return p.stdout + p.stderr, tree(path)


def child(pid, name, timeout=5.0):
    """The process @name that the supervisor @pid started; None: not in time."""
    by = time.monotonic() + timeout
    while time.monotonic() < by:
        todo = [pid]
        while todo:
            one = todo.pop()
            try:
                kids = [int(k) for t in os.listdir("/proc/%d/task" % one)
                        for k in open("/proc/%d/task/%s/children" % (one, t)).read().split()]
                if open("/proc/%d/comm" % one).read().strip() == name:
                    return one
            except OSError:
                continue
            todo += kids
        time.sleep(0.002)
    return None


class Running:
    """strait run, with what it says in a file."""

    def __init__(self, options, program, env=None, stdin=subprocess.DEVNULL):
        self.start([os.path.join(BIN, "strait"), "run", *options, *program], stdin, env=env)

    def start(self, argv, stdin, env=None, cwd=None):
        # appended to by one description, read by another: offsets of their own
        self.err = tempfile.NamedTemporaryFile("ab")
        self.out = tempfile.NamedTemporaryFile("ab")
        self.p = subprocess.Popen(argv, stdin=stdin, stdout=self.out, stderr=self.err, cwd=cwd,
                                  env={**os.environ, **(env or {})})
        self.dead = 0  # services that this sent a signal to

    def hit(self, name, sig):
        """Send @sig to the service @name of now.  False: there is none."""
        pid = child(self.p.pid, name, 1.0)
        if pid is None or self.p.poll() is not None:
            return False
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            return False
        self.dead += 1
        return True

    def wait(self, timeout):
        try:
            self.p.wait(timeout)
        except subprocess.TimeoutExpired:
            self.p.send_signal(signal.SIGTERM)
            try:
                self.p.wait(5)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
            return "did not end in %d s" % timeout
        return None

    def said(self):
        with open(self.err.name, errors="replace") as f:
            return f.read()

    def printed(self):
        with open(self.out.name, errors="replace") as f:
            return f.read()

    def back(self):
        """How often a service came back."""
        return self.said().count(" is back ")


class Native(Running):
    """A program of this machine, in the folder @cwd: no service can be hit."""

    def __init__(self, argv, cwd, stdin=subprocess.DEVNULL):
        self.start(argv, stdin, cwd=cwd)

    def hit(self, name, sig):
        return False


class Faults:
    """What is done to fsd while a sequence runs.

    kind: none; or a fault point with its number, as STRAIT_FAULT takes it; or kill,
    stop: that signal at random instants, @rate of them a second of service.  A fourth
    come while it recovers from the one before; never many in a row, since a service that
    never comes up is given up, and that is right."""

    def __init__(self, kind="none", rate=20.0, seed=0):
        self.kind, self.rate, self.seed = kind, rate, seed

    def signals(self):
        return {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}.get(self.kind)

    def env(self):
        env = {} if self.kind == "none" else {"STRAIT_FSD": fault_build("fsd")}
        if self.kind != "none" and not self.signals():
            env["STRAIT_FAULT"] = self.kind
        return env

    def attack(self, running):
        """Send signals until the guest ends."""
        rng = random.Random(self.seed)
        child(running.p.pid, "fileops.guest", 30)  # a service that ends before it ends the run
        while running.p.poll() is None:
            time.sleep(0.3 + rng.expovariate(self.rate))
            before = running.back()
            running.hit("fsd", self.signals())
            if rng.random() < 0.25:
                time.sleep(rng.random() * 0.1)
                running.hit("fsd", self.signals())
            while running.back() == before and running.p.poll() is None:
                time.sleep(0.01)


def run_strait(case, path, faults=None, options=(), timeout=60):
    """(output, tree, restarts, the supervisor's words)"""
    faults = faults or Faults()
    fresh(path, case.user)
    opts = ["--net", "none", "-v", path + ":/w",
            *options]
    if os.geteuid() == 0:
        opts.append("--no-squash")
    if case.user:
        opts += ["-u", "%d:%d" % (USER, USER)]
    pause = 300 if faults.signals() else 0
    r = Running(opts, [fileops("guest"), *case.argv(pause), "/w"], faults.env())
    if faults.signals():
        t = threading.Thread(target=faults.attack, args=(r,))
        t.start()
    late = r.wait(timeout)
    if faults.signals():
        t.join()
    words = r.said()
    out = r.printed()
    if late:
        out += late + "\n"
    elif r.p.returncode != 0:
        out += "strait run: exit status %d: %s\n" % (r.p.returncode, words.strip())
    return out, tree(path), words


def first_difference(a, b):
    la, lb = a.splitlines(), b.splitlines()
    for x, y in zip(la, lb):
        if x != y:
            return "Linux:  %s\nStrait: %s" % (x, y)
    if len(la) != len(lb):
        more = "Linux" if len(la) > len(lb) else "Strait"
        return "%s says more: %s" % (more, (la if len(la) > len(lb) else lb)[min(len(la), len(lb))])
    return None


class Differ:
    """Runs cases in a folder of its own."""

    def __init__(self, work, keep, options=()):
        self.work, self.keep, self.options = work, keep, list(options)
        self.native = {}
        self.words = ""

    def oracle(self, case):
        key = (str(case.argv()), case.user)
        if key not in self.native:
            self.native = {key: run_native(case, os.path.join(self.work, "native"))}
        return self.native[key]

    def differs(self, case, faults=None):
        """None, or the first difference."""
        out, seen = self.oracle(case)
        ours, ours_seen, self.words = run_strait(case, os.path.join(self.work, "strait"), faults,
                                                 self.options)
        return first_difference(out, ours) or first_difference(seen, ours_seen)

    def shrink(self, case, faults, tries=1, budget=60.0):
        """A shorter sequence that still differs (delta debugging), within @budget s, and
        the faults that it differs with; None for those: as before."""
        steps, by, last = case.steps(), time.monotonic() + budget, [None]

        def still(only):
            one = case.less(only)
            for f in faults(one):
                for _ in range(tries):
                    if self.differs(one, f):
                        last[0] = f
                        return True
            return False
        n = 2
        while len(steps) > 1 and time.monotonic() < by:
            size = max(1, len(steps) // n)
            for at in range(0, len(steps), size):
                rest = steps[:at] + steps[at + size:]
                if time.monotonic() < by and still(rest):
                    steps, n = rest, max(n - 1, 2)
                    break
            else:
                if size == 1:
                    break
                n = min(len(steps), n * 2)
        return case.less(steps), last[0]

    def save(self, case, faults, why):
        """Keep a failing sequence; the file's name."""
        os.makedirs(self.keep, exist_ok=True)
        path = os.path.join(self.keep, "seed%d-%s.json" % (
            case.seed, faults.kind.replace(":", "-").replace(",", "-")))
        with open(path, "w") as f:
            json.dump({"case": vars(case), "faults": vars(faults), "options": self.options,
                       "why": why}, f, indent=1)
        return path


def load(path):
    with open(path) as f:
        d = json.load(f)
    return Case(**d["case"]), Faults(**d["faults"]), d["options"]
