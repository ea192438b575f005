/* SPDX-License-Identifier: MIT */
/* fuzz_xen_cmdline - any text as a guest's command line. */
#include "platform/xen/cmdline.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cmdline c;
	char *text = malloc(
	        size + 1); /* of its exact size: the sanitizer sees one byte more */
	const char *why;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	why = cmdline_parse(text, &c);
	if (why) {
		if (strlen(why) >= CMDLINE_ERROR_MAX ||
		    strncmp(why, "command line: ", 14) != 0)
			abort();
	} else {
		size_t bytes = 0;

		for (int i = 1; i < c.argc; i++)
			bytes += strlen(c.argv[i]) + 1;
		for (int i = 0; i < c.n_envs; i++)
			if (!strchr(c.envp[i], '='))
				abort();
		if (bytes > size + 1 || c.argv[c.argc] || c.envp[c.n_envs])
			abort();
	}
	free(text);
	return 0;
}
