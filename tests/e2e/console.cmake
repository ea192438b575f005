# SPDX-License-Identifier: MIT
# Standard streams of a guest.
if(STRAIT_GUEST AND TARGET strait-cc AND TARGET strait AND TARGET fsd)
	strait_script_test(e2e.console
		COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/test_console.sh" LABELS e2e TIMEOUT 120)
endif()
