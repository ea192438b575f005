/* SPDX-License-Identifier: MIT */
/*
 * public.h - Xen's public interface, at the version that we speak.
 *
 * Layer:  platform/xen only.
 */
#ifndef PLATFORM_XEN_PUBLIC_H
#define PLATFORM_XEN_PUBLIC_H

#ifndef __XEN_INTERFACE_VERSION__
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#endif

#include <stdint.h>
#include <xen/xen.h>

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/sched.h>

#endif /* PLATFORM_XEN_PUBLIC_H */
