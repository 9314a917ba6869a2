/* SPDX-License-Identifier: Apache-2.0 */
/* The DNS side of a device's host: a name server that knows the names of the network, the system's resolver
 * on top of it, sockets through the tunnel, and the listener of a gateway. */
#ifndef SIM_HOST_DNS_H
#define SIM_HOST_DNS_H

#include "fzconn/event.h"
#include "fzconn/packet.h"

struct device;

#define HOST_DNS_NAMES 32
#define HOST_DNS_TUNNELLED 16

/* The names of a network, of which all its name servers know. */
struct host_names {
	struct {
		char name[64];
		struct fz_ip ips[4];
		unsigned n;
	} v[HOST_DNS_NAMES];
	unsigned len;
	uint64_t delay_us; /* of every answer */
	bool is_silent;
};
/* Addresses as texts; NULL = none. Set again: replaced. */
void host_names_set(struct host_names *names, const char *name, const char *ip1, const char *ip2);

/* What one host did, and what is under way. */
struct host_dns {
	unsigned lookups, queries, tunnelled, flushes; /* names resolved, queries sent, through the tunnel */
	struct fz_dns_query last; /* without what it points to */
	struct fz_dns_query open[HOST_DNS_TUNNELLED]; /* through the tunnel */
	uint8_t reply[65535]; /* the last answer to a request by TCP */
	size_t reply_len;
	uint64_t reply_to;
	struct fz_addr listens[8];
	unsigned listens_len;
};

/* An event of these kinds. */
void host_dns_event(struct device *d, const struct fz_event *ev);
/* A packet out of the TUN: true = it was for a socket of ours. */
bool host_dns_packet(struct device *d, const struct fz_pkt *pkt);

#endif
