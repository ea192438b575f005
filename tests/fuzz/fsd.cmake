# SPDX-License-Identifier: MIT
strait_fuzzer(fuzz_fsd_dispatch
	SOURCES "${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_fsd_dispatch.c"
	        "${CMAKE_SOURCE_DIR}/tests/unit/fsd_bench.c"
	LIBS fsd_core)
