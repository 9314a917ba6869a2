/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of those who ask us for DNS by TCP (RFC 7766): each message behind its length. Several requests
 * may be open at once, and are answered in whatever order the answers come. Bounded: connections, those of
 * one peer, requests of each, bytes that wait for a peer, and time. */
#ifndef PLATFORM_LINUX_DNSCONN_H
#define PLATFORM_LINUX_DNSCONN_H

#include "platform/linux/lx.h"

enum {
	DNSCONNS_MAX = 128, /* when full the one idle for longest goes, or the newcomer */
	DNSCONNS_PEER_MAX = 32, /* from one address; likewise */
	DNSCONN_REQUESTS_MAX = 8, /* not answered yet; further ones are not read */
	DNSCONN_OUT_MAX = 4 * 65536, /* bytes that a peer did not take yet; above, it is closed */
	DNSCONN_IDLE_MS = 10000, /* for a whole request to come, for answers to be taken */
	DNSCONN_ANSWER_MS = 30000 /* with open requests, which may take their time */
};

struct dnsconn;
struct dnsconns {
	struct lx *lx;
	struct dnsconn *v[DNSCONNS_MAX];
	size_t len; /* connections */
	uint32_t generation;
};

void dnsconns_init(struct dnsconns *t, struct lx *lx);
/* Takes the descriptor, which is closed when there is no room. */
void dnsconns_add(struct dnsconns *t, int fd, const struct fz_addr *local, const struct fz_addr *peer,
		  uint64_t now_us);
/* All that came in there. */
void dnsconns_close_of(struct dnsconns *t, const struct fz_addr *local);
/* A whole request to buf, of FZ_DNS_REQUEST_MAX bytes, which gets this id: its length, 0 = none now. */
size_t dnsconns_read(struct dnsconns *t, unsigned slot, uint64_t id, uint8_t *buf, uint64_t now_us);
void dnsconns_addrs(const struct dnsconns *t, unsigned slot, struct fz_addr *ret_local,
		    struct fz_addr *ret_peer);
/* As fz_platform_ops.dns_reply; without an answer the connection ends when the others are answered. */
int dnsconns_reply(struct dnsconns *t, unsigned slot, uint64_t id, const void *data, size_t len,
		   uint64_t now_us);
/* True: there may be a request to read. */
bool dnsconns_event(struct dnsconns *t, uint32_t key, unsigned ready, uint64_t now_us);
uint64_t dnsconns_next(const struct dnsconns *t);
void dnsconns_run(struct dnsconns *t, uint64_t now_us);

#endif
