# SPDX-License-Identifier: MIT
if(STRAIT_GUEST AND TARGET strait-cc)
	strait_script_test(e2e.cc COMMAND "${CMAKE_CURRENT_LIST_DIR}/test_cc.sh" LABELS e2e TIMEOUT 180)
endif()
