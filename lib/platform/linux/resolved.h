/* SPDX-License-Identifier: Apache-2.0 */
/* systemd-resolved over D-Bus: which servers it asks by which link. Adapter of sd-bus. Nothing blocks: calls
 * are sent, and what became of them is learnt later; the connection lives only as long as calls are under
 * way. */
#ifndef PLATFORM_LINUX_RESOLVED_H
#define PLATFORM_LINUX_RESOLVED_H

#include "fzconn/addr.h"
#include "fzconn/env.h"

#define RESOLVED_READ 1u
#define RESOLVED_WRITE 2u

struct resolved;

/* FZ_ERR_NOMEM; FZ_ERR_UNSUPPORTED: built without it. */
int resolved_new(const struct fz_env *env, struct resolved **ret);
/* NULL is fine. */
void resolved_free(struct resolved *r);
/* The link's servers, for all names; `search` (NULL = none) is appended to short ones. No servers: the link's
 * settings are taken back. Replaces what is under way. FZ_ERR_IO: there is no system bus. */
int resolved_set(struct resolved *r, uint32_t ifindex, const struct fz_ip *dns, size_t dns_len,
		 const char *search);
/* Forget all answers. */
int resolved_flush(struct resolved *r);
/* The connection's descriptor and what to look for; -1 = there is none now. Ask again after each call. */
int resolved_fd(const struct resolved *r, unsigned *ret_want);
/* Time by which resolved_work() wants to be called: µs of CLOCK_MONOTONIC, FZ_NEVER_US = none. */
uint64_t resolved_next_us(const struct resolved *r);
/* Read and write what can be. 0 = nothing to tell, 1 = all that was asked is done, negative = something
 * failed; the log says what. */
int resolved_work(struct resolved *r);

#endif
