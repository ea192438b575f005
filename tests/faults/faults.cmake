# SPDX-License-Identifier: MIT
# Services that die while programs run.  The fault points of rpc/fault.h are in
# faults/fsd and faults/netd of the build alone, never in bin/.
#
#   strait_fault_test(NAME COMMAND ... [TIMEOUT s] [PROGRAMS ...])
#       a test faults.NAME, the short form; long forms: tests/faults/soak
set(dir "${CMAKE_BINARY_DIR}/faults")
set(here "${CMAKE_CURRENT_SOURCE_DIR}/faults")

foreach(name IN ITEMS fsd netd)
	if(NOT TARGET ${name})
		continue()
	endif()
	get_target_property(sources ${name} SOURCES)
	list(TRANSFORM sources PREPEND "${CMAKE_SOURCE_DIR}/services/${name}/")
	# as objects, so that none of rpc_server's is linked in their place
	add_executable(${name}_faults ${sources})
	target_compile_definitions(${name}_faults PRIVATE STRAIT_VERSION="${PROJECT_VERSION}")
	target_link_libraries(${name}_faults PRIVATE rpc_server_faults ${name}_core
		PkgConfig::SECCOMP strait_warnings)
	set_target_properties(${name}_faults PROPERTIES OUTPUT_NAME ${name}
		RUNTIME_OUTPUT_DIRECTORY "${dir}")
endforeach()
if(NOT STRAIT_GUEST OR NOT TARGET strait OR NOT TARGET strait-cc OR NOT TARGET fsd)
	return()
endif()

# One program, linked for plain Linux and for guests.
function(strait_both_program name)
	list(TRANSFORM ARGN PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/faults/" OUTPUT_VARIABLE sources)
	file(GLOB headers CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/faults/*.h")
	set(flags -std=gnu11 -O1 -g -D_GNU_SOURCE= -Wall -Wextra "-I${CMAKE_SOURCE_DIR}" -static)
	set(out "${CMAKE_BINARY_DIR}/faults/${name}")
	add_custom_command(OUTPUT "${out}.native"
		COMMAND ${MUSL_GCC} ${flags} -idirafter "${STRAIT_KERNEL_INCLUDE}"
		        -o "${out}.native" ${sources} -lpthread
		DEPENDS ${sources} ${headers} COMMENT "musl-gcc ${name}" VERBATIM)
	add_custom_command(OUTPUT "${out}.guest"
		COMMAND "${STRAIT_BIN_DIR}/strait-cc" ${flags} -o "${out}.guest" ${sources} -lpthread
		DEPENDS ${sources} ${headers} ${STRAIT_TOOLCHAIN}
		COMMENT "strait-cc ${name}" VERBATIM)
	add_custom_target(faults_${name} ALL DEPENDS "${out}.native" "${out}.guest")
endfunction()

function(strait_fault_test name)
	strait_script_test(faults.${name} ${ARGN} LABELS e2e faults slow)
endfunction()

find_program(MUSL_GCC musl-gcc)
if(NOT MUSL_GCC)
	message(STATUS "tests of faults left out: no musl-gcc, so no oracle")
	return()
endif()
file(MAKE_DIRECTORY "${dir}")
strait_both_program(fileops fileops.c fileops_calls.c fileops_tree.c)

strait_script_test(faults.built_in COMMAND "${here}/built_in.sh" LABELS e2e faults)
strait_fault_test(same_as_linux COMMAND "${here}/differential" --seeds 1-60 --count 300
	TIMEOUT 120)
strait_fault_test(same_as_linux_threads COMMAND "${here}/differential" --seeds 500-505
	--threads 8 TIMEOUT 120)

# fsd dies before, within and after every frame of a sequence, and of others here and there.
strait_fault_test(fsd_dies_at_each_frame COMMAND "${here}/differential" --seeds 1 --count 60
	--faults frames TIMEOUT 240)
strait_fault_test(fsd_dies_at_a_change COMMAND "${here}/differential" --seeds 4-7 --count 80
	--faults journal --every 3 TIMEOUT 120)
strait_fault_test(fsd_dies_at_random COMMAND "${here}/differential" --seeds 60-62 --count 6000
	--faults kill --rate 5 TIMEOUT 120)
strait_fault_test(two_guests COMMAND "${here}/two_guests.sh" TIMEOUT 240)
# The guest's channel is closed at a frame; frames come late.
strait_fault_test(channel_cut COMMAND "${here}/differential" --seeds 7 --count 60 --faults cut
	--every 17 TIMEOUT 120)
strait_script_test(faults.net_channel_cut COMMAND "${here}/net_channel_cut.sh" LABELS e2e faults
	TIMEOUT 120)
strait_fault_test(frames_late COMMAND "${here}/differential" --seeds 7 --count 40 --threads 4
	--faults delay --every 40 TIMEOUT 120)
strait_fault_test(fsd_hangs COMMAND "${here}/differential" --seeds 70 --count 5000
	--faults stop --rate 5 TIMEOUT 120 -- --hang 1)

strait_fault_test(hostile_guest COMMAND "${here}/hostile" --seeds 80-81 TIMEOUT 120)

# Real programs: tests/faults/programs.
foreach(how IN ITEMS kill swap)
	strait_fault_test(sqlite_${how} COMMAND "${here}/programs" sqlite --how ${how} --seconds 6
		PROGRAMS sqlite3 TIMEOUT 120)
	strait_fault_test(redis_${how} COMMAND "${here}/programs" redis --how ${how} --seconds 8
		PROGRAMS redis native.redis TIMEOUT 120)
	strait_fault_test(web_${how} COMMAND "${here}/programs" web --how ${how} --seconds 8
		PROGRAMS lighttpd TIMEOUT 120)
endforeach()
strait_fault_test(power_loss COMMAND "${here}/power_loss" --rounds 2 PROGRAMS sqlite3 TIMEOUT 120)
strait_fault_test(download_swap COMMAND "${here}/programs" download --how swap --seconds 8 --every 1
	PROGRAMS lighttpd TIMEOUT 120)
