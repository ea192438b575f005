# SPDX-License-Identifier: MIT
# libos's descriptors.
strait_unit_test(test_pool LIBS strait_testlib)
strait_unit_test(test_fdtable LIBS strait_testlib)
strait_unit_test(test_pipe_epoll LIBS strait_testlib TIMEOUT 120)
