/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the fields of portal messages: one sticky error, texts copied into the arena of the event. Shared
 * by the decoders of wire/portal_*.c and by nobody else. */
#ifndef WIRE_PORTAL_RD_H
#define WIRE_PORTAL_RD_H

#include "ext/json.h"
#include "wire/portal_events.h"

struct portal_rd {
	const struct fz_env *env;
	struct fz_arena *arena;
	const char *bad; /* the key that is missing or malformed; NULL = all good so far */
	bool nomem;
};

static inline bool portal_rd_ok(const struct portal_rd *r)
{
	return r->bad == NULL && !r->nomem;
}
void portal_rd_spoil(struct portal_rd *r, const char *key);
/* Zeroed array; NULL (and nomem) without memory. */
void *portal_rd_array(struct portal_rd *r, size_t n, size_t each);

/* Each reads object[key]; the mandatory ones spoil when it is missing or of the wrong kind, and give zero or
 * NULL then. */
const struct jv *portal_rd_object(struct portal_rd *r, const struct jv *object, const char *key);
const char *portal_rd_str(struct portal_rd *r, const struct jv *object, const char *key);
void portal_rd_uuid(struct portal_rd *r, const struct jv *object, const char *key, struct fz_uuid *ret);
void portal_rd_key(struct portal_rd *r, const struct jv *object, const char *key, struct fz_key *ret);
void portal_rd_ip(struct portal_rd *r, const struct jv *object, const char *key, enum fz_family family,
		  struct fz_ip *ret);
uint64_t portal_rd_u64(struct portal_rd *r, const struct jv *object, const char *key);
bool portal_rd_bool(struct portal_rd *r, const struct jv *object, const char *key);

/* Optional: absent and null give the default, another kind spoils. */
const char *portal_rd_opt_str(struct portal_rd *r, const struct jv *object, const char *key);
bool portal_rd_opt_u64(struct portal_rd *r, const struct jv *object, const char *key, uint64_t *ret);
bool portal_rd_opt_uuid(struct portal_rd *r, const struct jv *object, const char *key, struct fz_uuid *ret);
/* Absent: empty; anything but an array (null included) spoils. */
const struct jv *portal_rd_list(struct portal_rd *r, const struct jv *object, const char *key);
/* The same, but absent spoils too. */
const struct jv *portal_rd_need_list(struct portal_rd *r, const struct jv *object, const char *key);

/* A copy in the arena. */
const char *portal_rd_copy(struct portal_rd *r, const char *text);

/* Types that several messages share (portal_types.c). */
void portal_read_interface(struct portal_rd *r, const struct jv *v, bool addresses_only,
			   struct portal_interface *ret);
void portal_read_relays(struct portal_rd *r, const struct jv *list, const struct portal_relay **ret,
			size_t *ret_len);
void portal_read_authorization(struct portal_rd *r, const struct jv *v, bool expiry,
			       struct portal_authorization *ret);
void portal_read_authorizations(struct portal_rd *r, const struct jv *list, struct portal_init *ret);
void portal_read_flow_logs(struct portal_rd *r, const struct jv *v, struct portal_flow_logs *ret);
void portal_read_ice_cred(struct portal_rd *r, const struct jv *object, const char *key,
			  struct portal_ice_cred *ret);
const char *portal_read_flow_token(struct portal_rd *r, const struct jv *object);
void portal_read_candidates(struct portal_rd *r, const struct jv *v, enum portal_peer peer,
			    struct portal_candidates *ret);
void portal_read_relays_presence(struct portal_rd *r, const struct jv *v, struct portal_relays_presence *ret);

/* Resources (portal_resource.c). */
void portal_read_filters(struct portal_rd *r, const struct jv *list, const struct portal_filter **ret,
			 size_t *ret_len);
/* False without r spoilt: malformed or of a type that nobody knows, to be left out alone. */
bool portal_read_client_resource(struct portal_rd *r, const struct jv *v, struct portal_resource *ret);
void portal_read_gateway_resource(struct portal_rd *r, const struct jv *v, struct portal_resource *ret);

/* Per role: table of events (portal_client.c, portal_gateway.c). */
struct portal_event_rule {
	const char *name;
	enum portal_event_type type;
	void (*read)(struct portal_rd *r, const struct jv *payload, struct portal_event *ev);
};
extern const struct portal_event_rule portal_client_rules[], portal_gateway_rules[]; /* end: name NULL */

#endif
