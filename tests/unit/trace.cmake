# SPDX-License-Identifier: MIT
strait_unit_test(test_trace SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_trace.c"
	"${CMAKE_SOURCE_DIR}/tests/unit/trace_synth.c" LIBS trace rpc_server)
