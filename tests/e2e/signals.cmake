# SPDX-License-Identifier: MIT
# How a guest's program ends by a signal, and what it does with one from outside.
# What a guest says of calls that are not served.
if(TARGET strait AND TARGET strait-cc)
	strait_script_test(e2e.signals LABELS e2e TIMEOUT 120
		COMMAND "${CMAKE_SOURCE_DIR}/tests/e2e/test_signals.sh")
endif()
if(TARGET strait AND TARGET strait_toolchain)
	strait_script_test(e2e.log_unsupported LABELS e2e
		COMMAND "${CMAKE_SOURCE_DIR}/tests/e2e/test_log_unsupported.sh")
endif()
