/* SPDX-License-Identifier: MIT */
/*
 * domwatch.c - in dom0: wait for domains to end, and say how.
 *
 * usage: domwatch SECONDS DOMID...
 *
 * Prints, of the first of them that has ended, "DOMID WHAT CPU-MICROSECONDS", where WHAT
 * is poweroff, reboot, suspend, crash, watchdog or gone.  Exit 1 if none ends in time.
 * (`xl list` tells the same, but starting it takes 0.1 s in an emulator.)
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xenctrl.h>

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static const char *why(const xc_dominfo_t *info)
{
	static const char *const names[] = {"poweroff", "reboot", "suspend", "crash", "watchdog"};

	if (info->dying)
		return "gone";
	if (info->crashed) /* then libxc says that it is not shut down */
		return "crash";
	if (!info->shutdown)
		return NULL;
	return info->shutdown_reason < sizeof(names) / sizeof(names[0]) ? names[info->shutdown_reason]
	                                                                : "unknown";
}

int main(int argc, char **argv)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);
	double end = now() + (argc > 1 ? atof(argv[1]) : 0);

	if (!xc || argc < 3) {
		fprintf(stderr, "domwatch: %s\n", xc ? "usage: domwatch SECONDS DOMID..." : "no Xen");
		return 2;
	}
	for (;;) {
		for (int i = 2; i < argc; i++) {
			unsigned domid = (unsigned)atoi(argv[i]);
			xc_dominfo_t info;
			const char *what = "gone";

			if (xc_domain_getinfo(xc, domid, 1, &info) == 1 && info.domid == domid)
				what = why(&info);
			else
				info.cpu_time = 0;
			if (what) {
				printf("%u %s %llu\n", domid, what, (unsigned long long)info.cpu_time / 1000);
				return 0;
			}
		}
		if (now() >= end)
			return 1;
		nanosleep(&(struct timespec){0, 20000000}, NULL);
	}
}
