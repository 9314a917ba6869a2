/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include <stdlib.h>
#include <string.h>

#include "authz.h"
#include "pool.h"
#include "relays.h"

void forward_candidates(struct session *from, struct device *to, const char *event, const json_t *candidates)
{
	struct session *s = device_session(to);
	if (s == NULL || (from->portal->paused & PAUSE_CANDIDATES))
		return;
	const char *key = from->role == ROLE_GATEWAY ? "gateway_id" : "client_id";
	session_push(s, event, json_pack("{s:s, s:O}", key, from->device->id, "candidates", candidates));
}

static void set_capabilities(struct session *s, const json_t *payload)
{
	s->iceless = json_flag(payload, "iceless", false);
}

/* ---- clients ---- */

static enum verdict request(struct session *s, const json_t *payload)
{
	const char *id = json_text(payload, "resource_id");
	if (id == NULL)
		return NOT_KNOWN;
	if (!is_uuid(id))
		return CRASHED;
	if (s->portal->paused & PAUSE_AUTHORIZATIONS)
		return HANDLED;
	struct resource *r = resource_find(&s->portal->model, id);
	if (r != NULL && !resource_visible(r, s->device, &s->agent))
		r = NULL;
	if ((r != NULL && resource_is_pool(r)) || json_text(payload, "ipv4") != NULL ||
	    json_text(payload, "ipv6") != NULL)
		pool_request(s, r, payload);
	else
		authz_request(s, r, id, payload);
	return HANDLED;
}

/* To one gateway; `rename` is the event as the gateway knows it. */
static enum verdict to_gateway(struct session *s, const json_t *payload, const char *rename)
{
	const char *id = json_text(payload, "gateway_id");
	const json_t *candidates = json_object_get(payload, "candidates");
	if (id == NULL || !json_is_array(candidates))
		return NOT_KNOWN;
	struct device *d = device_find(&s->portal->model, id);
	if (d != NULL && d->role == ROLE_GATEWAY)
		forward_candidates(s, d, rename, candidates);
	return HANDLED;
}

static enum verdict to_client(struct session *s, const json_t *payload, const char *rename,
			      bool answer_offline)
{
	const char *id = json_text(payload, "client_id");
	const json_t *candidates = json_object_get(payload, "candidates");
	if (id == NULL || !json_is_array(candidates))
		return NOT_KNOWN;
	struct device *d = device_find(&s->portal->model, id);
	if (device_session(d) != NULL && d->role == ROLE_CLIENT)
		forward_candidates(s, d, rename, candidates);
	else if (answer_offline)
		session_push(s, "client_ice_candidate_error",
			     json_pack("{s:s, s:s}", "client_id", id, "reason", "offline"));
	return HANDLED;
}

static enum verdict broadcast(struct session *s, const json_t *payload, const char *list, enum role to,
			      const char *rename)
{
	const json_t *ids = json_object_get(payload, list),
		     *candidates = json_object_get(payload, "candidates");
	size_t i;
	json_t *id;
	if (!json_is_array(ids) || !json_is_array(candidates))
		return NOT_KNOWN;
	json_array_foreach(ids, i, id)
	{
		struct device *d = device_find(&s->portal->model, json_string_value(id));
		if (d != NULL && d->role == to)
			forward_candidates(s, d, rename, candidates);
	}
	return HANDLED;
}

enum verdict client_handle(struct session *s, const char *event, const json_t *payload)
{
	if (strcmp(event, s->v1 ? "create_flow" : "request_authorization") == 0)
		return request(s, payload);
	if (strcmp(event, "new_gateway_ice_candidates") == 0)
		return to_gateway(s, payload, "ice_candidates");
	if (strcmp(event, "invalidate_gateway_ice_candidates") == 0)
		return to_gateway(s, payload, "invalidate_ice_candidates");
	if (strcmp(event, "new_client_ice_candidates") == 0)
		return to_client(s, payload, "client_ice_candidates", false);
	if (strcmp(event, "invalidate_client_ice_candidates") == 0)
		return to_client(s, payload, "invalidate_client_ice_candidates", true);
	if (strcmp(event, "broadcast_ice_candidates") == 0)
		return broadcast(s, payload, "gateway_ids", ROLE_GATEWAY, "ice_candidates");
	if (strcmp(event, "broadcast_invalidated_ice_candidates") == 0)
		return broadcast(s, payload, "gateway_ids", ROLE_GATEWAY, "invalidate_ice_candidates");
	if (strcmp(event, "resolve_device_pool_domain") == 0) {
		if (json_text(payload, "resource_id") == NULL || json_text(payload, "domain") == NULL)
			return NOT_KNOWN;
		pool_resolve(s, payload);
		return HANDLED;
	}
	if (strcmp(event, "set_snownet_capabilities") == 0) {
		set_capabilities(s, payload);
		return HANDLED;
	}
	if (strcmp(event, "no_relays") == 0) {
		relays_repeat(s);
		return HANDLED;
	}
	return strcmp(event, "request_device_access") == 0 ? HANDLED : NOT_KNOWN;
}

/* ---- gateways ---- */

enum verdict gateway_handle(struct session *s, const char *event, const json_t *payload, json_t *ref)
{
	if (strcmp(event, s->v1 ? "flow_authorized" : "authorization_created") == 0) {
		const char *handle = json_text(payload, "ref");
		if (handle == NULL)
			return NOT_KNOWN;
		bool known = authz_acknowledge(s, handle);
		session_reply(s, "gateway", ref, known,
			      known ? json_object() : json_pack("{s:s}", "reason", "invalid_ref"));
		return HANDLED;
	}
	if (strcmp(event, "broadcast_ice_candidates") == 0)
		return broadcast(s, payload, "client_ids", ROLE_CLIENT, "ice_candidates");
	if (strcmp(event, "broadcast_invalidated_ice_candidates") == 0)
		return broadcast(s, payload, "client_ids", ROLE_CLIENT, "invalidate_ice_candidates");
	if (strcmp(event, "set_snownet_capabilities") == 0) {
		set_capabilities(s, payload);
		return HANDLED;
	}
	if (strcmp(event, "no_relays") == 0) {
		relays_repeat(s);
		return HANDLED;
	}
	return NOT_KNOWN;
}
