/* SPDX-License-Identifier: MIT */
/*
 * sysvsem.c - System V semaphore sets, within the guest.
 *
 * One lock for all sets.  A call's operations are tried as a whole under it; where
 * they cannot all be done the thread waits on the set, without the lock, and begins
 * again from the id at each change: a set that is gone then is EIDRM.  Slots carry a
 * sequence number in their id, so an old id finds nothing.  What SEM_UNDO
 * would give back at a process's end is counted, for its range; sets end with the only
 * process, so nobody sees it given back.
 */
#include "libos/abi.h"
#include "libos/deadline.h"
#include "libos/identity.h"
#include "libos/lock.h"
#include "libos/process.h"
#include "libos/syscall.h"
#include "libos/time.h"
#include "libos/user.h"
#include "libos/wait.h"

#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>

#define SETS_MAX 1024      /* SEMMNI */
#define SEMS_PER_SET 32000 /* SEMMSL */
#define SEMS_MAX 128000    /* SEMMNS */
#define OPS_MAX 500        /* SEMOPM */
#define VALUE_MAX 32767    /* SEMVMX */
#define ID_STEP 32768      /* ids are slot + ID_STEP * sequence */
#define MAY_READ 4u
#define MAY_ALTER 2u
#define IPC_64_BIT 0x100
#define SEM_STAT_ANY_ 20

struct sem {
	int32_t value, pid;
	int32_t undo; /* SEM_UNDO: to be added at the process's end */
	uint32_t n_waiting, z_waiting;
};

/* All under g_lock but the wait queue, which has its own. */
struct set {
	bool used;
	uint16_t seq;
	int32_t key;
	uint32_t uid, gid, cuid, cgid, mode;
	uint32_t n_sems;
	struct sem *sems; /* platform memory */
	int64_t otime, ctime;
	struct waitq wait;
};

struct ksemid_ds {
	int32_t key;
	uint32_t uid, gid, cuid, cgid, mode;
	uint16_t seq, pad;
	uint32_t pad0;
	uint64_t unused[2];
	int64_t otime;
	uint64_t unused1;
	int64_t ctime;
	uint64_t unused2;
	uint64_t nsems;
	uint64_t unused3[2];
};
_Static_assert(sizeof(struct ksemid_ds) == 104, "struct semid64_ds");

static struct lock g_lock = LOCK_INIT;
static struct set g_sets[SETS_MAX];
static uint32_t g_n_sets, g_n_sems;

static int64_t now_s(void)
{
	return (int64_t)(time_real_ns() / NS_PER_S);
}

static size_t memory_of(uint32_t n_sems)
{
	return (n_sems * sizeof(struct sem) + 4095) & ~(size_t)4095;
}

static int id_of(const struct set *s)
{
	return (int)(s - g_sets) + ID_STEP * (int)s->seq;
}

static bool may(const struct set *s, uint32_t need)
{
	const struct cred *c = cred_current();
	uint32_t mode = s->mode;

	if (cred_privileged())
		return true;
	if (c->euid == s->uid || c->euid == s->cuid)
		mode >>= 6;
	else if (c->egid == s->gid || c->egid == s->cgid)
		mode >>= 3;
	return (mode & need) == need;
}

static struct set *find_locked(int id)
{
	struct set *s;

	if (id < 0 || id % ID_STEP >= SETS_MAX)
		return NULL;
	s = &g_sets[id % ID_STEP];
	return s->used && id_of(s) == id ? s : NULL;
}

/* ---- semget ---- */

static int make_locked(int32_t key, uint32_t n_sems, uint32_t mode)
{
	struct set *s = g_sets;
	long at;

	if (n_sems == 0)
		return -EINVAL;
	if (g_n_sets == SETS_MAX || g_n_sems + n_sems > SEMS_MAX)
		return -ENOSPC;
	while (s->used)
		s++;
	at = plat_mmap(NULL, memory_of(n_sems), PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS);
	if (at < 0 && at > -4096)
		return -ENOMEM;
	s->used = true;
	s->key = key;
	s->uid = s->cuid = cred_current()->euid;
	s->gid = s->cgid = cred_current()->egid;
	s->mode = mode & 0777;
	s->n_sems = n_sems;
	s->sems = (struct sem *)at;
	s->otime = 0;
	s->ctime = now_s();
	g_n_sets++;
	g_n_sems += n_sems;
	return id_of(s);
}

static int open_locked(int32_t key, uint32_t n_sems, int flags)
{
	for (struct set *s = g_sets; key != IPC_PRIVATE && s < g_sets + SETS_MAX; s++) {
		if (!s->used || s->key != key)
			continue;
		if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
			return -EEXIST;
		if (n_sems > s->n_sems)
			return -EINVAL;
		if (!may(s, ((uint32_t)flags >> 6 | (uint32_t)flags >> 3 |
		             (uint32_t)flags) &
		                    6))
			return -EACCES;
		return id_of(s);
	}
	if (key != IPC_PRIVATE && !(flags & IPC_CREAT))
		return -ENOENT;
	return make_locked(key, n_sems, (uint32_t)flags);
}

SYSCALL(semget, long key, long n_sems, long flags)
{
	int id;

	if ((int)n_sems < 0 || (int)n_sems > SEMS_PER_SET)
		return -EINVAL;
	lock_take(&g_lock);
	id = open_locked((int32_t)key, (uint32_t)n_sems, (int)flags);
	lock_drop(&g_lock);
	return id;
}

/* ---- semop ---- */

/* What a call waits for. */
struct blocked {
	struct sem *sem;
	bool for_zero;
};

static bool undo_in_range(int32_t undo)
{
	return undo >= -VALUE_MAX - 1 && undo <= VALUE_MAX;
}

/* Do all of @ops or none: 1, 0 with *@why (must wait), or an error. */
static long try_ops_locked(struct set *s, const struct sembuf *ops, unsigned n,
                           struct blocked *why)
{
	long r = 1;
	unsigned i;

	for (i = 0; i < n; i++) {
		struct sem *sem = &s->sems[ops[i].sem_num];
		int32_t to = sem->value + ops[i].sem_op;

		if ((ops[i].sem_op == 0 && sem->value != 0) || to < 0) {
			*why = (struct blocked){sem, ops[i].sem_op == 0};
			r = ops[i].sem_flg & IPC_NOWAIT ? -EAGAIN : 0;
			break;
		}
		if (to > VALUE_MAX || ((ops[i].sem_flg & SEM_UNDO) &&
		                       !undo_in_range(sem->undo - ops[i].sem_op))) {
			r = -ERANGE;
			break;
		}
		sem->value = to;
		if (ops[i].sem_flg & SEM_UNDO)
			sem->undo -= ops[i].sem_op;
	}
	if (r == 1) {
		for (i = 0; i < n; i++)
			s->sems[ops[i].sem_num].pid = (int32_t)PROCESS_PID;
		s->otime = now_s();
		return 1;
	}
	while (i-- > 0) {
		struct sem *sem = &s->sems[ops[i].sem_num];

		sem->value -= ops[i].sem_op;
		if (ops[i].sem_flg & SEM_UNDO)
			sem->undo += ops[i].sem_op;
	}
	return r;
}

static long check_ops_locked(const struct set *s, const struct sembuf *ops, unsigned n)
{
	bool alters = false;

	for (unsigned i = 0; i < n; i++) {
		if (ops[i].sem_num >= s->n_sems)
			return -EFBIG;
		alters = alters || ops[i].sem_op != 0;
	}
	return may(s, alters ? MAY_ALTER : MAY_READ) ? 0 : -EACCES;
}

static uint32_t *waiters_of(const struct blocked *why)
{
	return why->for_zero ? &why->sem->z_waiting : &why->sem->n_waiting;
}

/* Link @e before the first look, so that no change between look and sleep is lost. */
static long do_ops(int id, const struct sembuf *ops, unsigned n, uint64_t deadline,
                   struct wait_entry *e)
{
	struct blocked why;
	struct set *s;
	bool slept = false;
	long r;

	for (;;) {
		lock_take(&g_lock);
		s = find_locked(id);
		if (!s) {
			lock_drop(&g_lock);
			return slept ? -EIDRM : -EINVAL;
		}
		if (!e->pprev)
			waitq_add(&s->wait, e);
		if (slept)
			--*waiters_of(&why);
		r = check_ops_locked(s, ops, n);
		if (r == 0)
			r = try_ops_locked(s, ops, n, &why);
		if (r == 0)
			++*waiters_of(&why);
		lock_drop(&g_lock);
		if (r == 1)
			waitq_wake(&s->wait, ~0u);
		if (r != 0)
			return r == 1 ? 0 : r;
		slept = true;
		r = thread_park(deadline, PARK_INTR);
		if (r == 0)
			continue;
		lock_take(&g_lock);
		if (find_locked(id) == s)
			--*waiters_of(&why);
		else
			r = -EIDRM;
		lock_drop(&g_lock);
		return r == -ETIMEDOUT ? -EAGAIN : r;
	}
}

SYSCALL(semtimedop, long id, const void *user_ops, unsigned long n,
        const void *user_timeout)
{
	struct wait_entry e = {.events = ~0u, .fn = wait_unpark, .thread = self()};
	struct sembuf ops[OPS_MAX];
	uint64_t deadline;
	long r;
	int err = deadline_from_timespec(user_timeout, &deadline);

	if (err != 0)
		return err;
	if (n < 1 || (int)id < 0)
		return -EINVAL;
	if (n > OPS_MAX)
		return -E2BIG;
	if (user_copy_in(ops, user_ops, n * sizeof(ops[0])) != 0)
		return -EFAULT;
	r = do_ops((int)id, ops, (unsigned)n, deadline, &e);
	waitq_remove(&e);
	return r;
}

SYSCALL(semop, long id, const void *user_ops, unsigned long n)
{
	return strait_sys_semtimedop(id, user_ops, n, NULL);
}

/* ---- semctl ---- */

static void describe_locked(const struct set *s, struct ksemid_ds *ds)
{
	memset(ds, 0, sizeof(*ds));
	ds->key = s->key;
	ds->uid = s->uid;
	ds->gid = s->gid;
	ds->cuid = s->cuid;
	ds->cgid = s->cgid;
	ds->mode = s->mode;
	ds->seq = s->seq;
	ds->otime = s->otime;
	ds->ctime = s->ctime;
	ds->nsems = s->n_sems;
}

static long stat_locked(struct set *s, int cmd, void *user_ds)
{
	struct ksemid_ds ds;

	if (cmd != SEM_STAT_ANY_ && !may(s, MAY_READ))
		return -EACCES;
	describe_locked(s, &ds);
	if (user_copy_out(user_ds, &ds, sizeof(ds)) != 0)
		return -EFAULT;
	return cmd == IPC_STAT ? 0 : id_of(s);
}

static bool owns(const struct set *s)
{
	uint32_t euid = cred_current()->euid;

	return euid == 0 || euid == s->uid || euid == s->cuid;
}

static long set_owner_locked(struct set *s, const void *user_ds)
{
	struct ksemid_ds ds;

	if (user_copy_in(&ds, user_ds, sizeof(ds)) != 0)
		return -EFAULT;
	if (!owns(s))
		return -EPERM;
	s->uid = ds.uid;
	s->gid = ds.gid;
	s->mode = ds.mode & 0777;
	s->ctime = now_s();
	return 0;
}

static long remove_locked(struct set *s)
{
	if (!owns(s))
		return -EPERM;
	(void)plat_munmap(s->sems, memory_of(s->n_sems));
	g_n_sets--;
	g_n_sems -= s->n_sems;
	s->sems = NULL;
	s->used = false;
	s->seq = (uint16_t)(s->seq + 1) & 0x7fff;
	return 0;
}

static long get_all_locked(const struct set *s, uint16_t *user_array)
{
	if (!may(s, MAY_READ))
		return -EACCES;
	for (uint32_t i = 0; i < s->n_sems; i++) {
		uint16_t value = (uint16_t)s->sems[i].value;

		if (user_copy_out(&user_array[i], &value, sizeof(value)) != 0)
			return -EFAULT;
	}
	return 0;
}

static long set_all_locked(struct set *s, const uint16_t *user_array)
{
	uint16_t value;

	if (!may(s, MAY_ALTER))
		return -EACCES;
	for (int pass = 0; pass < 2; pass++) { /* look at all, then set all */
		for (uint32_t i = 0; i < s->n_sems; i++) {
			if (user_copy_in(&value, &user_array[i], sizeof(value)) != 0)
				return -EFAULT;
			if (value > VALUE_MAX)
				return -ERANGE;
			if (pass == 0)
				continue;
			s->sems[i].value = value;
			s->sems[i].undo = 0;
			s->sems[i].pid = (int32_t)PROCESS_PID;
		}
	}
	s->ctime = now_s();
	return 0;
}

static long of_one_locked(struct set *s, int cmd, uint32_t num, long arg)
{
	struct sem *sem;

	if (!may(s, cmd == SETVAL ? MAY_ALTER : MAY_READ))
		return -EACCES;
	if (num >= s->n_sems)
		return -EINVAL;
	sem = &s->sems[num];
	switch (cmd) {
	case GETVAL:
		return sem->value;
	case GETPID:
		return sem->pid;
	case GETNCNT:
		return sem->n_waiting;
	case GETZCNT:
		return sem->z_waiting;
	case SETVAL:
	default:
		if ((int)arg < 0 || (int)arg > VALUE_MAX)
			return -ERANGE;
		sem->value = (int)arg;
		sem->undo = 0;
		sem->pid = (int32_t)PROCESS_PID;
		s->ctime = now_s();
		return 0;
	}
}

/* IPC_INFO: the limits; SEM_INFO: with what is in use.  Returns the highest slot. */
static long info_locked(int cmd, void *user_info)
{
	int32_t info[10] = {
	        SEMS_MAX, SETS_MAX, SEMS_MAX, SEMS_MAX,  SEMS_PER_SET,
	        OPS_MAX,  OPS_MAX,  20,       VALUE_MAX, VALUE_MAX,
	};
	long highest = 0;

	if (cmd == SEM_INFO) {
		info[7] = (int32_t)g_n_sets;
		info[9] = (int32_t)g_n_sems;
	}
	for (long i = 0; i < SETS_MAX; i++) {
		if (g_sets[i].used)
			highest = i;
	}
	return user_copy_out(user_info, info, sizeof(info)) != 0 ? -EFAULT : highest;
}

static long control_locked(struct set *s, int cmd, long num, long arg)
{
	switch (cmd) {
	case IPC_STAT:
	case SEM_STAT:
	case SEM_STAT_ANY_:
		return stat_locked(s, cmd, (void *)arg);
	case IPC_SET:
		return set_owner_locked(s, (const void *)arg);
	case IPC_RMID:
		return remove_locked(s);
	case GETALL:
		return get_all_locked(s, (uint16_t *)arg);
	case SETALL:
		return set_all_locked(s, (const uint16_t *)arg);
	default:
		return of_one_locked(s, cmd, (uint32_t)num, arg);
	}
}

static bool known(int cmd)
{
	return (cmd >= IPC_RMID && cmd <= IPC_INFO) ||
	       (cmd >= GETPID && cmd <= SEM_STAT_ANY_);
}

SYSCALL(semctl, long id_arg, long num, long cmd_arg, long arg)
{
	int id = (int)id_arg, cmd = (int)cmd_arg & ~IPC_64_BIT;
	struct set *s;
	bool changed;
	long r;

	if (id < 0 || !known(cmd))
		return -EINVAL;
	lock_take(&g_lock);
	if (cmd == IPC_INFO || cmd == SEM_INFO) {
		r = info_locked(cmd, (void *)arg);
		lock_drop(&g_lock);
		return r;
	}
	if (cmd == SEM_STAT || cmd == SEM_STAT_ANY_) /* by slot, not by id */
		s = id < SETS_MAX && g_sets[id].used ? &g_sets[id] : NULL;
	else
		s = find_locked(id);
	r = s ? control_locked(s, cmd, num, arg) : -EINVAL;
	changed = r == 0 && (cmd == IPC_RMID || cmd == SETVAL || cmd == SETALL);
	lock_drop(&g_lock);
	if (changed)
		waitq_wake(&s->wait, ~0u);
	return r;
}
