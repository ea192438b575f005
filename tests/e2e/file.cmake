# SPDX-License-Identifier: MIT
if(STRAIT_GUEST AND TARGET strait-cc AND TARGET strait)
	strait_script_test(e2e.file COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/e2e/file/test_file.sh"
		LABELS e2e TIMEOUT 120)
endif()
