# SPDX-License-Identifier: MIT
strait_fuzzer(fuzz_server_frames
	SOURCES "${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_server_frames.c" "${CMAKE_SOURCE_DIR}/tests/unit/fake_guest.c"
	LIBS rpc_server rpc_guest_test)
strait_fuzzer(fuzz_guest_frames
	SOURCES "${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_guest_frames.c" "${CMAKE_SOURCE_DIR}/tests/unit/fake_guest.c"
	LIBS rpc_guest_test vchan_hosted)
foreach(t IN ITEMS fuzz_server_frames fuzz_guest_frames)
	if(TARGET ${t})
		target_include_directories(${t} PRIVATE "${CMAKE_SOURCE_DIR}/tests/unit" "${CMAKE_SOURCE_DIR}/tests/fuzz")
	endif()
endforeach()
