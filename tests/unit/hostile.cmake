# SPDX-License-Identifier: MIT
# fsd and netd as processes, with guests that attack them.
if(TARGET fsd AND TARGET netd)
	strait_unit_test(test_hostile_guest SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_hostile_guest.c"
		"${CMAKE_SOURCE_DIR}/tests/unit/fake_guest.c" LIBS rpc_guest_test rpc_server
		ARGS $<TARGET_FILE:fsd> $<TARGET_FILE:netd> TIMEOUT 120)
endif()
