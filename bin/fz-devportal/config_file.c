/* SPDX-License-Identifier: Apache-2.0 */
/* The file as a whole: its parts in order, faults with their place, and the way back to JSON. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "settings.h"

static const char *add_site(struct model *m, const json_t *spec)
{
	return site_parse(m, spec);
}

static const char *add_device(struct model *m, const json_t *spec)
{
	const char *fault;
	device_parse(m, spec, &fault);
	return fault;
}

static const char *add_resource(struct model *m, const json_t *spec)
{
	const char *fault;
	struct resource *r = resource_parse(m, spec, &fault);
	if (r != NULL && resource_find(m, r->id) != NULL) {
		resource_free(r);
		return "a resource of this id or name exists";
	}
	if (r != NULL)
		vec_push(&m->resources, r);
	return fault;
}

static const char *add_relay(struct model *m, const json_t *spec)
{
	const char *fault;
	struct relay *r = relay_parse(spec, &fault);
	if (r != NULL && relay_find(m, r->id) != NULL) {
		relay_free(r);
		return "a relay of this id exists";
	}
	if (r != NULL)
		vec_push(&m->relays, r);
	return fault;
}

static const char *add_grant(struct model *m, const json_t *spec)
{
	struct device *initiator = device_find(m, json_text(spec, "client"));
	struct device *responder = device_find(m, json_text(spec, "gateway"));
	struct resource *r = resource_find(m, json_text(spec, "resource"));
	if (initiator == NULL || responder == NULL || r == NULL)
		return "needs client, gateway and resource that exist";
	struct grant *g = xcalloc(1, sizeof(*g));
	random_uuid(g->id);
	memcpy(g->resource_id, r->id, sizeof(g->resource_id));
	g->initiator = initiator;
	g->responder = responder;
	g->expires_at = json_int(spec, "expires_at", NEVER_EXPIRES);
	vec_push(&m->grants, g);
	return NULL;
}

static const struct part {
	const char *key;
	const char *(*add)(struct model *m, const json_t *spec);
} parts[] = {
	{ "sites", add_site },         { "devices", add_device }, { "tokens", token_parse },
	{ "resources", add_resource }, { "relays", add_relay },   { "authorizations", add_grant },
};

static char *load_parts(struct model *m, const json_t *root)
{
	for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++) {
		const json_t *list = json_object_get(root, parts[p].key);
		size_t i;
		json_t *item;
		if (list != NULL && !json_is_array(list))
			return xprintf("%s must be an array", parts[p].key);
		json_array_foreach(list, i, item)
		{
			const char *fault = parts[p].add(m, item), *name = json_text(item, "name");
			if (fault != NULL)
				return xprintf("%s[%zu]%s%s: %s", parts[p].key, i, name == NULL ? "" : " ",
					       name == NULL ? "" : name, fault);
		}
	}
	return NULL;
}

static char *load_settings(struct model *m, const json_t *object)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		const char *fault = setting_set(&m->settings, key, value, NULL);
		if (fault != NULL)
			return xprintf("settings.%s: %s", key, fault);
	}
	return NULL;
}

static char *load_root(struct config *c, struct model *m, const json_t *root)
{
	static const char *const known[] = { "listen", "socket", "state", "tls", "settings" };
	const char *key;
	json_t *value;
	size_t i;
	if (!json_is_object(root))
		return xprintf("the file must hold one object");
	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		bool found = false;
		for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			found |= strcmp(key, known[i]) == 0;
		for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
			found |= strcmp(key, parts[i].key) == 0;
		if (!found)
			return xprintf("unknown key \"%s\"", key);
	}
	json_array_foreach(json_object_get(root, "listen"), i, value)
	{
		if (!json_is_string(value))
			return xprintf("listen[%zu] must be text", i);
		vec_push(&c->listen, xstrdup(json_string_value(value)));
	}
	set_text(&c->socket_path, json_text(root, "socket"));
	set_text(&c->state_path, json_text(root, "state"));
	set_text(&c->tls_cert, json_text(json_object_get(root, "tls"), "cert"));
	set_text(&c->tls_key, json_text(json_object_get(root, "tls"), "key"));
	if ((c->tls_cert == NULL) != (c->tls_key == NULL))
		return xprintf("tls needs cert and key");
	char *fault = load_settings(m, json_object_get(root, "settings"));
	return fault != NULL ? fault : load_parts(m, root);
}

bool config_load(struct config *c, struct model *m, const char *path, char **ret_fault)
{
	json_error_t error;
	json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	char *fault;
	if (root == NULL)
		fault = error.line > 0 ? xprintf("%s:%d:%d: %s", path, error.line, error.column, error.text)
				       : xprintf("%s", error.text);
	else if ((fault = load_root(c, m, root)) != NULL) {
		char *whole = xprintf("%s: %s", path, fault);
		free(fault);
		fault = whole;
	}
	json_decref(root);
	*ret_fault = fault;
	return fault == NULL;
}

static json_t *dump_device(const struct model *m, const struct device *d)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*}", "role",
			      role_name(d->role), "name", d->name, "id", d->id, "ipv4", d->ipv4, "ipv6",
			      d->ipv6, "external_id", d->external_id, "hostname", d->hostname, "actor",
			      d->actor, "actor_email", d->actor_email, "actor_type", d->actor_type, "site",
			      d->site == NULL ? NULL : d->site->name);
	if (d->made_here)
		json_object_set_new(o, "made_here", json_true());
	for (size_t i = 0; i < m->tokens.len; i++) {
		const struct token *t = m->tokens.at[i];
		if (t->device != d)
			continue;
		json_object_set_new(o, "token", json_string(t->text));
		json_object_set_new(o, "expires_at", json_integer(t->expires_at));
		json_object_set_new(o, "revoked", json_boolean(t->revoked));
	}
	return o;
}

static json_t *dump_relay(const struct relay *r)
{
	static const char *const modes[] = { "static", "coturn", "firezone" };
	json_t *o = json_pack("{s:s, s:s, s:s, s:[s, s*], s:s*, s:s*, s:s*, s:b, s:O*}", "name", r->name,
			      "id", r->id, "mode", modes[r->mode], "addrs", r->addrs[0], r->addrs[1],
			      "secret", r->secret, "username", r->username, "password", r->password, "up",
			      r->up, "devices", r->devices);
	return o;
}

json_t *config_dump(const struct model *m)
{
	json_t *sites = json_array(), *devices = json_array(), *tokens = json_array(),
	       *resources = json_array(), *relays = json_array(), *grants = json_array();
	for (size_t i = 0; i < m->sites.len; i++) {
		const struct site *s = m->sites.at[i];
		json_array_append_new(sites, json_pack("{s:s, s:s}", "name", s->name, "id", s->id));
	}
	for (size_t i = 0; i < m->devices.len; i++)
		json_array_append_new(devices, dump_device(m, m->devices.at[i]));
	for (size_t i = 0; i < m->tokens.len; i++) {
		const struct token *t = m->tokens.at[i];
		if (t->device == NULL)
			json_array_append_new(tokens,
					      json_pack("{s:s, s:s, s:s*, s:s*, s:I, s:b}", "token", t->text,
							"role", role_name(t->role), "site",
							t->site == NULL ? NULL : t->site->name, "actor",
							t->actor, "expires_at", (json_int_t)t->expires_at,
							"revoked", t->revoked));
	}
	for (size_t i = 0; i < m->resources.len; i++) {
		const struct resource *r = m->resources.at[i];
		json_t *spec = json_deep_copy(r->spec);
		json_object_set_new(spec, "id", json_string(r->id));
		json_array_append_new(resources, spec);
	}
	for (size_t i = 0; i < m->relays.len; i++) {
		const struct relay *r = m->relays.at[i];
		if (r->session == NULL)
			json_array_append_new(relays, dump_relay(r));
	}
	for (size_t i = 0; i < m->grants.len; i++) {
		const struct grant *g = m->grants.at[i];
		json_array_append_new(grants,
				      json_pack("{s:s, s:s, s:s, s:I}", "client", g->initiator->id, "gateway",
						g->responder->id, "resource", g->resource_id, "expires_at",
						(json_int_t)g->expires_at));
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "settings", settings_dump(&m->settings),
			 "sites", sites, "devices", devices, "tokens", tokens, "resources", resources,
			 "relays", relays, "authorizations", grants);
}
