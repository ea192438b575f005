# SPDX-License-Identifier: MIT
# Targets for people: check, format, tidy.
file(GLOB_RECURSE _c CONFIGURE_DEPENDS RELATIVE "${CMAKE_SOURCE_DIR}"
	libos/*.[ch] rpc/*.[ch] vchan/*.[ch] platform/*.[ch] services/*.[ch] tools/*.[ch]
	tests/*.[ch] bench/*.[ch])
add_custom_target(format COMMAND clang-format -i ${_c}
	WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" VERBATIM)
# Guest code is compiled with gcc's own headers, which clang cannot read: its own come first.
execute_process(COMMAND clang -print-resource-dir OUTPUT_VARIABLE _clang
	OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE _ignored)
add_custom_target(tidy COMMAND run-clang-tidy -quiet -p "${CMAKE_BINARY_DIR}"
	"-extra-arg-before=-isystem${_clang}/include"
	"^${CMAKE_SOURCE_DIR}/(libos|rpc|vchan|platform|services|tools)/.*[.]c$$"
	WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" VERBATIM)
add_custom_target(check COMMAND ./check WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" USES_TERMINAL)
