# SPDX-License-Identifier: MIT
# strait_warnings: link it (PRIVATE) to every target of our own C.  Generated code
# and third-party sources do without.
add_library(strait_warnings INTERFACE)
target_compile_options(strait_warnings INTERFACE
	$<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes
	-Wmissing-prototypes -Wformat=2 -Wundef -Wvla -Wcast-qual>
	$<$<AND:$<COMPILE_LANGUAGE:C>,$<C_COMPILER_ID:GNU>>:-Wno-unused-result>
	$<$<AND:$<COMPILE_LANGUAGE:C>,$<C_COMPILER_ID:Clang>>:-Wthread-safety -Wno-sign-conversion>
	$<$<BOOL:${STRAIT_WERROR}>:-Werror>)
