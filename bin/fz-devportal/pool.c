/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "authz.h"
#include "ingest.h"

static void deny(struct session *s, const struct device *target, const char *ipv4, const char *ipv6,
		 const char *reason)
{
	json_t *denial = json_pack("{s:s?, s:s?, s:s}", "ipv4", ipv4, "ipv6", ipv6, "reason", reason);
	if (target != NULL)
		json_object_set_new(denial, "client_id", json_string(target->id));
	session_push(s, "client_device_access_denied", denial);
}

/* The same message for both sides; the target learns more: resource, subject, end. */
static json_t *access_for(const struct session *peer, const char *psk, const struct ice_credentials *local,
			  const struct ice_credentials *remote, const char *role, bool iceless)
{
	const struct device *d = peer->device;
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:b}", "client_id", d->id,
			 "client_name", d->name, "client_public_key", peer->public_key, "client_ipv4",
			 d->ipv4, "client_ipv6", d->ipv6, "preshared_key", psk, "local_ice_credentials",
			 ice_json(local), "remote_ice_credentials", ice_json(remote), "ice_role", role,
			 "use_iceless", iceless);
}

static void set_token(json_t *message, struct session *initiator, const struct grant *g,
		      const struct resource *r, bool for_initiator)
{
	char *token = ingest_token(initiator->portal, g, r, initiator, for_initiator);
	json_object_set_new(message, "flow_logs_ingest_token", json_string(token));
	free(token);
}

static void join_clients(struct session *client, struct session *target, struct resource *r)
{
	struct end from = end_of(client), to = end_of(target);
	struct ice_credentials ours, theirs;
	char psk[KEY_TEXT_LEN + 1];
	bool iceless = use_iceless(client, target);
	struct grant *g = grant_make(client->portal, client, target, r);
	derive_psk_clients(psk, &from, &to);
	derive_ice(&ours, &theirs, &from, &to);

	json_t *told = access_for(client, psk, &theirs, &ours, "controlled", iceless);
	json_t *view = resource_client_view(&client->portal->model, r, &target->agent);
	json_object_set_new(view, "devices", json_array());
	json_object_set_new(told, "resource", view);
	json_object_set_new(told, "subject", subject_of(client));
	json_object_set_new(told, "expires_at", json_integer((json_int_t)g->expires_at));
	set_token(told, client, g, r, false);
	session_push(target, "client_device_access_authorized", told);

	told = access_for(target, psk, &ours, &theirs, "controlling", iceless);
	set_token(told, client, g, r, true);
	session_push(client, "client_device_access_authorized", told);
}

void pool_request(struct session *client, struct resource *r, const json_t *payload)
{
	const struct model *m = &client->portal->model;
	const char *ipv4 = json_text(payload, "ipv4"), *ipv6 = json_text(payload, "ipv6");
	const char *ip = ipv4 != NULL ? ipv4 : ipv6;
	uint8_t raw[16];
	if (ip == NULL) {
		session_push(client, "client_device_access_denied",
			     json_pack("{s:s, s:s}", "resource_id", json_text(payload, "resource_id"),
				       "reason", "missing_address"));
		return;
	}
	if (ipv4 != NULL && ipv6 != NULL) {
		deny(client, NULL, ipv4, ipv6, "ambiguous_address");
		return;
	}
	if (inet_pton(ipv4 != NULL ? AF_INET : AF_INET6, ip, raw) != 1) {
		deny(client, NULL, ipv4, ipv6, "invalid_address");
		return;
	}
	struct device *d = device_by_address(m, ip);
	if (r == NULL || !resource_is_pool(r) || d == NULL || d->role != ROLE_CLIENT ||
	    !resource_has_member(m, r, d)) {
		deny(client, NULL, ipv4, ipv6, "forbidden");
		return;
	}
	struct session *target = device_session(d);
	if (target == NULL)
		deny(client, d, ipv4, ipv6, "offline");
	else if (!agent_has(&target->agent, FEATURE_POOL_TARGET) ||
		 !agent_client_fits(&client->agent, &target->agent))
		deny(client, d, ipv4, ipv6, "version_mismatch");
	else
		join_clients(client, target, r);
}

void pool_resolve(struct session *client, const json_t *payload)
{
	const struct model *m = &client->portal->model;
	const char *id = json_text(payload, "resource_id"), *domain = json_text(payload, "domain");
	struct resource *r = is_uuid(id) ? resource_find(m, id) : NULL;
	struct device *d = device_by_hostname(m, domain);
	if (r == NULL || r->type != RESOURCE_DYNAMIC_POOL || d == NULL ||
	    !resource_visible(r, client->device, &client->agent) || !resource_has_member(m, r, d)) {
		session_push(client, "device_pool_domain_resolution_failed",
			     json_pack("{s:s, s:s, s:s}", "resource_id", id, "domain", domain, "reason",
				       "not_found"));
		return;
	}
	/* The portal adds prefix lengths, the shipped client wants none: a setting chooses. */
	bool prefixed = m->settings.prefixed_pool_answers;
	char *ipv4 = xprintf("%s%s", d->ipv4, prefixed ? "/32" : ""),
	     *ipv6 = xprintf("%s%s", d->ipv6, prefixed ? "/128" : "");
	session_push(client, "device_pool_domain_resolved",
		     json_pack("{s:s, s:s, s:s, s:s}", "resource_id", id, "domain", domain, "ipv4", ipv4,
			       "ipv6", ipv6));
	free(ipv4);
	free(ipv6);
}

static bool reached_otherwise(const struct portal *p, const struct resource *but, const struct device *d)
{
	for (size_t i = 0; i < p->model.resources.len; i++) {
		const struct resource *r = p->model.resources.at[i];
		if (r != but && strcasecmp(r->id, but->id) != 0 && resource_is_pool(r) &&
		    resource_has_member(&p->model, r, d))
			return true;
	}
	return false;
}

void pool_changed(struct portal *p, const struct resource *before, const struct resource *after)
{
	json_t *old = resource_filters(before), *now = after == NULL ? NULL : resource_filters(after);
	bool filters_differ = now != NULL && !json_equal(old, now);
	for (size_t i = 0; i < p->model.grants.len;) {
		struct grant *g = p->model.grants.at[i];
		if (strcasecmp(g->resource_id, before->id) != 0) {
			i++;
			continue;
		}
		struct session *initiator = device_session(g->initiator),
			       *target = device_session(g->responder);
		if (after != NULL && resource_is_pool(after) &&
		    resource_has_member(&p->model, after, g->responder)) {
			if (filters_differ && target != NULL)
				session_push(target, "resource_filters_updated",
					     json_pack("{s:s, s:O}", "id", before->id, "filters", now));
			i++;
			continue;
		}
		if (initiator != NULL && !reached_otherwise(p, before, g->responder))
			deny(initiator, g->responder, g->responder->ipv4, g->responder->ipv6, "forbidden");
		grant_revoke(p, g);
	}
	json_decref(old);
	json_decref(now);
}
