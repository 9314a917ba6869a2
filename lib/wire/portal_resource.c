/* SPDX-License-Identifier: Apache-2.0 */
/* Resources and filters, as a client and as a gateway sees them. */
#include "wire/portal_rd.h"

#include <string.h>

static const struct {
	const char *name;
	enum portal_resource_type type;
} types[] = {
	{ "dns", PORTAL_RESOURCE_DNS },
	{ "cidr", PORTAL_RESOURCE_CIDR },
	{ "internet", PORTAL_RESOURCE_INTERNET },
	{ "static_device_pool", PORTAL_RESOURCE_STATIC_POOL },
	{ "dynamic_device_pool", PORTAL_RESOURCE_DYNAMIC_POOL },
};

static bool find_type(const char *name, enum portal_resource_type *ret)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(name, types[i].name) == 0) {
			*ret = types[i].type;
			return true;
		}
	return false;
}

static uint16_t read_port(struct portal_rd *r, const struct jv *v, const char *key, uint16_t otherwise)
{
	uint64_t n = otherwise;

	if (jv_get(v, key) != NULL && (!jv_u64(jv_get(v, key), &n) || n > 65535))
		portal_rd_spoil(r, key);
	return (uint16_t)n;
}

static void read_filter(struct portal_rd *r, const struct jv *v, struct portal_filter *ret)
{
	const char *proto = jv_str(jv_get(v, "protocol"));

	*ret = (struct portal_filter){ PORTAL_PROTO_ICMP, 0, 65535 };
	if (proto && strcmp(proto, "icmp") == 0)
		return;
	if (proto && strcmp(proto, "tcp") == 0)
		ret->proto = PORTAL_PROTO_TCP;
	else if (proto && strcmp(proto, "udp") == 0)
		ret->proto = PORTAL_PROTO_UDP;
	else
		portal_rd_spoil(r, "protocol");
	ret->start = read_port(r, v, "port_range_start", 0);
	ret->end = read_port(r, v, "port_range_end", 65535);
	if (ret->start > ret->end) /* leaving it out could turn "nothing" into "everything" */
		portal_rd_spoil(r, "port_range_end");
}

void portal_read_filters(struct portal_rd *r, const struct jv *list, const struct portal_filter **ret,
			 size_t *ret_len)
{
	size_t n = jv_len(list);
	struct portal_filter *filters = portal_rd_array(r, n, sizeof(*filters));

	for (size_t i = 0; filters && i < n; i++)
		read_filter(r, jv_at(list, i), &filters[i]);
	*ret = filters;
	*ret_len = n;
}

/* Older portals say gateway_groups; both at once is no valid resource. */
static void read_sites(struct portal_rd *r, const struct jv *v, struct portal_resource *ret)
{
	bool old = jv_get(v, "gateway_groups") != NULL;
	const struct jv *list = portal_rd_need_list(r, v, old ? "gateway_groups" : "sites");
	size_t n = jv_len(list);
	struct portal_site *sites = portal_rd_array(r, n, sizeof(*sites));

	if (old && jv_get(v, "sites") != NULL)
		portal_rd_spoil(r, "sites");
	for (size_t i = 0; sites && i < n; i++) {
		portal_rd_uuid(r, jv_at(list, i), "id", &sites[i].id);
		sites[i].name = portal_rd_str(r, jv_at(list, i), "name");
	}
	ret->sites = sites;
	ret->sites_len = n;
}

static void read_prefix(struct portal_rd *r, const struct jv *v, const char *key, enum fz_family family,
			struct fz_prefix *ret)
{
	const char *s = jv_str(jv_get(v, key));

	if (s == NULL || fz_prefix_parse(s, ret) != 0 || (family && ret->ip.family != family))
		portal_rd_spoil(r, key);
}

static void read_devices(struct portal_rd *r, const struct jv *v, struct portal_resource *ret)
{
	const struct jv *list = portal_rd_list(r, v, "devices");
	size_t n = jv_len(list);
	struct portal_device *devices = portal_rd_array(r, n, sizeof(*devices));

	for (size_t i = 0; devices && i < n; i++) {
		const struct jv *d = jv_at(list, i);
		portal_rd_uuid(r, d, jv_get(d, "client_id") ? "client_id" : "id", &devices[i].client_id);
		read_prefix(r, d, "ipv4", FZ_FAMILY_INET, &devices[i].ipv4);
		read_prefix(r, d, "ipv6", FZ_FAMILY_INET6, &devices[i].ipv6);
	}
	ret->devices = devices;
	ret->devices_len = n;
}

static void read_ip_stack(struct portal_rd *r, const struct jv *v, struct portal_resource *ret)
{
	const struct jv *stack = jv_get(v, "ip_stack");
	const char *s = jv_str(stack);

	if (jv_is_null(stack))
		return;
	if (s && strcmp(s, "ipv4_only") == 0)
		ret->ip_stack = PORTAL_STACK_IPV4_ONLY;
	else if (s && strcmp(s, "ipv6_only") == 0)
		ret->ip_stack = PORTAL_STACK_IPV6_ONLY;
	else if (s == NULL || strcmp(s, "dual") != 0)
		portal_rd_spoil(r, "ip_stack");
}

static void read_address(struct portal_rd *r, const struct jv *v, struct portal_resource *ret)
{
	ret->address = portal_rd_str(r, v, "address");
	if (ret->type == PORTAL_RESOURCE_CIDR)
		read_prefix(r, v, "address", FZ_FAMILY_NONE, &ret->net);
}

static void read_client_fields(struct portal_rd *r, const struct jv *v, struct portal_resource *ret)
{
	bool pool = ret->type == PORTAL_RESOURCE_STATIC_POOL || ret->type == PORTAL_RESOURCE_DYNAMIC_POOL;
	bool internet = ret->type == PORTAL_RESOURCE_INTERNET;

	portal_rd_uuid(r, v, "id", &ret->id);
	ret->name = internet ? portal_rd_opt_str(r, v, "name") : portal_rd_str(r, v, "name");
	if (internet && ret->name == NULL)
		ret->name = "Internet Resource";
	if (!internet && ret->type != PORTAL_RESOURCE_STATIC_POOL)
		read_address(r, v, ret);
	if (!pool)
		read_sites(r, v, ret);
	if (!pool && !internet)
		ret->address_description = portal_rd_opt_str(r, v, "address_description");
	if (ret->type == PORTAL_RESOURCE_DNS)
		read_ip_stack(r, v, ret);
	if (!internet && ret->type != PORTAL_RESOURCE_DYNAMIC_POOL)
		portal_read_filters(r, portal_rd_list(r, v, "filters"), &ret->filters, &ret->filters_len);
	if (ret->type == PORTAL_RESOURCE_STATIC_POOL)
		read_devices(r, v, ret);
}

bool portal_read_client_resource(struct portal_rd *r, const struct jv *v, struct portal_resource *ret)
{
	struct portal_rd alone = { r->env, r->arena, NULL, false };
	const char *type = jv_str(jv_get(v, "type"));

	*ret = (struct portal_resource){ 0 };
	if (type == NULL) {
		portal_rd_spoil(r, "type");
		return false;
	}
	if (!find_type(type, &ret->type))
		return false;
	read_client_fields(&alone, v, ret);
	r->nomem |= alone.nomem;
	return portal_rd_ok(&alone);
}

void portal_read_gateway_resource(struct portal_rd *r, const struct jv *v, struct portal_resource *ret)
{
	const char *type = jv_str(jv_get(v, "type"));

	if (type == NULL || !find_type(type, &ret->type) || ret->type == PORTAL_RESOURCE_STATIC_POOL ||
	    ret->type == PORTAL_RESOURCE_DYNAMIC_POOL) {
		portal_rd_spoil(r, "type");
		return;
	}
	portal_rd_uuid(r, v, "id", &ret->id);
	if (ret->type == PORTAL_RESOURCE_INTERNET) {
		ret->name = "Internet Resource";
		return;
	}
	ret->name = portal_rd_str(r, v, "name");
	read_address(r, v, ret);
	portal_read_filters(r, portal_rd_need_list(r, v, "filters"), &ret->filters, &ret->filters_len);
}
