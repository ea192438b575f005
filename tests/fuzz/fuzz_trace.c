/* SPDX-License-Identifier: MIT */
/*
 * fuzz_trace - any bytes as a trace file: reader, frames, pairing, messages, and all
 * that is printed of them.
 */
#include "tools/trace/report.h"
#include "tools/trace/show.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static FILE *open_input(const uint8_t *data, size_t size)
{
	/* fmemopen() reads only, with "r"; it takes no const */
	FILE *f = size ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;

	if (f)
		setvbuf(f, NULL, _IOFBF, 4096);
	return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *out;
	const struct line_style style = {.args = {.strings = 64, .verbose = true},
	                                 .times = true};
	const struct filter all = {0};
	struct report r;
	struct scan s;
	FILE *in;

	if (!out)
		out = fopen("/dev/null", "w");
	in = open_input(data, size);
	if (!in || !out)
		return 0;
	if (report_make(&r, in, &all, 3)) {
		report_text(&r, out, "fuzz");
		report_json(&r, out, "fuzz");
	}
	report_fini(&r);
	rewind(in);
	(void)show_file(in, out, &all, &style,
	                &s); /* any input is as good as another */
	fclose(in);
	return 0;
}
