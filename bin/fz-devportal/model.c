/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const role_names[] = { "client", "gateway", "relay" };

const char *role_name(enum role role)
{
	return role_names[role];
}

bool role_parse(const char *text, enum role *ret)
{
	for (int i = 0; text != NULL && i < 3; i++) {
		if (strcmp(text, role_names[i]) == 0) {
			*ret = (enum role)i;
			return true;
		}
	}
	return false;
}

void model_init(struct model *m)
{
	*m = (struct model){ 0 };
	struct settings *s = &m->settings;
	char id[UUID_LEN + 1];
	derive_uuid(id, "account", "acme");
	s->account_id = xstrdup(id);
	s->slug = xstrdup("acme");
	s->flow_api_url = xstrdup("http://127.0.0.1/");
	s->flow_key = xstrdup("dev");
	s->upstream_do53 = json_array();
	s->upstream_doh = json_array();
	s->auto_devices = true;
	s->prefixed_pool_answers = true;
	s->authorization_timeout_ms = 15000;
	s->grant_lifetime_s = 604800;
	s->relay_debounce_ms = 1000;
	s->idle_timeout_s = 37;
}

void site_free(void *site)
{
	struct site *s = site;
	free(s->name);
	free(s);
}

void device_free(void *device)
{
	struct device *d = device;
	if (d == NULL)
		return;
	free(d->name);
	free(d->external_id);
	free(d->hostname);
	free(d->actor);
	free(d->actor_email);
	free(d->actor_type);
	free(d);
}

void token_free(void *token)
{
	struct token *t = token;
	free(t->text);
	free(t->actor);
	free(t);
}

void resource_free(void *resource)
{
	struct resource *r = resource;
	if (r == NULL)
		return;
	json_decref(r->spec);
	free(r);
}

void relay_free(void *relay)
{
	struct relay *r = relay;
	if (r == NULL)
		return;
	free(r->name);
	free(r->addrs[0]);
	free(r->addrs[1]);
	free(r->username);
	free(r->password);
	free(r->secret);
	json_decref(r->devices);
	free(r);
}

void model_clear(struct model *m)
{
	struct settings *s = &m->settings;
	free(s->account_id);
	free(s->slug);
	free(s->search_domain);
	free(s->flow_api_url);
	free(s->flow_key);
	json_decref(s->upstream_do53);
	json_decref(s->upstream_doh);
	vec_clear(&m->grants, free);
	vec_clear(&m->relays, relay_free);
	vec_clear(&m->resources, resource_free);
	vec_clear(&m->tokens, token_free);
	vec_clear(&m->devices, device_free);
	vec_clear(&m->removed, device_free);
	vec_clear(&m->sites, site_free);
}

struct site *site_find(const struct model *m, const char *name_or_id)
{
	for (size_t i = 0; name_or_id != NULL && i < m->sites.len; i++) {
		struct site *s = m->sites.at[i];
		if (strcmp(s->name, name_or_id) == 0 || strcasecmp(s->id, name_or_id) == 0)
			return s;
	}
	return NULL;
}

struct device *device_find(const struct model *m, const char *name_or_id)
{
	for (size_t i = 0; name_or_id != NULL && i < m->devices.len; i++) {
		struct device *d = m->devices.at[i];
		if (strcmp(d->name, name_or_id) == 0 || strcasecmp(d->id, name_or_id) == 0)
			return d;
	}
	return NULL;
}

/* Compares addresses, not their spelling. */
static bool same_address(int family, const char *a, const char *b)
{
	uint8_t left[16], right[16];
	return inet_pton(family, a, left) == 1 && inet_pton(family, b, right) == 1 &&
	       memcmp(left, right, family == AF_INET ? 4 : 16) == 0;
}

struct device *device_by_address(const struct model *m, const char *ip)
{
	for (size_t i = 0; i < m->devices.len; i++) {
		struct device *d = m->devices.at[i];
		if (same_address(AF_INET, d->ipv4, ip) || same_address(AF_INET6, d->ipv6, ip))
			return d;
	}
	return NULL;
}

struct device *device_by_hostname(const struct model *m, const char *hostname)
{
	for (size_t i = 0; i < m->devices.len; i++) {
		struct device *d = m->devices.at[i];
		if (d->role == ROLE_CLIENT && d->hostname != NULL && strcasecmp(d->hostname, hostname) == 0)
			return d;
	}
	return NULL;
}

struct device *device_by_external_id(const struct model *m, enum role role, const char *external_id)
{
	char hashed[65];
	for (size_t i = 0; i < m->devices.len; i++) {
		struct device *d = m->devices.at[i];
		if (d->role != role || d->external_id == NULL)
			continue;
		derive_external_id(hashed, d->external_id);
		if (strcmp(d->external_id, external_id) == 0 ||
		    (is_uuid(d->external_id) && strcmp(hashed, external_id) == 0))
			return d;
	}
	return NULL;
}

struct token *token_find(const struct model *m, enum role role, const char *text)
{
	for (size_t i = 0; i < m->tokens.len; i++) {
		struct token *t = m->tokens.at[i];
		if (t->role == role && strcmp(t->text, text) == 0)
			return t;
	}
	return NULL;
}

struct resource *resource_find(const struct model *m, const char *name_or_id)
{
	for (size_t i = 0; name_or_id != NULL && i < m->resources.len; i++) {
		struct resource *r = m->resources.at[i];
		const char *name = json_text(r->spec, "name");
		if (strcasecmp(r->id, name_or_id) == 0 || (name != NULL && strcmp(name, name_or_id) == 0))
			return r;
	}
	return NULL;
}

struct relay *relay_find(const struct model *m, const char *name_or_id)
{
	for (size_t i = 0; name_or_id != NULL && i < m->relays.len; i++) {
		struct relay *r = m->relays.at[i];
		if (strcasecmp(r->id, name_or_id) == 0 || strcmp(r->name, name_or_id) == 0)
			return r;
	}
	return NULL;
}

struct grant *grant_find(const struct model *m, const struct device *initiator,
			 const struct device *responder, const char *resource_id)
{
	for (size_t i = 0; i < m->grants.len; i++) {
		struct grant *g = m->grants.at[i];
		if (g->initiator == initiator && g->responder == responder &&
		    strcasecmp(g->resource_id, resource_id) == 0)
			return g;
	}
	return NULL;
}

/* The first free pair; a gap in one family alone is not used for the other. */
static bool take_addresses(const struct model *m, struct device *d)
{
	for (uint32_t n = 1; n < 0x1ffffe; n++) {
		char v4[16], v6[46];
		snprintf(v4, sizeof(v4), "100.%u.%u.%u", 64 + (n >> 16), n >> 8 & 255, n & 255);
		if (n >> 16 != 0)
			snprintf(v6, sizeof(v6), "fd00:2021:1111::%x:%x", n >> 16, n & 0xffff);
		else
			snprintf(v6, sizeof(v6), "fd00:2021:1111::%x", n);
		if (device_by_address(m, v4) != NULL || device_by_address(m, v6) != NULL)
			continue;
		if (d->ipv4[0] == '\0')
			memcpy(d->ipv4, v4, sizeof(v4));
		if (d->ipv6[0] == '\0')
			memcpy(d->ipv6, v6, sizeof(v6));
		return true;
	}
	return false;
}

bool device_complete(struct model *m, struct device *d)
{
	if (d->id[0] == '\0')
		derive_uuid(d->id, role_name(d->role), d->name);
	if ((d->ipv4[0] == '\0' || d->ipv6[0] == '\0') && !take_addresses(m, d))
		return false;
	if (d->actor == NULL)
		d->actor = xstrdup("Ada");
	char *seed = xprintf("psk:%s", d->id);
	sha256(d->psk_base, seed);
	free(seed);
	return true;
}

struct device *device_make(struct model *m, const struct token *token, enum role role,
			   const char *external_id, const char *name)
{
	struct device *d = xcalloc(1, sizeof(*d));
	d->role = role;
	d->made_here = true;
	d->external_id = xstrdup(external_id);
	char *label = xprintf("%s:%s", role_name(role), external_id);
	derive_uuid(d->id, "device", label);
	free(label);
	/* Names are how `ctl` addresses devices, so they must differ. */
	d->name = device_find(m, name) == NULL ? xstrdup(name) : xprintf("%s-%.4s", name, d->id);
	d->actor = xstrdup(token != NULL ? token->actor : NULL);
	if (role == ROLE_GATEWAY)
		d->site = token != NULL && token->site != NULL ? token->site
			  : m->sites.len > 0                   ? m->sites.at[0]
							       : NULL;
	if (!device_complete(m, d)) {
		device_free(d);
		return NULL;
	}
	vec_push(&m->devices, d);
	return d;
}

json_t *grants_of(struct model *m, const struct device *responder)
{
	json_t *list = json_array();
	for (size_t i = 0; i < m->grants.len;) {
		struct grant *g = m->grants.at[i];
		if (g->expires_at <= unix_now()) {
			vec_remove(&m->grants, g);
			free(g);
			continue;
		}
		i++;
		if (g->responder == responder)
			json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "client_id",
							      g->initiator->id, "resource_id", g->resource_id,
							      "expires_at", (json_int_t)g->expires_at));
	}
	return list;
}
