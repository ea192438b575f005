# SPDX-License-Identifier: MIT
# What of platform/xen speaks with dom0, as far as it needs no Xen.
foreach(part IN ITEMS cmdline xsring ldisc)
	strait_unit_test(test_xen_${part} SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_xen_${part}.c"
		"${CMAKE_SOURCE_DIR}/platform/xen/${part}.c")
endforeach()
