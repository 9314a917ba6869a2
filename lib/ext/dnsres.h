/* SPDX-License-Identifier: Apache-2.0 */
/* The system's resolver without its waits: A and AAAA records of a host by its name, asked of all name
 * servers at once through sockets that bypass the tunnel. Adapter of c-ares.
 *
 * Order: literals and localhost need nobody; a name in /etc/hosts is not asked for; then UDP, and where that
 * brought no address, and not everybody said that there is no such name, TCP. What all servers say is merged;
 * after the first address the others have a moment left. Search domains are those of resolv.conf; a list of
 * our own has none.
 *
 * Nothing is kept between lookups: resolv.conf is read for each, and with none under way there are no
 * descriptors and no deadline. Loops as with ext/stream.h: `watch` says which descriptors to look at,
 * readiness and time come back, and after either the states of lookups may have changed. */
#ifndef EXT_DNSRES_H
#define EXT_DNSRES_H

#include "fzconn/addr.h"
#include "fzconn/env.h"

#define DNSRES_READ 1u
#define DNSRES_WRITE 2u

enum {
	DNSRES_ADDRS_MAX = 16, /* addresses of a name; further ones are left out */
	DNSRES_SERVERS_MAX = 8, /* name servers; further ones are not asked */
	DNSRES_LOOKUPS_MAX = 32 /* under way at a time */
};

struct dnsres;
struct dnsres_lookup;

/* Watch fd for what is in `want` from now on, instead of what was asked before; 0 = forget it. */
typedef void (*dnsres_watch)(void *ctx, int fd, unsigned want);
/* A socket before its first use: set its mark here. Negative enum fz_err = do not use it. */
typedef int (*dnsres_prepare)(void *ctx, int fd);

/* prepare may be NULL. FZ_ERR_NOMEM, FZ_ERR_UNSUPPORTED. */
int dnsres_new(const struct fz_env *env, dnsres_watch watch, dnsres_prepare prepare, void *ctx,
	       struct dnsres **ret);
/* Cancels what is under way. NULL is fine. */
void dnsres_free(struct dnsres *r);
/* Ask these from now on (port 0 = 53); none = those of the system. FZ_ERR_INVAL: more than the maximum, or
 * one without an address. */
int dnsres_set_servers(struct dnsres *r, const struct fz_addr *servers, size_t len);
/* How long one server has for one query, 0 = 2000 ms. */
void dnsres_set_patience(struct dnsres *r, uint32_t ms);
void dnsres_handle_ready(struct dnsres *r, int fd, unsigned ready, uint64_t now_us);
void dnsres_handle_timeout(struct dnsres *r, uint64_t now_us);
uint64_t dnsres_next_timeout(const struct dnsres *r);

enum dnsres_state { DNSRES_PENDING, DNSRES_DONE, DNSRES_FAILED };

/* May be done, or failed, already when it returns. FZ_ERR_INVAL: no host name. FZ_ERR_FULL: too many under
 * way. FZ_ERR_NOMEM. */
int dnsres_start(struct dnsres *r, const char *host, struct dnsres_lookup **ret, uint64_t now_us);
enum dnsres_state dnsres_state(const struct dnsres_lookup *l);
/* Of a lookup that is done: at least one address; valid until dnsres_close(). */
size_t dnsres_addrs(const struct dnsres_lookup *l, const struct fz_ip **ret);
/* Of one that failed: why, without the name; a constant. */
const char *dnsres_error(const struct dnsres_lookup *l);
/* The same as an enum fz_err: FZ_ERR_NOT_FOUND, FZ_ERR_TIMEOUT (nobody answered), FZ_ERR_IO (they refuse, or
 * there is none), FZ_ERR_PERM, FZ_ERR_NOMEM. */
int dnsres_err(const struct dnsres_lookup *l);
/* Cancels it when it is under way. NULL is fine. */
void dnsres_close(struct dnsres_lookup *l);

#endif
