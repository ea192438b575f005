# SPDX-License-Identifier: MIT
# The parts of platform/xen that are data structures and arithmetic, on the host.
strait_unit_test(test_xen_sched SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_xen_sched.c"
	"${CMAKE_SOURCE_DIR}/platform/xen/queue.c" "${CMAKE_SOURCE_DIR}/platform/xen/drbg.c"
	"${CMAKE_SOURCE_DIR}/platform/xen/futex.c" "${CMAKE_SOURCE_DIR}/platform/xen/park.c")
target_compile_definitions(test_xen_sched PRIVATE STRAIT_TESTLIB)
strait_unit_test(test_xen_fpu SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_xen_fpu.c"
	"${CMAKE_SOURCE_DIR}/platform/fpstate.c")
target_compile_definitions(test_xen_fpu PRIVATE STRAIT_TESTLIB)
# As in a guest: the compiler must not use what is being saved.
target_compile_options(test_xen_fpu PRIVATE -mgeneral-regs-only)
find_path(STRAIT_XEN_HEADERS xen/sched.h)
if(STRAIT_XEN_HEADERS)
	strait_unit_test(test_xen_pick SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_xen_pick.c"
		"${CMAKE_SOURCE_DIR}/platform/xen/queue.c")
	target_compile_definitions(test_xen_pick PRIVATE STRAIT_TESTLIB)
else()
	message(STATUS "unit test test_xen_pick left out: no headers of Xen (libxen-dev)")
endif()
