# SPDX-License-Identifier: MIT
strait_unit_test(test_libos_core LIBS strait_testlib)
