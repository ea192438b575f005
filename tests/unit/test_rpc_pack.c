/* SPDX-License-Identifier: MIT */
/* Replies packed into memory of a fixed size, gone over once or twice. */
#include "file.pb-c.h"
#include "rpc/server_priv.h"
#include "tests/unit/suite.h"

#include <string.h>

static uint8_t g_to[RPC_REPLY_MSG_MAX + 64];

/* As protobuf-c does it alone; nothing behind its end is touched. */
static void packs_as_ever(const ProtobufCMessage *msg)
{
	uint8_t want[RPC_REPLY_MSG_MAX];
	const size_t n = protobuf_c_message_pack(msg, want);

	memset(g_to, 0xa5, sizeof(g_to));
	CU_ASSERT_EQUAL(reply_pack(msg, g_to), n);
	CU_ASSERT_EQUAL(memcmp(g_to, want, n), 0);
	for (size_t i = n; i < sizeof(g_to); i++)
		if (g_to[i] != 0xa5)
			CU_FAIL_FATAL("written behind the end");
}

static void numbers_of_all_sizes_are_packed(void)
{
	File__AttrRep rep = FILE__ATTR_REP__INIT;
	File__Attr attr = FILE__ATTR__INIT;

	packs_as_ever(&rep.base); /* without the message in it */
	rep.attr = &attr;
	packs_as_ever(&rep.base);
	for (unsigned byte = 1; byte < 256; byte += 127) {
		memset((char *)&attr + sizeof(attr.base), (int)byte,
		       sizeof(attr) - sizeof(attr.base));
		packs_as_ever(&rep.base);
	}
}

static void too_long_a_message_is_not_written(void)
{
	uint8_t long_name[RPC_REPLY_MSG_MAX];
	File__PathReq msg = FILE__PATH_REQ__INIT;

	memset(long_name, 'x', sizeof(long_name));
	msg.path = (ProtobufCBinaryData){100, long_name};
	packs_as_ever(&msg.base);
	msg.path.len = sizeof(long_name);
	memset(g_to, 0xa5, sizeof(g_to));
	CU_ASSERT_TRUE(reply_pack(&msg.base, g_to) > RPC_REPLY_MSG_MAX);
	CU_ASSERT_EQUAL(g_to[0], 0xa5);
}

/* In the message, and in one that it holds. */
static void unknown_fields_count(void)
{
	static uint8_t data[RPC_REPLY_MSG_MAX];
	ProtobufCMessageUnknownField field = {
		.tag = 99, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = 0, .data = data};
	File__AttrRep rep = FILE__ATTR_REP__INIT;
	File__Attr attr = FILE__ATTR__INIT;

	data[0] = 20;
	field.len = 21;
	rep.attr = &attr;
	attr.base.n_unknown_fields = 1;
	attr.base.unknown_fields = &field;
	packs_as_ever(&rep.base);
	field.len = sizeof(data);
	memset(g_to, 0xa5, sizeof(g_to));
	CU_ASSERT_TRUE(reply_pack(&rep.base, g_to) > RPC_REPLY_MSG_MAX);
	CU_ASSERT_EQUAL(g_to[0], 0xa5);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(numbers_of_all_sizes_are_packed),
		TEST(too_long_a_message_is_not_written),
		TEST(unknown_fields_count),
		CU_TEST_INFO_NULL,
	};

	return suite_run("rpc_pack", NULL, NULL, tests);
}
