# SPDX-License-Identifier: MIT
# platform/xen's memory on the host: frames, page tables and ranges are data structures.
set(xen_memory)
foreach(part IN ITEMS fault map pages pagetab ranges shm)
	list(APPEND xen_memory "${CMAKE_SOURCE_DIR}/platform/xen/${part}.c")
endforeach()
strait_unit_test(test_xen_memory
	SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_xen_memory.c" ${xen_memory})
target_compile_definitions(test_xen_memory PRIVATE STRAIT_TESTLIB)
