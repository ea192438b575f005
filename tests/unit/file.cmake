# SPDX-License-Identifier: MIT
strait_unit_test(test_file_client
	SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_file_client.c"
	        "${CMAKE_SOURCE_DIR}/tests/unit/supervisor.c"
	LIBS strait_testlib rpc_server vchan_hosted
	ARGS "$<TARGET_FILE:fsd>")
if(TARGET test_file_client)
	add_dependencies(test_file_client fsd)
endif()
strait_unit_test(test_file_recover
	SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_file_recover.c"
	        "${CMAKE_SOURCE_DIR}/tests/unit/file_recover_storm.c"
	        "${CMAKE_SOURCE_DIR}/tests/unit/file_recover_watch.c"
	        "${CMAKE_SOURCE_DIR}/tests/unit/supervisor.c"
	LIBS strait_testlib rpc_server vchan_hosted
	ARGS "$<TARGET_FILE:fsd>")
if(TARGET test_file_recover)
	add_dependencies(test_file_recover fsd)
endif()
