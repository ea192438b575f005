/* SPDX-License-Identifier: MIT */
/*
 * Traces made up frame by frame, and damaged ones, through the reader, the pairing,
 * the report and the printed lines.
 */
#include "file.pb-c.h"
#include "net.pb-c.h"
#include "tests/unit/suite.h"
#include "tests/unit/trace_synth.h"
#include "tools/trace/report.h"
#include "tools/trace/show.h"
#include "tools/trace/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PING FRAME_METHOD(0, 1)
#define OPEN FRAME_METHOD(1, 1)
#define RELEASE FRAME_METHOD(1, 2)
#define READ FRAME_METHOD(1, 3)
#define HEAD_LEN 92 /* section header and two interfaces */

static struct {
	int fd;
	struct filter filter;
	struct report report;
	bool made;
} g;

static void begin(bool payload)
{
	g.fd = memfd_create("trace", 0);
	if (g.fd < 0)
		abort();
	synth_begin(g.fd, payload);
	g.filter = (struct filter){0};
}

static FILE *open_trace(void)
{
	FILE *f;

	trace_flush();
	lseek(g.fd, 0, SEEK_SET);
	f = fdopen(dup(g.fd), "r");
	if (!f)
		abort();
	return f;
}

static bool make_report(unsigned slowest)
{
	FILE *f = open_trace();
	const bool ok = report_make(&g.report, f, &g.filter, slowest);

	fclose(f);
	g.made = true;
	return ok;
}

static void end(void)
{
	if (g.made)
		report_fini(&g.report);
	g.made = false;
	close(g.fd);
}

static const struct report_method *method(uint16_t number)
{
	for (unsigned i = 0; i < g.report.n_methods; i++)
		if (g.report.methods[i]->method == number)
			return g.report.methods[i];
	return NULL;
}

/* What show prints, malloc'd. */
static char *shown(void)
{
	const struct line_style style = {.args = {.strings = 32}};
	struct scan scan;
	char *text = NULL;
	size_t n;
	FILE *in = open_trace(), *out = open_memstream(&text, &n);

	show_file(in, out, &g.filter, &style, &scan);
	fclose(in);
	fclose(out);
	return text;
}

static void put_call(uint32_t domid, unsigned slot, uint32_t seq, uint16_t m,
                     uint64_t stamp, uint64_t mono, uint64_t wake)
{
	const struct frame f = {.kind = FRAME_CALL,
	                        .method = m,
	                        .slot = (uint16_t)slot,
	                        .seq = seq,
	                        .stamp = stamp,
	                        .wake = wake};

	synth_put(domid, 1, mono, f, NULL, NULL, 0);
}

static void put_reply(uint32_t domid, unsigned slot, uint32_t seq, uint16_t m,
                      uint64_t mono, uint32_t err)
{
	const struct frame f = {.kind = FRAME_REPLY,
	                        .method = m,
	                        .slot = (uint16_t)slot,
	                        .seq = seq,
	                        .err = err,
	                        .stamp = mono};

	synth_put(domid, 1, mono, f, NULL, NULL, 0);
}

/* ---- pairing ---- */

static void queueing_service_and_wake_up_are_told_apart(void)
{
	const struct report_method *m;

	begin(false);
	put_call(1, 0, 1, PING, 1000, 1300, 0);
	put_reply(1, 0, 1, PING, 2000, 0);
	put_call(1, 0, 2, PING, 9000, 9050,
	         2040); /* took the reply 40 ns after it was put */
	put_reply(1, 0, 2, PING, 9100, 0);
	CU_ASSERT(make_report(0));
	m = method(PING);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->calls, 2);
	CU_ASSERT_EQUAL(m->queue.n, 2);
	CU_ASSERT_EQUAL(m->queue.min, 50);
	CU_ASSERT_EQUAL(m->queue.max, 300);
	CU_ASSERT_EQUAL(m->service.min, 50);
	CU_ASSERT_EQUAL(m->service.max, 700);
	CU_ASSERT_EQUAL(m->wake.n, 1); /* nobody tells about the last one */
	CU_ASSERT_EQUAL(m->wake.max, 40);
	CU_ASSERT_EQUAL(m->total.max, 1040);
	CU_ASSERT_EQUAL(m->total.min, 100);
	end();
}

static void times_without_stamps_are_unknown_not_zero(void)
{
	const struct report_method *m;
	char *text = NULL;
	size_t n;
	FILE *out;

	begin(false);
	put_call(1, 0, 1, PING, 0, 1300, 0);
	put_reply(1, 0, 1, PING, 1370, 0);
	put_call(1, 0, 2, PING, 0, 2100, 0);
	put_reply(1, 0, 2, PING, 2180, 0);
	CU_ASSERT(make_report(0));
	m = method(PING);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->queue.n, 0);
	CU_ASSERT_EQUAL(m->wake.n, 0);
	CU_ASSERT_EQUAL(m->service.n, 2);
	out = open_memstream(&text, &n);
	report_text(&g.report, out, "t");
	fclose(out);
	CU_ASSERT_PTR_NOT_NULL(
	        strstr(text, "       -        -        -       70ns     80ns"));
	free(text);
	end();
}

static void posts_have_a_queueing_time_and_no_other(void)
{
	const struct report_method *m;
	const struct frame post = {
	        .kind = FRAME_POST, .method = RELEASE, .seq = 1, .stamp = 900};

	begin(false);
	synth_put(1, 1, 1000, post, NULL, NULL, 0);
	CU_ASSERT(make_report(0));
	m = method(RELEASE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->posts, 1);
	CU_ASSERT_EQUAL(m->queue.max, 100);
	CU_ASSERT_EQUAL(m->service.n + m->wake.n + m->total.n, 0);
	end();
}

static void replies_in_any_order_find_their_calls(void)
{
	const struct report_method *m;

	begin(false);
	for (unsigned s = 0; s < 8; s++)
		put_call(1, s, 1, PING, 0, 1000 + s, 0);
	for (unsigned s = 8; s-- > 0;)
		put_reply(1, s, 1, PING, 1100 + s, 0); /* each took 100 ns */
	CU_ASSERT(make_report(0));
	m = method(PING);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->service.n, 8);
	CU_ASSERT_EQUAL(m->service.min, 100);
	CU_ASSERT_EQUAL(m->service.max, 100);
	CU_ASSERT_EQUAL(g.report.sessions[0].most_in_flight, 8);
	end();
}

static void guests_with_the_same_slots_are_kept_apart(void)
{
	begin(false);
	put_call(1, 0, 1, PING, 0, 1000, 0);
	put_call(2, 0, 1, PING, 0, 1010, 0);
	put_reply(2, 0, 1, PING, 1020, 0);
	put_reply(1, 0, 1, PING, 1500, EIO);
	CU_ASSERT(make_report(0));
	CU_ASSERT_EQUAL(g.report.sessions[0].domid, 1);
	CU_ASSERT_EQUAL(g.report.sessions[0].served_ns, 500);
	CU_ASSERT_EQUAL(g.report.sessions[0].errors, 1);
	CU_ASSERT_EQUAL(g.report.sessions[1].domid, 2);
	CU_ASSERT_EQUAL(g.report.sessions[1].served_ns, 10);
	CU_ASSERT_EQUAL(g.report.sessions[1].errors, 0);
	end();
}

static void a_call_without_a_reply_is_counted_and_shown_as_such(void)
{
	const struct report_method *m;
	char *text;

	begin(false);
	put_call(1, 0, 1, PING, 0, 1000, 0);
	put_call(1, 0, 2, PING, 0, 2000, 0); /* the first was never answered */
	put_reply(1, 0, 2, PING, 2500, 0);
	put_call(1, 3, 1, PING, 0, 3000, 0); /* nor was the last */
	CU_ASSERT(make_report(0));
	m = method(PING);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->calls, 3);
	CU_ASSERT_EQUAL(m->no_reply, 2);
	CU_ASSERT_EQUAL(m->service.n, 1);
	text = shown();
	CU_ASSERT_PTR_NOT_NULL(
	        strstr(text, "Session.Ping() = ? (no reply in the trace)\n"));
	free(text);
	end();
}

static void a_reply_without_its_call_is_an_orphan(void)
{
	char *text;

	begin(false);
	put_reply(1, 5, 7, PING, 1000, ENOENT); /* from before the trace began */
	put_call(1, 0, 1, PING, 0, 2000, 0);
	put_reply(1, 0, 2, PING, 2100, 0); /* another sequence number */
	put_reply(1, 0, 1, READ, 2200, 0); /* another method */
	CU_ASSERT(make_report(0));
	CU_ASSERT_EQUAL(g.report.orphans, 3);
	CU_ASSERT_EQUAL(method(PING)->no_reply, 1);
	text = shown();
	CU_ASSERT_PTR_NOT_NULL(strstr(
	        text,
	        "<- Session.Ping slot 5 seq 7 = ENOENT (No such file or directory)"));
	free(text);
	end();
}

static void a_wake_time_over_a_gap_is_not_believed(void)
{
	begin(false);
	put_call(1, 0, 1, PING, 0, 1000, 0);
	put_reply(1, 0, 1, PING, 1100, 0);
	put_call(1, 0, 3, PING, 0, 5000,
	         4000); /* tells about call 2, which is missing */
	put_reply(1, 0, 3, PING, 5100, 0);
	put_call(1, 0, 4, PING, 0, 6000, 5050); /* taken before it was put: no */
	put_reply(1, 0, 4, PING, 6100, 0);
	CU_ASSERT(make_report(0));
	CU_ASSERT_EQUAL(method(PING)->wake.n, 0);
	end();
}

static void a_new_hello_begins_a_new_session(void)
{
	begin(false);
	put_call(1, 2, 9, PING, 0, 1000, 0);
	put_call(1, 0, 1, FRAME_METHOD(0, 0), 0, 2000, 0);
	put_reply(1, 2, 9, PING, 2100, 0); /* of the instance before */
	put_reply(1, 0, 1, FRAME_METHOD(0, 0), 2200, 0);
	CU_ASSERT(make_report(0));
	CU_ASSERT_EQUAL(method(PING)->no_reply, 1);
	CU_ASSERT_EQUAL(g.report.orphans, 1);
	CU_ASSERT_EQUAL(method(FRAME_METHOD(0, 0))->service.n, 1);
	end();
}

/* ---- percentiles ---- */

static void percentiles_are_within_a_half_percent(void)
{
	struct hist h = {0};

	for (uint64_t v = 1; v <= 100000; v++)
		CU_ASSERT_EQUAL_FATAL(hist_add(&h, v * 10), 0);
	CU_ASSERT_EQUAL(h.n, 100000);
	CU_ASSERT_EQUAL(h.sum, 10ull * 100000 * 100001 / 2);
	CU_ASSERT_DOUBLE_EQUAL((double)hist_at(&h, 500), 500000, 2500);
	CU_ASSERT_DOUBLE_EQUAL((double)hist_at(&h, 900), 900000, 4500);
	CU_ASSERT_DOUBLE_EQUAL((double)hist_at(&h, 990), 990000, 4950);
	CU_ASSERT_EQUAL(h.max, 1000000);
	CU_ASSERT_EQUAL(h.min, 10);
	hist_free(&h);
}

static void percentiles_of_few_values_are_those_values(void)
{
	struct hist h = {0};

	CU_ASSERT_EQUAL(hist_at(&h, 500), 0);
	for (uint64_t v = 1; v <= 10; v++)
		CU_ASSERT_EQUAL_FATAL(hist_add(&h, v), 0);
	CU_ASSERT_EQUAL(hist_at(&h, 500), 5);
	CU_ASSERT_EQUAL(hist_at(&h, 900), 9);
	CU_ASSERT_EQUAL(hist_at(&h, 990), 10);
	hist_free(&h);
	CU_ASSERT_EQUAL_FATAL(hist_add(&h, UINT64_MAX - 1), 0);
	CU_ASSERT_EQUAL(hist_at(&h, 500), UINT64_MAX - 1);
	hist_free(&h);
}

static void the_slowest_calls_come_slowest_first(void)
{
	static const uint64_t took[] = {300, 900, 100, 500, 700};

	begin(false);
	for (uint32_t i = 0; i < 5; i++) {
		put_call(1, 0, i + 1, PING, 0, 1000 * (i + 1), 0);
		put_reply(1, 0, i + 1, PING, 1000 * (i + 1) + took[i], 0);
	}
	CU_ASSERT(make_report(3));
	CU_ASSERT_EQUAL_FATAL(g.report.n_slow, 3);
	CU_ASSERT_EQUAL(g.report.slow[0].total, 900);
	CU_ASSERT_EQUAL(g.report.slow[1].total, 700);
	CU_ASSERT_EQUAL(g.report.slow[2].total, 500);
	CU_ASSERT_PTR_NOT_NULL(strstr(g.report.slow[0].line, "Session.Ping()"));
	end();
}

/* ---- what is printed ---- */

static void lines_decode_arguments(void)
{
	static const char *const want[] = {
	        "File.SetCred(cred=1, uid=1000, groups=[4, 24]) = 0 <",
	        "File.Open(path=\"/etc/motd\", flags=O_RDONLY, handle=3) = 0 "
	        "{attr={mode=S_IFREG|0644, size=5}} <21.0us>",
	        "File.Open(path=\"/no\\nsuch\", flags=O_RDWR|O_CREAT|O_EXCL, handle=4) "
	        "= ENOENT "
	        "(No such file or directory) <",
	        "File.Read(handle=3</etc/motd>, offset=0, count=4096) = 0 [5 bytes: "
	        "\"hello\"] <",
	        "File.Write(handle=3</etc/motd>, offset=0, append=1) [4 bytes: "
	        "\"more\"] = 0 "
	        "{count=4, offset=5}",
	        "-> File.Release(handle=3</etc/motd>)\n",
	        "File.Unlink(path=\"/tmp/dir\", flags=AT_REMOVEDIR) = ENOTEMPTY",
	        "File.Lock(handle=5</var/db>, kind=POSIX, type=F_WRLCK, wait=1, "
	        "ticket=99) = "
	        "queued {queued=1} <2.00us>",
	        "<- Session.Done(ticket=99) completes File.Lock of \"/var/db\" "
	        "<1.00ms>\n",
	        "Net.Socket(handle=1, domain=AF_INET, type=SOCK_STREAM) = 0",
	        "Net.SetOpt(handle=1<TCP>, level=SOL_SOCKET, name=SO_REUSEADDR) = 0",
	        "addr=10.0.2.15:80) = 0 {local=10.0.2.15:80}",
	        "<- Net.Data(handle=65536<TCP 10.0.2.15:80 from 10.0.2.2:40000>, "
	        "offset=0) [18 "
	        "bytes: \"GET / HTTP/1.1\\r\\n\\r\\n\"]\n",
	        "err=ECONNRESET, fatal=1)\n",
	};
	char *text;

	g.fd = memfd_create("trace", 0);
	g.filter = (struct filter){0};
	synth_story(g.fd, true);
	text = shown();
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		if (!strstr(text, want[i]))
			fprintf(stderr, "\nmissing: %s\n", want[i]);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, want[i]));
	}
	CU_ASSERT_EQUAL(strncmp(text, "0.000000 [1] Session.Hello(", 27), 0);
	free(text);
	end();
}

static void handles_follow_openat_and_forget_failed_opens(void)
{
	File__OpenReq q = FILE__OPEN_REQ__INIT;
	File__ReadReq rd = FILE__READ_REQ__INIT;
	const struct frame call = {.kind = FRAME_CALL, .method = OPEN, .seq = 1};
	char dir[] = "/srv", rel[] = "a/b";
	char *text;

	begin(false);
	q.path = (ProtobufCBinaryData){strlen(dir), (uint8_t *)dir};
	q.handle = 7;
	synth_put(1, 1, 100, call, &q.base, NULL, 0);
	put_reply(1, 0, 1, OPEN, 200, 0);
	q.path = (ProtobufCBinaryData){strlen(rel), (uint8_t *)rel};
	q.at = 7;
	q.handle = 8;
	synth_put(1, 1, 300,
	          (struct frame){.kind = FRAME_CALL, .method = OPEN, .seq = 2}, &q.base,
	          NULL, 0);
	rd.handle = 8; /* sent behind the open, before its reply */
	synth_put(
	        1, 1, 310,
	        (struct frame){.kind = FRAME_CALL, .method = READ, .slot = 1, .seq = 1},
	        &rd.base, NULL, 0);
	put_reply(1, 0, 2, OPEN, 400, EACCES);
	put_reply(1, 1, 1, READ, 410, EBADF);
	synth_put(
	        1, 1, 500,
	        (struct frame){.kind = FRAME_CALL, .method = READ, .slot = 1, .seq = 2},
	        &rd.base, NULL, 0);
	put_reply(1, 1, 2, READ, 510, EBADF);
	text = shown();
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "at=7</srv>, path=\"a/b\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "File.Read(handle=8</srv/a/b>, "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "File.Read(handle=8, "));
	free(text);
	end();
}

static void values_read_as_people_write_them(void)
{
	char b[VALUE_TEXT];

	CU_ASSERT_STRING_EQUAL(value_ns(b, 0), "0ns");
	CU_ASSERT_STRING_EQUAL(value_ns(b, 999), "999ns");
	CU_ASSERT_STRING_EQUAL(value_ns(b, 1000), "1.00us");
	CU_ASSERT_STRING_EQUAL(value_ns(b, 999499), "999us");
	CU_ASSERT_STRING_EQUAL(value_ns(b, 999999), "1.00ms");
	CU_ASSERT_STRING_EQUAL(value_ns(b, 2500000000), "2.50s");
	CU_ASSERT_STRING_EQUAL(value_size(b, 1023), "1023");
	CU_ASSERT_STRING_EQUAL(value_size(b, 1536), "1.50K");
	CU_ASSERT_STRING_EQUAL(value_size(b, 1048576), "1.00M");
	CU_ASSERT_EQUAL(value_errno_parse("enoent"), ENOENT);
	CU_ASSERT_EQUAL(value_errno_parse("EWOULDBLOCK"), EAGAIN);
	CU_ASSERT_EQUAL(value_errno_parse("13"), 13);
	CU_ASSERT_EQUAL(value_errno_parse("ENOSUCH"), -1);
	CU_ASSERT_EQUAL(value_errno_parse("-1"), -1);
	CU_ASSERT_EQUAL(value_errno_parse(""), -1);
}

static void json_strings_stay_valid(void)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	value_json(f, "a\"b\\c\n\x01 \xc3\xa9 \xff \xed\xa0\x80");
	fclose(f);
	CU_ASSERT_STRING_EQUAL(text, "\"a\\\"b\\\\c\\u000a\\u0001 \xc3\xa9 \\ufffd "
	                             "\\ufffd\\ufffd\\ufffd\"");
	free(text);
}

/* ---- filters ---- */

static unsigned lines_passing(void)
{
	char *text = shown();
	unsigned n = 0;

	for (const char *p = text; (p = strchr(p, '\n')); p++)
		n++;
	free(text);
	return n;
}

static void filters_take_what_they_name(void)
{
	g.fd = memfd_create("trace", 0);
	synth_story(g.fd, false);
	g.filter = (struct filter){0};
	CU_ASSERT(filter_add_call(&g.filter, "file.open"));
	CU_ASSERT_EQUAL(lines_passing(), 3);
	CU_ASSERT(filter_add_call(&g.filter, "READ"));
	CU_ASSERT_EQUAL(lines_passing(), 4);
	g.filter = (struct filter){0};
	CU_ASSERT(filter_add_call(&g.filter, "net"));
	CU_ASSERT_EQUAL(lines_passing(), 7);
	g.filter = (struct filter){0};
	CU_ASSERT_FALSE(filter_add_call(&g.filter, "Fil"));
	g.filter = (struct filter){0};
	CU_ASSERT(filter_set_errno(&g.filter, "ENOENT"));
	CU_ASSERT_EQUAL(lines_passing(), 1);
	CU_ASSERT(filter_set_errno(&g.filter, "any")); /* two calls and an event */
	CU_ASSERT_EQUAL(lines_passing(), 3);
	CU_ASSERT_FALSE(filter_set_errno(&g.filter, "0"));
	g.filter = (struct filter){0};
	CU_ASSERT(filter_set_path(&g.filter, "/etc")); /* open, read, write, release */
	CU_ASSERT_EQUAL(lines_passing(), 4);
	CU_ASSERT(filter_set_path(&g.filter, "/et"));
	CU_ASSERT_EQUAL(lines_passing(), 0);
	CU_ASSERT(filter_set_path(&g.filter, "/*o*")); /* motd four times, "no\nsuch" */
	CU_ASSERT_EQUAL(lines_passing(), 5);
	CU_ASSERT(filter_set_path(&g.filter, "/var/db/")); /* open, lock, done */
	CU_ASSERT_EQUAL(lines_passing(), 3);
	g.filter = (struct filter){0};
	CU_ASSERT(filter_set_domid(&g.filter, "2"));
	CU_ASSERT_EQUAL(lines_passing(), 0);
	CU_ASSERT_FALSE(filter_set_domid(&g.filter, "x"));
	g.filter = (struct filter){0};
	CU_ASSERT(filter_set_slower(&g.filter, "25us")); /* the write, and Done */
	CU_ASSERT_EQUAL(lines_passing(), 2);
	CU_ASSERT_FALSE(filter_set_slower(&g.filter, "25"));
	CU_ASSERT_FALSE(filter_set_slower(&g.filter, "-1s"));
	end();
}

/* ---- damaged files ---- */

static uint64_t story_size(void)
{
	g.fd = memfd_create("trace", 0);
	g.filter = (struct filter){0};
	synth_story(g.fd, true);
	return (uint64_t)lseek(g.fd, 0, SEEK_END);
}

static void a_file_cut_anywhere_is_read_up_to_the_cut(void)
{
	const uint64_t size = story_size();
	uint64_t frames = 32;
	unsigned clean = 0; /* cuts between two blocks */

	for (uint64_t cut = size; cut-- > 0;) {
		bool any;

		if (ftruncate(g.fd, (off_t)cut) < 0)
			abort();
		any = make_report(2);
		CU_ASSERT_EQUAL(any, cut >= 28);
		CU_ASSERT(g.report.scan.frames == frames ||
		          g.report.scan.frames == frames - 1);
		CU_ASSERT_EQUAL(g.report.scan.bad, 0);
		if (!g.report.scan.stopped)
			clean++;
		else
			CU_ASSERT_PTR_NOT_NULL(strstr(g.report.scan.stop, "block "));
		frames = g.report.scan.frames;
		report_fini(&g.report);
		g.made = false;
	}
	CU_ASSERT_EQUAL(frames, 0);
	CU_ASSERT_EQUAL(clean,
	                3 + 31); /* behind the head's blocks, and each packet's */
	end();
}

static void patch(off_t at, const void *p, size_t n)
{
	if (pwrite(g.fd, p, n, at) != (ssize_t)n)
		abort();
}

static void the_place_of_damage_is_named(void)
{
	const uint32_t odd = 13;

	(void)story_size();
	patch(HEAD_LEN + 4, &odd, 4);
	CU_ASSERT(make_report(0));
	CU_ASSERT(g.report.scan.stopped);
	CU_ASSERT_STRING_EQUAL(g.report.scan.stop,
	                       "block 4 at offset 92: a block cannot be 13 bytes long");
	end();
}

static void one_broken_packet_does_not_cost_the_others(void)
{
	const uint8_t kind = 9;
	const uint32_t much = 1000000, interface = 2;

	(void)story_size();
	patch(HEAD_LEN + 28 + 16 + 4, &kind, 1); /* the first frame's kind */
	CU_ASSERT(make_report(0));
	CU_ASSERT_FALSE(g.report.scan.stopped);
	CU_ASSERT_EQUAL(g.report.scan.frames, 31);
	CU_ASSERT_EQUAL(g.report.scan.bad, 1);
	CU_ASSERT_STRING_EQUAL(g.report.scan.first_bad,
	                       "block 4 at offset 92: kind: unknown");
	end();

	(void)story_size();
	patch(HEAD_LEN + 20, &much, 4); /* captured length */
	CU_ASSERT(make_report(0));
	CU_ASSERT_EQUAL(g.report.scan.frames, 31);
	CU_ASSERT_PTR_NOT_NULL(
	        strstr(g.report.scan.first_bad, "1000000 bytes of packet"));
	end();

	(void)story_size();
	patch(HEAD_LEN + 8, &interface, 4);
	CU_ASSERT(make_report(0));
	CU_ASSERT_EQUAL(g.report.scan.frames, 31);
	CU_ASSERT_PTR_NOT_NULL(
	        strstr(g.report.scan.first_bad, "interface 2 was not announced"));
	end();
}

static void unknown_blocks_are_stepped_over(void)
{
	static const uint32_t unknown[] = {0x0bad, 20, 1, 2, 20},
	                      other[] = {1, 20, 1, 0, 20};
	static const uint32_t eth[] = {6, 36, 2, 0, 0, 4, 4, 0, 36};
	const struct frame call = {.kind = FRAME_CALL, .method = PING, .seq = 1};

	begin(false);
	if (write(g.fd, unknown, sizeof(unknown)) < 0 ||
	    write(g.fd, other, sizeof(other)) < 0 ||
	    write(g.fd, eth, sizeof(eth)) <
	            0) /* an interface of another kind, its packet */
		abort();
	synth_put(1, 1, 1000, call, NULL, NULL, 0);
	put_reply(1, 0, 1, PING, 1100, 0);
	CU_ASSERT(make_report(0));
	CU_ASSERT_EQUAL(g.report.scan.frames, 2);
	CU_ASSERT_EQUAL(g.report.scan.others, 1);
	CU_ASSERT_EQUAL(g.report.scan.bad, 0);
	end();
}

static void refused(const void *bytes, size_t n, const char *why)
{
	g.fd = memfd_create("trace", 0);
	patch(0, bytes, n);
	CU_ASSERT_FALSE(make_report(0));
	if (!strstr(g.report.scan.stop, why))
		fprintf(stderr, "\nsaid: %s\n", g.report.scan.stop);
	CU_ASSERT_PTR_NOT_NULL(strstr(g.report.scan.stop, why));
	end();
}

static void what_is_no_trace_is_refused_with_a_sentence(void)
{
	static const uint8_t big[28] = {0x0a, 0x0d, 0x0d, 0x0a, 0,    0,
	                                0,    28,   0x1a, 0x2b, 0x3c, 0x4d};
	static const uint32_t pcap[6] = {0xa1b2c3d4, 4 << 16 | 2};

	g.filter = (struct filter){0};
	refused("", 0, "the file is empty");
	refused("hello, world\n", 13, "not a pcapng file");
	refused("\n", 1, "not a pcapng file");
	refused(pcap, sizeof(pcap), "not a pcapng file");
	refused(big, sizeof(big), "big-endian");
}

static void json_report_holds_the_same(void)
{
	char *text = NULL;
	size_t n;
	FILE *out;

	(void)story_size();
	CU_ASSERT(make_report(1));
	out = open_memstream(&text, &n);
	report_json(&g.report, out, "a\"b");
	fclose(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "{\"file\": \"a\\\"b\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"frames\": 32, \"bad_packets\": 0"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"errno\": {\"ENOENT\": 1}"));
	CU_ASSERT_PTR_NOT_NULL(
	        strstr(text, "\"queued_until_done_ns\": {\"count\": 1, "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"damage\": null"));
	free(text);
	end();
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(queueing_service_and_wake_up_are_told_apart),
		TEST(times_without_stamps_are_unknown_not_zero),
		TEST(posts_have_a_queueing_time_and_no_other),
		TEST(replies_in_any_order_find_their_calls),
		TEST(guests_with_the_same_slots_are_kept_apart),
		TEST(a_call_without_a_reply_is_counted_and_shown_as_such),
		TEST(a_reply_without_its_call_is_an_orphan),
		TEST(a_wake_time_over_a_gap_is_not_believed),
		TEST(a_new_hello_begins_a_new_session),
		TEST(percentiles_are_within_a_half_percent),
		TEST(percentiles_of_few_values_are_those_values),
		TEST(the_slowest_calls_come_slowest_first),
		TEST(lines_decode_arguments),
		TEST(handles_follow_openat_and_forget_failed_opens),
		TEST(values_read_as_people_write_them),
		TEST(json_strings_stay_valid),
		TEST(filters_take_what_they_name),
		TEST(a_file_cut_anywhere_is_read_up_to_the_cut),
		TEST(the_place_of_damage_is_named),
		TEST(one_broken_packet_does_not_cost_the_others),
		TEST(unknown_blocks_are_stepped_over),
		TEST(what_is_no_trace_is_refused_with_a_sentence),
		TEST(json_report_holds_the_same),
		CU_TEST_INFO_NULL,
	};

	return suite_run("trace", NULL, NULL, tests);
}
