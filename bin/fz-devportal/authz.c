/* SPDX-License-Identifier: Apache-2.0 */
#include "authz.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ingest.h"

#define MAX_PENDING 4096

struct pending {
	struct portal *portal;
	char ref[80], resource_id[UUID_LEN + 1];
	struct session *client; /* NULL: gone, timed out, answered or replaced; the reference stays known */
	struct device *gateway;
	json_t *answer; /* what the client is told on consent */
	lws_sorted_usec_list_t timer;
};

void pending_free(void *pending)
{
	struct pending *w = pending;
	timer_stop(&w->timer);
	json_decref(w->answer);
	free(w);
}

json_t *pendings_dump(const struct portal *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->pendings.len; i++) {
		const struct pending *w = p->pendings.at[i];
		if (w->client != NULL)
			json_array_append_new(
				list, json_pack("{s:s, s:s, s:s}", "client", session_name(w->client),
						"gateway", w->gateway->name, "resource_id", w->resource_id));
	}
	return list;
}

struct end end_of(const struct session *s)
{
	return (struct end){ s->device->id, s->public_key, s->device->psk_base };
}

json_t *ice_json(const struct ice_credentials *c)
{
	return json_pack("{s:s, s:s}", "username", c->username, "password", c->password);
}

bool use_iceless(const struct session *a, const struct session *b)
{
	return a->portal->model.settings.iceless && a->iceless && b->iceless;
}

json_t *subject_of(const struct session *client)
{
	const struct device *d = client->device;
	char actor[UUID_LEN + 1];
	derive_uuid(actor, "actor", d->actor);
	return json_pack("{s:s, s:s, s:s?, s:s, s:n, s:s?, s:n, s:n, s:n, s:n, s:s?}", "actor_id", actor,
			 "actor_name", d->actor, "actor_email", d->actor_email, "actor_type",
			 d->actor_type != NULL ? d->actor_type : "account_user", "auth_provider_id", "ip",
			 client->peer_ip, "ip_region", "ip_city", "ip_lat", "ip_lon", "user_agent",
			 client->user_agent);
}

struct grant *grant_make(struct portal *p, struct session *initiator, struct session *responder,
			 const struct resource *r)
{
	struct grant *g = grant_find(&p->model, initiator->device, responder->device, r->id);
	if (g == NULL) {
		g = xcalloc(1, sizeof(*g));
		g->initiator = initiator->device;
		g->responder = responder->device;
		memcpy(g->resource_id, r->id, sizeof(g->resource_id));
		vec_push(&p->model.grants, g);
	}
	random_uuid(g->id);
	int64_t end = unix_now() + p->model.settings.grant_lifetime_s;
	g->expires_at = end < session_expiry(initiator) ? end : session_expiry(initiator);
	p->counters.authorizations++;
	state_changed(p);
	return g;
}

/* `deny`: an object whose other keys (violated_properties) go along, or NULL. */
static void fail_with(struct session *client, const char *resource_id, const char *reason, const json_t *deny)
{
	json_t *answer = json_deep_copy(deny);
	if (answer == NULL)
		answer = json_object();
	json_object_set_new(answer, "resource_id", json_string(resource_id));
	json_object_set_new(answer, "reason", json_string(reason != NULL ? reason : "forbidden"));
	session_push(client, client->v1 ? "flow_creation_failed" : "authorization_creation_failed", answer);
}

static void fail(struct session *client, const char *resource_id, const char *reason)
{
	fail_with(client, resource_id, reason, NULL);
}

static void timed_out(lws_sorted_usec_list_t *timer)
{
	struct pending *w = lws_container_of(timer, struct pending, timer);
	struct session *client = w->client;
	w->client = NULL;
	w->portal->counters.timeouts++;
	if (client != NULL)
		fail(client, w->resource_id, "offline");
}

/* Of the site, online; those that the client knows already come first. */
static struct session *choose_gateway(struct session *client, const struct resource *r,
				      const json_t *connected, const char **ret_reason)
{
	const struct vec *devices = &client->portal->model.devices;
	struct session *best = NULL;
	*ret_reason = "offline";
	for (size_t i = 0; i < devices->len; i++) {
		struct device *d = devices->at[i];
		struct session *s = device_session(d);
		if (d->role != ROLE_GATEWAY || d->site != r->site || s == NULL)
			continue;
		if (!agent_gateway_fits(&client->agent, &s->agent)) {
			*ret_reason = best == NULL ? "version_mismatch" : *ret_reason;
			continue;
		}
		if (json_list_has(connected, d->id))
			return s;
		if (best == NULL)
			best = s;
	}
	return best;
}

static json_t *client_of(const struct session *s, const char *psk)
{
	const struct device *d = s->device;
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:n, s:s, s:s, s:n, s:n, s:n}", "id", d->id,
			 "public_key", s->public_key, "preshared_key", psk, "ipv4", d->ipv4, "ipv6", d->ipv6,
			 "version", s->agent.version, "device_serial", "device_os_name", s->agent.os,
			 "device_os_version", s->agent.os_version, "device_uuid", "firebase_installation_id",
			 "identifier_for_vendor");
}

static void make_ref(char out[80])
{
	uint8_t bytes[32];
	char a[24], b[24];
	random_bytes(bytes, sizeof(bytes));
	encode_base64(a, bytes, 15, true, false);
	encode_base64(b, bytes + 16, 15, true, false);
	snprintf(out, 80, "SFMyNTY.%s.%s", a, b);
}

/* A newer request for the same resource takes the older one's place. */
static struct pending *pending_new(struct session *client, struct session *gateway, const struct resource *r)
{
	struct portal *p = client->portal;
	for (size_t i = 0; i < p->pendings.len; i++) {
		struct pending *old = p->pendings.at[i];
		if (old->client == client && strcasecmp(old->resource_id, r->id) == 0) {
			timer_stop(&old->timer);
			old->client = NULL;
		}
	}
	if (p->pendings.len >= MAX_PENDING) {
		struct pending *oldest = p->pendings.at[0];
		vec_remove(&p->pendings, oldest);
		pending_free(oldest);
	}
	struct pending *w = xcalloc(1, sizeof(*w));
	w->portal = p;
	w->client = client;
	w->gateway = gateway->device;
	memcpy(w->resource_id, r->id, sizeof(w->resource_id));
	make_ref(w->ref);
	vec_push(&p->pendings, w);
	after_ms(p, &w->timer, timed_out, p->model.settings.authorization_timeout_ms);
	return w;
}

static void dispatch(struct session *client, struct session *gateway, const struct resource *r)
{
	struct portal *p = client->portal;
	struct pending *w = pending_new(client, gateway, r);
	struct grant *g = grant_make(p, client, gateway, r);
	struct end from = end_of(client), to = end_of(gateway);
	struct ice_credentials ours, theirs;
	char psk[KEY_TEXT_LEN + 1];
	derive_psk_gateway(psk, &from, &to);
	derive_ice(&ours, &theirs, &from, &to);
	bool iceless = use_iceless(client, gateway);
	char *responder = ingest_token(p, g, r, client, false),
	     *initiator = ingest_token(p, g, r, client, true);
	w->answer = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:s}", "resource_id", r->id,
			      "gateway_id", to.id, "gateway_public_key", to.public_key, "gateway_ipv4",
			      gateway->device->ipv4, "gateway_ipv6", gateway->device->ipv6,
			      agent_has(&client->agent, FEATURE_SITES) ? "site_id" : "gateway_group_id",
			      r->site->id, "preshared_key", psk, "client_ice_credentials", ice_json(&ours),
			      "gateway_ice_credentials", ice_json(&theirs), "use_iceless", iceless,
			      "flow_logs_ingest_token", initiator);
	session_push(gateway, gateway->v1 ? "authorize_flow" : "create_authorization",
		     json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:b, s:s}", "ref", w->ref, "client",
			       client_of(client, psk), "subject", subject_of(client), "resource",
			       resource_gateway_view(r), "client_ice_credentials", ice_json(&ours),
			       "gateway_ice_credentials", ice_json(&theirs), "expires_at",
			       (json_int_t)g->expires_at, "use_iceless", iceless, "flow_logs_ingest_token",
			       responder));
	free(responder);
	free(initiator);
}

void authz_request(struct session *client, struct resource *r, const char *resource_id, const json_t *payload)
{
	const char *reason = "not_found";
	const json_t *deny = r == NULL ? NULL : json_object_get(r->spec, "deny");
	if (r == NULL || deny != NULL) {
		fail_with(client, resource_id, deny != NULL ? json_text(deny, "reason") : reason, deny);
		return;
	}
	struct session *gateway =
		choose_gateway(client, r, json_object_get(payload, "connected_gateway_ids"), &reason);
	if (gateway == NULL)
		fail(client, resource_id, reason);
	else
		dispatch(client, gateway, r);
}

bool authz_acknowledge(struct session *gateway, const char *ref)
{
	struct portal *p = gateway->portal;
	for (size_t i = 0; i < p->pendings.len; i++) {
		struct pending *w = p->pendings.at[i];
		if (strcmp(w->ref, ref) != 0 || w->gateway != gateway->device)
			continue;
		struct session *client = w->client;
		timer_stop(&w->timer);
		w->client = NULL;
		if (client != NULL)
			session_push(client, client->v1 ? "flow_created" : "authorization_created",
				     json_incref(w->answer));
		return true;
	}
	return false;
}

void authz_session_gone(struct session *s)
{
	struct portal *p = s->portal;
	for (size_t i = 0; i < p->pendings.len; i++) {
		struct pending *w = p->pendings.at[i];
		if (w->client != s)
			continue;
		timer_stop(&w->timer);
		w->client = NULL;
	}
}

void grant_revoke(struct portal *p, struct grant *g)
{
	struct session *s = device_session(g->responder);
	if (s != NULL)
		session_push(s, "reject_access",
			     json_pack("{s:s, s:s}", "client_id", g->initiator->id, "resource_id",
				       g->resource_id));
	vec_remove(&p->model.grants, g);
	free(g);
	state_changed(p);
}

size_t grants_revoke(struct portal *p, const struct device *initiator, const char *resource_id)
{
	size_t ended = 0;
	for (size_t i = 0; i < p->model.grants.len;) {
		struct grant *g = p->model.grants.at[i];
		if ((initiator != NULL && g->initiator != initiator) ||
		    (resource_id != NULL && strcasecmp(g->resource_id, resource_id) != 0)) {
			i++;
			continue;
		}
		grant_revoke(p, g);
		ended++;
	}
	return ended;
}
