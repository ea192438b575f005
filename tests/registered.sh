#!/bin/sh
# SPDX-License-Identifier: MIT
# Every tests/unit/test_*.c, tests/fuzz/fuzz_*.c, tests/e2e/*.sh and tests/faults/*.sh must be named in
# a .cmake or CMakeLists.txt beside it, or it would never run; so must every boot of tests/xen.
cd "$(dirname "$0")" || exit 1
rc=0
for f in unit/test_*.c fuzz/fuzz_*.c e2e/*.sh faults/*.sh; do
	[ -e "$f" ] || continue
	name=${f##*/}
	case $name in lib*.sh) continue ;; esac
	grep -qsw "${name%.*}" "${f%/*}"/*.cmake "${f%/*}"/CMakeLists.txt || {
		echo "tests/$f is registered nowhere"
		rc=1
	}
done
for f in xen/dom0_*.sh; do
	name=${f#xen/dom0_} name=${name%.sh}
	[ "$name" = demo ] || grep -q "_\(boot\|cases\)($name " xen/xen.cmake || {
		echo "tests/$f is registered nowhere"
		rc=1
	}
done
exit $rc
