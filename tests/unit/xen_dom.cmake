# SPDX-License-Identifier: MIT
# What of platform/xen speaks with dom0, as far as it needs no Xen.
foreach(name IN ITEMS test_xen_cmdline test_xen_xsring test_xen_ldisc)
	string(REPLACE "test_xen_" "" part ${name})
	strait_unit_test(${name} SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/${name}.c"
		"${CMAKE_SOURCE_DIR}/platform/xen/${part}.c")
endforeach()
