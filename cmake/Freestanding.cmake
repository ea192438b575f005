# SPDX-License-Identifier: MIT
# What runs inside a guest is compiled freestanding: against musl's headers (for
# the structures and constants of Linux), never against a C library.
#
#   strait_add_freestanding(TARGET SOURCE...)   an OBJECT library of our own code
#   strait_freestanding_flags(TARGET)           the same flags for another target
#
# Headers, in order: this tree, the generated protobuf-c headers, protobuf-c's own,
# musl's, the compiler's, and kernel and Xen headers through build/.../kernel-include.

set(STRAIT_MUSL_GEN "${CMAKE_BINARY_DIR}/musl-include")
set(STRAIT_KERNEL_INCLUDE "${CMAKE_BINARY_DIR}/kernel-include")

# musl's Makefile makes these two headers; they depend on nothing that is built.
function(_strait_musl_headers)
	set(arch "${STRAIT_MUSL_SRC}/arch/x86_64/bits")
	file(MAKE_DIRECTORY "${STRAIT_MUSL_GEN}/bits")
	execute_process(
		COMMAND sed -f "${STRAIT_MUSL_SRC}/tools/mkalltypes.sed"
		        "${arch}/alltypes.h.in" "${STRAIT_MUSL_SRC}/include/alltypes.h.in"
		OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
	file(CONFIGURE OUTPUT "${STRAIT_MUSL_GEN}/bits/alltypes.h" CONTENT "${text}" @ONLY)
	file(READ "${arch}/syscall.h.in" text)
	execute_process(COMMAND sed -n -e "s/__NR_/SYS_/p" "${arch}/syscall.h.in"
		OUTPUT_VARIABLE sys COMMAND_ERROR_IS_FATAL ANY)
	file(CONFIGURE OUTPUT "${STRAIT_MUSL_GEN}/bits/syscall.h" CONTENT "${text}${sys}" @ONLY)
endfunction()

# Only kernel and Xen headers, so that no header of glibc's can slip in.
function(_strait_kernel_headers)
	file(MAKE_DIRECTORY "${STRAIT_KERNEL_INCLUDE}")
	foreach(pair IN ITEMS linux asm-generic asm xen)
		set(at "/usr/include/${pair}")
		if(NOT EXISTS "${at}")
			set(at "/usr/include/x86_64-linux-gnu/${pair}")
		endif()
		if(EXISTS "${at}")
			file(CREATE_LINK "${at}" "${STRAIT_KERNEL_INCLUDE}/${pair}" SYMBOLIC)
		endif()
	endforeach()
endfunction()

_strait_musl_headers()
_strait_kernel_headers()

execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=include
	OUTPUT_VARIABLE STRAIT_CC_INCLUDE OUTPUT_STRIP_TRAILING_WHITESPACE)

# The include options are spelled out, since CMake would drop those that it takes
# for the compiler's own.
set(STRAIT_FREESTANDING_OPTIONS
	-ffreestanding -fno-stack-protector -U_FORTIFY_SOURCE -fno-pic -fno-pie
	-fvisibility=hidden -fcf-protection=none -fno-asynchronous-unwind-tables
	-fno-unwind-tables -fno-common -nostdinc -ffunction-sections -fdata-sections)
set(STRAIT_FREESTANDING_INCLUDES
	"SHELL:-isystem ${CMAKE_BINARY_DIR}/proto"
	"SHELL:-isystem ${STRAIT_PROTOBUFC_SRC}"
	"SHELL:-isystem ${STRAIT_MUSL_GEN}"
	"SHELL:-isystem ${STRAIT_MUSL_SRC}/arch/x86_64"
	"SHELL:-isystem ${STRAIT_MUSL_SRC}/arch/generic"
	"SHELL:-isystem ${STRAIT_MUSL_SRC}/include"
	"SHELL:-isystem ${STRAIT_CC_INCLUDE}"
	"SHELL:-idirafter ${STRAIT_KERNEL_INCLUDE}")

function(strait_freestanding_flags target)
	# -O2 also in dev: the guest's stack sizes are reckoned for it.
	target_compile_options(${target} PRIVATE ${STRAIT_FREESTANDING_OPTIONS}
		${STRAIT_FREESTANDING_INCLUDES} -O2)
	set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
	if(TARGET proto_gen)
		add_dependencies(${target} proto_gen)
	endif()
endfunction()

# No FP/SIMD registers: who touches them after a sleep leaves for Xen, which loads them
# only then; and interrupts do not keep them for us.
function(strait_add_freestanding target)
	add_library(${target} OBJECT ${ARGN})
	# clang cannot read gcc's stdatomic.h, which these see: tools that go by the compile
	# commands find the same sources in the test libraries.
	set_target_properties(${target} PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
	strait_freestanding_flags(${target})
	target_compile_options(${target} PRIVATE -mgeneral-regs-only)
	target_link_libraries(${target} PRIVATE strait_warnings)
endfunction()
