# SPDX-License-Identifier: MIT
set(_unit "${CMAKE_SOURCE_DIR}/tests/unit")
strait_unit_test(test_netd_errmap LIBS netd_core rpc_server)
strait_unit_test(test_netd_demux LIBS netd_core rpc_server)
strait_unit_test(test_netd_link LIBS netd_core rpc_server)
strait_unit_test(test_netd_opts LIBS netd_core rpc_server)
if(TARGET netd)
	strait_unit_test(test_netd_net SOURCES "${_unit}/test_netd_net.c" "${_unit}/netd_net_util.c"
		"${_unit}/netd_net_stream.c" "${_unit}/netd_net_more.c" "${_unit}/netd_guest.c"
		"${_unit}/netd_net_veth.c" "${CMAKE_SOURCE_DIR}/services/agent/netif.c"
		"${_unit}/netd_guest_calls.c"
		"${_unit}/fake_guest.c" LIBS rpc_guest_test rpc_server vchan_hosted SERIAL TIMEOUT 300)
	if(TARGET test_netd_net)
		target_compile_definitions(test_netd_net PRIVATE NETD_PATH="$<TARGET_FILE:netd>")
		add_dependencies(test_netd_net netd)
	endif()
endif()
if(TARGET netd)
	strait_unit_test(test_netd_move SOURCES "${_unit}/test_netd_move.c" "${_unit}/netd_move_states.c"
		"${_unit}/netd_move_spin.c"
		"${_unit}/netd_net_util.c" "${_unit}/netd_net_stream.c" "${_unit}/netd_net_more.c"
		"${_unit}/netd_guest.c" "${_unit}/netd_guest_calls.c" "${_unit}/fake_guest.c"
		LIBS rpc_guest_test rpc_server vchan_hosted SERIAL TIMEOUT 300)
	if(TARGET test_netd_move)
		target_compile_definitions(test_netd_move PRIVATE NETD_PATH="$<TARGET_FILE:netd>")
		add_dependencies(test_netd_move netd)
	endif()
endif()
if(TARGET netd)
	strait_unit_test(test_net_recover
		SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_net_recover.c"
		        "${CMAKE_SOURCE_DIR}/tests/unit/supervisor.c"
		LIBS strait_testlib rpc_server vchan_hosted
		ARGS "$<TARGET_FILE:netd>" TIMEOUT 120)
	if(TARGET test_net_recover)
		add_dependencies(test_net_recover netd)
	endif()
	strait_unit_test(test_net_client
		SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_net_client.c"
		        "${CMAKE_SOURCE_DIR}/tests/unit/supervisor.c"
		LIBS strait_testlib rpc_server vchan_hosted
		ARGS "$<TARGET_FILE:netd>" TIMEOUT 120)
	if(TARGET test_net_client)
		add_dependencies(test_net_client netd)
	endif()
endif()
