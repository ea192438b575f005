# SPDX-License-Identifier: MIT
# `strait trace` and the Wireshark dissector, on a made-up trace; with strait also on
# a real one.
if(TARGET trace_tool AND TARGET rpc_server)
	add_executable(trace_gen "${CMAKE_SOURCE_DIR}/tests/e2e/trace_gen.c"
		"${CMAKE_SOURCE_DIR}/tests/unit/trace_synth.c")
	target_link_libraries(trace_gen PRIVATE rpc_server strait_warnings)
	set_target_properties(trace_gen PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
	strait_script_test(e2e.trace_report LABELS e2e
		COMMAND "${CMAKE_SOURCE_DIR}/tests/e2e/trace_report.sh")
	strait_script_test(e2e.trace_tshark LABELS e2e
		COMMAND "${CMAKE_SOURCE_DIR}/tests/e2e/trace_tshark.sh")
endif()
if(TARGET strait AND TARGET strait-cc AND STRAIT_GUEST)
	strait_script_test(e2e.trace_real LABELS e2e
		COMMAND "${CMAKE_SOURCE_DIR}/tests/e2e/trace_real.sh")
endif()
