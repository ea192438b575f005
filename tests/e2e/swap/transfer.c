/* SPDX-License-Identifier: MIT */
/*
 * transfer.c - a program of test_swap_net.sh: transfer PORT serves connections, a thread
 * each.  A request is a line: "get N" is answered by N bytes and their sum, "put N"
 * and N bytes by their sum, "say WORD" by WORD.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint32_t g_crc[8][256];

static void crc_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
		g_crc[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			g_crc[t][i] = g_crc[t - 1][i] >> 8 ^ g_crc[0][g_crc[t - 1][i] & 255];
}

/* As zlib's crc32(). */
static uint32_t crc(uint32_t c, const uint8_t *b, size_t n)
{
	c = ~c;
	for (; n >= 8; b += 8, n -= 8) {
		uint32_t lo, hi;

		memcpy(&lo, b, 4);
		memcpy(&hi, b + 4, 4);
		lo ^= c;
		c = g_crc[7][lo & 255] ^ g_crc[6][lo >> 8 & 255] ^ g_crc[5][lo >> 16 & 255] ^
		    g_crc[4][lo >> 24] ^ g_crc[3][hi & 255] ^ g_crc[2][hi >> 8 & 255] ^
		    g_crc[1][hi >> 16 & 255] ^ g_crc[0][hi >> 24];
	}
	for (; n > 0; n--)
		c = c >> 8 ^ g_crc[0][(c ^ *b++) & 255];
	return ~c;
}

static int send_all(int fd, const void *b, size_t n)
{
	for (size_t done = 0; done < n;) {
		const ssize_t k = send(fd, (const char *)b + done, n - done, MSG_NOSIGNAL);

		if (k <= 0) {
			perror("send");
			return -1;
		}
		done += (size_t)k;
	}
	return 0;
}

static int get(int fd, uint64_t n)
{
	static _Thread_local uint8_t b[65536];
	static _Thread_local uint64_t x = 88172645463325252ull;
	uint32_t sum = 0;
	char end[16];

	while (n > 0) {
		const size_t k = n < sizeof(b) ? (size_t)n : sizeof(b);

		for (size_t i = 0; i < sizeof(b); i += 8) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			memcpy(b + i, &x, 8);
		}
		sum = crc(sum, b, k);
		if (send_all(fd, b, k) < 0)
			return -1;
		n -= k;
	}
	(void)snprintf(end, sizeof(end), "%08x\n", sum);
	return send_all(fd, end, 9);
}

static int put(int fd, uint64_t n)
{
	static _Thread_local uint8_t b[65536];
	uint32_t sum = 0;
	char end[16];

	while (n > 0) {
		const ssize_t k = recv(fd, b, n < sizeof(b) ? (size_t)n : sizeof(b), 0);

		if (k <= 0) {
			perror("recv");
			return -1;
		}
		sum = crc(sum, b, (size_t)k);
		n -= (uint64_t)k;
	}
	(void)snprintf(end, sizeof(end), "%08x\n", sum);
	return send_all(fd, end, 9);
}

/* A line without its end: its length; 0 when the client is done. */
static int line(int fd, char *to, size_t room)
{
	size_t n = 0;

	while (n + 1 < room) {
		const ssize_t k = recv(fd, to + n, 1, 0);

		if (k <= 0 || to[n] == '\n') {
			to[n] = 0;
			return k <= 0 ? (int)k : (int)n;
		}
		n++;
	}
	return -1;
}

static void *serve(void *arg)
{
	const int fd = (int)(intptr_t)arg;
	char req[64];
	int r = 0;

	while (r == 0 && (r = line(fd, req, sizeof(req))) > 0) {
		if (strncmp(req, "get ", 4) == 0) {
			r = get(fd, strtoull(req + 4, NULL, 10));
		} else if (strncmp(req, "put ", 4) == 0) {
			r = put(fd, strtoull(req + 4, NULL, 10));
		} else {
			req[r] = '\n';
			r = send_all(fd, req + 4, (size_t)r - 3);
		}
	}
	if (r < 0)
		printf("a connection failed\n");
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	const int port = argc > 1 ? atoi(argv[1]) : 80;
	const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	const int l = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t t;

	setvbuf(stdout, NULL, _IOLBF, 0);
	crc_init();
	if (bind(l, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(l, 64) < 0) {
		perror("listen");
		return 1;
	}
	printf("ready\n");
	for (;;) {
		const int c = accept(l, NULL, NULL);

		if (c < 0) {
			perror("accept");
			return 1;
		}
		if (pthread_create(&t, NULL, serve, (void *)(intptr_t)c) != 0)
			return 1;
		pthread_detach(t);
	}
}
