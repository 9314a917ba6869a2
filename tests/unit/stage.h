/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of whole devices share: a simulated network without loss, one gateway with an echo server behind
 * it, clients, relays and a portal. */
#ifndef STAGE_H
#define STAGE_H

#include "unit.h"

#include "../sim/device.h"
#include "../sim/relay.h"
#include "base/time.h"
#include "packets.h"

#define STAGE_CLIENTS_MAX 3
#define STAGE_KEEP 512

struct stage_opts {
	enum nat_mapping mapping; /* of all sites; NAT_EDM with port filters forces relays */
	unsigned n_clients, n_relays; /* 0 = 1 */
	bool no_gateway, no_relay;
	struct unit_env *env; /* of all devices; NULL = their own */
};

/* A packet that came out of a client's TUN. */
struct stage_packet {
	uint8_t b[512];
	size_t len, gso_size;
	unsigned client;
	uint64_t at_us;
};

struct stage {
	struct sim_net *net;
	struct lines lines;
	struct relay *relays[2];
	struct device *gateway, *clients[STAGE_CLIENTS_MAX];
	bool is_deaf; /* the resource does not answer */
	bool swallows; /* keep only counts of what arrives */
	unsigned at_resource; /* packets and super-packets */
	size_t resource_bytes;
	struct stage_packet last_at_resource;
	struct stage_packet got[STAGE_KEEP];
	unsigned n;
};

/* FZ_ERR_NOMEM with a failing environment. */
int stage_try(struct stage *s, const struct stage_opts *opts);
/* Signed in, relays allocated, resource 1 = 10.20.0.0/16, 2 = fd00:1::/64 with tcp 80 only, 3 = 10.30.0.0/16.
 */
void stage_begin(struct stage *s, const struct stage_opts *opts);
void stage_end(struct stage *s);
void stage_pass(struct stage *s, uint64_t us);

/* A ping, UDP or TCP packet of a client; returns its length. */
size_t stage_make(uint8_t *p, const char *from, const char *to, int proto, uint16_t port, uint16_t seq);
/* Client 1 pings from its address of that family; seq tells them apart. */
void stage_ping(struct stage *s, const char *to, uint16_t seq);
void stage_send(struct stage *s, struct device *d, const char *from, const char *to, int proto, uint16_t port,
		uint16_t seq);
/* Send a ping and wait for its answer at most so long. */
bool stage_reaches(struct stage *s, const char *to, uint64_t us);
/* Wait until n packets came out of clients; false: not within the time. */
bool stage_wait(struct stage *s, unsigned n, uint64_t us);
/* ICMP type and code of a packet that came out; 0 for others. */
unsigned stage_icmp(const struct stage_packet *p);
uint16_t stage_seq(const struct stage_packet *p);

#endif
