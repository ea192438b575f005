# SPDX-License-Identifier: MIT
# strait run, with stand-ins for services and guest.
if(TARGET strait)
	foreach(kind IN ITEMS "" _VERSION _SILENT _GARBAGE _DIES _CLINGS
	                 _NOEXPORT _NOIMPORT _DIES_IMPORTING)
		add_executable(stand_in_service${kind} e2e/run/stand_in_service.c)
		target_link_libraries(stand_in_service${kind} PRIVATE rpc_server proto strait_warnings)
		set_target_properties(stand_in_service${kind} PROPERTIES
			RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
		if(kind)
			target_compile_definitions(stand_in_service${kind} PRIVATE STAND_IN${kind})
		endif()
	endforeach()

	# As static as what strait-cc links, and as free of sanitizers.
	add_executable(stand_in_guest e2e/run/stand_in_guest.c)
	target_compile_options(stand_in_guest PRIVATE -fno-sanitize=all -fno-pie)
	target_link_options(stand_in_guest PRIVATE -static -no-pie -fno-sanitize=all)
	target_link_libraries(stand_in_guest PRIVATE strait_warnings)
	set_target_properties(stand_in_guest PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")

	strait_script_test(e2e.run_bad_input
		COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_run_bad_input.sh" LABELS e2e TIMEOUT 180)
	strait_script_test(e2e.run_process
		COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_run_process.sh" LABELS e2e TIMEOUT 180)

	strait_script_test(e2e.services_again
		COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_services_again.sh" LABELS e2e TIMEOUT 180)
	strait_script_test(e2e.swap_bad_input
		COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_swap_bad_input.sh" LABELS e2e TIMEOUT 120)

	if(STRAIT_GUEST AND TARGET strait-cc AND TARGET fsd AND TARGET netd)
		strait_script_test(e2e.run_guest
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_run_guest.sh" LABELS e2e TIMEOUT 240)
		strait_script_test(e2e.join
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_join.sh" LABELS e2e TIMEOUT 240)
		strait_script_test(e2e.recover_files
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_recover_files.sh" LABELS e2e TIMEOUT 240)
		strait_script_test(e2e.recover_exports
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_recover_exports.sh" LABELS e2e TIMEOUT 120)
		strait_script_test(e2e.recover_kept
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_recover_kept.sh" LABELS e2e TIMEOUT 120)
		strait_script_test(e2e.inotify
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_inotify.sh" LABELS e2e TIMEOUT 180)
		strait_script_test(e2e.recover_net
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_recover_net.sh" LABELS e2e TIMEOUT 240)
		strait_script_test(e2e.slow_disk
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_slow_disk.sh" LABELS e2e TIMEOUT 120)
		strait_script_test(e2e.recover_services
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_recover_services.sh" LABELS e2e TIMEOUT 180)
		strait_script_test(e2e.swap_net
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_swap_net.sh" LABELS e2e TIMEOUT 240)
		strait_script_test(e2e.swap_backend
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_swap_backend.sh" LABELS e2e TIMEOUT 120)
		strait_script_test(e2e.swap_published
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_swap_published.sh" LABELS e2e TIMEOUT 120)
		strait_script_test(e2e.hung_service
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_hung_service.sh" LABELS e2e slow TIMEOUT 120)
		strait_script_test(e2e.run_network
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_run_network.sh" LABELS e2e TIMEOUT 180)
	endif()
endif()
