# SPDX-License-Identifier: MIT
strait_unit_test(test_libos_core LIBS strait_testlib)
strait_unit_test(test_locklist LIBS strait_testlib)
