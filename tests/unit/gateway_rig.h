/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway without network or portal: the test plays the host, grants by hand, and sees what would go to the
 * clients before it is encrypted. The linker puts our functions in place of the node's (meson.build). */
#ifndef GATEWAY_RIG_H
#define GATEWAY_RIG_H

#include "unit.h"

#include "core/gateway_impl.h"
#include "core/site_dns.h"
#include "wire/p2p_payload.h"

#define RIG_NOW 1000000000u

struct rig {
	struct unit_env env;
	struct gateway *g;
	uint64_t now_us;
	unsigned sent; /* packets to clients */
	uint32_t sent_ref;
	uint8_t packet[FZ_SUPER_MAX];
	size_t packet_len;
	unsigned controls; /* messages to clients */
	struct p2p_domain_status status; /* the last one */
};
extern struct rig rig;

/* With two clients: number 1 has 100.64.0.1 and fd00:2021:1111::1, and so on. False: no memory. */
bool rig_try(long fail_at);
void rig_begin(void);
void rig_end(void);
struct client_peer *rig_peer(unsigned n);
/* A resource for a client; address: pattern, network, or NULL for the Internet. filter NULL = none. */
int rig_grant(unsigned client, unsigned resource, const char *address, const struct portal_filter *filter);
void rig_revoke(unsigned client, unsigned resource);

/* AssignedIps; ips is a list of addresses separated by blanks. */
void rig_announce(unsigned client, unsigned resource, const char *domain, const char *ips);
/* The next name that the gateway wants resolved; NULL = none. */
const char *rig_next_name(uint64_t *ret_id);
void rig_resolve(uint64_t id, int err, const char *addrs);
/* Announce, resolve, be told that it is active. */
void rig_name(unsigned client, unsigned resource, const char *domain, const char *ips, const char *addrs);

/* A packet of a client, or from the TUN. True: it went on, rig.packet is what it is now. */
bool rig_from_client(unsigned client, const char *from, const char *to, int proto, uint16_t sport,
		     uint16_t dport);
bool rig_from_tun(const char *from, const char *to, int proto, uint16_t sport, uint16_t dport);
/* The same for bytes. */
bool rig_client_bytes(unsigned client, const uint8_t *p, size_t len);
bool rig_tun_bytes(const uint8_t *p, size_t len);
uint64_t rig_drops(enum endpoint_drop why);
/* ICMP type and code of the last packet to a client. */
unsigned rig_icmp(void);
/* Facts of rig.packet. */
struct ip_view rig_view(void);
struct fz_ip rig_ip(const char *text);

#endif
