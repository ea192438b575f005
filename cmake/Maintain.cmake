# SPDX-License-Identifier: MIT
# Targets for people: check, format, tidy.
file(GLOB_RECURSE _c CONFIGURE_DEPENDS RELATIVE "${CMAKE_SOURCE_DIR}"
	libos/*.[ch] rpc/*.[ch] vchan/*.[ch] platform/*.[ch] services/*.[ch] tools/*.[ch]
	tests/*.[ch] bench/*.[ch])
add_custom_target(format COMMAND clang-format -i ${_c}
	WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" VERBATIM)
add_custom_target(tidy COMMAND run-clang-tidy -quiet -p "${CMAKE_BINARY_DIR}"
	"^${CMAKE_SOURCE_DIR}/(libos|rpc|vchan|platform|services|tools)/.*[.]c$$"
	WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" VERBATIM)
add_custom_target(check COMMAND ./check WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" USES_TERMINAL)
