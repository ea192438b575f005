# SPDX-License-Identifier: MIT
foreach(name IN ITEMS fuzz_xen_cmdline fuzz_xen_xsring fuzz_xen_ldisc)
	string(REPLACE "fuzz_xen_" "" part ${name})
	strait_fuzzer(${name} SOURCES "${CMAKE_SOURCE_DIR}/tests/fuzz/${name}.c"
		"${CMAKE_SOURCE_DIR}/platform/xen/${part}.c")
endforeach()
