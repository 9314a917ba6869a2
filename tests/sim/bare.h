/* SPDX-License-Identifier: Apache-2.0 */
/* A host that runs nothing but TURN clients and path agents: what a node does around them, without WireGuard.
 * Its payload is a ping that the other side answers; a two-message handshake stands for WireGuard's. Every
 * rule of the owner's side of proto/path.h is kept here, so this is also the shortest example of it. */
#ifndef SIM_BARE_H
#define SIM_BARE_H

#include "net.h"
#include "proto/path.h"

#define BARE_RELAYS_MAX 2
#define BARE_CONNS_MAX 4

struct bare_opts {
	struct fz_ip ip4, ip6; /* family none = absent */
	uint16_t port;
	bool is_gateway;
	uint64_t portal_delay_us; /* to or from the portal */
	bool keep_log;
};

/* Times are the network's; 0 = never. */
struct bare_conn_stats {
	uint64_t requested_us, created_us, selected_us, direct_us, established_us;
	uint64_t pings, pongs, duplicates, strangers, lost_paths, changes, failures;
	uint64_t last_pong_us;
};

struct bare;
struct bare *bare_new(struct sim_net *net, int site, const struct bare_opts *opts);
void bare_free(struct bare *b);
int bare_host(const struct bare *b);
void bare_add_relay(struct bare *b, const struct fz_addr *addr4, const struct fz_addr *addr6);

/* The client asks the portal for this gateway; asked again by itself whenever the connection fails. `id` is
 * the same on both sides and unique in the network. */
void bare_connect(struct bare *client, struct bare *gateway, uint32_t id);
/* Stop or resume pings. */
void bare_set_chatty(struct bare *b, bool is_chatty);

/* NULL before the connection exists or while it has no path. */
const struct path_route *bare_route(const struct bare *b, uint32_t id);
/* NULL when there is none of this id. */
struct bare_conn_stats *bare_stats(struct bare *b, uint32_t id);
bool bare_path_stats(const struct bare *b, uint32_t id, struct path_stats *ret);

#endif
