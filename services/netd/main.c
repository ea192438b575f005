/* SPDX-License-Identifier: MIT */
/*
 * main.c - netd, the network service: arguments and start.
 */
#include "rpc/limits.h"
#include "services/netd/loop.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#ifndef STRAIT_VERSION
#define STRAIT_VERSION "0.1.0"
#endif

/* Sanitizers need system calls that the filter forbids. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(STRAIT_NO_SANDBOX)
#define SANDBOX false
#else
#define SANDBOX true
#endif

static void usage(FILE *to)
{
	fprintf(to, "usage: netd --control-fd N\n"
	            "\n"
	            "The network service of strait: gives sockets to guests over vchan rings.\n"
	            "It is started by `strait run`, which tells it stack, link and addresses\n"
	            "over the socket N.\n"
	            "\n"
	            "  --control-fd N   socket to the supervisor (SOCK_SEQPACKET)\n"
	            "  --no-seccomp     without the system call filter, for debugging\n"
	            "  --help, --version\n");
}

static int parse_fd(const char *s)
{
	char *end;
	const long v = strtol(s, &end, 10);
	struct stat st;

	if (*s == 0 || *end || v < 0 || v > 1 << 20 || fstat((int)v, &st) < 0 ||
	    !S_ISSOCK(st.st_mode))
		return -1;
	return (int)v;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"control-fd", required_argument, NULL, 'c'},
		{"no-seccomp", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	bool sandboxed = SANDBOX;
	int c, control = -1;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			control = parse_fd(optarg);
			if (control < 0) {
				fprintf(stderr, "netd: --control-fd %s is not a socket\n", optarg);
				return 125;
			}
			break;
		case 's':
			sandboxed = false;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'v':
			printf("netd (strait) %s, protocol %u to %u\n", STRAIT_VERSION,
			       RPC_VERSION_MIN, RPC_VERSION_MAX);
			return 0;
		default:
			fprintf(stderr, "netd: try netd --help\n");
			return 125;
		}
	}
	if (optind < argc || control < 0) {
		fprintf(stderr, "netd: %s; try netd --help\n",
		        control < 0 ? "--control-fd is missing" : "too many arguments");
		return 125;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);  /* Ctrl-C is the supervisor's business */
	(void)signal(SIGTTOU, SIG_IGN); /* a message to a terminal must not stop us */
	return loop_run(control, sandboxed);
}
