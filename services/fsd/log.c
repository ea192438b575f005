/* SPDX-License-Identifier: MIT */
#include "services/fsd/fsd.h"

#include <stdarg.h>
#include <stdio.h>

int g_log_level = 1;

void log_write(int level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (level > g_log_level)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	fprintf(stderr, "fsd: %s\n", line);
}
