/* SPDX-License-Identifier: Apache-2.0 */
/* The set of relays of a node: one TURN allocation each, the candidate facts learnt from it, and the choice
 * of one for a connection. Owned by the node; the portal decides which relays are in it. */
#ifndef CORE_RELAYS_H
#define CORE_RELAYS_H

#include "base/text.h"
#include "fzconn/addr.h"
#include "fzconn/env.h"
#include "proto/turn_alloc.h"
#include "wire/cand.h"
#include "wire/portal_events.h"

/* The portal sends two relays; a set that grows past this is cut. */
#define RELAYS_MAX 16
/* Addresses of removed relays whose late datagrams are swallowed. */
#define RELAYS_GONE_MAX 64

/* One slot per kind and family: 0 = IPv4, 1 = IPv6. Family none = unknown. */
struct relay {
	struct fz_uuid id;
	struct fz_addr server4, server6;
	char *username, *password;
	struct turn_alloc *alloc;
	struct cand host[2], mapped[2], relayed[2];
	struct cand fresh[2]; /* facts of the last event that are still to be told */
	size_t fresh_len;
	bool failed; /* the allocation gave up; to be removed */
};

struct relays {
	const struct fz_env *env;
	struct relay *v[RELAYS_MAX];
	size_t len;
	struct fz_ip gone[RELAYS_GONE_MAX];
	size_t gone_next;
};

/* What changed in a relay_poll_change(). */
enum relay_change {
	RELAY_CAND_NEW, /* a candidate to offer to connections */
	RELAY_CAND_GONE, /* a candidate that is not valid any more */
	RELAY_FAILED /* the relay does not work: relays_remove() it */
};

void relays_init(struct relays *r, const struct fz_env *env);
void relays_clear(struct relays *r);
struct relay *relays_find(const struct relays *r, const struct fz_uuid *id);
/* The relay that listens on this address, NULL. */
struct relay *relays_by_server(const struct relays *r, const struct fz_addr *server);
/* The relay that gave us this relayed address, NULL. */
struct relay *relays_by_relayed(const struct relays *r, const struct fz_addr *relayed);
/* Did the address belong to a relay that was removed lately? */
bool relays_was_server(const struct relays *r, const struct fz_ip *ip);
/* Same addresses and credentials: nothing to do. */
bool relay_matches(const struct relay *r, const struct portal_relay *info);
/* FZ_ERR_FULL, FZ_ERR_NOMEM, or the allocation's error. */
int relays_add(struct relays *r, const struct portal_relay *info, uint64_t now_us, struct relay **ret);
void relays_remove(struct relays *r, struct relay *relay);
/* Our addresses changed: all is to be learnt anew from the same servers. */
void relays_restart(struct relays *r, uint64_t now_us);
/* A relay for a new connection among those that answered: uniformly among the near ones. NULL when none did.
 */
struct relay *relays_select(const struct relays *r);
/* Round trips above this are too far: 1.5 times the least of one or two, else the median plus three
 * deviations. */
uint64_t relays_rtt_limit(const uint64_t *rtt_us, size_t n);
/* Turn events of the allocation into changes of candidate facts. False = nothing left. */
bool relay_poll_change(struct relay *r, const struct fz_env *env, enum relay_change *ret,
		       struct cand *ret_cand);
uint64_t relays_next_timeout(const struct relays *r);

#endif
