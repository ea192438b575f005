# SPDX-License-Identifier: MIT
# The agent without Xen: fake_store.c is a xenstored in a thread.
strait_unit_test(test_agent SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_agent.c"
	"${CMAKE_SOURCE_DIR}/tests/unit/fake_store.c" LIBS agent_core)
strait_unit_test(test_agent_life SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_agent_life.c"
	"${CMAKE_SOURCE_DIR}/tests/unit/fake_store.c" LIBS agent_core)
strait_unit_test(test_agent_mem SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_agent_mem.c"
	LIBS agent_core)
