/* SPDX-License-Identifier: Apache-2.0 */
/* A NAT box or firewall for UDP, in the words of RFC 4787: how it maps, what it lets in, for how long. One
 * box serves one family of one site. Knows nothing of what the datagrams contain. */
#ifndef SIM_NAT_H
#define SIM_NAT_H

#include "fzconn/addr.h"

enum nat_mapping {
	NAT_OPEN, /* no translation: inside addresses are public */
	NAT_EIM, /* endpoint-independent: one public port per inside port */
	NAT_EDM /* address- and port-dependent ("symmetric"): one per destination */
};

enum nat_filter {
	NAT_FILTER_NONE, /* with NAT_OPEN: no firewall at all; else endpoint-independent filtering */
	NAT_FILTER_ADDRESS,
	NAT_FILTER_PORT
};

struct nat_opts {
	enum nat_mapping mapping;
	enum nat_filter filter;
	struct fz_ip public_ip; /* unused when open */
	bool keeps_port; /* the public port equals the inside port if it is free */
	bool inbound_refreshes; /* inbound traffic counts for the expiry */
	bool hairpins; /* inside hosts reach each other by public addresses */
	bool drops_from_peers; /* stateless: inbound only from port 3478 */
	bool drops_to_peers; /* outbound only to port 3478 */
	bool drops_all; /* no UDP at all */
	uint16_t forwarded_port; /* inbound to this port always reaches `forwarded_to`; 0 = none */
	struct fz_addr forwarded_to;
	uint64_t expiry_us;
};

#define NAT_SESSIONS_MAX 512

struct nat_session {
	struct fz_addr inside, remote;
	uint16_t port; /* public */
	uint64_t last_us;
};

struct nat {
	struct nat_opts opts;
	struct nat_session v[NAT_SESSIONS_MAX];
	unsigned len;
	uint64_t state; /* for random ports */
	uint64_t n_dropped_in, n_dropped_out, n_evicted;
};

void nat_init(struct nat *n, const struct nat_opts *opts, uint64_t seed);
/* A datagram leaves: the source address that the world sees. False: dropped. */
bool nat_out(struct nat *n, const struct fz_addr *inside, const struct fz_addr *remote, struct fz_addr *ret,
	     uint64_t now_us);
/* A datagram arrives at one of our public addresses: where it goes inside. False: dropped. */
bool nat_in(struct nat *n, const struct fz_addr *public_addr, const struct fz_addr *remote,
	    struct fz_addr *ret, uint64_t now_us);
/* The box was restarted: all mappings are gone. */
void nat_flush(struct nat *n);

#endif
