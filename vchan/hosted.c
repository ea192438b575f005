/* SPDX-License-Identifier: MIT */
/*
 * Making and registering the shared memory of hosted channels.
 *
 * A ring memfd is created and initialised by the supervisor, which trusts
 * neither side; both sides check seals and size before they map it, so that a
 * peer cannot make the other fault by shrinking the file.
 */
#include "vchan/hosted.h"

#include "vchan/hosted_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xen/io/libxenvchan.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int sealed_memfd(const char *name, size_t size, void **map)
{
	const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p;
	int err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		goto fail;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		goto fail;
	*map = p;
	return fd;
fail:
	err = -errno;
	close(fd);
	return err;
}

int hosted_ring_create(unsigned order)
{
	struct vchan_interface *ring;
	void *map = NULL;
	int fd;

	if (order < 12 || order > HOSTED_ORDER_MAX)
		return -EINVAL;
	fd = sealed_memfd("strait-ring", hosted_ring_size(order), &map);
	if (fd < 0)
		return fd;
	ring = map;
	ring->left_order = (uint16_t)order;
	ring->right_order = (uint16_t)order;
	ring->cli_live = 2;
	ring->srv_live = 1;
	ring->cli_notify = VCHAN_NOTIFY_WRITE;
	ring->srv_notify = VCHAN_NOTIFY_WRITE;
	munmap(map, 4096);
	return fd;
}

int hosted_doorbell_create(void)
{
	void *map = NULL;
	const int fd = sealed_memfd("strait-doorbell", DOORBELL_SIZE, &map);

	if (fd >= 0)
		munmap(map, 4096);
	return fd;
}

static void *map_page(int fd)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

int hosted_ring_mark_dead(int ring_fd, int doorbell_fd)
{
	struct vchan_interface *ring = map_page(ring_fd);
	struct doorbell *bell = map_page(doorbell_fd);
	int r = -ENOMEM;

	if (ring && bell) {
		__atomic_store_n(&ring->srv_live, 0, __ATOMIC_SEQ_CST);
		atomic_fetch_add(&bell->word, 1);
		atomic_fetch_add(&bell->pump, 1);
		syscall(SYS_futex, &bell->word, FUTEX_WAKE, 1, NULL, NULL, 0);
		syscall(SYS_futex, &bell->pump, FUTEX_WAKE, 1, NULL, NULL, 0);
		r = 0;
	}
	if (ring)
		munmap(ring, 4096);
	if (bell)
		munmap(bell, 4096);
	return r;
}

/* ---- the registry: which descriptors stand for a path ---- */

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hosted_entry *g_entries; /* under g_lock */

static int check_memfd(int fd, size_t size)
{
	struct stat st;
	const int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS)
		return -EPERM;
	if (fstat(fd, &st) < 0)
		return -errno;
	return (size_t)st.st_size == size ? 0 : -EINVAL;
}

/* The order follows from the size, which the seals make constant. */
static int ring_order(int fd, unsigned *order)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	for (unsigned o = 12; o <= HOSTED_ORDER_MAX; o++) {
		if ((size_t)st.st_size == hosted_ring_size(o)) {
			*order = o;
			return check_memfd(fd, hosted_ring_size(o));
		}
	}
	return -EINVAL;
}

static int enroll(bool client, int domid, const char *path, const int fds[3])
{
	struct hosted_entry *e;
	unsigned order = 0;
	int r = ring_order(fds[0], &order);

	if (r == 0)
		r = check_memfd(fds[2], DOORBELL_SIZE);
	if (r < 0)
		return r;
	e = calloc(1, sizeof(*e));
	if (!e || !(e->path = strdup(path))) {
		free(e);
		return -ENOMEM;
	}
	e->client = client;
	e->domid = domid;
	e->ring_fd = fds[0];
	e->event_fd = fds[1];
	e->doorbell_fd = fds[2];
	e->order = order;
	pthread_mutex_lock(&g_lock);
	e->next = g_entries;
	g_entries = e;
	pthread_mutex_unlock(&g_lock);
	return 0;
}

int hosted_vchan_register(int domid, const char *xs_path, int ring_fd, int event_fd,
                          int doorbell_fd)
{
	return enroll(false, domid, xs_path, (int[]){ring_fd, event_fd, doorbell_fd});
}

int hosted_vchan_register_client(int domid, const char *xs_path, int ring_fd,
                                 int event_fd, int doorbell_fd)
{
	const int fds[3] = {fcntl(ring_fd, F_DUPFD_CLOEXEC, 3),
	                    fcntl(event_fd, F_DUPFD_CLOEXEC, 3),
	                    fcntl(doorbell_fd, F_DUPFD_CLOEXEC, 3)};
	const int r = enroll(true, domid, xs_path, fds);

	if (r < 0) {
		for (int i = 0; i < 3; i++)
			close(fds[i]);
	}
	return r;
}

struct hosted_entry *hosted_take(bool client, int domid, const char *path)
{
	struct hosted_entry **p, *e = NULL;

	pthread_mutex_lock(&g_lock);
	for (p = &g_entries; *p; p = &(*p)->next) {
		if ((*p)->client == client && (*p)->domid == domid &&
		    strcmp((*p)->path, path) == 0) {
			e = *p;
			*p = e->next;
			break;
		}
	}
	pthread_mutex_unlock(&g_lock);
	return e;
}
