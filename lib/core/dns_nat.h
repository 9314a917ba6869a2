/* SPDX-License-Identifier: Apache-2.0 */
/* What gateways know of the addresses that stand for names. Before a gateway can translate a proxy address it
 * must be told for which name it stands (AssignedIps) and answer that it serves it (DomainStatus). One entry
 * for each gateway, name and resource:
 *
 *   pending    announced, not answered. The first time, and after a refusal, packets are held; while a known
 *              name is announced again they pass.
 *   confirmed  the gateway translates.
 *   failed     it does not; packets pass, for it answers them with an error.
 *
 * An announcement is repeated after 2 s when there is traffic, another query for the name, or a held packet.
 * Held packets wait for 30 s at most. Sans-IO; owned by the client. */
#ifndef CORE_DNS_NAT_H
#define CORE_DNS_NAT_H

#include "base/text.h"
#include "core/pending.h"

/* Announcements of one name are at least this far apart. */
#define DNS_NAT_GAP_US 2000000u
/* Held packets are given up after this time. */
#define DNS_NAT_HOLD_US 30000000u
/* Entries. When full, the one that was announced longest ago is forgotten: its next packet announces it. */
#define DNS_NAT_MAX 16384
/* Entries that hold packets, 32 each. When full, the one that has held longest gives its packets up. */
#define DNS_NAT_HOLDERS_MAX 64

struct dns_nat;
struct proxy_domain;

struct dns_nat_key {
	uint32_t gateway; /* handle of its connection */
	const struct proxy_domain *domain; /* compared, never looked into */
	struct fz_uuid resource;
};

int dns_nat_new(const struct fz_env *env, size_t max, struct dns_nat **ret); /* max 0 = DNS_NAT_MAX */
void dns_nat_free(struct dns_nat *n);
size_t dns_nat_count(const struct dns_nat *n);

/* The gateway serves this resource now, or (asked_again) the name was looked up again: announce what has to
 * be. FZ_ERR_NOMEM: not known, the next packet tries again. */
int dns_nat_announce(struct dns_nat *n, const struct dns_nat_key *key, bool asked_again, uint64_t now_us);
/* A packet for the name. True: it was kept (or lost: counted); false: send it. */
bool dns_nat_hold(struct dns_nat *n, const struct dns_nat_key *key, struct fz_pkt *pkt,
		  const struct ip_view *view, uint64_t now_us);
/* The gateway answered. *ret: packets held for it, to be sent now in either case, since the gateway answers
 * those that it refuses; the caller clears it. */
void dns_nat_answered(struct dns_nat *n, const struct dns_nat_key *key, bool active, struct pending *ret);
/* The next announcement for this gateway, which counts as sent; valid until the next call. NULL = none. */
const struct dns_nat_key *dns_nat_take_due(struct dns_nat *n, uint32_t gateway, uint64_t now_us);

/* Packets held for them are lost and counted. */
void dns_nat_forget_gateway(struct dns_nat *n, uint32_t gateway);
void dns_nat_forget_resource(struct dns_nat *n, const struct fz_uuid *resource);

uint64_t dns_nat_next_timeout(const struct dns_nat *n);
/* Call until false: packets that were held for too long are moved to *ret, which the caller clears. */
bool dns_nat_handle_timeout(struct dns_nat *n, uint64_t now_us, struct pending *ret);
/* Packets lost since the last call. */
uint64_t dns_nat_take_lost(struct dns_nat *n);

#endif
