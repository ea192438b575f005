# SPDX-License-Identifier: MIT
foreach(part IN ITEMS cmdline xsring ldisc)
	strait_fuzzer(fuzz_xen_${part} SOURCES "${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_xen_${part}.c"
		"${CMAKE_SOURCE_DIR}/platform/xen/${part}.c")
endforeach()
