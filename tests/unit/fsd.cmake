# SPDX-License-Identifier: MIT
# fsd by its dispatch, without rings: fsd_bench.c stands in for rpc_server.
function(fsd_dispatch_test name)
	strait_unit_test(${name}
		SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/${name}.c"
		        "${CMAKE_SOURCE_DIR}/tests/unit/fsd_bench.c"
		LIBS fsd_core)
endfunction()
fsd_dispatch_test(test_fsd_service)
fsd_dispatch_test(test_fsd_walk)
# The same in memory, where an open is one call.
if(TARGET test_fsd_walk)
	add_test(NAME unit.test_fsd_walk_memory COMMAND test_fsd_walk /dev/shm)
	set_tests_properties(unit.test_fsd_walk_memory PROPERTIES LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 120)
endif()
fsd_dispatch_test(test_fsd_lock)
fsd_dispatch_test(test_fsd_cred)
fsd_dispatch_test(test_fsd_ids)
fsd_dispatch_test(test_fsd_watch)
# Instances one after the other, on a disk and in memory.
foreach(name IN ITEMS test_fsd_recover test_fsd_reopen)
	strait_unit_test(${name}
		SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/${name}.c"
		        "${CMAKE_SOURCE_DIR}/tests/unit/fsd_instances.c"
		        "${CMAKE_SOURCE_DIR}/tests/unit/fsd_bench.c"
		LIBS fsd_core)
	if(TARGET ${name})
		add_test(NAME unit.${name}_memory COMMAND ${name} /dev/shm)
		set_tests_properties(unit.${name}_memory PROPERTIES LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 120)
	endif()
endforeach()

# The process, over real rings.
strait_unit_test(test_fsd_process
	SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_fsd_process.c"
	        "${CMAKE_SOURCE_DIR}/tests/unit/fake_guest.c"
	LIBS rpc_guest_test rpc_server vchan_hosted ARGS "$<TARGET_FILE:fsd>")
if(TARGET test_fsd_process)
	add_dependencies(test_fsd_process fsd)
endif()
