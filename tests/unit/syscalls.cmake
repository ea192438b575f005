# SPDX-License-Identifier: MIT
# The table against the code, the tests and the page made from it.
if(STRAIT_GUEST)
	strait_script_test(unit.syscalls_table COMMAND sh -c
		"nm '${CMAKE_BINARY_DIR}/libos/libos.o' >libos.nm && python3 '${CMAKE_SOURCE_DIR}/tools/gen_syscalls.py' check '${CMAKE_SOURCE_DIR}/libos/syscalls.tbl' --objects libos.nm --tests '${CMAKE_SOURCE_DIR}/tests/sys'"
		LABELS unit)
endif()
strait_script_test(unit.syscalls_doc COMMAND sh -c
	"python3 '${CMAKE_SOURCE_DIR}/tools/gen_syscalls.py' docs '${CMAKE_SOURCE_DIR}/libos/syscalls.tbl' | diff - '${CMAKE_SOURCE_DIR}/docs/SYSCALLS.md'"
	LABELS unit)
