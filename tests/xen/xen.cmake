# SPDX-License-Identifier: MIT
# Tests on real Xen (README.md): each boot is a fixture that does many tests in one
# machine; each of these is then a test of its own, that reads how it went.
if(NOT STRAIT_GUEST OR NOT TARGET strait-cc)
	return()
endif()
set(here "${CMAKE_CURRENT_LIST_DIR}")

# strait_xen_boot(NAME SECONDS [PROGRAM...]): runs `boot NAME`; those that may take longest
# begin first, so that none is alone at the end
function(strait_xen_boot name timeout)
	math(EXPR cost "1000 + ${timeout}")
	strait_script_test(xen.boot.${name} COMMAND "${here}/boot" ${name} LABELS xen TIMEOUT ${timeout}
		PROGRAMS ${ARGN})
	set_tests_properties(xen.boot.${name} PROPERTIES FIXTURES_SETUP xen.${name} COST ${cost})
endfunction()

function(_strait_xen_verdict boot name)
	strait_script_test(xen.${boot}.${name} COMMAND "${here}/verdict" ${boot} ${name} ${ARGN} LABELS xen)
	set_tests_properties(xen.${boot}.${name} PROPERTIES FIXTURES_REQUIRED xen.${boot})
endfunction()

# The conformance programs: without services, and with; sys.tbl tells which.
strait_xen_boot(sys 480)
strait_xen_boot(calls 600)
file(STRINGS "${here}/sys.tbl" rows REGEX "^[a-z]")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${here}/sys.tbl")
file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/sys/test_sys_*.c")
foreach(source IN LISTS sources)
	get_filename_component(base "${source}" NAME_WE)
	string(REGEX REPLACE "^test_sys_" "" name "${base}")
	set(dir "${CMAKE_BINARY_DIR}/tests/sys")
	set(boot sys)
	if("${rows}" MATCHES "(^|;)with [a-z]+ ${name} " OR name MATCHES "^(file|net)_")
		set(boot calls)
	endif()
	if(NOT "${rows}" MATCHES "(^|;)long ${name} ")
		_strait_xen_verdict(${boot} ${name} "${source}" "${dir}/strait/${base}" "${dir}/native/${base}")
	endif()
endforeach()

# The other boots: a test for each function case_NAME of the scripts that they run.
function(strait_xen_cases boot timeout)
	cmake_parse_arguments(A "" "" "SCRIPTS;PROGRAMS" ${ARGN})
	strait_xen_boot(${boot} ${timeout} ${A_PROGRAMS})
	foreach(script IN ITEMS "dom0_${boot}.sh" ${A_SCRIPTS})
		set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${here}/${script}")
		file(STRINGS "${here}/${script}" cases REGEX "^case_")
		foreach(case IN LISTS cases)
			string(REGEX REPLACE "^case_([a-z0-9_]+).*" "\\1" case "${case}")
			_strait_xen_verdict(${boot} ${case})
		endforeach()
	endforeach()
endfunction()

# What guests of these boots run: tests/xen/guests/NAME.c.
set(dir "${CMAKE_BINARY_DIR}/tests/xen")
file(MAKE_DIRECTORY "${dir}")
add_custom_command(OUTPUT "${dir}/probe"
	COMMAND "${STRAIT_BIN_DIR}/strait-cc" -std=gnu11 -O1 -g -D_GNU_SOURCE= -Wall -Wextra -static
	        -o "${dir}/probe" "${here}/guests/probe.c" -lpthread
	DEPENDS "${here}/guests/probe.c" ${STRAIT_TOOLCHAIN} COMMENT "strait-cc probe" VERBATIM)
add_custom_command(OUTPUT "${dir}/bare"
	COMMAND "${CMAKE_C_COMPILER}" -std=gnu11 -O2 -Wall -Wextra -ffreestanding -fno-pic -no-pie
	        -fno-stack-protector -fcf-protection=none -mno-red-zone -mgeneral-regs-only -nostdlib
	        -static -Wl,--build-id=none -Wl,--no-warn-rwx-segments -T "${here}/guests/bare.lds"
	        -o "${dir}/bare" "${here}/guests/bare.S" "${here}/guests/bare.c"
	DEPENDS "${here}/guests/bare.S" "${here}/guests/bare.c" "${here}/guests/bare.lds"
	COMMENT "bare" VERBATIM)
add_custom_target(xen_guests ALL DEPENDS "${dir}/probe" "${dir}/bare")

strait_xen_cases(bare 500 SCRIPTS channel.sh)
set(programs lighttpd sqlite3 lua5.4 redis busybox curl)
strait_xen_cases(shared 480 SCRIPTS services.sh PROGRAMS ${programs})
strait_xen_cases(domains 800 SCRIPTS services.sh PROGRAMS ${programs})
strait_xen_cases(recover 780 PROGRAMS lighttpd sqlite3)
strait_xen_cases(swap 780 PROGRAMS lighttpd sqlite3)
strait_xen_boot(killed 300)
_strait_xen_verdict(killed every_acknowledged_fsync_is_in_the_image)

# A guest of a service that is a Linux program.
if(TARGET vchan_xen)
	add_executable(xen_service_client "${here}/service_client.c")
	target_compile_definitions(xen_service_client PRIVATE STRAIT_TESTLIB)
	target_link_libraries(xen_service_client PRIVATE rpc_guest_test proto xenvchan xenevtchn strait_warnings)
	set_target_properties(xen_service_client PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${dir}"
		OUTPUT_NAME service_client)
	strait_xen_cases(agent 300)

	add_executable(xen_domhang "${here}/domhang.c")
	target_link_libraries(xen_domhang PRIVATE xenctrl strait_warnings)
	set_target_properties(xen_domhang PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${dir}" OUTPUT_NAME domhang)
	add_executable(xen_away "${here}/away.c")
	target_link_libraries(xen_away PRIVATE agent_core xenctrl strait_warnings)
	set_target_properties(xen_away PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${dir}" OUTPUT_NAME away)
endif()
