/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static unsigned walk_flags(uint32_t at_flags)
{
	return at_flags & AT_SYMLINK_NOFOLLOW ? WALK_NOFOLLOW : 0;
}

static int reply_attr(struct task *t, const struct node *n, const struct handle *h,
                      const struct statx *stx)
{
	File__AttrRep rep = FILE__ATTR_REP__INIT;
	File__Attr attr;

	serve_attr(n, h, stx, &attr);
	rep.attr = &attr;
	return serve_reply(t, &rep.base, NULL, 0);
}

int serve_stat(struct task *t)
{
	const File__PathReq *in = (const File__PathReq *)t->req->msg;
	struct walk w;
	int r;

	if (t->h[0] && in->path.len == 0) { /* fstat: no walk, no copy of the node */
		const struct node *n = &t->h[0]->place.node;
		struct statx stx;

		r = n->mount->ops->attr(n, 0, &stx);
		return r < 0 ? r : reply_attr(t, n, t->h[0], &stx);
	}
	r = serve_walk(t, &w, t->h[0], &in->path, walk_flags(in->flags), 0);
	if (r < 0)
		return r;
	r = reply_attr(t, &w.it.node, NULL, &w.stx);
	walk_fini(&w);
	return r;
}

static int check_times(uint32_t ns)
{
	return ns < 1000000000u || ns == UTIME_NOW || ns == UTIME_OMIT ? 0 : -EINVAL;
}

static int make_setattr(const File__SetAttrReq *in, const struct mount *m, mode_t type,
                        struct setattr *set)
{
	*set = (struct setattr){
	        .what = in->what,
	        .mode = in->mode & 07777,
	        .uid = (uid_t)-1,
	        .gid = (gid_t)-1,
	        .size = in->size,
	        .times = {{in->atime, in->atime_ns}, {in->mtime, in->mtime_ns}},
	};
	if (in->what & ~(FILE_SET_MODE | FILE_SET_UID | FILE_SET_GID | FILE_SET_SIZE |
	                 FILE_SET_TIMES))
		return -EINVAL;
	if ((in->what & FILE_SET_TIMES) &&
	    (check_times(in->atime_ns) < 0 || check_times(in->mtime_ns) < 0))
		return -EINVAL;
	if (!m->allow_setid)
		set->mode &= ~(mode_t)06000;
	if ((in->what & FILE_SET_UID) && in->uid != UINT32_MAX)
		set->uid = cred_map_uid(in->uid, m->keep_root);
	if ((in->what & FILE_SET_GID) && in->gid != UINT32_MAX)
		set->gid = cred_map_gid(in->gid, m->keep_root);
	if (in->what & FILE_SET_SIZE) {
		if (S_ISDIR(type))
			return -EISDIR;
		if (!S_ISREG(type))
			return -EINVAL;
	}
	return m->read_only ? -EROFS : 0;
}

int serve_set_attr(struct task *t)
{
	const File__SetAttrReq *in = (const File__SetAttrReq *)t->req->msg;
	const struct handle *h = in->path.len == 0 ? t->h[0] : NULL;
	/* ftruncate counts the handle's right to write, not the file's mode. */
	const bool opened = h && !(h->flags & O_PATH);
	struct setattr set;
	struct walk w;
	int r = serve_walk(t, &w, t->h[0], &in->path, walk_flags(in->flags), 0);

	if (r < 0)
		return r;
	const struct node *n = &w.it.node;

	r = make_setattr(in, n->mount, w.stx.stx_mode & S_IFMT, &set);
	if (r == 0 && opened && (in->what & FILE_SET_SIZE) &&
	    (h->flags & O_ACCMODE) == O_RDONLY)
		r = -EINVAL;
	if (r == 0)
		r = n->mount->ops->setattr(n, opened, &set);
	/* For a later instance. */
	uint64_t key = r == 0 && h && h->inode ? h->inode->gone : 0;

	if (key && cred_use(NULL) == 0)
		(void)n->mount->ops->gone_keep(n, NULL, &key);
	if (r == 0)
		r = n->mount->ops->attr(n, 0, &w.stx);
	if (r == 0)
		r = reply_attr(t, n, h, &w.stx);
	walk_fini(&w);
	return r;
}

/* access(2) asks for the real ids: the whole walk is theirs. */
static int use_real_ids(struct task *t, const File__PathReq *in)
{
	struct cred *c;
	int r;

	if (in->flags & AT_EACCESS)
		return 0;
	if (t->session->uid != 0 && in->real_uid != t->session->uid)
		return -EPERM;
	c = cred_real(t->cred, in->real_uid, in->real_gid);
	if (!c)
		return -ENOMEM;
	r = cred_use(c);
	cred_put(c);
	return r;
}

int serve_access(struct task *t)
{
	const File__PathReq *in = (const File__PathReq *)t->req->msg;
	struct walk w;
	int r;

	if (in->mode & ~7u)
		return -EINVAL;
	r = use_real_ids(t, in);
	if (r == 0)
		r = serve_walk(t, &w, t->h[0], &in->path, walk_flags(in->flags), 0);
	if (r < 0)
		return r;
	const struct mount *m = w.it.node.mount;
	const mode_t type = w.stx.stx_mode & S_IFMT;

	r = in->mode ? m->ops->access(&w.it.node, (int)in->mode) : 0;
	if (r == 0 && (in->mode & W_OK) && m->read_only &&
	    (type == S_IFREG || type == S_IFDIR || type == S_IFLNK))
		r = -EROFS;
	walk_fini(&w);
	return r;
}

int serve_readlink(struct task *t)
{
	const File__PathReq *in = (const File__PathReq *)t->req->msg;
	char target[PATH_MAX];
	struct walk w;
	int r = serve_walk(t, &w, t->h[0], &in->path, WALK_NOFOLLOW, 0);

	if (r < 0)
		return r;
	if (!S_ISLNK(w.stx.stx_mode))
		r = in->path.len ? -EINVAL : -ENOENT; /* as readlinkat(fd, "") */
	else
		r = w.it.node.mount->ops->readlink(&w.it.node, target, sizeof target);
	walk_fini(&w);
	return r < 0 ? r : serve_reply(t, NULL, target, (size_t)r);
}

int serve_leaves(struct task *t)
{
	const File__PathReq *in = (const File__PathReq *)t->req->msg;
	char left[PATH_MAX];
	struct walk w;
	int r = serve_walk_left(t, &w, t->h[0], &in->path, walk_flags(in->flags), 0,
	                        left);

	if (r == -EREMOTE)
		return serve_reply(t, NULL, left, strlen(left));
	if (r == 0)
		walk_fini(&w);
	return r;
}

int serve_statfs(struct task *t)
{
	const File__PathReq *in = (const File__PathReq *)t->req->msg;
	File__StatfsRep rep = FILE__STATFS_REP__INIT;
	struct statfs sf;
	struct walk w;
	int r = serve_walk(t, &w, t->h[0], &in->path, 0, 0);

	if (r < 0)
		return r;
	const struct mount *m = w.it.node.mount;

	r = m->ops->statfs(&w.it.node, &sf);
	walk_fini(&w);
	if (r < 0)
		return r;
	rep.type = (uint64_t)sf.f_type;
	rep.bsize = (uint64_t)sf.f_bsize;
	rep.blocks = sf.f_blocks;
	rep.bfree = sf.f_bfree;
	rep.bavail = sf.f_bavail;
	rep.files = sf.f_files;
	rep.ffree = sf.f_ffree;
	rep.fsid = m->dev;
	rep.namelen = (uint64_t)sf.f_namelen;
	rep.frsize = (uint64_t)sf.f_frsize;
	rep.flags = (uint64_t)sf.f_flags | (m->read_only ? 1u : 0u); /* ST_RDONLY */
	return serve_reply(t, &rep.base, NULL, 0);
}
