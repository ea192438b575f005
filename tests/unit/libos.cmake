# SPDX-License-Identifier: MIT
strait_unit_test(test_libos_core LIBS strait_testlib)
strait_unit_test(test_locklist LIBS strait_testlib)
# The memory functions under other names: a program of the host has its own.
strait_unit_test(test_string SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_string.c"
	"${CMAKE_SOURCE_DIR}/libos/string.c")
set(renamed)
foreach(name memcpy memmove memset memcmp memchr strlen strnlen strcmp strncmp strchr strcpy strrchr)
	list(APPEND renamed "${name}=strait_${name}")
endforeach()
set_source_files_properties("${CMAKE_SOURCE_DIR}/libos/string.c" PROPERTIES
	COMPILE_DEFINITIONS "${renamed}" COMPILE_OPTIONS "-fno-builtin;-Wno-unknown-pragmas")
