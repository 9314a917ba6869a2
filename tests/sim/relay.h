/* SPDX-License-Identifier: Apache-2.0 */
/* A TURN server (RFC 8656 over UDP) as small as it can be and still be one: authentication with a nonce,
 * allocations of both families, channels, permissions, lifetimes, ChannelData and indications. A host of the
 * simulated network. */
#ifndef SIM_RELAY_H
#define SIM_RELAY_H

#include "net.h"

#define RELAY_PORT 3478
#define RELAY_USERNAME "simulated"
#define RELAY_PASSWORD "not a secret"

struct relay_opts {
	struct fz_ip ip4, ip6; /* family none = absent */
	/* Data of a peer passes only from the exact address that a channel is bound to; otherwise, as the RFC
	 * says, from any port of an address with a permission. */
	bool channels_only;
};

struct relay_stats {
	uint64_t to_peer, to_client, no_permission, no_allocation, full;
};

struct relay;
struct relay *relay_new(struct sim_net *net, int site, const struct relay_opts *opts);
void relay_free(struct relay *r);
int relay_host(const struct relay *r);
/* Address of its server socket; family none when it has none. */
struct fz_addr relay_addr(const struct relay *r, enum fz_family family);
/* Forget all allocations, as a restart does. */
void relay_restart(struct relay *r);
const struct relay_stats *relay_stats(const struct relay *r);

#endif
