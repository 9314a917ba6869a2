/* SPDX-License-Identifier: Apache-2.0 */
/* What the portal says to the client. */
#include <string.h>

#include "base/log.h"
#include "core/client_impl.h"
#include "wire/dns.h"

static void on_init(struct client *c, const struct portal_init *init, uint64_t now_us)
{
	client_set_interface(c, &init->interface, now_us);
	client_remove_unlisted(c, init, now_us);
	for (size_t i = 0; i < init->resources_len; i++)
		client_resource_upsert(c, &init->resources[i], now_us);
	node_update_relays(endpoint_node(c->endpoint), NULL, 0, init->relays, init->relays_len, now_us);
	fz_info(c->env, "client",
		"the portal lists %zu resources (%u more are of no use here) and %zu relays",
		init->resources_len, init->resources_skipped, init->relays_len);
	client_ask_again(c, now_us);
}

static void on_candidates(struct client *c, const struct portal_candidates *v, bool gone, uint64_t now_us)
{
	struct node *n = endpoint_node(c->endpoint);

	for (size_t i = 0; i < v->texts_len; i++) {
		int err = gone ? node_remove_candidate(n, &v->id, v->texts[i], now_us)
			       : node_add_candidate(n, &v->id, v->texts[i], now_us);
		if (err != 0)
			fz_debug(c->env, "client", "candidate ignored (%s): %s", fz_strerror(err),
				 v->texts[i]);
	}
}

static void on_pool_name(struct client *c, const struct portal_pool_domain *d, bool found, uint64_t now_us)
{
	int rcode = DNS_NOERROR;

	if (!found)
		rcode = strcmp(d->reason_text, "not_found") == 0 ? DNS_NXDOMAIN : DNS_SERVFAIL;
	dns_stub_handle_pool(c->stub, &d->resource_id, d->domain, rcode, &d->ipv4, &d->ipv6, now_us);
	client_dns_drain(c, now_us);
}

void client_message(void *role, const struct portal_event *ev, uint64_t now_us)
{
	struct client *c = role;
	struct resource *res;

	switch (ev->type) {
	case PORTAL_EVENT_INIT:
		on_init(c, &ev->u.init, now_us);
		break;
	case PORTAL_EVENT_CONFIG_CHANGED:
		client_set_interface(c, &ev->u.config, now_us);
		break;
	case PORTAL_EVENT_RESOURCE_UPSERTED:
		client_resource_upsert(c, &ev->u.resource, now_us);
		break;
	case PORTAL_EVENT_RESOURCE_DELETED:
		res = resources_find(&c->resources, &ev->u.id);
		if (res)
			client_resource_gone(c, res, now_us);
		break;
	case PORTAL_EVENT_RELAYS_PRESENCE:
		node_update_relays(endpoint_node(c->endpoint), ev->u.relays.disconnected,
				   ev->u.relays.disconnected_len, ev->u.relays.connected,
				   ev->u.relays.connected_len, now_us);
		break;
	case PORTAL_EVENT_AUTHZ_CREATED:
		client_granted(c, &ev->u.authz_created, now_us);
		break;
	case PORTAL_EVENT_AUTHZ_FAILED:
		client_refused(c, &ev->u.authz_failed, now_us);
		break;
	case PORTAL_EVENT_CANDIDATES_ADDED:
		on_candidates(c, &ev->u.candidates, false, now_us);
		break;
	case PORTAL_EVENT_CANDIDATES_REMOVED:
		on_candidates(c, &ev->u.candidates, true, now_us);
		break;
	case PORTAL_EVENT_POOL_DOMAIN_RESOLVED:
	case PORTAL_EVENT_POOL_DOMAIN_FAILED:
		on_pool_name(c, &ev->u.pool_domain, ev->type == PORTAL_EVENT_POOL_DOMAIN_RESOLVED, now_us);
		break;
	default:
		fz_debug(c->env, "client", "message of type %d is of no use here", ev->type);
		break;
	}
	client_publish(c, now_us);
}
