# SPDX-License-Identifier: MIT
# Where the third-party sources lie: Debian source packages that
# tools/setup/deps.sh fetched into the cache, outside this tree.
if(DEFINED ENV{STRAIT_CACHE})
	set(_cache "$ENV{STRAIT_CACHE}")
elseif(DEFINED ENV{XDG_CACHE_HOME})
	set(_cache "$ENV{XDG_CACHE_HOME}/strait")
else()
	set(_cache "$ENV{HOME}/.cache/strait")
endif()
set(STRAIT_CACHE "${_cache}" CACHE PATH "Downloaded sources and test programs")
set(STRAIT_MUSL_SRC "${STRAIT_CACHE}/src/musl-1.2.3" CACHE PATH "musl's source")
set(STRAIT_LWIP_SRC "${STRAIT_CACHE}/src/lwip-2.1.3+dfsg1" CACHE PATH "lwIP's source")
set(STRAIT_PROTOBUFC_SRC "${STRAIT_CACHE}/src/protobuf-c-1.4.1" CACHE PATH "protobuf-c's source")

foreach(_src IN ITEMS MUSL LWIP PROTOBUFC)
	if(NOT IS_DIRECTORY "${STRAIT_${_src}_SRC}")
		message(FATAL_ERROR "${STRAIT_${_src}_SRC} is missing: run tools/setup/deps.sh, "
		        "which fetches it with apt-get source, or set STRAIT_${_src}_SRC.")
	endif()
endforeach()
