/* SPDX-License-Identifier: MIT */
/*
 * Run a fuzz target over files and folders of files, without libFuzzer: so that
 * every build, and every sanitizer, sees the corpus.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned g_runs;

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct stat st;

	if (!f || fstat(fileno(f), &st) < 0) {
		perror(path);
		if (f)
			(void)fclose(f);
		return -1;
	}
	/* Exactly as long as the input, so that a sanitizer sees the first byte past it. */
	const size_t size = (size_t)st.st_size;
	uint8_t *data = malloc(size ? size : 1);
	const size_t got = data ? fread(data, 1, size, f) : 0;
	(void)fclose(f);
	if (!data || got != size) {
		fprintf(stderr, "%s: cannot be read\n", path);
		free(data);
		return -1;
	}
	(void)LLVMFuzzerTestOneInput(data, size);
	g_runs++;
	free(data);
	return 0;
}

static int replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return replay_file(path);
	while ((e = readdir(dir))) {
		char name[4096];

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (replay_file(name) < 0)
			rc = -1;
	}
	(void)closedir(dir);
	return rc;
}

int main(int argc, char **argv)
{
	int rc = 0;

	for (int i = 1; i < argc; i++)
		if (replay(argv[i]) < 0)
			rc = 1;
	printf("%u inputs\n", g_runs);
	return g_runs ? rc : 1;
}
