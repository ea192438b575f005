# SPDX-License-Identifier: MIT
strait_unit_test(test_rpc SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_rpc.c"
	"${CMAKE_SOURCE_DIR}/tests/unit/fake_guest.c" LIBS rpc_guest_test rpc_server)
strait_unit_test(test_rpc_recover SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_rpc_recover.c"
	"${CMAKE_SOURCE_DIR}/tests/unit/fake_guest.c" LIBS rpc_guest_test rpc_server)
strait_unit_test(test_rpc_credit SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_rpc_credit.c"
	"${CMAKE_SOURCE_DIR}/tests/unit/fake_guest.c" LIBS rpc_guest_test rpc_server)
strait_unit_test(test_rpc_pack SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_rpc_pack.c" LIBS rpc_server)
