/* SPDX-License-Identifier: Apache-2.0 */
#include "resource.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool resource_is_pool(const struct resource *r)
{
	return r->type == RESOURCE_STATIC_POOL || r->type == RESOURCE_DYNAMIC_POOL;
}

bool resource_visible(const struct resource *r, const struct device *client, const struct agent *agent)
{
	const json_t *only = json_object_get(r->spec, "clients");
	if (json_is_array(only) && !json_list_has(only, client->name) && !json_list_has(only, client->id))
		return false;
	return !resource_is_pool(r) || agent_has(agent, FEATURE_POOLS);
}

json_t *resource_filters(const struct resource *r)
{
	json_t *filters = json_object_get(r->spec, "filters");
	return json_is_array(filters) ? json_deep_copy(filters) : json_array();
}

static json_t *pool_members(const struct model *m, const struct resource *r)
{
	json_t *list = json_array();
	size_t i;
	json_t *name;
	json_array_foreach(json_object_get(r->spec, "devices"), i, name)
	{
		const struct device *d = device_find(m, json_string_value(name));
		if (d == NULL)
			continue;
		char *ipv4 = xprintf("%s/32", d->ipv4), *ipv6 = xprintf("%s/128", d->ipv6);
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s}", "client_id", d->id, "ipv4", ipv4, "ipv6", ipv6));
		free(ipv4);
		free(ipv6);
	}
	return list;
}

/* The portal has no type "ip" on the wire: one address is a network of one. */
static void set_network(json_t *view, const struct resource *r)
{
	const char *address = json_text(r->spec, "address");
	char *text = r->type != RESOURCE_IP
			     ? xstrdup(address)
			     : xprintf("%s/%d", address, strchr(address, ':') == NULL ? 32 : 128);
	json_object_set_new(view, "type", json_string(r->type == RESOURCE_DNS ? "dns" : "cidr"));
	json_object_set_new(view, "address", json_string(text));
	free(text);
}

static void merge_extra(json_t *view, const struct resource *r, const char *key)
{
	json_t *extra = json_object_get(r->spec, key);
	if (extra != NULL)
		json_object_update(view, extra);
}

json_t *resource_client_view(const struct model *m, const struct resource *r, const struct agent *agent)
{
	json_t *view = json_pack("{s:s, s:s}", "id", r->id, "name", json_text(r->spec, "name"));
	switch (r->type) {
	case RESOURCE_CIDR:
	case RESOURCE_IP:
	case RESOURCE_DNS:
		set_network(view, r);
		json_object_set_new(view, "address_description",
				    json_text(r->spec, "address_description") == NULL
					    ? json_null()
					    : json_string(json_text(r->spec, "address_description")));
		if (r->type == RESOURCE_DNS) {
			const char *stack = json_text(r->spec, "ip_stack");
			json_object_set_new(view, "ip_stack", json_string(stack == NULL ? "dual" : stack));
		}
		json_object_set_new(view, "filters", resource_filters(r));
		break;
	case RESOURCE_INTERNET:
		json_object_set_new(view, "type", json_string("internet"));
		json_object_set_new(view, "can_be_disabled",
				    json_boolean(json_flag(r->spec, "can_be_disabled", true)));
		break;
	case RESOURCE_STATIC_POOL:
		json_object_set_new(view, "type", json_string("static_device_pool"));
		json_object_set_new(view, "filters", resource_filters(r));
		json_object_set_new(view, "devices", pool_members(m, r));
		break;
	case RESOURCE_DYNAMIC_POOL:
		json_object_set_new(view, "type", json_string("dynamic_device_pool"));
		json_object_set(view, "address", json_object_get(r->spec, "address"));
		json_object_set_new(view, "filters", resource_filters(r));
		break;
	}
	if (r->site != NULL && !resource_is_pool(r))
		json_object_set_new(view, agent_has(agent, FEATURE_SITES) ? "sites" : "gateway_groups",
				    json_pack("[{s:s, s:s}]", "id", r->site->id, "name", r->site->name));
	merge_extra(view, r, "client_view");
	return view;
}

json_t *resource_gateway_view(const struct resource *r)
{
	json_t *view = json_pack("{s:s}", "id", r->id);
	if (r->type == RESOURCE_INTERNET) {
		json_object_set_new(view, "type", json_string("internet"));
	} else {
		set_network(view, r);
		json_object_set(view, "name", json_object_get(r->spec, "name"));
		json_object_set_new(view, "filters", resource_filters(r));
	}
	merge_extra(view, r, "gateway_view");
	return view;
}

bool resource_has_member(const struct model *m, const struct resource *r, const struct device *d)
{
	if (r->type == RESOURCE_DYNAMIC_POOL)
		return d->hostname != NULL && pattern_matches(json_text(r->spec, "address"), d->hostname);
	size_t i;
	json_t *name;
	json_array_foreach(json_object_get(r->spec, "devices"), i, name)
	{
		if (device_find(m, json_string_value(name)) == d)
			return true;
	}
	return false;
}

static bool match_here(const char *p, const char *n)
{
	if (*p == '\0')
		return *n == '\0';
	if (*p == '*') {
		bool across_labels = p[1] == '*';
		for (;; n++) {
			if (match_here(p + 1 + across_labels, n))
				return true;
			if (*n == '\0' || (*n == '.' && !across_labels))
				return false;
		}
	}
	if (*n == '\0' || (*p == '?' && *n == '.'))
		return false;
	if (*p != '?' && tolower((unsigned char)*p) != tolower((unsigned char)*n))
		return false;
	return match_here(p + 1, n + 1);
}

bool pattern_matches(const char *pattern, const char *name)
{
	return pattern != NULL && name != NULL && match_here(pattern, name);
}
