/* SPDX-License-Identifier: MIT */
/*
 * limits.h - the numbers that both sides of a channel agree on.
 *
 * Layer:  rpc.  Includes nothing.
 */
#ifndef RPC_LIMITS_H
#define RPC_LIMITS_H

#define RPC_VERSION_MIN 1u
#define RPC_VERSION_MAX 1u

#define RPC_SERVICE_SESSION 0u /* high byte of frame.method */
#define RPC_SERVICE_FILE 1u
#define RPC_SERVICE_NET 2u

#define RPC_FEATURE_STAMPS (1ull << 0) /* frames carry enqueue and wake times */
#define RPC_FEATURE_RECOVER (1ull << 1) /* the session may outlive the service's instance */
#define RPC_FEATURE_WATCH (1ull << 2) /* the file service knows Watch */

#define RPC_MSG_MAX 8192u              /* bytes of a packed message */
#define RPC_REPLY_MSG_MAX 512u         /* ... of a reply or event: long data is payload */
#define RPC_PAYLOAD_MAX 65536u         /* bytes of raw payload of one frame */
#define RPC_SLOTS_MAX 64u              /* calls in flight on a session */
#define RPC_SLOTS_RESERVED 4u          /* of them, kept for unlock, close, cancel */
#define RPC_RING_ORDER 18u             /* default: 256 KiB each way */
#define RPC_RING_ORDER_MIN 17u         /* a largest frame must fit */
#define RPC_RING_ORDER_MAX 22u
#define RPC_BULK_PIECE 16384u          /* bulk gives way to control in pieces of this */
#define RPC_CLIENT_ID_LEN 16u

#define RPC_HANDLES_MAX 65536u         /* handles of one session in one service */
#define RPC_PATH_MAX 4096u             /* with the NUL that is not sent */
#define RPC_GROUPS_MAX 64u             /* supplementary groups of one credential */
#define RPC_CREDS_MAX 256u             /* credentials of one session */
#define RPC_WATCHES_MAX 8192u          /* inotify watches of one session */

/* OpenRep.mount_flags */
#define FILE_MOUNT_READ_ONLY 1u
#define FILE_MOUNT_EXCLUSIVE 2u

/* SetAttrReq.what */
#define FILE_SET_MODE 1u
#define FILE_SET_UID 2u
#define FILE_SET_GID 4u
#define FILE_SET_SIZE 8u
#define FILE_SET_TIMES 16u

#endif /* RPC_LIMITS_H */
