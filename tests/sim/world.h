/* SPDX-License-Identifier: Apache-2.0 */
/* One random world per seed: two sites with NAT boxes and links, relays, a client and a gateway, perhaps a
 * second client, perhaps a disturbance half-way. What must come out is computed from the configuration alone.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "net.h"
#include "peer.h"

enum world_path { WORLD_NONE, WORLD_RELAYED, WORLD_DIRECT };

enum world_event {
	WORLD_CALM,
	WORLD_OUTAGE, /* the client's link is dead for some seconds */
	WORLD_CLOCK_JUMP, /* the client's clock leaps */
	WORLD_NAT_RESTART, /* the client's NAT box forgets everything */
	WORLD_RELAY_RESTART, /* a relay forgets everything */
	WORLD_IDLE, /* six minutes without payload */
	WORLD_EVENTS
};

/* Which agents connections have. */
enum world_mode {
	WORLD_ICE,
	WORLD_ICELESS,
	WORLD_MIXED /* the two clients' connections differ */
};

struct world_side {
	bool has4, has6;
	struct sim_site_opts site;
	uint64_t portal_delay_us;
};

struct world {
	uint64_t seed;
	struct world_side client, gateway;
	enum world_mode mode;
	bool has_second_client; /* at the gateway's mercy like the first; the same site as the first */
	unsigned n_relays;
	bool relay_has6[2], relay_channels_only[2];
	struct sim_link relay_link;
	enum world_event event;
	uint64_t event_us; /* its length */
};

struct world_result {
	bool ok;
	char why[256]; /* what failed */
	enum world_path want, got;
	uint64_t first_us, direct_us; /* from the request to the first path, to a direct one; 0 = never */
	uint64_t recovery_us; /* from the end of the disturbance to the next answer */
	uint64_t checks; /* of the client's agent */
};

void world_make(struct world *w, uint64_t seed);
/* What the configuration allows. */
enum world_path world_expects(const struct world *w);
/* The address that a side's host has inside. */
struct fz_addr world_inside(const struct world_side *s, bool is_client);
/* A forwarded port behind a symmetric box clashes with what its host sent first: direct or relayed. */
bool world_is_race(const struct world *w);
/* With bare path agents or connectivity nodes, and with whole devices and a portal. */
void world_run(const struct world *w, const struct peer_ops *ops, bool verbose, struct world_result *ret);
void world_run_devices(const struct world *w, bool verbose, struct world_result *ret);
void world_print(const struct world *w);
const char *world_path_name(enum world_path p);

/* The named networks; false when one failed. */
bool acceptance_run(const struct peer_ops *ops, enum world_mode mode);

#endif
