/* SPDX-License-Identifier: Apache-2.0 */
#include "change.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "authz.h"
#include "config.h"
#include "pool.h"
#include "settings.h"

/* ---- resources ---- */

static bool same_key(const struct resource *a, const struct resource *b, const char *key)
{
	const json_t *left = json_object_get(a->spec, key), *right = json_object_get(b->spec, key);
	return left == right || (left != NULL && right != NULL && json_equal(left, right));
}

static bool sees(const struct session *s, const struct resource *r)
{
	return r != NULL && resource_visible(r, s->device, &s->agent);
}

/* Deletions before additions; a moved site is both for clients that cannot move a resource. */
static void tell_client(struct session *s, const struct resource *before, const struct resource *after)
{
	const struct model *m = &s->portal->model;
	bool saw = sees(s, before), will = sees(s, after);
	json_t *old = saw ? resource_client_view(m, before, &s->agent) : NULL;
	json_t *now = will ? resource_client_view(m, after, &s->agent) : NULL;
	bool moved = saw && will && before->site != after->site && !agent_has(&s->agent, FEATURE_SITE_MOVE);
	if (saw && (!will || moved))
		session_push(s, "resource_deleted", json_string(before->id));
	if (will && (!saw || moved || !json_equal(old, now)))
		session_push(s, "resource_created_or_updated", json_incref(now));
	json_decref(old);
	json_decref(now);
}

static void tell_clients(struct portal *p, const struct resource *before, const struct resource *after)
{
	for (size_t i = 0; i < p->sessions.len; i++) {
		struct session *s = p->sessions.at[i];
		if (s->role == ROLE_CLIENT && s->joined)
			tell_client(s, before, after);
	}
}

/* Filters are renewed in place; any other change of what is reached ends the grants. */
static void tell_gateways(struct portal *p, const struct resource *before, const struct resource *after)
{
	bool other = after == NULL || before->type != after->type || before->site != after->site ||
		     !same_key(before, after, "address") || !same_key(before, after, "ip_stack");
	if (other) {
		grants_revoke(p, NULL, before->id);
		return;
	}
	if (same_key(before, after, "filters") && same_key(before, after, "gateway_view"))
		return;
	for (size_t i = 0; i < p->sessions.len; i++) {
		struct session *s = p->sessions.at[i];
		if (s->role == ROLE_GATEWAY && s->joined && s->device->site == after->site)
			session_push(s, "resource_updated", resource_gateway_view(after));
	}
}

const char *change_resource_add(struct portal *p, const json_t *spec, struct resource **ret)
{
	const char *fault;
	struct resource *r = resource_parse(&p->model, spec, &fault);
	if (r == NULL)
		return fault;
	if (resource_find(&p->model, r->id) != NULL) {
		resource_free(r);
		return "a resource of this id or name exists";
	}
	vec_push(&p->model.resources, r);
	tell_clients(p, NULL, r);
	state_changed(p);
	*ret = r;
	return NULL;
}

static json_t *patched(const json_t *spec, const json_t *patch)
{
	json_t *next = json_deep_copy(spec), *value;
	const char *key;
	json_object_foreach((json_t *)(uintptr_t)patch, key, value)
	{
		if (json_is_null(value))
			json_object_del(next, key);
		else
			json_object_set(next, key, value);
	}
	return next;
}

const char *change_resource_update(struct portal *p, struct resource *r, const json_t *patch)
{
	const char *fault;
	json_t *spec = patched(r->spec, patch);
	json_object_set_new(spec, "id", json_string(r->id));
	struct resource *next = resource_parse(&p->model, spec, &fault);
	json_decref(spec);
	if (next == NULL)
		return fault;
	/* The row keeps its address, others point to it; `next` leaves with the old content. */
	struct resource before = *r;
	*r = *next;
	tell_clients(p, &before, r);
	if (resource_is_pool(&before))
		pool_changed(p, &before, r);
	else
		tell_gateways(p, &before, r);
	*next = before;
	resource_free(next);
	state_changed(p);
	return NULL;
}

void change_resource_remove(struct portal *p, struct resource *r)
{
	vec_remove(&p->model.resources, r);
	tell_clients(p, r, NULL);
	if (resource_is_pool(r))
		pool_changed(p, r, NULL);
	else
		tell_gateways(p, r, NULL);
	resource_free(r);
	state_changed(p);
}

/* ---- settings ---- */

void change_settings_told(struct portal *p, int effect)
{
	for (size_t i = 0; i < p->sessions.len; i++) {
		struct session *s = p->sessions.at[i];
		if (!s->joined)
			continue;
		if (s->role == ROLE_CLIENT && (effect & EFFECT_INTERFACE))
			session_push(s, "config_changed",
				     json_pack("{s:o}", "interface", interface_of(p, s->device)));
		if (s->role == ROLE_GATEWAY && (effect & EFFECT_GATEWAYS))
			session_push_init(s);
	}
	state_changed(p);
}

/* ---- devices and tokens ---- */

static const char *set_address(struct portal *p, struct device *d, const char *text, int family, char *out,
			       size_t cap)
{
	uint8_t raw[16];
	struct device *other = text == NULL ? NULL : device_by_address(&p->model, text);
	if (text == NULL)
		return NULL;
	if (inet_pton(family, text, raw) != 1)
		return "ipv4 and ipv6 must be bare addresses";
	if (other != NULL && other != d)
		return "the address is another device's";
	snprintf(out, cap, "%s", text);
	return NULL;
}

const char *change_device_update(struct portal *p, struct device *d, const json_t *patch)
{
	const char *key, *fault, *ipv4 = json_text(patch, "ipv4"), *ipv6 = json_text(patch, "ipv6");
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)patch, key, value)
	{
		char word[64];
		snprintf(word, sizeof(word), " %s ", key);
		if (strstr(" ipv4 ipv6 hostname actor actor_email site ", word) == NULL)
			return "only ipv4, ipv6, hostname, actor, actor_email and site can be changed";
	}
	if (json_object_get(patch, "site") != NULL && site_find(&p->model, json_text(patch, "site")) == NULL)
		return "no such site";
	if ((fault = set_address(p, d, ipv4, AF_INET, d->ipv4, sizeof(d->ipv4))) != NULL ||
	    (fault = set_address(p, d, ipv6, AF_INET6, d->ipv6, sizeof(d->ipv6))) != NULL)
		return fault;
	if (json_object_get(patch, "hostname") != NULL)
		set_text(&d->hostname, json_text(patch, "hostname"));
	if (json_text(patch, "actor") != NULL)
		set_text(&d->actor, json_text(patch, "actor"));
	if (json_object_get(patch, "actor_email") != NULL)
		set_text(&d->actor_email, json_text(patch, "actor_email"));
	if (json_object_get(patch, "site") != NULL)
		d->site = site_find(&p->model, json_text(patch, "site"));
	/* New tunnel addresses come as another init on the same channel. */
	struct session *s = device_session(d);
	if (s != NULL && (ipv4 != NULL || ipv6 != NULL))
		session_push_init(s);
	state_changed(p);
	return NULL;
}

static void forget_grants(struct portal *p, const struct device *d)
{
	for (size_t i = 0; i < p->model.grants.len;) {
		struct grant *g = p->model.grants.at[i];
		if (g->initiator == d || g->responder == d)
			grant_revoke(p, g);
		else
			i++;
	}
}

void change_device_remove(struct portal *p, struct device *d)
{
	forget_grants(p, d);
	for (size_t i = 0; i < p->sessions.len; i++) {
		struct session *s = p->sessions.at[i];
		if (s->device == d && s->joined)
			session_close_channel(s);
	}
	for (size_t i = 0; i < p->model.tokens.len; i++) {
		struct token *t = p->model.tokens.at[i];
		if (t->device == d)
			t->device = NULL;
	}
	/* Sessions and requests still point to the row: it leaves the list and stays in memory until the end.
	 */
	vec_remove(&p->model.devices, d);
	vec_push(&p->model.removed, d);
	state_changed(p);
}

/* The n-th token that is meant, or NULL when there are no more. */
static struct token *token_meant(const struct portal *p, const char *device_or_token, size_t *n)
{
	const struct device *d = device_find(&p->model, device_or_token);
	while (*n < p->model.tokens.len) {
		struct token *t = p->model.tokens.at[(*n)++];
		if (strcmp(t->text, device_or_token) == 0 || (d != NULL && t->device == d))
			return t;
	}
	return NULL;
}

size_t change_token_expiry(struct portal *p, const char *device_or_token, int64_t expires_at)
{
	struct token *t;
	size_t n = 0, count = 0;
	while ((t = token_meant(p, device_or_token, &n)) != NULL) {
		t->expires_at = expires_at;
		count++;
		for (size_t i = 0; i < p->sessions.len; i++) {
			struct session *s = p->sessions.at[i];
			if (s->token == t && s->established)
				session_watch_expiry(s);
		}
	}
	state_changed(p);
	return count;
}

size_t change_token_revoke(struct portal *p, const char *device_or_token)
{
	struct token *t;
	size_t n = 0, count = 0;
	while ((t = token_meant(p, device_or_token, &n)) != NULL) {
		t->revoked = true;
		count++;
		for (size_t i = 0; i < p->sessions.len; i++) {
			struct session *s = p->sessions.at[i];
			if (s->token == t && s->joined)
				session_disconnect(s, "token_expired");
		}
	}
	state_changed(p);
	return count;
}
