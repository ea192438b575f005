# SPDX-License-Identifier: MIT
# Descriptions: what of them needs no Xen and no process.
strait_unit_test(test_desc_text SOURCES "${CMAKE_SOURCE_DIR}/tests/unit/test_desc_text.c"
	"${CMAKE_SOURCE_DIR}/tools/strait/desc_text.c" "${CMAKE_SOURCE_DIR}/platform/xen/cmdline.c")
