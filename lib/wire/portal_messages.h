/* SPDX-License-Identifier: Apache-2.0 */
/* What a device tells the portal: payloads, built with their keys in the order that Firezone's own programs
 * use. Each returns NULL without memory; the result is freed with jv_free(). */
#ifndef WIRE_PORTAL_MESSAGES_H
#define WIRE_PORTAL_MESSAGES_H

#include "ext/json.h"
#include "wire/portal_events.h"

struct jv *portal_msg_capabilities(bool iceless);
/* target NULL: for a gateway's resource; else the device of a pool. */
struct jv *portal_msg_request_authorization(const struct fz_uuid *resource, const struct fz_uuid *gateways,
					    size_t n, const struct fz_ip *target);
struct jv *portal_msg_resolve_pool_domain(const struct fz_uuid *resource, const char *domain);
struct jv *portal_msg_authorization_created(const char *ref);
struct jv *portal_msg_empty(void); /* no_relays, heartbeat */

enum portal_candidates_kind { PORTAL_CANDIDATES_ADD, PORTAL_CANDIDATES_INVALIDATE };
/* The event's name depends on who speaks to whom. */
const char *portal_msg_candidates_event(enum portal_role role, enum portal_candidates_kind kind,
					enum portal_peer peer);
struct jv *portal_msg_candidates(enum portal_role role, enum portal_peer peer, const struct fz_uuid *id,
				 const char *const *texts, size_t n);

#endif
