/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gateways.h"
#include "core/status.h"

static struct jv *peer_table(const struct node *n, uint64_t now_us)
{
	struct jv *table = jv_array();
	uint32_t ref = NODE_NO_REF;
	const struct conn *c;

	while ((c = node_walk(n, &ref)) != NULL && jv_len(table) < STATUS_ROWS_MAX) {
		if (!jv_push(table, status_peer(c, now_us))) {
			jv_free(table);
			return NULL;
		}
	}
	return table;
}

static struct jv *resource_row(const struct client *c, const struct resource *r)
{
	static const char *const words[] = { [FZ_RESOURCE_UNKNOWN] = "unknown",
					     [FZ_RESOURCE_ONLINE] = "online",
					     [FZ_RESOURCE_OFFLINE] = "offline" };
	struct jv *row = jv_object();
	bool good = status_set_uuid(row, "id", &r->id) && jv_set_str(row, "name", r->name);
	struct fz_resource d;

	client_describe(c, r, &d);
	good &= jv_set_str(row, "type", status_resource_type(r->type));
	good &= jv_set_str(row, "address", r->address);
	good &= jv_set_str(row, "site", d.site_name);
	good &= jv_set_str(row, "status", words[d.status]);
	if (d.reason)
		good &= jv_set_str(row, "reason", d.reason);
	good &= jv_set_bool(row, "active", d.is_active);
	good &= jv_set_str(row, "access", r->gateway ? "granted" : r->asked ? "asked for" : "not asked for");
	if (r->gateway)
		good &= status_set_uuid(row, "peer", &r->gateway->id);
	if (good)
		return row;
	jv_free(row);
	return NULL;
}

static struct jv *resource_table(const struct client *c, const struct resources *resources)
{
	struct jv *table = jv_array();

	for (size_t i = 0; i < resources->len && i < STATUS_ROWS_MAX; i++) {
		if (!jv_push(table, resource_row(c, resources->v[i]))) {
			jv_free(table);
			return NULL;
		}
	}
	return table;
}

struct jv *client_status(const struct client *c, uint64_t now_us)
{
	struct endpoint *e = client_endpoint(c);
	const struct resources *resources = client_resources(c);
	struct jv *root = jv_object();
	bool good = jv_set_str(root, "role", "client") && status_put_endpoint(root, e, now_us);

	good &= jv_set_u64(root, "resources_total", resources->len);
	good &= jv_set(root, "resources", resource_table(c, resources));
	good &= jv_set(root, "peers", peer_table(endpoint_node(e), now_us));
	if (good)
		return root;
	jv_free(root);
	return NULL;
}
