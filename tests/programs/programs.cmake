# SPDX-License-Identifier: MIT
# Tests that need a program name it with PROGRAMS; it is then built first, or linked
# again when libos changed.
if(STRAIT_GUEST AND TARGET strait-cc)
	foreach(name IN ITEMS lighttpd sqlite3 lua5.4 redis busybox curl)
		strait_script_test(programs.${name} LABELS programs TIMEOUT 600
			COMMAND "${CMAKE_SOURCE_DIR}/tests/programs/build.sh" ${name})
		set_tests_properties(programs.${name} PROPERTIES FIXTURES_SETUP program.${name}
			ENVIRONMENT "STRAIT_CACHE=${STRAIT_CACHE};STRAIT_CC=${STRAIT_BIN_DIR}/strait-cc")
	endforeach()
	# The same by musl-gcc: the oracle of the tests that compare.
	foreach(name IN ITEMS lua5.4 redis busybox)
		strait_script_test(programs.native.${name} LABELS programs TIMEOUT 600
			COMMAND "${CMAKE_SOURCE_DIR}/tests/programs/build.sh" --native ${name})
		set_tests_properties(programs.native.${name} PROPERTIES
			FIXTURES_SETUP program.native.${name} ENVIRONMENT "STRAIT_CACHE=${STRAIT_CACHE}")
	endforeach()
endif()
