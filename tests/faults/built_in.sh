#!/bin/sh
# SPDX-License-Identifier: MIT
# Fault points are in the services that these tests run, and in no other.
rc=0
for s in fsd netd; do
	[ -e "$STRAIT_BUILD/faults/$s" ] || continue
	grep -q STRAIT_FAULT "$STRAIT_BUILD/faults/$s" || { echo "faults/$s has no fault points"; rc=1; }
	! grep -q STRAIT_FAULT "$STRAIT_BIN/$s" || { echo "$STRAIT_BIN/$s has fault points"; rc=1; }
done
exit $rc
