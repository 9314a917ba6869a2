/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"

void config_clear(struct config *c)
{
	vec_clear(&c->listen, free);
	free(c->socket_path);
	free(c->state_path);
	free(c->tls_cert);
	free(c->tls_key);
}

/* The first key of the object that is not in the blank-separated list, or NULL. */
static const char *stray_key(const json_t *object, const char *known)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		char word[64];
		snprintf(word, sizeof(word), " %s ", key);
		if (strstr(known, word) == NULL)
			return key;
	}
	return NULL;
}

static const char *take_id(const json_t *spec, char out[UUID_LEN + 1])
{
	const char *id = json_text(spec, "id");
	if (id == NULL)
		return json_object_get(spec, "id") == NULL ? NULL : "id must be a UUID";
	if (!is_uuid(id))
		return "id must be a UUID";
	memcpy(out, id, UUID_LEN + 1);
	return NULL;
}

const char *site_parse(struct model *m, const json_t *spec)
{
	const char *name = json_is_string(spec) ? json_string_value(spec) : json_text(spec, "name");
	if (name == NULL)
		return "a site needs a name";
	if (json_is_object(spec) && stray_key(spec, " name id ") != NULL)
		return "unknown key";
	if (site_find(m, name) != NULL)
		return "a site of this name exists";
	struct site *s = xcalloc(1, sizeof(*s));
	s->name = xstrdup(name);
	derive_uuid(s->id, "site", name);
	const char *fault = json_is_object(spec) ? take_id(spec, s->id) : NULL;
	if (fault != NULL) {
		site_free(s);
		return fault;
	}
	vec_push(&m->sites, s);
	return NULL;
}

static const char *take_address(const struct model *m, const json_t *spec, const char *key, int family,
				char *out, size_t cap)
{
	const json_t *value = json_object_get(spec, key);
	const char *text = json_string_value(value);
	uint8_t raw[16];
	if (value == NULL)
		return NULL;
	if (text == NULL || inet_pton(family, text, raw) != 1)
		return "ipv4 and ipv6 must be bare addresses";
	if (family == AF_INET && (raw[0] != 100 || (raw[1] & 0xe0) != 64))
		return "ipv4 must be in 100.64.0.0/11";
	if (family == AF_INET6 && memcmp(raw, "\xfd\x00\x20\x21\x11\x11\0\0\0\0\0\0", 12) != 0)
		return "ipv6 must be in fd00:2021:1111::/107";
	if (device_by_address(m, text) != NULL)
		return "the address is another device's";
	snprintf(out, cap, "%s", text);
	return NULL;
}

static const char *device_fill(struct model *m, const json_t *spec, struct device *d)
{
	const char *fault, *site = json_text(spec, "site");
	if (!role_parse(json_text(spec, "role"), &d->role) || d->role == ROLE_RELAY)
		return "role must be client or gateway";
	d->name = xstrdup(json_text(spec, "name"));
	if (d->name == NULL)
		return "a device needs a name";
	if (device_find(m, d->name) != NULL)
		return "a device of this name exists";
	if ((fault = take_id(spec, d->id)) != NULL)
		return fault;
	d->external_id = xstrdup(json_text(spec, "external_id"));
	d->hostname = xstrdup(json_text(spec, "hostname"));
	d->actor = xstrdup(json_text(spec, "actor"));
	d->actor_email = xstrdup(json_text(spec, "actor_email"));
	d->actor_type = xstrdup(json_text(spec, "actor_type"));
	d->made_here = json_flag(spec, "made_here", false);
	d->site = site_find(m, site);
	if (d->role == ROLE_GATEWAY && d->site == NULL)
		return site == NULL ? "a gateway needs a site" : "no such site";
	if ((fault = take_address(m, spec, "ipv4", AF_INET, d->ipv4, sizeof(d->ipv4))) != NULL ||
	    (fault = take_address(m, spec, "ipv6", AF_INET6, d->ipv6, sizeof(d->ipv6))) != NULL)
		return fault;
	return device_complete(m, d) ? NULL : "no tunnel address left";
}

static void token_add(struct model *m, const char *text, enum role role, struct device *d, struct site *site,
		      const json_t *spec)
{
	struct token *t = xcalloc(1, sizeof(*t));
	t->text = xstrdup(text);
	t->role = role;
	t->device = d;
	t->site = site;
	t->actor = xstrdup(json_text(spec, "actor"));
	t->expires_at = json_int(spec, "expires_at", 0);
	t->revoked = json_flag(spec, "revoked", false);
	vec_push(&m->tokens, t);
}

struct device *device_parse(struct model *m, const json_t *spec, const char **ret_fault)
{
	struct device *d = xcalloc(1, sizeof(*d));
	const char *token = json_text(spec, "token");
	*ret_fault =
		stray_key(
			spec,
			" role name id external_id token site ipv4 ipv6 hostname actor actor_email actor_type"
			" expires_at revoked made_here ") != NULL
			? "unknown key"
			: device_fill(m, spec, d);
	if (*ret_fault != NULL) {
		device_free(d);
		return NULL;
	}
	vec_push(&m->devices, d);
	if (token != NULL)
		token_add(m, token, d->role, d, d->site, spec);
	return d;
}

const char *token_parse(struct model *m, const json_t *spec)
{
	enum role role;
	const char *text = json_text(spec, "token"), *site = json_text(spec, "site");
	if (text == NULL || !role_parse(json_text(spec, "role"), &role))
		return "a token needs `token` and `role` (client, gateway, relay)";
	if (stray_key(spec, " token role site actor expires_at revoked ") != NULL)
		return "unknown key";
	if (site != NULL && site_find(m, site) == NULL)
		return "no such site";
	token_add(m, text, role, NULL, site_find(m, site), spec);
	return NULL;
}

static const struct {
	const char *name;
	enum resource_type type;
	bool needs_address, needs_site;
} resource_types[] = {
	{ "cidr", RESOURCE_CIDR, true, true },
	{ "ip", RESOURCE_IP, true, true },
	{ "dns", RESOURCE_DNS, true, true },
	{ "internet", RESOURCE_INTERNET, false, true },
	{ "static_device_pool", RESOURCE_STATIC_POOL, false, false },
	{ "dynamic_device_pool", RESOURCE_DYNAMIC_POOL, true, false },
};

static const char *check_network(const char *text, bool with_prefix)
{
	char address[64];
	uint8_t raw[16];
	snprintf(address, sizeof(address), "%s", text);
	char *slash = strchr(address, '/');
	if ((slash != NULL) != with_prefix)
		return with_prefix ? "address must be like 10.0.0.0/8" : "address must be one IP address";
	if (slash != NULL)
		*slash = '\0';
	int bits = inet_pton(AF_INET, address, raw) == 1    ? 32
		   : inet_pton(AF_INET6, address, raw) == 1 ? 128
							    : -1;
	if (bits < 0)
		return "address is no IP address";
	if (slash == NULL)
		return NULL;
	char *end;
	long len = strtol(slash + 1, &end, 10);
	return end == slash + 1 || *end != '\0' || len < 0 || len > bits ? "bad prefix length" : NULL;
}

static const char *resource_fill(const struct model *m, const json_t *spec, struct resource *r)
{
	const char *type = json_text(spec, "type"), *address = json_text(spec, "address"), *fault;
	size_t i = 0, count = sizeof(resource_types) / sizeof(resource_types[0]);
	while (i < count && (type == NULL || strcmp(type, resource_types[i].name) != 0))
		i++;
	if (i == count)
		return "type must be cidr, ip, dns, internet, static_device_pool or dynamic_device_pool";
	r->type = resource_types[i].type;
	if (stray_key(
		    spec,
		    " id type name address address_description ip_stack filters site can_be_disabled devices"
		    " clients deny client_view gateway_view ") != NULL)
		return "unknown key";
	if (json_text(spec, "name") == NULL)
		return "a resource needs a name";
	if (resource_types[i].needs_address && address == NULL)
		return "address is missing";
	if (r->type == RESOURCE_CIDR || r->type == RESOURCE_IP) {
		if ((fault = check_network(address, r->type == RESOURCE_CIDR)) != NULL)
			return fault;
	}
	r->site = site_find(m, json_text(spec, "site"));
	if (resource_types[i].needs_site && r->site == NULL)
		return json_text(spec, "site") == NULL ? "site is missing" : "no such site";
	if (json_object_get(spec, "filters") != NULL && !json_is_array(json_object_get(spec, "filters")))
		return "filters must be an array";
	derive_uuid(r->id, "resource", json_text(spec, "name"));
	return take_id(spec, r->id);
}

struct resource *resource_parse(const struct model *m, const json_t *spec, const char **ret_fault)
{
	struct resource *r = xcalloc(1, sizeof(*r));
	*ret_fault = resource_fill(m, spec, r);
	if (*ret_fault != NULL) {
		resource_free(r);
		return NULL;
	}
	r->spec = json_deep_copy(spec);
	return r;
}

static bool is_socket_address(const char *text)
{
	char host[64];
	uint8_t raw[16];
	const char *colon = text == NULL ? NULL : strrchr(text, ':');
	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	size_t len = strlen(host);
	int port = atoi(colon + 1);
	if (port <= 0 || port > 65535)
		return false;
	if (host[0] != '[')
		return inet_pton(AF_INET, host, raw) == 1;
	if (host[len - 1] != ']')
		return false;
	host[len - 1] = '\0';
	return inet_pton(AF_INET6, host + 1, raw) == 1;
}

static const char *relay_fill(const json_t *spec, struct relay *r)
{
	static const char *const modes[] = { "static", "coturn", "firezone" };
	const char *mode = json_text(spec, "mode");
	const json_t *addrs = json_object_get(spec, "addrs");
	int i = 0;
	while (i < 3 && (mode == NULL || strcmp(mode, modes[i]) != 0))
		i++;
	if (i == 3)
		return "mode must be coturn, firezone or static";
	r->mode = (enum relay_mode)i;
	if (stray_key(spec, " id name mode addrs secret username password up devices ") != NULL)
		return "unknown key";
	if (json_array_size(addrs) < 1 || json_array_size(addrs) > 2)
		return "addrs must list one or two addresses";
	for (size_t n = 0; n < json_array_size(addrs); n++) {
		const char *addr = json_string_value(json_array_get(addrs, n));
		if (!is_socket_address(addr))
			return "addrs must be like 203.0.113.7:3478 or [2001:db8::7]:3478";
		r->addrs[n] = xstrdup(addr);
	}
	r->name = xstrdup(json_text(spec, "name"));
	r->secret = xstrdup(json_text(spec, "secret"));
	r->username = xstrdup(json_text(spec, "username"));
	r->password = xstrdup(json_text(spec, "password"));
	if (r->name == NULL)
		return "a relay needs a name";
	if (r->mode == RELAY_STATIC ? r->username == NULL || r->password == NULL : r->secret == NULL)
		return r->mode == RELAY_STATIC ? "username or password is missing" : "secret is missing";
	r->up = json_flag(spec, "up", true);
	r->devices = json_incref(json_object_get(spec, "devices"));
	if (r->mode == RELAY_FIREZONE)
		derive_relay_id(r->id, r->secret);
	else
		derive_uuid(r->id, "relay", r->name);
	return take_id(spec, r->id);
}

struct relay *relay_parse(const json_t *spec, const char **ret_fault)
{
	struct relay *r = xcalloc(1, sizeof(*r));
	*ret_fault = relay_fill(spec, r);
	if (*ret_fault == NULL)
		return r;
	relay_free(r);
	return NULL;
}
