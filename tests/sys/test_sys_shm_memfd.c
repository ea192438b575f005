/* SPDX-License-Identifier: MIT */
/* test_sys_shm_memfd.c - memfd_create, seals, /dev/shm, POSIX shared memory and named
 * semaphores. */
#include "tests/sys/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static void a_memfd_is_a_file(void)
{
	int fd = memfd_create("name", MFD_CLOEXEC);
	struct stat st;
	char buf[8];

	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK(fstat(fd, &st) == 0);
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(st.st_nlink, 0);
	CHECK(ftruncate(fd, 10000) == 0);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 10000);
	CHECK_EQ(pread(fd, buf, 8, 5000), 8);
	CHECK(memcmp(buf, "\0\0\0\0\0\0\0\0", 8) == 0);
	CHECK(fsync(fd) == 0);
	close(fd);
}

static void flags_are_checked(void)
{
	char longest[260];

	CHECK_ERR(memfd_create("x", 0x1000), EINVAL);
	CHECK_ERR(syscall(SYS_memfd_create, BAD_PTR, 0), EFAULT);
	memset(longest, 'n', 259);
	longest[249] = '\0';
	int fd = memfd_create(longest, 0);
	CHECK(fd >= 0);
	close(fd);
	longest[249] = 'n';
	longest[250] = '\0';
	CHECK_ERR(memfd_create(longest, 0), EINVAL);
}

static void mappings_and_writes_agree(void)
{
	int fd = memfd_create("m", 0);
	char buf[8], *p, *q;

	CHECK(ftruncate(fd, 8192) == 0);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
	CHECK(p != MAP_FAILED && q != MAP_FAILED);
	CHECK_EQ(pwrite(fd, "abc", 3, 4096), 3);
	CHECK(memcmp(p + 4096, "abc", 3) == 0);
	CHECK(memcmp(q, "abc", 3) == 0);
	memcpy(q, "xyz", 3);
	CHECK_EQ(pread(fd, buf, 3, 4096), 3);
	CHECK(memcmp(buf, "xyz", 3) == 0);
	CHECK(munmap(q, 4096) == 0);
	q = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096);
	memcpy(q, "own", 3);
	CHECK(memcmp(p + 4096, "xyz", 3) == 0);
	close(fd);
	CHECK(memcmp(p + 4096, "xyz", 3) == 0);
	munmap(p, 8192);
	munmap(q, 4096);
}

static void holes_and_fallocate(void)
{
	int fd = memfd_create("h", 0);
	char buf[4] = "????";
	struct stat st;

	CHECK(fallocate(fd, 0, 0, 6000) == 0);
	CHECK(fstat(fd, &st) == 0);
	CHECK_EQ(st.st_size, 6000);
	CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000) == 0);
	CHECK(fstat(fd, &st) == 0);
	CHECK_EQ(st.st_size, 6000);
	CHECK_EQ(pwrite(fd, "data", 4, 100), 4);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0);
	CHECK_EQ(pread(fd, buf, 4, 100), 4);
	CHECK(memcmp(buf, "\0\0\0\0", 4) == 0);
	CHECK_ERR(fallocate(fd, 0, -1, 1), EINVAL);
	CHECK_ERR(fallocate(fd, 0, 0, 0), EINVAL);
	/* Grown again after being cut, it reads as zeros. */
	CHECK_EQ(pwrite(fd, "tail", 4, 5000), 4);
	CHECK(ftruncate(fd, 5001) == 0);
	CHECK(ftruncate(fd, 6000) == 0);
	CHECK_EQ(pread(fd, buf, 4, 5000), 4);
	CHECK(memcmp(buf, "t\0\0\0", 4) == 0);
	CHECK_ERR(ftruncate(fd, -1), EINVAL);
	close(fd);
}

static void seals_bind(void)
{
	int fd = memfd_create("s", MFD_ALLOW_SEALING);
	char *p;

	CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
	CHECK(ftruncate(fd, 4096) == 0);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	CHECK_ERR(ftruncate(fd, 100), EPERM);
	CHECK_ERR(ftruncate(fd, 8192), EPERM);
	CHECK_EQ(write(fd, "ok", 2), 2);
	CHECK_ERR(pwrite(fd, "x", 1, 5000), EPERM);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	CHECK(munmap(p, 4096) == 0);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
	CHECK_ERR(write(fd, "x", 1), EPERM);
	CHECK(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
	      errno == EPERM);
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED && memcmp(p, "ok", 2) == 0);
	munmap(p, 4096);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == 0);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), 15);
	close(fd);
	fd = memfd_create("s", 0);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	CHECK_ERR(fcntl(0, F_GET_SEALS), EINVAL);
	close(fd);
}

static void shm_open_makes_names(void)
{
	int a = shm_open("/strait-one", O_RDWR | O_CREAT | O_EXCL, 0600), b;
	struct stat sa, sb;

	CHECK(a >= 0);
	CHECK_ERR(shm_open("/strait-one", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	CHECK_ERR(shm_open("/strait-none", O_RDWR, 0), ENOENT);
	CHECK_EQ(write(a, "hello", 5), 5);
	b = shm_open("/strait-one", O_RDONLY, 0);
	CHECK(b >= 0);
	CHECK(fstat(a, &sa) == 0 && fstat(b, &sb) == 0);
	CHECK(sa.st_ino == sb.st_ino && sb.st_size == 5 && sb.st_nlink == 1);
	CHECK_EQ(sb.st_mode & 07777, 0600);
	CHECK(stat("/dev/shm/strait-one", &sb) == 0);
	CHECK(sa.st_ino == sb.st_ino);
	CHECK_ERR(write(b, "x", 1), EBADF);
	close(b);
	CHECK(shm_unlink("/strait-one") == 0);
	CHECK_ERR(shm_unlink("/strait-one"), ENOENT);
	CHECK(fstat(a, &sa) == 0);
	CHECK_EQ(sa.st_nlink, 0);
	CHECK_EQ(lseek(a, 0, SEEK_END), 5);
	close(a);
}

static int exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

static void links_and_renames(void)
{
	int fd = open("/dev/shm/strait-a", O_RDWR | O_CREAT | O_TRUNC, 0644);
	struct stat st;

	CHECK(fd >= 0);
	unlink("/dev/shm/strait-b");
	CHECK(link("/dev/shm/strait-a", "/dev/shm/strait-b") == 0);
	CHECK_ERR(link("/dev/shm/strait-a", "/dev/shm/strait-b"), EEXIST);
	CHECK(fstat(fd, &st) == 0);
	CHECK_EQ(st.st_nlink, 2);
	CHECK(rename("/dev/shm/strait-a", "/dev/shm/strait-c") == 0);
	CHECK(!exists("/dev/shm/strait-a") && exists("/dev/shm/strait-c"));
	CHECK(unlink("/dev/shm/strait-b") == 0);
	CHECK(chmod("/dev/shm/strait-c", 0640) == 0);
	CHECK(fstat(fd, &st) == 0);
	CHECK_EQ(st.st_mode, S_IFREG | 0640);
	CHECK(truncate("/dev/shm/strait-c", 77) == 0);
	CHECK(fstat(fd, &st) == 0);
	CHECK_EQ(st.st_size, 77);
	CHECK_ERR(rename("/dev/shm/strait-a", "/dev/shm/strait-c"), ENOENT);
	CHECK_ERR(open("/dev/shm/strait-c", O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK(unlink("/dev/shm/strait-c") == 0);
	close(fd);
}

static void the_directory_lists_them(void)
{
	int found = 0, fd[3];
	struct dirent *e;
	char name[32];
	DIR *d;

	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "/strait-list-%d", i);
		fd[i] = shm_open(name, O_RDWR | O_CREAT, 0600);
	}
	d = opendir("/dev/shm");
	CHECK(d != NULL);
	while (d && (e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, "strait-list-", 12) == 0) {
			found |= 1 << (e->d_name[12] - '0');
			/* Removing while listing skips nothing. */
			snprintf(name, sizeof(name), "/%.20s", e->d_name);
			CHECK(shm_unlink(name) == 0);
		}
	}
	CHECK_EQ(found, 7);
	if (d)
		closedir(d);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

static int again(int fd, int flags)
{
	char name[40];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return open(name, flags);
}

static void a_memfd_can_be_opened_again(void)
{
	int fd = memfd_create("again", MFD_ALLOW_SEALING), r, w, ev = eventfd(0, 0), n;
	char buf[8] = "";

	CHECK_EQ(write(fd, "hello", 5), 5);
	r = again(fd, O_RDONLY);
	w = again(fd, O_WRONLY);
	CHECK(r >= 0 && w >= 0);
	CHECK_EQ(read(r, buf, sizeof(buf)), 5); /* a position of its own */
	CHECK(strcmp(buf, "hello") == 0);
	CHECK_ERR(write(r, "x", 1), EBADF);
	CHECK_ERR(fcntl(r, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	CHECK_EQ(pwrite(w, "J", 1, 0), 1);
	CHECK_EQ(pread(fd, buf, 1, 0), 1);
	CHECK_EQ(buf[0], 'J');
	CHECK_EQ(lseek(r, 1, SEEK_SET), 1);
	CHECK_EQ(ioctl(r, FIONREAD, &n), 0);
	CHECK_EQ(n, 4);
	CHECK_ERR(again(fd, O_RDONLY | O_DIRECTORY), ENOTDIR);
	close(fd);
	CHECK_EQ(close(again(r, O_RDWR | O_TRUNC)), 0);
	CHECK_EQ(lseek(r, 0, SEEK_END), 0);
	CHECK_ERR(again(ev, O_RDWR), ENXIO);
	CHECK_EQ(close(again(ev, O_PATH)), 0);
	CHECK_ERR(openat(r, "x", O_RDONLY), ENOTDIR);
	CHECK_ERR(fchdir(r), ENOTDIR);
	CHECK_EQ(readahead(w, 0, 1), -1);
	CHECK_EQ(readahead(r, 0, 1), 0);
	CHECK_ERR(sync_file_range(ev, 0, 0, 0), ESPIPE);
	close(r);
	close(w);
	close(ev);
}

static void named_semaphores(void)
{
	sem_t *a, *b;
	int v;

	sem_unlink("/strait-sem");
	a = sem_open("/strait-sem", O_CREAT | O_EXCL, 0600, 2);
	CHECK(a != SEM_FAILED);
	b = sem_open("/strait-sem", 0);
	CHECK(b != SEM_FAILED);
	CHECK(sem_open("/strait-sem", O_CREAT | O_EXCL, 0600, 1) == SEM_FAILED &&
	      errno == EEXIST);
	CHECK(sem_wait(a) == 0);
	CHECK(sem_trywait(b) == 0);
	CHECK_ERR(sem_trywait(a), EAGAIN);
	CHECK(sem_post(b) == 0);
	CHECK(sem_getvalue(a, &v) == 0);
	CHECK_EQ(v, 1);
	CHECK(sem_close(a) == 0 && sem_close(b) == 0);
	CHECK(sem_unlink("/strait-sem") == 0);
}

int main(void)
{
	watchdog(30);
	CASE(a_memfd_is_a_file);
	CASE(flags_are_checked);
	CASE(mappings_and_writes_agree);
	CASE(holes_and_fallocate);
	CASE(seals_bind);
	CASE(shm_open_makes_names);
	CASE(links_and_renames);
	CASE(the_directory_lists_them);
	CASE(a_memfd_can_be_opened_again);
	CASE(named_semaphores);
	return g_failed;
}
