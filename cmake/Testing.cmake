# SPDX-License-Identifier: MIT
# Functions to register tests.  Each gets one label: unit, sys, e2e, fuzz or bench;
# LABELS adds more ("slow" keeps a test out of ./check --quick).
#
#   strait_unit_test(NAME [SOURCES ...] [LIBS ...] [LABELS ...] [TIMEOUT s])
#       tests/unit/NAME.c (or SOURCES), a CUnit or plain program; exit 77 = skipped
#   strait_script_test(NAME COMMAND ... LABELS e2e [slow] [TIMEOUT s] [SERIAL]
#                      [PROGRAMS lighttpd ...])
#       PROGRAMS: open programs to be built before, by tests/programs/build.sh
#   strait_fuzzer(NAME [SOURCES ...] [LIBS ...] [DICT file])
#       tests/fuzz/NAME.c with LLVMFuzzerTestOneInput(); corpus tests/fuzz/corpus/NAME.
#       With the fuzz preset it fuzzes for a short while; elsewhere it replays the
#       corpus, so that every sanitizer sees it.

# What every test has; A_TIMEOUT and A_SERIAL are the calling function's.
function(_strait_props name)
	if(NOT A_TIMEOUT)
		set(A_TIMEOUT 60)
	endif()
	set_tests_properties(${name} PROPERTIES LABELS "${ARGN}" TIMEOUT ${A_TIMEOUT}
		SKIP_RETURN_CODE 77)
	if(A_SERIAL)
		set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
	endif()
endfunction()

# In the caller: `missing` is the first of our libraries that this preset does not have.
macro(_strait_missing_lib)
	set(missing)
	foreach(lib IN LISTS ARGN)
		if(NOT missing AND lib MATCHES "^[a-z_]+$" AND NOT TARGET ${lib})
			set(missing ${lib})
		endif()
	endforeach()
endmacro()

function(strait_unit_test name)
	cmake_parse_arguments(A "SERIAL" "TIMEOUT" "SOURCES;LIBS;LABELS;ARGS" ${ARGN})
	if(NOT A_SOURCES)
		set(A_SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/${name}.c")
	endif()
	_strait_missing_lib(${A_LIBS})
	if(missing)
		message(STATUS "unit test ${name} left out: no target ${missing} in this preset")
		return()
	endif()
	add_executable(${name} ${A_SOURCES})
	target_link_libraries(${name} PRIVATE strait_warnings ${A_LIBS} PkgConfig::CUNIT Threads::Threads)
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
	add_test(NAME unit.${name} COMMAND ${name} ${A_ARGS})
	_strait_props(unit.${name} unit ${A_LABELS})
endfunction()

function(strait_script_test name)
	cmake_parse_arguments(A "SERIAL" "TIMEOUT" "COMMAND;LABELS;PROGRAMS" ${ARGN})
	add_test(NAME ${name} COMMAND ${A_COMMAND} WORKING_DIRECTORY "${CMAKE_BINARY_DIR}")
	_strait_props(${name} ${A_LABELS})
	list(TRANSFORM A_PROGRAMS PREPEND program.)
	set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED "${A_PROGRAMS}" ENVIRONMENT
		"STRAIT_BIN=${STRAIT_BIN_DIR};STRAIT_BUILD=${CMAKE_BINARY_DIR};STRAIT_SRC=${CMAKE_SOURCE_DIR};STRAIT_CACHE=${STRAIT_CACHE}")
endfunction()

set(STRAIT_FUZZ_SECONDS 10 CACHE STRING "How long each fuzzer runs as a test")
function(strait_fuzzer name)
	cmake_parse_arguments(A "" "DICT" "SOURCES;LIBS" ${ARGN})
	if(NOT A_SOURCES)
		set(A_SOURCES "${CMAKE_SOURCE_DIR}/tests/fuzz/${name}.c")
	endif()
	_strait_missing_lib(${A_LIBS})
	if(missing)
		message(STATUS "fuzzer ${name} left out: no target ${missing} in this preset")
		return()
	endif()
	set(corpus "${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name}")
	if(NOT STRAIT_FUZZ)
		list(APPEND A_SOURCES "${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c")
	endif()
	add_executable(${name} ${A_SOURCES})
	target_link_libraries(${name} PRIVATE strait_warnings ${A_LIBS} Threads::Threads)
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
	if(STRAIT_FUZZ)
		target_link_options(${name} PRIVATE -fsanitize=fuzzer)
		set(found "${CMAKE_BINARY_DIR}/fuzz/found/${name}")
		file(MAKE_DIRECTORY "${found}")
		if(A_DICT)
			set(dict "-dict=${A_DICT}")
		endif()
		add_test(NAME fuzz.${name} COMMAND ${name} -max_total_time=${STRAIT_FUZZ_SECONDS}
			-timeout=10 -rss_limit_mb=2048 "-artifact_prefix=${found}/crash-" ${dict}
			"${found}" "${corpus}")
		math(EXPR A_TIMEOUT "${STRAIT_FUZZ_SECONDS} + 120")
	else()
		add_test(NAME fuzz.${name} COMMAND ${name} "${corpus}")
		set(A_TIMEOUT 120)
	endif()
	_strait_props(fuzz.${name} fuzz)
endfunction()

# Conformance programs, tests/sys/test_sys_*.c: one source, linked by musl-gcc for
# plain Linux (test sys.native.NAME, the oracle) and by strait-cc (tests
# sys.strait.NAME and, of names net_*, sys.strait_host.NAME with --net host).
# tests/sys/run.sh says what their heads may ask for.
function(strait_sys_tests)
	find_program(MUSL_GCC musl-gcc)
	file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/sys/test_sys_*.c")
	file(GLOB headers CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/sys/*.h")
	set(run "${CMAKE_SOURCE_DIR}/tests/sys/run.sh")
	set(dir "${CMAKE_BINARY_DIR}/tests/sys")
	file(MAKE_DIRECTORY "${dir}/native" "${dir}/strait")
	set(flags -std=gnu11 -O1 -g -D_GNU_SOURCE= -Wall -Wextra -Wno-unused-result
		"-I${CMAKE_SOURCE_DIR}" -static)
	set(exes)
	foreach(source IN LISTS sources)
		get_filename_component(base "${source}" NAME_WE)
		string(REGEX REPLACE "^test_sys_" "" name "${base}")
		if(MUSL_GCC)
			add_custom_command(OUTPUT "${dir}/native/${base}"
				COMMAND ${MUSL_GCC} ${flags} -idirafter "${STRAIT_KERNEL_INCLUDE}"
				        -o "${dir}/native/${base}" "${source}" -lpthread
				DEPENDS "${source}" ${headers} COMMENT "musl-gcc ${base}" VERBATIM)
			list(APPEND exes "${dir}/native/${base}")
			strait_script_test(sys.native.${name} COMMAND "${run}" native
				"${dir}/native/${base}" "${source}" LABELS sys oracle)
		endif()
		if(TARGET strait_toolchain)
			add_custom_command(OUTPUT "${dir}/strait/${base}"
				COMMAND "${STRAIT_BIN_DIR}/strait-cc" ${flags}
				        -o "${dir}/strait/${base}" "${source}" -lpthread
				DEPENDS "${source}" ${headers} ${STRAIT_TOOLCHAIN}
				COMMENT "strait-cc ${base}" VERBATIM)
			list(APPEND exes "${dir}/strait/${base}")
			strait_script_test(sys.strait.${name} COMMAND "${run}" strait
				"${dir}/strait/${base}" "${source}" "${dir}/native/${base}" LABELS sys)
			if(name MATCHES "^net_") # over both stacks of netd
				strait_script_test(sys.strait_host.${name} COMMAND "${run}" strait
					"${dir}/strait/${base}" "${source}" "${dir}/native/${base}"
					--net host LABELS sys)
			endif()
		endif()
	endforeach()
	add_custom_target(sys_tests ALL DEPENDS ${exes})
endfunction()
