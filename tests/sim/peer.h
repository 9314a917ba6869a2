/* SPDX-License-Identifier: Apache-2.0 */
/* What a simulated world needs of the two ends of a connection, whatever they are made of: path agents with
 * TURN clients and nothing else (bare.c), or connectivity nodes as client and gateway have them (nodes.c).
 * The client pings, the gateway answers; the portal between them is a delayed call. */
#ifndef SIM_PEER_H
#define SIM_PEER_H

#include "net.h"
#include "proto/path.h"

#define PEER_RELAYS_MAX 2
#define PEER_CONNS_MAX 4
#define PEER_PING_US FZ_MS(200)
#define PEER_RETRY_US FZ_SEC(1) /* ask the portal again */
#define PEER_NEW_RELAY_US FZ_SEC(5) /* the portal names a lost relay again */

struct peer_opts {
	struct fz_ip ip4, ip6; /* family none = absent */
	uint16_t port;
	uint64_t portal_delay_us; /* to or from the portal */
	bool keep_log;
};

/* Times are the network's; 0 = never. */
struct peer_stats {
	uint64_t requested_us, created_us, selected_us, direct_us, established_us;
	uint64_t pings, pongs, duplicates, strangers, lost_paths, changes, failures;
	uint64_t last_pong_us;
};

struct peer; /* each kind has its own */

struct peer_ops {
	const char *name;
	struct peer *(*make)(struct sim_net *net, int site, const struct peer_opts *opts);
	void (*free)(struct peer *p);
	int (*host)(const struct peer *p);
	void (*add_relay)(struct peer *p, const struct fz_addr *addr4, const struct fz_addr *addr6);
	/* The client asks the portal for this gateway; asked again by itself whenever the connection fails.
	 * `id` is the same on both sides and unique in the network. */
	void (*connect)(struct peer *client, struct peer *gateway, uint32_t id, bool iceless);
	/* Stop or resume pings. */
	void (*set_chatty)(struct peer *p, bool is_chatty);
	/* NULL while there is no path. */
	const struct path_route *(*route)(const struct peer *p, uint32_t id);
	/* NULL when there is no connection of this id. */
	struct peer_stats *(*stats)(struct peer *p, uint32_t id);
	bool (*path_stats)(const struct peer *p, uint32_t id, struct path_stats *ret);
};

extern const struct peer_ops bare_peer, node_peer;

#endif
