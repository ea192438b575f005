/* SPDX-License-Identifier: MIT */
/*
 * file_restore.c - what is open here, told to a later instance of fsd.
 *
 * On recovery's thread, while every other thread that wants something of fsd waits:
 *
 *     wait until every answer that came is noted -> credentials -> handles -> locks
 *
 * 1. What fsd answered before it left is noted here (files: `known`; locks: lists),
 *    what it did not answer is asked again by its own thread afterwards.  In between
 *    is a thread that has its answer and did not note it yet: g_unsettled counts
 *    those.  They need nobody but the processor to get on.
 * 2. No lock that is held across a call is taken: their holders may be waiting.
 * 3. With another write verifier what was answered but not synced may be lost.  It
 *    cannot be written again from here; fsync() says EIO once a description, and what
 *    mappings wrote is compared with what is there now.
 * 4. A file that cannot be opened again is said once; its calls give what fsd gives
 *    for such a handle, ESTALE.
 */
#include "libos/file.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#define SETTLE_NS 1000000u         /* look again so often */
#define SETTLE_MAX_NS 10000000000u /* a thread that does not get on in this will not */

static _Atomic uint32_t g_unsettled;

static void on_answer(struct rpc_call *call)
{
	struct file_watch *w = call->answered_arg;

	w->counted = true;
	atomic_fetch_add(&g_unsettled, 1);
}

void file_watch(struct rpc_call *call, struct file_watch *w)
{
	w->counted = false;
	call->answered = on_answer;
	call->answered_arg = w;
}

void file_settled(struct file_watch *w)
{
	if (w->counted)
		atomic_fetch_sub(&g_unsettled, 1);
}

static int wait_settled(void)
{
	const uint64_t end = plat_mono_ns() + SETTLE_MAX_NS;

	while (atomic_load(&g_unsettled) != 0) {
		if (plat_mono_ns() > end)
			return -EDEADLK;
		rpc_wait(plat_mono_ns() + SETTLE_NS);
	}
	return 0;
}

static void say_stale(const struct file_memo *memo)
{
	char line[FILE_PATH_KEPT + 64] = "cannot be opened again, its calls give ESTALE: ";
	size_t n = strlen(line);

	memcpy(line + n, memo->path[0] ? memo->path : "an open file",
	       memo->path[0] ? strlen(memo->path) + 1 : sizeof("an open file"));
	rpc_log("fsd", line);
}

/* 0 or what fsd said. */
static int send_reopen(const struct file_memo *memo, uint32_t cred)
{
	File__ReopenReq req = FILE__REOPEN_REQ__INIT;
	const File__OpenRep *rep;
	struct rpc_call call;

	rpc_call_init(&call);
	req.cred = cred;
	req.handle = memo->handle;
	req.file_id = file_bytes(memo->id, memo->id_len);
	req.token = file_bytes(memo->token, memo->token_len);
	req.flags = memo->flags;
	req.path = file_bytes(memo->path, strlen(memo->path));
	req.type = memo->mode & S_IFMT;
	req.append_end = memo->append_end;
	FILE_CALL(reopen, OpenRep, &req, &call);
	if (call.err)
		return call.err;
	rep = (const File__OpenRep *)call.reply;
	if (!rep->attr || rep->attr->dev != memo->dev || rep->attr->ino != memo->ino ||
	    ((rep->attr->mode ^ memo->mode) & S_IFMT))
		return -EPROTO;
	return 0;
}

/* 0 also when fsd has it no more; else the instance left, or lies. */
static int reopen(const struct file_memo *memo)
{
	uint32_t cred;
	int r, said;

	r = file_cred_borrow(memo->ids, &cred);
	if (r < 0)
		return r;
	said = send_reopen(memo, cred);
	if (said == -EPROTO) {
		rpc_log("fsd", "opened another file than the one that was open");
		return said;
	}
	r = file_cred_return(cred, memo->ids);
	if (r < 0 || (said < 0 && rpc_ping(&g_file_chan) < 0))
		return -EIO;
	if (said < 0)
		say_stale(memo);
	else
		r = file_lock_restore(memo->f);
	return r;
}

static int reopen_all(void)
{
	struct file_memo memo;
	uint32_t at = 0;
	int r = 0;

	while (r == 0 && file_next_known(&at, &memo)) {
		r = reopen(&memo);
		file_ids_put(memo.ids);
	}
	return r;
}

int file_restore(const struct rpc_restore *how)
{
	int r = wait_settled();

	if (r == 0 && how->verifier_changed && file_nodes_lose())
		rpc_log("fsd", "what was written and not synced may be lost: fsync() tells");
	if (r == 0 && !how->moved) {
		r = file_cred_restore();
		if (r == 0)
			r = reopen_all();
		if (r == 0)
			r = inotify_restore((how->features & RPC_FEATURE_WATCH) != 0);
		file_cred_restored();
	}
	if (r == 0 && !how->moved)
		file_lock_restored();
	return r;
}
