# SPDX-License-Identifier: MIT
# fsd by its dispatch, without rings: fsd_bench.c stands in for rpc_server.
foreach(name IN ITEMS service walk lock cred)
	strait_unit_test(test_fsd_${name}
		SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_fsd_${name}.c"
		        "${CMAKE_SOURCE_DIR}/tests/unit/fsd_bench.c"
		LIBS fsd_core)
endforeach()
strait_unit_test(test_fsd_process
	SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_fsd_process.c"
	        "${CMAKE_SOURCE_DIR}/tests/unit/fake_guest.c"
	LIBS rpc_guest_test rpc_server vchan_hosted ARGS "$<TARGET_FILE:fsd>")
if(TARGET test_fsd_process)
	add_dependencies(test_fsd_process fsd)
endif()
