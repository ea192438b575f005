/* SPDX-License-Identifier: MIT */
/*
 * move.h - hands all that a netd serves to another netd (proto/netstate.proto).
 *
 * The writer changes nothing: if the move does not happen it goes on as if it had
 * not been asked.  The reader trusts nothing: every value is checked before it is
 * used, and whatever is wrong refuses the whole with one sentence; a process whose
 * import failed is thrown away.  Nothing is sent while a state is read.
 *
 * Layer:     services/netd.
 * Ownership: a writer borrows what is given to it until move_flush(); a reader
 *            owns its buffer.
 * Locking:   none; netd has one thread.
 * Memory:    one record at a time, MOVE_PAYLOAD_MAX at most.
 * Errors:    0 or negative errno; a reader leaves a sentence in `why`.
 */
#ifndef NETD_MOVE_H
#define NETD_MOVE_H

#include "netstate.pb-c.h"
#include "rpc/arena.h"
#include "services/netd/netd.h"

#define MOVE_MSG_MAX (1u << 20)
#define MOVE_PAYLOAD_MAX (64u << 20)
#define MOVE_TOTAL_MAX (4ull << 30)
#define MOVE_WAIT_MS 5000 /* for the other side, at one time */
#define MOVE_IOV 512

struct stack;

/* ---- move_io.c: records ---- */
struct move_out {
	int fd, err;          /* err: negative errno, of the first thing that failed */
	int with_fd;          /* travels with the bytes that follow; -1: none */
	uint64_t bytes;
	uint32_t n_guests, n_socks, n_halves, n_tw, n_conns;
	uint8_t *room;        /* headers and messages not sent yet */
	size_t room_used;
	struct iovec io[MOVE_IOV];
	int n_io;
};

int move_out_open(struct move_out *o, int fd);
/* Header and message of a record with @payload bytes to come. */
void move_put(struct move_out *o, Netstate__Kind kind, const ProtobufCMessage *msg,
              uint64_t payload);
/* A piece of it, which stays as it is until move_flush(). */
void move_payload(struct move_out *o, const void *p, size_t n);
/* @fd (borrowed) goes with the record that is put next. */
void move_fd(struct move_out *o, int fd);
int move_flush(struct move_out *o);
void move_out_close(struct move_out *o);

struct move_in {
	int fd;               /* -1: all is in buf already */
	uint8_t *buf;
	size_t cap, at, end;
	uint64_t total;
	int *fds;             /* received and not taken yet */
	unsigned n_fds, fds_cap;
	/* the record at hand */
	uint32_t kind, msg_len;
	uint64_t payload_len, taken; /* taken: bytes of the payload used up */
	const uint8_t *msg, *payload;
	struct arena arena;
	uint8_t *arena_buf;
	/* what came before */
	uint32_t tick_ms;
	struct guest **guests; /* by index - 1 */
	uint32_t n_guests, guests_cap;
	struct sock **socks;  /* by id - 1; NULL: gone again */
	uint32_t n_socks, socks_cap;
	uint32_t n_halves, n_tw, n_conns;
	char why[256];
};

int move_in_open(struct move_in *in, int fd);
void move_in_close(struct move_in *in);
/* The next record: its kind, or negative errno. */
int move_next(struct move_in *in);
/* Its message, until the next record; NULL: does not decode. */
const void *move_unpack(struct move_in *in, const ProtobufCMessageDescriptor *d);
/* @n bytes of its payload; NULL: there are fewer. */
const uint8_t *move_take(struct move_in *in, uint64_t n);
int move_take_fd(struct move_in *in); /* the oldest, now the caller's; -1: none */
/* Refuse: returns -EPROTO. */
int move_refuse(struct move_in *in, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- move_sock.c: what is the same for every stack ---- */
struct sock_room { /* what a message points into */
	Netstate__Addr local, peer, port, groups[GROUPS_MAX], *group_list[GROUPS_MAX];
	uint32_t ranges[2 * RANGES_MAX], opt_id[64];
	int32_t opt_value[64];
};
void move_addr(const struct naddr *a, Netstate__Addr *m);
bool move_naddr(const Netstate__Addr *m, struct naddr *a); /* false: malformed */
void move_sock_fill(struct sock *s, Netstate__Sock *m, struct sock_room *room);
/* A socket as @m says, not yet in its guest's table; NULL: refused. */
struct sock *move_sock_make(struct move_in *in, const Netstate__Sock *m,
                            const struct stack_ops *ops);
/* Give it to its guest, or to the listener in whose queue it waits.  On failure it is
 * the caller's still. */
int move_sock_place(struct move_in *in, const Netstate__Sock *m, struct sock *s);
/* The listener of that id, or NULL after refusing. */
struct sock *move_listener(struct move_in *in, uint32_t id);
/* Numbered for the writer: id 0, not written yet. */
uint32_t move_number(struct move_out *o, struct sock *s);

/* ---- move_tcp.c: a pcb of lwIP ---- */
struct tcp_pcb;
struct tcp_room {
	Netstate__Addr local, remote;
	uint32_t sacks[8], *seq, *len, *kind;
	size_t cap;
};
struct tcp_room_owner;
/* Fill @m; 0 or -ENOMEM.  Returns the payload's length in *bytes. */
int move_tcp_fill(const struct tcp_pcb *pcb, bool reuse, Netstate__Tcp *m,
                  struct tcp_room *room, uint64_t *bytes);
void move_tcp_payload(struct move_out *o, const struct tcp_pcb *pcb);
void tcp_room_free(struct tcp_room *room);
/* A pcb on none of lwIP's lists; NULL: refused. */
struct tcp_pcb *move_tcp_make(struct move_in *in, const Netstate__Tcp *m);
void move_tcp_free(struct tcp_pcb *pcb);

/* ---- move.c: the whole ---- */
/* Write everything of @stack and @guests to @fd. */
int move_export(struct move_out *o, int fd, const struct stack *stack, struct guest *guests);
/* Read it from @fd.  On success *guests is the list of what came, without channels.
 * On failure nothing may be done with the stack any more. */
int move_import(struct move_in *in, int fd, const struct stack *stack, struct guest **guests);

#endif /* NETD_MOVE_H */
