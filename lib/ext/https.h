/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests of known size, by HTTP/2 over TLS where the server can, else HTTP/1.1. Connections are kept,
 * and shared by requests to the same server. Adapter of libcurl's multi interface; nothing here blocks, and
 * names are resolved before (ext/dnsres.h): libcurl would start a thread for each.
 *
 * Loops as ext/stream.h: `watch` says which descriptors to look at, readiness and time come back, and after
 * either https_poll() tells what has ended. With nothing under way there is no deadline. */
#ifndef EXT_HTTPS_H
#define EXT_HTTPS_H

#include "fzconn/addr.h"
#include "fzconn/ask.h"
#include "fzconn/env.h"

#define HTTPS_READ 1u
#define HTTPS_WRITE 2u

enum { HTTPS_HEADERS_MAX = 16 };

struct https;
struct https_txn;

/* Watch fd for what is in `want` from now on, instead of what was asked before; 0 = forget it. */
typedef void (*https_watch)(void *ctx, int fd, unsigned want);
/* A socket before it connects: set its mark here. Negative enum fz_err = give the request up. */
typedef int (*https_prepare)(void *ctx, int fd);

/* prepare may be NULL. FZ_ERR_NOMEM, FZ_ERR_UNSUPPORTED. */
int https_new(const struct fz_env *env, https_watch watch, https_prepare prepare, void *ctx,
	      struct https **ret);
/* Closes what is still open. */
void https_free(struct https *h);
/* PEM file of trust roots; NULL = the system's. FZ_ERR_NOMEM. */
int https_set_roots(struct https *h, const char *ca_file);
void https_handle_ready(struct https *h, int fd, unsigned ready, uint64_t now_us);
void https_handle_timeout(struct https *h, uint64_t now_us);
uint64_t https_next_timeout(const struct https *h);
/* New connections from now on; what is under way keeps those it has. A request that timed out does the same:
 * its connection may be dead, and the system would find out minutes later. */
void https_renew(struct https *h);

/* The name or literal that a request to this URL connects to: its host, or the proxy that the environment
 * names for it. FZ_ERR_INVAL: no URL of http or https. */
int https_hop(const char *url, char buf[256]);

/* Make a request; everything is copied but `user`. FZ_ERR_INVAL: URL, method or a header is malformed.
 * FZ_ERR_NOMEM. */
int https_open(struct https *h, const struct fz_http_request *req, void *user, struct https_txn **ret);
/* Begin, with the addresses of what https_hop() said; it ends within timeout_ms. FZ_ERR_NOMEM. */
int https_go(struct https_txn *t, const struct fz_ip *addrs, size_t len, uint32_t timeout_ms,
	     uint64_t now_us);
/* One that has ended, each once: what was given as `user`; NULL = none. */
void *https_poll(struct https *h);
/* Of one that has ended, all but id; valid until https_close(). */
void https_result(const struct https_txn *t, struct fz_http_result *ret);
/* Cancels it when it is under way. NULL is fine. */
void https_close(struct https_txn *t);

#endif
