/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/portal_messages.h"

static bool set_uuid(struct jv *object, const char *key, const struct fz_uuid *id)
{
	char buf[FZ_UUID_STRLEN];

	return jv_set_str(object, key, fz_uuid_format(id, buf));
}

static struct jv *uuid_list(const struct fz_uuid *ids, size_t n)
{
	struct jv *list = jv_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < n; i++) {
		char buf[FZ_UUID_STRLEN];
		ok = jv_push_str(list, fz_uuid_format(&ids[i], buf));
	}
	if (ok)
		return list;
	jv_free(list);
	return NULL;
}

static struct jv *text_list(const char *const *texts, size_t n)
{
	struct jv *list = jv_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < n; i++)
		ok = jv_push_str(list, texts[i]);
	if (ok)
		return list;
	jv_free(list);
	return NULL;
}

static struct jv *done(struct jv *object, bool ok)
{
	if (ok)
		return object;
	jv_free(object);
	return NULL;
}

struct jv *portal_msg_capabilities(bool iceless)
{
	struct jv *o = jv_object();

	return done(o, jv_set_bool(o, "iceless", iceless));
}

struct jv *portal_msg_request_authorization(const struct fz_uuid *resource, const struct fz_uuid *gateways,
					    size_t n, const struct fz_ip *target)
{
	struct jv *o = jv_object();
	bool ok = set_uuid(o, "resource_id", resource) &&
		  jv_set(o, "connected_gateway_ids", uuid_list(gateways, n));

	if (ok && target) {
		char buf[FZ_IP_STRLEN];
		ok = jv_set_str(o, target->family == FZ_FAMILY_INET ? "ipv4" : "ipv6",
				fz_ip_format(target, buf));
	}
	return done(o, ok);
}

struct jv *portal_msg_resolve_pool_domain(const struct fz_uuid *resource, const char *domain)
{
	struct jv *o = jv_object();

	return done(o, set_uuid(o, "resource_id", resource) && jv_set_str(o, "domain", domain));
}

struct jv *portal_msg_authorization_created(const char *ref)
{
	struct jv *o = jv_object();

	return done(o, jv_set_str(o, "ref", ref));
}

struct jv *portal_msg_empty(void)
{
	return jv_object();
}

const char *portal_msg_candidates_event(enum portal_role role, enum portal_candidates_kind kind,
					enum portal_peer peer)
{
	bool add = kind == PORTAL_CANDIDATES_ADD;

	if (role == PORTAL_ROLE_GATEWAY)
		return add ? "broadcast_ice_candidates" : "broadcast_invalidated_ice_candidates";
	if (peer == PORTAL_PEER_GATEWAY)
		return add ? "new_gateway_ice_candidates" : "invalidate_gateway_ice_candidates";
	return add ? "new_client_ice_candidates" : "invalidate_client_ice_candidates";
}

struct jv *portal_msg_candidates(enum portal_role role, enum portal_peer peer, const struct fz_uuid *id,
				 const char *const *texts, size_t n)
{
	struct jv *o = jv_object();
	bool ok;

	if (role == PORTAL_ROLE_GATEWAY)
		ok = jv_set(o, "client_ids", uuid_list(id, 1));
	else
		ok = set_uuid(o, peer == PORTAL_PEER_GATEWAY ? "gateway_id" : "client_id", id);
	return done(o, ok && jv_set(o, "candidates", text_list(texts, n)));
}
