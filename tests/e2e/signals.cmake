# SPDX-License-Identifier: MIT
# How a guest's program ends by a signal, and what it does with one from outside.
if(TARGET strait AND TARGET strait-cc)
	strait_script_test(e2e.signals LABELS e2e TIMEOUT 120
		COMMAND "${CMAKE_SOURCE_DIR}/tests/e2e/test_signals.sh")
endif()
