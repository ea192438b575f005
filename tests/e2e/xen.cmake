# SPDX-License-Identifier: MIT
# strait deploy and its kin, with stand-ins for Xen's tools and daemons.  tests/xen has
# the real ones.
if(TARGET strait AND TARGET stand_in_guest)
	add_library(fake_xenstore MODULE e2e/xen/fake_xenstore.c)
	target_compile_options(fake_xenstore PRIVATE -fno-sanitize=all)
	target_link_options(fake_xenstore PRIVATE -fno-sanitize=all)
	target_link_libraries(fake_xenstore PRIVATE strait_warnings)
	set_target_properties(fake_xenstore PROPERTIES PREFIX ""
		LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")

	add_executable(stand_in_pvh e2e/run/stand_in_guest.c)
	target_compile_definitions(stand_in_pvh PRIVATE STAND_IN_PVH)
	target_compile_options(stand_in_pvh PRIVATE -fno-sanitize=all -fno-pie)
	target_link_options(stand_in_pvh PRIVATE -static -no-pie -fno-sanitize=all)
	target_link_libraries(stand_in_pvh PRIVATE strait_warnings)
	set_target_properties(stand_in_pvh PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")

	strait_script_test(e2e.deploy
		COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_deploy.sh" LABELS e2e TIMEOUT 180)
	strait_script_test(e2e.deploy_swap
		COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_deploy_swap.sh" LABELS e2e TIMEOUT 180)
	strait_script_test(e2e.deploy_bad_input
		COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_deploy_bad_input.sh" LABELS e2e TIMEOUT 120)
	strait_script_test(e2e.config_bad_input
		COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_config_bad_input.sh" LABELS e2e TIMEOUT 120)
	if(STRAIT_GUEST AND TARGET strait-cc AND TARGET fsd AND TARGET netd)
		strait_script_test(e2e.config
			COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_config.sh" LABELS e2e TIMEOUT 180)
	endif()
endif()
