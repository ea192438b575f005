/* SPDX-License-Identifier: MIT */
/* Conformance of fsd on proto/file.proto alone: what each call answers. */
#include "tests/unit/fsd_bench.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct client *c;
static const char *root;
static char ro_dir[] = "/tmp/fsd-ro-XXXXXX";

static void open_read_write_release(void)
{
	File__Attr a;

	EQ(x_open(c, 0, "/f", O_RDWR | O_CREAT, 0640, 5), 0);
	File__OpenRep *rep = (File__OpenRep *)c->rep.msg;
	EQ(rep->created, 1);
	CU_ASSERT(rep->file_id.len >= 14);
	EQ(rep->attr->mode, S_IFREG | 0640);
	EQ(x_write(c, 5, 0, "hello world", 11), 11);
	EQ(x_read(c, 5, 0, 64), 11);
	CU_ASSERT(memcmp(c->rep.payload, "hello world", 11) == 0);
	EQ(x_read(c, 5, 6, 3), 3);
	CU_ASSERT(memcmp(c->rep.payload, "wor", 3) == 0);
	EQ(x_read(c, 5, 11, 10), 0);
	EQ(x_read(c, 5, 1ull << 40, 10), 0);
	EQ(x_stat(c, 5, "", 0, &a), 0);
	EQ(a.size, 11);
	EQ(x_release(c, 5), 0);
	EQ(x_read(c, 5, 0, 1), -EBADF);
	EQ(x_open(c, 0, "/f", O_RDWR | O_CREAT, 0640, 5), 0);
	EQ(((File__OpenRep *)c->rep.msg)->created, 0);
	EQ(x_open(c, 0, "/f", O_RDONLY, 0, 5), -EINVAL); /* the number is taken */
	EQ(x_release(c, 5), 0);
	EQ(x_open(c, 0, "/f", O_RDWR | O_CREAT | O_EXCL, 0640, 5), -EEXIST);
	EQ(x_open(c, 0, "/f", O_RDWR | O_TRUNC, 0, 5), 0);
	EQ(((File__OpenRep *)c->rep.msg)->attr->size, 0);
	EQ(x_release(c, 5), 0);
	EQ(x_path(c, M_UNLINK, 0, "/f", 0, 0), 0);
	EQ(x_open(c, 0, "/f", O_RDONLY, 0, 5), -ENOENT);
}

static void handles_say_what_they_may(void)
{
	EQ(x_make(c, M_MKDIR, 0, "hd", 0755, NULL), 0);
	EQ(x_open(c, 0, "hd/f", O_WRONLY | O_CREAT, 0600, 7), 0);
	EQ(x_read(c, 7, 0, 1), -EBADF);
	EQ(x_open(c, 0, "hd/f", O_RDONLY, 0, 8), 0);
	EQ(x_write(c, 8, 0, "x", 1), -EBADF);
	EQ(x_open(c, 0, "hd/f", O_PATH, 0, 9), 0);
	EQ(x_read(c, 9, 0, 1), -EBADF);
	EQ(x_write(c, 9, 0, "x", 1), -EBADF);
	EQ(x_open(c, 0, "hd", O_RDONLY | O_DIRECTORY, 0, 10), 0);
	EQ(x_read(c, 10, 0, 1), -EISDIR);
	EQ(x_open(c, 0, "hd", O_WRONLY, 0, 11), -EISDIR);
	EQ(x_open(c, 0, "hd", O_RDONLY | O_CREAT, 0, 11), -EISDIR);
	EQ(x_open(c, 0, "hd/f", O_RDONLY | O_DIRECTORY, 0, 11), -ENOTDIR);
	EQ(x_open(c, 0, "hd/f/", O_RDONLY, 0, 11), -ENOTDIR);
	EQ(x_open(c, 0, "hd/new/", O_WRONLY | O_CREAT, 0600, 11), -EISDIR);
	EQ(x_open(c, 10, "f", O_RDONLY, 0, 11), 0);
	EQ(x_open(c, 7, "f", O_RDONLY, 0, 12), -ENOTDIR);
	EQ(x_open(c, 99, "f", O_RDONLY, 0, 12), -EBADF);
	EQ(x_open(c, 0, "", O_RDONLY, 0, 0), -EINVAL); /* no handle */
	EQ(x_open(c, 0, "hd/f", O_TMPFILE | O_RDWR, 0, 12), -EOPNOTSUPP);
	for (uint32_t h = 7; h <= 11; h++)
		EQ(x_release(c, h), 0);
}

static void append_says_where(void)
{
	EQ(x_open(c, 0, "app", O_WRONLY | O_CREAT, 0600, 7), 0);
	EQ(x_append(c, 7, "aaa", 3), 3);
	EQ(((File__WriteRep *)c->rep.msg)->offset, 0);
	EQ(x_append(c, 7, "bb", 2), 2);
	EQ(((File__WriteRep *)c->rep.msg)->offset, 3);
	EQ(x_release(c, 7), 0);
}

static int append_part(uint32_t h, const char *s, uint64_t total)
{
	File__WriteReq q = FILE__WRITE_REQ__INIT;

	q.handle = h;
	q.append = 1;
	q.total = total;
	return call(c, M_WRITE, &q.base, s, strlen(s));
}

static void an_append_in_pieces_stays_whole(void)
{
	EQ(x_open(c, 0, "frag", O_RDWR | O_CREAT, 0600, 7), 0);
	EQ(x_open(c, 0, "frag", O_RDWR, 0600, 8), 0);
	EQ(append_part(7, "AAAA", 8), 0);
	EQ(((File__WriteRep *)c->rep.msg)->offset, 0);
	EQ(x_append(c, 8, "bb", 2), 2);
	EQ(((File__WriteRep *)c->rep.msg)->offset, 8); /* behind what is reserved */
	EQ(x_write(c, 7, 4, "AAAA", 4), 4);
	EQ(x_append(c, 8, "cc", 2), 2);
	EQ(((File__WriteRep *)c->rep.msg)->offset, 10);
	EQ(x_read(c, 7, 0, 100), 12);
	CU_ASSERT(memcmp(c->rep.payload, "AAAAAAAAbbcc", 12) == 0);
	EQ(x_release(c, 7), 0);
	EQ(x_release(c, 8), 0);
}

static void names(void)
{
	File__Attr a;

	EQ(x_make(c, M_MKDIR, 0, "/n", 06755, NULL), 0);
	EQ(x_stat(c, 0, "/n", 0, &a), 0);
	EQ(a.mode, S_IFDIR | 0755); /* no set-id bits */
	EQ(x_make(c, M_MKDIR, 0, "/n", 0755, NULL), -EEXIST);
	EQ(x_make(c, M_MKDIR, 0, "/n/a/b", 0755, NULL), -ENOENT);
	EQ(x_make(c, M_MKDIR, 0, "/n/dir/", 0755, NULL), 0);
	EQ(x_make(c, M_MKDIR, 0, "/", 0755, NULL), -EEXIST);
	EQ(x_make(c, M_MKDIR, 0, "/n/.", 0755, NULL), -EEXIST);
	EQ(x_make(c, M_MKDIR, 0, "/n/..", 0755, NULL), -EEXIST);
	EQ(x_make(c, M_MKDIR, 0, "", 0755, NULL), -ENOENT);
	EQ(x_open(c, 0, "/n/f", O_RDWR | O_CREAT, 06711, 7), 0);
	EQ(((File__OpenRep *)c->rep.msg)->attr->mode, S_IFREG | 0711);
	EQ(x_release(c, 7), 0);
	EQ(x_path(c, M_UNLINK, 0, "/n/f/", 0, 0), -ENOTDIR);
	EQ(x_path(c, M_UNLINK, 0, "/n/dir", 0, 0), -EISDIR);
	EQ(x_path(c, M_UNLINK, 0, "/n", AT_REMOVEDIR, 0), -ENOTEMPTY);
	EQ(x_path(c, M_UNLINK, 0, "/n/.", AT_REMOVEDIR, 0), -EINVAL);
	EQ(x_path(c, M_UNLINK, 0, "/n/..", AT_REMOVEDIR, 0), -ENOTEMPTY);
	EQ(x_path(c, M_UNLINK, 0, "/", AT_REMOVEDIR, 0), -EBUSY);
	EQ(x_path(c, M_UNLINK, 0, "/", 0, 0), -EISDIR);
	EQ(x_path(c, M_UNLINK, 0, "/n/f", AT_REMOVEDIR, 0), -ENOTDIR);
	EQ(x_path(c, M_UNLINK, 0, "/n/dir/", AT_REMOVEDIR, 0), 0);
	EQ(x_make(c, M_SYMLINK, 0, "/n/l", 0, "f"), 0);
	EQ(x_path(c, M_READLINK, 0, "/n/l", 0, 0), 0);
	EQ(c->rep.len, 1);
	EQ(x_path(c, M_READLINK, 0, "/n/f", 0, 0), -EINVAL);
	EQ(x_stat(c, 0, "/n/l", 0, &a), 0);
	EQ(a.mode & S_IFMT, S_IFREG);
	EQ(x_stat(c, 0, "/n/l", AT_SYMLINK_NOFOLLOW, &a), 0);
	EQ(a.mode & S_IFMT, S_IFLNK);
	EQ(x_open(c, 0, "/n/l", O_RDONLY | O_NOFOLLOW, 0, 7), -ELOOP);
	EQ(x_open(c, 0, "/n/l", O_PATH | O_NOFOLLOW, 0, 7), 0);
	EQ(x_path(c, M_READLINK, 7, "", 0, 0), 0);
	EQ(x_release(c, 7), 0);
	EQ(x_make(c, M_SYMLINK, 0, "/n/l", 0, "g"), -EEXIST);
	EQ(x_make(c, M_SYMLINK, 0, "/n/x", 0, ""), -ENOENT);
	EQ(x_make(c, M_MKNOD, 0, "/n/pipe", S_IFIFO | 0600, NULL), 0);
	EQ(x_open(c, 0, "/n/pipe", O_RDONLY, 0, 7), 0); /* at once: not opened here */
	EQ(((File__OpenRep *)c->rep.msg)->attr->mode & S_IFMT, S_IFIFO);
	EQ(x_read(c, 7, 0, 1), -EBADF);
	EQ(x_release(c, 7), 0);
	EQ(x_make(c, M_MKNOD, 0, "/n/dev", S_IFCHR | 0600, NULL), -EPERM);
	EQ(x_make(c, M_MKNOD, 0, "/n/sock", S_IFSOCK | 0600, NULL), 0);
	EQ(x_open(c, 0, "/n/sock", O_RDONLY, 0, 7), -ENXIO);
	EQ(x_make(c, M_MKNOD, 0, "/n/reg", 0600, NULL), 0);
	char path[300];
	snprintf(path, sizeof path, "/n/%0256d", 1);
	EQ(x_make(c, M_MKDIR, 0, path, 0755, NULL), -ENAMETOOLONG);
	EQ(x_path(c, M_UNLINK, 0, path, 0, 0), -ENAMETOOLONG);
}

static void dangling_links(void)
{
	EQ(x_make(c, M_SYMLINK, 0, "/dl", 0, "/dl-target"), 0);
	EQ(x_open(c, 0, "/dl", O_RDWR, 0, 7), -ENOENT);
	EQ(x_open(c, 0, "/dl", O_RDWR | O_CREAT | O_EXCL, 0600, 7), -EEXIST);
	EQ(x_open(c, 0, "/dl", O_RDWR | O_CREAT | O_NOFOLLOW, 0600, 7), -ELOOP);
	EQ(x_open(c, 0, "/dl", O_RDWR | O_CREAT, 0600, 7), 0);
	EQ(((File__OpenRep *)c->rep.msg)->created, 1);
	EQ(x_release(c, 7), 0);
	EQ(x_path(c, M_ACCESS, 0, "/dl-target", 0, F_OK), 0);
	EQ(x_make(c, M_SYMLINK, 0, "/dl2", 0, "/dl2-target/"), 0);
	EQ(x_open(c, 0, "/dl2", O_RDWR | O_CREAT, 0600, 7), -EISDIR);
	EQ(x_make(c, M_SYMLINK, 0, "/loop", 0, "loop"), 0);
	EQ(x_open(c, 0, "/loop", O_RDONLY, 0, 7), -ELOOP);
	EQ(x_open(c, 0, "/loop/x", O_RDONLY, 0, 7), -ELOOP);
}

static void link_and_rename(void)
{
	File__Attr a, b;

	EQ(x_make(c, M_MKDIR, 0, "lr", 0755, NULL), 0);
	EQ(x_make(c, M_MKNOD, 0, "lr/a", S_IFREG | 0644, NULL), 0);
	EQ(x_two(c, M_LINK, 0, "lr/a", 0, "lr/b", 0), 0);
	EQ(x_stat(c, 0, "lr/a", 0, &a), 0);
	EQ(x_stat(c, 0, "lr/b", 0, &b), 0);
	EQ(a.ino, b.ino);
	EQ(a.nlink, 2);
	EQ(x_two(c, M_LINK, 0, "lr/a", 0, "lr/b", 0), -EEXIST);
	EQ(x_two(c, M_LINK, 0, "lr", 0, "lr/d", 0), -EPERM);
	EQ(x_make(c, M_SYMLINK, 0, "lr/s", 0, "a"), 0);
	EQ(x_two(c, M_LINK, 0, "lr/s", 0, "lr/s2", 0), 0);
	EQ(x_stat(c, 0, "lr/s2", AT_SYMLINK_NOFOLLOW, &a), 0);
	EQ(a.mode & S_IFMT, S_IFLNK);
	EQ(x_two(c, M_LINK, 0, "lr/s", 0, "lr/s3", AT_SYMLINK_FOLLOW), 0);
	EQ(x_stat(c, 0, "lr/s3", AT_SYMLINK_NOFOLLOW, &a), 0);
	EQ(a.ino, b.ino);
	EQ(x_two(c, M_RENAME, 0, "lr/a", 0, "lr/b", 0), 0); /* the same file: nothing */
	EQ(x_path(c, M_ACCESS, 0, "lr/a", 0, F_OK), 0);
	EQ(x_two(c, M_RENAME, 0, "lr/a", 0, "lr/c", 0), 0);
	EQ(x_path(c, M_ACCESS, 0, "lr/a", 0, F_OK), -ENOENT);
	EQ(x_two(c, M_RENAME, 0, "lr/c", 0, "lr/b", RENAME_NOREPLACE), -EEXIST);
	EQ(x_make(c, M_MKDIR, 0, "lr/dir", 0755, NULL), 0);
	EQ(x_two(c, M_RENAME, 0, "lr/c", 0, "lr/dir", 0), -EISDIR);
	EQ(x_two(c, M_RENAME, 0, "lr/dir", 0, "lr/c", 0), -ENOTDIR);
	EQ(x_two(c, M_RENAME, 0, "lr", 0, "lr/dir/x", 0), -EINVAL);
	EQ(x_two(c, M_RENAME, 0, "lr/c", 0, "lr/dir", RENAME_EXCHANGE), 0);
	EQ(x_two(c, M_RENAME, 0, "lr/dir", 0, "/", 0), -EBUSY);
	EQ(x_two(c, M_RENAME, 0, "lr/.", 0, "x", 0), -EBUSY);
	EQ(x_two(c, M_RENAME, 0, "lr/none", 0, "x", 0), -ENOENT);
	EQ(x_two(c, M_RENAME, 0, "lr/b", 0, "x", 8), -EINVAL);
}

static void unlinked_open_files_live_on(void)
{
	File__Attr a;

	EQ(x_open(c, 0, "ul", O_RDWR | O_CREAT, 0600, 7), 0);
	EQ(x_write(c, 7, 0, "still here", 10), 10);
	EQ(x_open(c, 0, "ul", O_PATH, 0, 9), 0);
	EQ(x_path(c, M_UNLINK, 0, "ul", 0, 0), 0);
	EQ(x_stat(c, 7, "", 0, &a), 0);
	EQ(a.nlink, 0);
	EQ(x_read(c, 7, 0, 32), 10);
	EQ(x_open(c, 0, "ul", O_RDWR, 0, 8), -ENOENT);
	EQ(x_open(c, 0, "/" ORPHANS_DIR, O_RDONLY, 0, 8), -ENOENT);
	EQ(x_stat(c, 9, "", 0, &a), 0); /* also by a reference */
	EQ(a.nlink, 0);
	EQ(x_two(c, M_LINK, 9, "", 0, "back", AT_EMPTY_PATH), -ENOENT);
	EQ(x_release(c, 9), 0);
	EQ(x_open(c, 7, "", O_RDONLY, 0, 8),
	   0); /* by its handle it can be opened again */
	EQ(x_two(c, M_LINK, 7, "", 0, "back", AT_EMPTY_PATH), -ENOENT);
	EQ(x_release(c, 7), 0);
	EQ(x_read(c, 8, 0, 32), 10);
	EQ(x_release(c, 8), 0);
}

static int list(uint32_t h, uint64_t cookie, uint32_t count)
{
	File__ReaddirReq q = FILE__READDIR_REQ__INIT;
	int r;

	q.handle = h;
	q.cookie = cookie;
	q.count = count;
	r = call(c, M_READDIR, &q.base, NULL, 0);
	return r < 0 ? r : (int)c->rep.len;
}

struct dent {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* Read all names; returns how many, and how often @name was among them. */
static int list_all(uint32_t h, uint32_t count, const char *name, int *seen)
{
	uint64_t cookie = 0;
	int n, total = 0;

	*seen = 0;
	while ((n = list(h, cookie, count)) > 0) {
		for (int pos = 0; pos < n; total++) {
			const struct dent *d = (void *)(c->rep.payload + pos);

			if (strcmp(d->name, name) == 0)
				(*seen)++;
			cookie = (uint64_t)d->off;
			pos += d->len;
		}
	}
	return n < 0 ? n : total;
}

static void directories(void)
{
	char name[32];
	int seen;

	EQ(x_make(c, M_MKDIR, 0, "many", 0755, NULL), 0);
	EQ(x_open(c, 0, "many", O_RDONLY | O_DIRECTORY, 0, 7), 0);
	EQ(list_all(7, 65536, "..", &seen), 2);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "many/file-%d", i);
		if (x_make(c, M_MKNOD, 0, name, S_IFREG | 0644, NULL) != 0)
			CU_FAIL("mknod");
	}
	EQ(list_all(7, 65536, "file-1234", &seen), 3002);
	EQ(seen, 1);
	EQ(list_all(7, 512, "file-1234", &seen), 3002);
	EQ(seen, 1);
	EQ(list(7, 0, 10), -EINVAL); /* no room for one entry */
	EQ(list(7, 0, 65537), -EINVAL);
	/* Take half away while reading. */
	EQ(list(7, 0, 4096) > 0, 1);
	for (int i = 0; i < 3000; i += 2) {
		snprintf(name, sizeof name, "many/file-%d", i);
		if (x_path(c, M_UNLINK, 0, name, 0, 0) != 0)
			CU_FAIL("unlink");
	}
	EQ(list_all(7, 4096, "file-1235", &seen), 1502);
	EQ(seen, 1);
	EQ(x_release(c, 7), 0);
	EQ(x_open(c, 0, "/", O_RDONLY | O_DIRECTORY, 0, 7), 0);
	EQ(x_open(c, 0, "orphan", O_RDWR | O_CREAT, 0600, 8), 0);
	EQ(x_path(c, M_UNLINK, 0, "orphan", 0, 0), 0);
	CU_ASSERT(list_all(7, 65536, ORPHANS_DIR, &seen) > 0);
	EQ(seen, 0);
	list_all(7, 65536, "ro", &seen); /* exists in the mount table only */
	EQ(seen, 1);
	EQ(x_release(c, 7), 0);
	EQ(x_release(c, 8), 0);
}

static int set_attr(uint32_t at, const char *path, File__SetAttrReq q)
{
	q.at = at;
	q.path = bytes(path);
	return call(c, M_SET_ATTR, &q.base, NULL, 0);
}

static void attributes(void)
{
	File__SetAttrReq q = FILE__SET_ATTR_REQ__INIT;
	File__Attr a;

	EQ(x_open(c, 0, "at", O_RDWR | O_CREAT, 0600, 7), 0);
	q.what = FILE_SET_MODE;
	q.mode = 04755;
	EQ(set_attr(0, "at", q), 0);
	EQ(((File__AttrRep *)c->rep.msg)->attr->mode, S_IFREG | 0755);
	q.what = FILE_SET_SIZE;
	q.size = 5000;
	EQ(set_attr(7, "", q), 0);
	EQ(((File__AttrRep *)c->rep.msg)->attr->size, 5000);
	q.size = 100;
	EQ(set_attr(0, "at", q), 0);
	EQ(set_attr(0, "/", q), -EISDIR);
	q.size = 1ull << 63;
	EQ(set_attr(7, "", q), -EINVAL);
	q.what = FILE_SET_TIMES;
	q.atime = 1000000001;
	q.atime_ns = 7;
	q.mtime = 1000000002;
	q.mtime_ns = UTIME_OMIT;
	EQ(x_stat(c, 7, "", 0, &a), 0);
	EQ(set_attr(7, "", q), 0);
	EQ(((File__AttrRep *)c->rep.msg)->attr->atime, 1000000001);
	EQ(((File__AttrRep *)c->rep.msg)->attr->atime_ns, 7);
	EQ(((File__AttrRep *)c->rep.msg)->attr->mtime, a.mtime);
	q.mtime_ns = 1000000000;
	EQ(set_attr(7, "", q), -EINVAL);
	q.what = 64;
	EQ(set_attr(7, "", q), -EINVAL);
	EQ(x_open(c, 0, "at", O_RDONLY, 0, 8), 0);
	q.what = FILE_SET_SIZE;
	q.size = 1;
	EQ(set_attr(8, "", q), -EINVAL); /* as ftruncate of a descriptor for reading */
	EQ(x_release(c, 7), 0);
	EQ(x_release(c, 8), 0);
	EQ(x_path(c, M_ACCESS, 0, "at", 0, 8), -EINVAL);
	EQ(x_path(c, M_STATFS, 0, "at", 0, 0), 0);
	CU_ASSERT(((File__StatfsRep *)c->rep.msg)->bsize > 0);
	EQ(((File__StatfsRep *)c->rep.msg)->namelen, 255);
}

static int range(enum file_method m, uint32_t h, uint32_t mode, uint64_t off,
                 uint64_t len)
{
	File__RangeReq q = FILE__RANGE_REQ__INIT;

	q.handle = h;
	q.mode = mode;
	q.offset = off;
	q.len = len;
	return call(c, m, &q.base, NULL, 0);
}

static void sparse_files(void)
{
	File__CopyReq q = FILE__COPY_REQ__INIT;
	File__SyncReq s = FILE__SYNC_REQ__INIT;

	EQ(x_open(c, 0, "sp", O_RDWR | O_CREAT, 0600, 7), 0);
	EQ(x_write(c, 7, 1 << 20, "data", 4), 4);
	EQ(range(M_SEEK, 7, SEEK_DATA, 0, 0), 0);
	EQ(((File__OffsetRep *)c->rep.msg)->offset, 1 << 20);
	EQ(range(M_SEEK, 7, SEEK_HOLE, 0, 0), 0);
	EQ(((File__OffsetRep *)c->rep.msg)->offset, 0);
	EQ(range(M_SEEK, 7, SEEK_DATA, 1 << 22, 0), -ENXIO);
	EQ(range(M_SEEK, 7, SEEK_SET, 0, 0), -EINVAL);
	EQ(range(M_FALLOCATE, 7, 0, 0, 2 << 20), 0);
	EQ(range(M_FALLOCATE, 7, 8, 0, 4096), -EOPNOTSUPP); /* collapse */
	EQ(range(M_FALLOCATE, 7, 3, 1 << 20, 4096), 0);     /* punch */
	EQ(x_read(c, 7, 1 << 20, 4), 4);
	CU_ASSERT(memcmp(c->rep.payload, "\0\0\0\0", 4) == 0);
	EQ(range(M_FALLOCATE, 7, 0, 0, 0), -EINVAL);
	EQ(range(M_READAHEAD, 7, 0, 0, 4096), 0);
	EQ(x_open(c, 0, "sp2", O_RDWR | O_CREAT, 0600, 8), 0);
	EQ(x_write(c, 7, 0, "0123456789", 10), 10);
	q.in_handle = 7;
	q.out_handle = 8;
	q.in_offset = 2;
	q.out_offset = 1;
	q.len = 5;
	EQ(call(c, M_COPY_RANGE, &q.base, NULL, 0), 0);
	EQ(((File__WriteRep *)c->rep.msg)->count, 5);
	EQ(x_read(c, 8, 0, 10), 6);
	CU_ASSERT(memcmp(c->rep.payload, "\00023456", 6) == 0);
	for (s.what = 0; s.what <= 2; s.what++) {
		s.handle = 7;
		EQ(call(c, M_SYNC, &s.base, NULL, 0), 0);
		EQ(((File__SyncRep *)c->rep.msg)->verifier, 42);
	}
	s.what = 3;
	s.handle = 0;
	EQ(call(c, M_SYNC, &s.base, NULL, 0), 0);
	s.what = 0;
	EQ(call(c, M_SYNC, &s.base, NULL, 0), -EBADF);
	s.what = 9;
	EQ(call(c, M_SYNC, &s.base, NULL, 0), -EINVAL);
	EQ(x_release(c, 7), 0);
	EQ(x_release(c, 8), 0);
}

static int xattr(enum file_method m, const char *name, uint32_t size, const char *value)
{
	File__XattrReq q = FILE__XATTR_REQ__INIT;

	q.path = bytes("/xa");
	q.name = bytes(name);
	q.size = size;
	return call(c, m, &q.base, value, value ? strlen(value) : 0);
}

static void extended_attributes(void)
{
	EQ(x_open(c, 0, "xa", O_RDWR | O_CREAT, 0600, 7), 0);
	EQ(x_release(c, 7), 0);
	if (xattr(M_SET_XATTR, "user.one", 0, "value") == -EOPNOTSUPP)
		return; /* the file system has none */
	EQ(xattr(M_GET_XATTR, "user.one", 0, NULL), 0);
	EQ(((File__XattrRep *)c->rep.msg)->size, 5);
	EQ(xattr(M_GET_XATTR, "user.one", 100, NULL), 0);
	EQ(c->rep.len, 5);
	EQ(xattr(M_GET_XATTR, "user.one", 2, NULL), -ERANGE);
	EQ(xattr(M_GET_XATTR, "user.two", 100, NULL), -ENODATA);
	EQ(xattr(M_LIST_XATTR, "", 100, NULL), 0);
	EQ(c->rep.len, 9);
	EQ(xattr(M_LIST_XATTR, "", 3, NULL), -ERANGE);
	EQ(xattr(M_REMOVE_XATTR, "user.one", 0, NULL), 0);
	EQ(xattr(M_REMOVE_XATTR, "user.one", 0, NULL), -ENODATA);
	EQ(xattr(M_SET_XATTR, "trusted.x", 0, "v"), -EOPNOTSUPP);
	EQ(xattr(M_SET_XATTR, "security.capability", 0, "v"), -EOPNOTSUPP);
	EQ(xattr(M_SET_XATTR, "system.posix_acl_access", 0, "v"), -EOPNOTSUPP);
	EQ(xattr(M_SET_XATTR, "user.", 0, "v"), -EINVAL);
	EQ(xattr(M_SET_XATTR, "", 0, "v"), -ERANGE);
}

static int getcwd_of(uint32_t h)
{
	File__HandleReq q = FILE__HANDLE_REQ__INIT;

	q.handle = h;
	const int r = call(c, M_GETCWD, &q.base, NULL, 0);
	if (r == 0)
		c->rep.payload[c->rep.len] = 0;
	return r;
}

static void current_directory(void)
{
	EQ(x_make(c, M_MKDIR, 0, "cwd", 0755, NULL), 0);
	EQ(x_make(c, M_MKDIR, 0, "cwd/in", 0755, NULL), 0);
	EQ(x_open(c, 0, "/cwd/in", O_PATH | O_DIRECTORY, 0, 7), 0);
	EQ(getcwd_of(7), 0);
	CU_ASSERT_STRING_EQUAL(c->rep.payload, "/cwd/in");
	EQ(x_two(c, M_RENAME, 0, "cwd", 0, "cwd2", 0), 0);
	EQ(getcwd_of(7), 0);
	CU_ASSERT_STRING_EQUAL(c->rep.payload, "/cwd2/in");
	EQ(x_open(c, 7, "..", O_PATH, 0, 8), 0);
	EQ(getcwd_of(8), 0);
	CU_ASSERT_STRING_EQUAL(c->rep.payload, "/cwd2");
	EQ(x_path(c, M_UNLINK, 7, "../in", AT_REMOVEDIR, 0), 0);
	EQ(getcwd_of(7), -ENOENT);
	EQ(x_open(c, 7, "x", O_CREAT | O_RDWR, 0600, 9), -ENOENT);
	EQ(x_release(c, 7), 0);
	EQ(x_release(c, 8), 0);
	EQ(x_open(c, 0, "/", O_PATH, 0, 7), 0);
	EQ(getcwd_of(7), 0);
	CU_ASSERT_STRING_EQUAL(c->rep.payload, "/");
	EQ(x_release(c, 7), 0);
	EQ(x_open(c, 0, "/ro", O_PATH, 0, 7), 0);
	EQ(getcwd_of(7), 0);
	CU_ASSERT_STRING_EQUAL(c->rep.payload, "/ro");
	EQ(x_release(c, 7), 0);
}

static void a_read_only_mount(void)
{
	File__SetAttrReq q = FILE__SET_ATTR_REQ__INIT;

	EQ(x_open(c, 0, "/ro/f", O_RDONLY, 0, 7), 0);
	EQ(((File__OpenRep *)c->rep.msg)->mount_flags & FILE_MOUNT_READ_ONLY,
	   FILE_MOUNT_READ_ONLY);
	EQ(x_read(c, 7, 0, 10), 2);
	EQ(x_release(c, 7), 0);
	EQ(x_open(c, 0, "/ro/f", O_RDONLY | O_CREAT, 0600, 7), 0);
	EQ(x_release(c, 7), 0);
	EQ(x_open(c, 0, "/ro/f", O_WRONLY, 0, 7), -EROFS);
	EQ(x_open(c, 0, "/ro/f", O_RDONLY | O_TRUNC, 0, 7), -EROFS);
	EQ(x_open(c, 0, "/ro/new", O_WRONLY | O_CREAT, 0600, 7), -EROFS);
	EQ(x_open(c, 0, "/ro/f", O_WRONLY | O_CREAT | O_EXCL, 0600, 7), -EEXIST);
	EQ(x_open(c, 0, "/ro/new", O_WRONLY | O_CREAT | O_EXCL, 0600, 7), -EROFS);
	EQ(x_make(c, M_MKDIR, 0, "/ro/d", 0755, NULL), -EROFS);
	EQ(x_path(c, M_UNLINK, 0, "/ro/f", 0, 0), -EROFS);
	EQ(x_two(c, M_RENAME, 0, "/ro/f", 0, "/ro/g", 0), -EROFS);
	EQ(x_two(c, M_RENAME, 0, "/ro/f", 0, "/g", 0), -EXDEV);
	EQ(x_two(c, M_LINK, 0, "/ro/f", 0, "/g", 0), -EXDEV);
	EQ(x_path(c, M_ACCESS, 0, "/ro/f", 0, W_OK), -EROFS);
	EQ(x_path(c, M_ACCESS, 0, "/ro/f", 0, R_OK), 0);
	q.what = FILE_SET_MODE;
	EQ(set_attr(0, "/ro/f", q), -EROFS);
	EQ(x_path(c, M_UNLINK, 0, "/ro", AT_REMOVEDIR, 0), -EBUSY);
	EQ(x_two(c, M_RENAME, 0, "/ro", 0, "/other", 0), -EBUSY);
	EQ(x_make(c, M_MKDIR, 0, "/ro", 0755, NULL), -EEXIST);
}

static void hostile_requests(void)
{
	File__OpenReq q = FILE__OPEN_REQ__INIT;
	char path[5000];

	q.path = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "a\0b"};
	q.handle = 7;
	EQ(call(c, M_OPEN, &q.base, NULL, 0), -EINVAL);
	memset(path, 'a', sizeof path);
	q.path = (ProtobufCBinaryData){4096, (uint8_t *)path};
	EQ(call(c, M_OPEN, &q.base, NULL, 0), -ENAMETOOLONG);
	q.path = bytes("/");
	q.cred = 255;
	EQ(call(c, M_OPEN, &q.base, NULL, 0), -EINVAL); /* never defined */
	q.cred = UINT32_MAX;
	EQ(call(c, M_OPEN, &q.base, NULL, 0), -EINVAL);
	q.cred = 0;
	q.resolve = 1u << 30;
	EQ(call(c, M_OPEN, &q.base, NULL, 0), -EINVAL);
	q.resolve = 0;
	q.flags = UINT32_MAX;
	CU_ASSERT(call(c, M_OPEN, &q.base, NULL, 0) < 0);
	EQ(x_open(c, 0, "h", O_RDWR | O_CREAT, 0600, UINT32_MAX), 0);
	EQ(x_read(c, UINT32_MAX, 0, 65537), -EINVAL);
	EQ(x_read(c, UINT32_MAX, UINT64_MAX, 100), -EINVAL);
	EQ(x_write(c, UINT32_MAX, UINT64_MAX - 3, "abcdef", 6), -EFBIG);
	EQ(x_release(c, UINT32_MAX), 0);
	EQ(x_release(c, 12345), -EBADF);
	EQ(x_open(c, 0, "/" ORPHANS_DIR "/x", O_RDWR | O_CREAT, 0600, 7), -ENOENT);
	EQ(x_make(c, M_MKDIR, 0, "/" ORPHANS_DIR, 0700, NULL), -EPERM);
	EQ(x_make(c, M_SYMLINK, 0, "/sneak", 0, ORPHANS_DIR), 0);
	EQ(x_open(c, 0, "/sneak", O_RDONLY, 0, 7), -ENOENT);
	EQ(x_open(c, 0, "/many/../" ORPHANS_DIR, O_RDONLY, 0, 7), -ENOENT);
	EQ(x_path(c, M_UNLINK, 0, "/" ORPHANS_DIR, AT_REMOVEDIR, 0), -ENOENT);
	EQ(x_two(c, M_RENAME, 0, "/" ORPHANS_DIR, 0, "/seen", 0), -ENOENT);
}

static void a_quota_of_handles(void)
{
	struct client *d = client_new(0, 0);
	uint32_t h;

	d->session->max_handles = 10;
	for (h = 1; h <= 10; h++)
		EQ(x_open(d, 0, "/", O_PATH, 0, h), 0);
	EQ(x_open(d, 0, "/", O_PATH, 0, 11), -ENFILE);
	EQ(x_open(c, 0, "/", O_PATH, 0, 11), 0); /* the others are not hurt */
	EQ(x_release(c, 11), 0);
	EQ(x_release(d, 1), 0);
	EQ(x_open(d, 0, "/none", O_PATH, 0, 11), -ENOENT);
	EQ(x_open(d, 0, "/", O_PATH, 0, 11), 0); /* a failed open takes none */
	client_free(d);
}

static void calls_sent_behind_an_open_wait_for_it(void)
{
	struct client *d = client_new(0, 0); /* two guests: creation goes to a worker */
	File__OpenReq o = FILE__OPEN_REQ__INIT;
	File__WriteReq w = FILE__WRITE_REQ__INIT;
	File__ReadReq r = FILE__READ_REQ__INIT;
	File__HandleReq h = FILE__HANDLE_REQ__INIT;
	struct pending *p[4];

	for (int i = 0; i < 200; i++) {
		char name[32];

		snprintf(name, sizeof name, "/piped-%d", i);
		o.path = bytes(name);
		o.flags = O_RDWR | (i % 4 == 3 ? 0 : O_CREAT);
		o.mode = 0600;
		o.handle = w.handle = r.handle = h.handle = 77;
		r.count = 10;
		p[0] = call_start(d, M_OPEN, &o.base, NULL, 0);
		p[1] = call_start(d, M_WRITE, &w.base, "abc", 3);
		p[2] = call_start(d, M_READ, &r.base, NULL, 0);
		p[3] = call_start(d, M_RELEASE, &h.base, NULL, 0);
		const bool there = i % 4 != 3;
		EQ(call_wait(d, p[0]), there ? 0 : -ENOENT);
		EQ(call_wait(d, p[1]), there ? 0 : -EBADF);
		EQ(call_wait(d, p[2]), there ? 0 : -EBADF);
		EQ(call_wait(d, p[3]), there ? 0 : -EBADF);
	}
	EQ(d->session->n_handles, 0);
	client_free(d);
}

static void a_guest_that_waits_leaves_a_worker_to_the_others(void)
{
	struct client *d = client_new(0, 0);
	File__WriteReq w = FILE__WRITE_REQ__INIT;
	struct pending *p[10];
	struct handle *h;

	if (!root) { /* in memory nothing goes to a worker */
		client_free(d);
		return;
	}
	EQ(x_open(d, 0, "/slow", O_RDWR | O_CREAT, 0600, 1), 0);
	h = handle_find(d->session, 1);
	pthread_mutex_lock(&h->inode->append); /* a disk that does not answer */
	w.handle = 1;
	w.append = 1;
	for (int i = 0; i < 10; i++)
		p[i] = call_start(d, M_WRITE, &w.base, "0123456789", 10);
	for (int i = 0; i < 20; i++) { /* made by a worker: two guests are here */
		char name[32];

		snprintf(name, sizeof name, "/beside-%d", i);
		EQ(x_make(c, M_MKDIR, 0, name, 0755, NULL), 0);
	}
	EQ(pool_queue_len(&d->session->queue) >= 8, 1);
	pthread_mutex_unlock(&h->inode->append);
	handle_put(h);
	for (int i = 0; i < 10; i++)
		EQ(call_wait(d, p[i]), 0);
	EQ(x_read(d, 1, 0, 200), 100);
	client_free(d);
}

static void large_reads(void)
{
	static char buf[65536];
	struct client *d = client_new(0, 0);

	for (size_t i = 0; i < sizeof buf; i++)
		buf[i] = (char)(i * 7 + i / 251);
	EQ(x_open(c, 0, "big", O_RDWR | O_CREAT, 0600, 7), 0);
	EQ(x_write(c, 7, 0, buf, sizeof buf), sizeof buf);
	EQ(x_write(c, 7, 65536, buf, 1000), 1000);
	EQ(x_read(c, 7, 0, 65536), 65536);
	CU_ASSERT(memcmp(c->rep.payload, buf, sizeof buf) == 0);
	EQ(x_read(c, 7, 65530, 65536), 1006);
	EQ(x_release(c, 7), 0);
	client_free(d);
}

static void release_of_a_session_frees_all(void)
{
	struct client *d = client_new(0, 0);

	EQ(x_open(d, 0, "sess", O_RDWR | O_CREAT, 0600, 1), 0);
	EQ(x_path(d, M_UNLINK, 0, "sess", 0, 0), 0);
	EQ(x_lock(d, 1, LOCK_POSIX, F_WRLCK, 0, 0, 0), 0);
	client_free(d);
	EQ(inode_count(), 0);
}

static int start_dir(void)
{
	char path[300];
	int fd;

	if (!mkdtemp(ro_dir))
		return -1;
	snprintf(path, sizeof path, "%s/f", ro_dir);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	if (fd < 0 || write(fd, "ro", 2) != 2)
		return -1;
	close(fd);
	bench_mount("/ro", ro_dir, true);
	root = bench_start(getenv("FSD_TEST_MEM") != NULL, false);
	c = client_new(0, 0);
	return 0;
}

static int stop(void)
{
	char path[300];

	client_free(c);
	snprintf(path, sizeof path, "%s/f", ro_dir);
	unlink(path);
	rmdir(ro_dir);
	return bench_stop() ? 0 : -1;
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(open_read_write_release),
		TEST(handles_say_what_they_may),
		TEST(append_says_where),
		TEST(an_append_in_pieces_stays_whole),
		TEST(names),
		TEST(dangling_links),
		TEST(link_and_rename),
		TEST(unlinked_open_files_live_on),
		TEST(directories),
		TEST(attributes),
		TEST(sparse_files),
		TEST(extended_attributes),
		TEST(current_directory),
		TEST(a_read_only_mount),
		TEST(hostile_requests),
		TEST(a_quota_of_handles),
		TEST(calls_sent_behind_an_open_wait_for_it),
		TEST(a_guest_that_waits_leaves_a_worker_to_the_others),
		TEST(large_reads),
		TEST(release_of_a_session_frees_all),
		CU_TEST_INFO_NULL,
	};

	return suite_run("fsd service", start_dir, stop, tests);
}
