# SPDX-License-Identifier: MIT
if(TARGET netd_core)
	strait_fuzzer(fuzz_netd_dispatch LIBS netd_core)
	strait_fuzzer(fuzz_netd_state LIBS netd_core)
endif()
