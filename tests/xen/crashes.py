#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""crashes.py DIR [NAME...] - print the lines of a run's logs that tell of a crash.

Looks at console.log, script.log and console/*.log, but not at the consoles of the
domains NAMEd, which may crash; nor, if there are such, at what domains say in Xen's own
log, which does not tell their names.  A kernel that was given no first process panics:
that is a test's own (prepare_bad_images).
"""
import glob
import os
import re
import sys

# Not: "xc: error: panic: xg_dom_...", which is xl's way to refuse an ELF file.
BAD = re.compile(
    r"Segmentation fault|\bAborted\b|Inconsistency detected|Panic|panic(?!: xg_dom)|BUG:|Oops|"
    r"general protection fault|Unhandled|Xen call trace|Call Trace|FATAL|"
    r"domain_crash|Out of memory: Killed|not permitted|stack smashing|"
    r"strait: the guest crashed|runtime error:|AddressSanitizer")

MEANT = re.compile(r"Kernel panic - not syncing: VFS: Unable to mount root fs.*?Rebooting in", re.S)

DOMAIN = re.compile(r"\s*[\d.]*\s*(\(XEN\) )?\(d\d+\) ")


def main():
    out, excused = sys.argv[1], set(sys.argv[2:])
    logs = [os.path.join(out, "console.log"), os.path.join(out, "script.log")]
    for path in sorted(glob.glob(os.path.join(out, "console", "guest-*.log"))):
        if os.path.basename(path)[len("guest-"):-len(".log")] not in excused:
            logs.append(path)
    for path in logs:
        if not os.path.exists(path):
            continue
        text = MEANT.sub(lambda m: "\n" * m[0].count("\n"), open(path, errors="replace").read())
        for number, line in enumerate(text.split("\n"), 1):
            if excused and DOMAIN.match(line):
                continue
            if BAD.search(line):
                print(f"  {os.path.relpath(path, out)}:{number}: {line.strip()[:150]}")


main()
