/* SPDX-License-Identifier: Apache-2.0 */
/* Byte streams to a host by name: TCP (all addresses raced), proxy from the environment, TLS with
 * verification, in one. Adapter of libcurl's multi interface; nothing here blocks or starts a wait of its
 * own. Names are resolved before (ext/dnsres.h): libcurl would start a thread for each.
 *
 * A set serves any number of streams of one event loop. It says through `watch` which descriptors it wants to
 * hear of, the loop reports level-triggered readiness with stream_set_handle_ready(), and time with
 * stream_set_handle_timeout(). After either the states of streams may have changed. */
#ifndef EXT_STREAM_H
#define EXT_STREAM_H

#include "fzconn/addr.h"
#include "fzconn/env.h"

#define STREAM_READ 1u
#define STREAM_WRITE 2u

struct stream_set;
struct stream;

/* Watch fd for what is in `want` from now on, instead of what was asked before; 0 = forget it. */
typedef void (*stream_watch)(void *ctx, int fd, unsigned want);
/* A socket before it connects: set its mark here. Negative enum fz_err = give this stream up. */
typedef int (*stream_prepare)(void *ctx, int fd);

/* prepare may be NULL. FZ_ERR_NOMEM, FZ_ERR_UNSUPPORTED (libcurl without what is needed). */
int stream_set_new(const struct fz_env *env, stream_watch watch, stream_prepare prepare, void *ctx,
		   struct stream_set **ret);
/* Closes what is still open. */
void stream_set_free(struct stream_set *set);
void stream_set_handle_ready(struct stream_set *set, int fd, unsigned ready, uint64_t now_us);
void stream_set_handle_timeout(struct stream_set *set, uint64_t now_us);
uint64_t stream_set_next_timeout(const struct stream_set *set);

struct stream_opts {
	const char *host; /* name or literal, IPv6 without brackets */
	uint16_t port;
	bool tls;
	uint32_t connect_ms; /* for TCP, from the moment the addresses are known; 0 = 5000 */
	uint32_t total_ms; /* for everything until open; 0 = 15000 */
	const struct fz_ip *addrs; /* addresses of what stream_hop() says; none = libcurl resolves it */
	size_t addrs_len;
	const char *ca_file; /* PEM file of trust roots; NULL = the system's */
};
/* The name or literal that a stream to host connects to: itself, or the proxy that the environment names for
 * it, if that is no nonsense. */
const char *stream_hop(const char *host, bool tls, char buf[256]);

enum stream_state { STREAM_CONNECTING, STREAM_OPEN, STREAM_FAILED };

/* FZ_ERR_INVAL: the host is no name. */
int stream_open(struct stream_set *set, const struct stream_opts *opts, struct stream **ret, uint64_t now_us);
enum stream_state stream_state(const struct stream *s);
/* Why it failed, one line; valid until stream_close(). */
const char *stream_error(const struct stream *s);
/* Bytes taken, or FZ_ERR_AGAIN (watched from now on), FZ_ERR_IO (the stream has failed), FZ_ERR_STATE (not
 * open). */
int stream_send(struct stream *s, const void *data, size_t len);
/* Bytes read, 0 = the other side closed, or the same errors. TLS may hold bytes back that the descriptor does
 * not show: read until FZ_ERR_AGAIN. */
int stream_recv(struct stream *s, void *buf, size_t cap);
/* NULL is fine. */
void stream_close(struct stream *s);

#endif
