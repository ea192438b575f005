# SPDX-License-Identifier: MIT
if(STRAIT_GUEST AND TARGET strait-cc AND TARGET strait)
	strait_script_test(e2e.install COMMAND "${CMAKE_SOURCE_DIR}/tests/e2e/install.sh" LABELS e2e)
endif()
