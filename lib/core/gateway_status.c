/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gateway_impl.h"
#include "core/site_dns.h"
#include "core/status.h"

static struct jv *grant_row(const struct grant *g)
{
	char net[FZ_PREFIX_STRLEN];
	struct jv *row = jv_object();
	bool good = status_set_uuid(row, "resource", &g->resource);

	good &= jv_set_str(row, "type", status_resource_type(g->type));
	if (g->type == PORTAL_RESOURCE_CIDR)
		good &= jv_set_str(row, "address", fz_prefix_format(&g->net, net));
	if (g->type == PORTAL_RESOURCE_DNS)
		good &= jv_set_str(row, "address", g->pattern);
	if (g->expires_s != GRANT_FOREVER)
		good &= jv_set_u64(row, "expires", g->expires_s);
	if (good)
		return row;
	jv_free(row);
	return NULL;
}

/* `room`: rows that may still be shown over all peers. */
static struct jv *grant_table(const struct grants *grants, size_t *room)
{
	struct jv *table = jv_array();

	for (size_t i = 0; grants && i<grants->len && * room> 0; i++, --*room) {
		if (!jv_push(table, grant_row(grants->v[i]))) {
			jv_free(table);
			return NULL;
		}
	}
	return table;
}

static struct jv *peer_table(const struct gateway *g, uint64_t now_us, uint64_t *ret_grants)
{
	struct jv *table = jv_array();
	uint32_t ref = NODE_NO_REF;
	size_t room = STATUS_ROWS_MAX;
	const struct conn *c;

	*ret_grants = 0;
	while ((c = node_walk(endpoint_node(gateway_endpoint(g)), &ref)) != NULL) {
		const struct grants *grants = gateway_grants(g, ref);
		struct jv *row;
		bool good;
		*ret_grants += grants ? grants->len : 0;
		if (jv_len(table) == STATUS_ROWS_MAX)
			continue;
		row = status_peer(c, now_us);
		good = jv_set(row, "grants", grant_table(grants, &room));
		if (!jv_push(table, row) || !good) {
			jv_free(table);
			return NULL;
		}
	}
	return table;
}

/* Flows to names, and the DNS service. */
static bool put_services(struct jv *root, const struct gateway *g)
{
	const struct nat_stats *nat = nat_pool_stats(g->nat);
	const struct site_dns_stats *dns = site_dns_stats(g->dns);
	bool good = jv_set_u64(root, "sessions", nat->live);

	good &= jv_set_u64(root, "sessions_opened", nat->opened);
	good &= jv_set_u64(root, "sessions_refused", nat->no_session + nat->no_port);
	good &= jv_set_u64(root, "dns_queries", dns->queries);
	good &= jv_set_u64(root, "dns_failed", dns->failed + dns->full);
	return good;
}

struct jv *gateway_status(const struct gateway *g, uint64_t now_us)
{
	struct jv *root = jv_object();
	uint64_t grants = 0;
	bool good =
		jv_set_str(root, "role", "gateway") && status_put_endpoint(root, gateway_endpoint(g), now_us);

	good &= jv_set(root, "peers", peer_table(g, now_us, &grants));
	good &= jv_set_u64(root, "clients_total", gateway_clients(g));
	good &= jv_set_u64(root, "grants_total", grants);
	good &= put_services(root, g);
	if (good)
		return root;
	jv_free(root);
	return NULL;
}
