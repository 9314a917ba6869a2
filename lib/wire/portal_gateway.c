/* SPDX-License-Identifier: Apache-2.0 */
/* What the portal pushes to gateways. */
#include "wire/portal_rd.h"

static void read_init(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	struct portal_init *init = &ev->u.init;
	const struct jv *config = portal_rd_object(r, v, "config");

	portal_read_interface(r, portal_rd_object(r, v, "interface"), true, &init->interface);
	portal_rd_bool(r, config, "ipv4_masquerade_enabled"); /* mandatory, without effect */
	portal_rd_bool(r, config, "ipv6_masquerade_enabled");
	init->account_slug = portal_rd_opt_str(r, v, "account_slug");
	portal_read_relays(r, portal_rd_list(r, v, "relays"), &init->relays, &init->relays_len);
	portal_read_authorizations(r, portal_rd_list(r, v, "authorizations"), init);
	portal_read_flow_logs(r, portal_rd_object(r, v, "flow_logs"), &init->flow_logs);
}

static void read_create_authz(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	struct portal_create_authz *a = &ev->u.create_authz;
	const struct jv *client = portal_rd_object(r, v, "client");

	a->ref = portal_rd_str(r, v, "ref");
	portal_rd_uuid(r, client, "id", &a->client_id);
	portal_rd_key(r, client, "public_key", &a->client_key);
	portal_rd_key(r, client, "preshared_key", &a->preshared_key);
	portal_rd_ip(r, client, "ipv4", FZ_FAMILY_INET, &a->client_ipv4);
	portal_rd_ip(r, client, "ipv6", FZ_FAMILY_INET6, &a->client_ipv6);
	if (jv_str(jv_get(client, "version")) != NULL)
		a->client_version = portal_rd_str(r, client, "version");
	portal_read_gateway_resource(r, portal_rd_object(r, v, "resource"), &a->resource);
	portal_read_ice_cred(r, v, "client_ice_credentials", &a->client_ice);
	portal_read_ice_cred(r, v, "gateway_ice_credentials", &a->gateway_ice);
	a->has_expiry = portal_rd_opt_u64(r, v, "expires_at", &a->expires_at);
	a->use_iceless = jv_get(v, "use_iceless") && portal_rd_bool(r, v, "use_iceless");
	a->flow_token = portal_read_flow_token(r, v);
}

static void read_candidates(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	portal_read_candidates(r, v, PORTAL_PEER_CLIENT, &ev->u.candidates);
}

static void read_relays(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	portal_read_relays_presence(r, v, &ev->u.relays);
}

static void read_resource_updated(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	portal_read_gateway_resource(r, v, &ev->u.resource);
}

static void read_access_rejected(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	portal_read_authorization(r, v, false, &ev->u.authorization);
}

static void read_expiry_updated(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	portal_read_authorization(r, v, true, &ev->u.authorization);
}

const struct portal_event_rule portal_gateway_rules[] = {
	{ "init", PORTAL_EVENT_INIT, read_init },
	{ "create_authorization", PORTAL_EVENT_CREATE_AUTHZ, read_create_authz },
	{ "ice_candidates", PORTAL_EVENT_CANDIDATES_ADDED, read_candidates },
	{ "invalidate_ice_candidates", PORTAL_EVENT_CANDIDATES_REMOVED, read_candidates },
	{ "relays_presence", PORTAL_EVENT_RELAYS_PRESENCE, read_relays },
	{ "reject_access", PORTAL_EVENT_ACCESS_REJECTED, read_access_rejected },
	{ "resource_updated", PORTAL_EVENT_RESOURCE_UPSERTED, read_resource_updated },
	{ "access_authorization_expiry_updated", PORTAL_EVENT_EXPIRY_UPDATED, read_expiry_updated },
	{ NULL, PORTAL_EVENT_INIT, NULL },
};
