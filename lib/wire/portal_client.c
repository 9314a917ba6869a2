/* SPDX-License-Identifier: Apache-2.0 */
/* What the portal pushes to clients. */
#include "wire/portal_rd.h"

#include <string.h>

static void read_init(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	struct portal_init *init = &ev->u.init;
	const struct jv *list = portal_rd_list(r, v, "resources");
	size_t n = jv_len(list);
	struct portal_resource *resources = portal_rd_array(r, n, sizeof(*resources));

	portal_read_interface(r, portal_rd_object(r, v, "interface"), false, &init->interface);
	for (size_t i = 0; resources && i < n; i++) {
		if (portal_read_client_resource(r, jv_at(list, i), &resources[init->resources_len]))
			init->resources_len++;
		else
			init->resources_skipped++;
	}
	init->resources = resources;
	portal_read_relays(r, portal_rd_list(r, v, "relays"), &init->relays, &init->relays_len);
	portal_read_authorizations(r, portal_rd_list(r, v, "authorizations"), init);
	portal_read_flow_logs(r, portal_rd_object(r, v, "flow_logs"), &init->flow_logs);
}

static void read_config_changed(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	portal_read_interface(r, portal_rd_object(r, v, "interface"), false, &ev->u.config);
}

static void read_resource(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	if (!portal_read_client_resource(r, v, &ev->u.resource))
		ev->type = PORTAL_EVENT_RESOURCE_IGNORED;
}

static void read_resource_deleted(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	const char *s = jv_str(v);

	if (s == NULL || fz_uuid_parse(s, &ev->u.id) != 0)
		portal_rd_spoil(r, "payload");
}

static void read_relays(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	portal_read_relays_presence(r, v, &ev->u.relays);
}

static void read_authz_created(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	struct portal_authz_created *a = &ev->u.authz_created;

	portal_rd_uuid(r, v, "resource_id", &a->resource_id);
	portal_rd_uuid(r, v, "gateway_id", &a->gateway_id);
	portal_rd_uuid(r, v, jv_get(v, "site_id") ? "site_id" : "gateway_group_id", &a->site_id);
	portal_rd_key(r, v, "gateway_public_key", &a->gateway_key);
	portal_rd_key(r, v, "preshared_key", &a->preshared_key);
	portal_rd_ip(r, v, "gateway_ipv4", FZ_FAMILY_INET, &a->gateway_ipv4);
	portal_rd_ip(r, v, "gateway_ipv6", FZ_FAMILY_INET6, &a->gateway_ipv6);
	portal_read_ice_cred(r, v, "client_ice_credentials", &a->client_ice);
	portal_read_ice_cred(r, v, "gateway_ice_credentials", &a->gateway_ice);
	a->use_iceless = jv_get(v, "use_iceless") && portal_rd_bool(r, v, "use_iceless");
	a->flow_token = portal_read_flow_token(r, v);
}

static const char *const reason_words[] = {
	[PORTAL_REASON_UNKNOWN] = "unknown",
	[PORTAL_REASON_NOT_FOUND] = "not_found",
	[PORTAL_REASON_OFFLINE] = "offline",
	[PORTAL_REASON_VERSION_MISMATCH] = "version_mismatch",
	[PORTAL_REASON_FORBIDDEN] = "forbidden",
	[PORTAL_REASON_DISABLED] = "disabled",
	[PORTAL_REASON_AMBIGUOUS_ADDRESS] = "ambiguous_address",
	[PORTAL_REASON_MISSING_ADDRESS] = "missing_address",
	[PORTAL_REASON_INVALID_ADDRESS] = "invalid_address",
};

const char *portal_reason_word(enum portal_reason reason)
{
	return reason_words[reason];
}

static void read_reason(struct portal_rd *r, const struct jv *v, enum portal_reason *ret,
			const char **ret_text)
{
	const char *s = portal_rd_str(r, v, "reason");

	*ret = PORTAL_REASON_UNKNOWN;
	*ret_text = s;
	for (size_t i = 1; s && i < sizeof(reason_words) / sizeof(reason_words[0]); i++)
		if (strcmp(s, reason_words[i]) == 0)
			*ret = (enum portal_reason)i;
}

static void read_authz_failed(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	struct portal_authz_failed *f = &ev->u.authz_failed;
	const struct jv *list = portal_rd_list(r, v, "violated_properties");
	size_t n = jv_len(list);
	const char **words = portal_rd_array(r, n, sizeof(*words));

	portal_rd_uuid(r, v, "resource_id", &f->resource_id);
	read_reason(r, v, &f->reason, &f->reason_text);
	for (size_t i = 0; words && i < n; i++) {
		const char *s = jv_str(jv_at(list, i));
		if (s == NULL)
			portal_rd_spoil(r, "violated_properties");
		else
			words[i] = portal_rd_copy(r, s);
	}
	f->violated_properties = words;
	f->violated_properties_len = n;
}

static void read_gateway_candidates(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	portal_read_candidates(r, v, PORTAL_PEER_GATEWAY, &ev->u.candidates);
}

static void read_client_candidates(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	portal_read_candidates(r, v, PORTAL_PEER_CLIENT, &ev->u.candidates);
}

static void read_device_access(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	struct portal_device_access *a = &ev->u.device_access;
	const struct jv *resource = jv_get(v, "resource");
	const char *role = jv_str(jv_get(v, "ice_role"));

	portal_rd_uuid(r, v, "client_id", &a->client_id);
	a->client_name = portal_rd_str(r, v, "client_name");
	portal_rd_key(r, v, "client_public_key", &a->client_key);
	portal_rd_key(r, v, "preshared_key", &a->preshared_key);
	portal_rd_ip(r, v, "client_ipv4", FZ_FAMILY_INET, &a->client_ipv4);
	portal_rd_ip(r, v, "client_ipv6", FZ_FAMILY_INET6, &a->client_ipv6);
	portal_read_ice_cred(r, v, "local_ice_credentials", &a->local_ice);
	portal_read_ice_cred(r, v, "remote_ice_credentials", &a->remote_ice);
	if (role == NULL || (strcmp(role, "controlling") != 0 && strcmp(role, "controlled") != 0))
		portal_rd_spoil(r, "ice_role");
	else
		a->controlling = strcmp(role, "controlling") == 0;
	a->use_iceless = jv_get(v, "use_iceless") && portal_rd_bool(r, v, "use_iceless");
	a->has_resource = !jv_is_null(resource);
	if (a->has_resource) {
		portal_rd_uuid(r, resource, "id", &a->resource_id);
		portal_read_filters(r, portal_rd_list(r, resource, "filters"), &a->filters, &a->filters_len);
	}
	a->has_expiry = portal_rd_opt_u64(r, v, "expires_at", &a->expires_at);
	a->flow_token = portal_read_flow_token(r, v);
}

static void read_opt_ip(struct portal_rd *r, const struct jv *v, const char *key, enum fz_family family,
			struct fz_ip *ret)
{
	if (!jv_is_null(jv_get(v, key)))
		portal_rd_ip(r, v, key, family, ret);
}

static void read_device_denied(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	struct portal_device_denied *d = &ev->u.device_denied;

	d->has_client_id = portal_rd_opt_uuid(r, v, "client_id", &d->client_id);
	d->has_resource_id = portal_rd_opt_uuid(r, v, "resource_id", &d->resource_id);
	read_opt_ip(r, v, "ipv4", FZ_FAMILY_INET, &d->ipv4);
	read_opt_ip(r, v, "ipv6", FZ_FAMILY_INET6, &d->ipv6);
	read_reason(r, v, &d->reason, &d->reason_text);
}

static void read_device_offline(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	const char *reason = portal_rd_str(r, v, "reason");

	if (reason && strcmp(reason, "offline") != 0)
		portal_rd_spoil(r, "reason");
	portal_rd_uuid(r, v, "client_id", &ev->u.id);
}

/* The portal writes "100.64.0.42/32" where its clients expect a bare address; both are read. */
static void read_host(struct portal_rd *r, const struct jv *v, const char *key, enum fz_family family,
		      struct fz_ip *ret)
{
	const char *s = jv_str(jv_get(v, key));
	struct fz_prefix net;

	if (s && strchr(s, '/') && fz_prefix_parse(s, &net) == 0 && net.ip.family == family &&
	    net.len == (family == FZ_FAMILY_INET ? 32 : 128))
		*ret = net.ip;
	else
		portal_rd_ip(r, v, key, family, ret);
}

static void read_pool_domain(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	struct portal_pool_domain *d = &ev->u.pool_domain;

	portal_rd_uuid(r, v, "resource_id", &d->resource_id);
	d->domain = portal_rd_str(r, v, "domain");
	if (ev->type == PORTAL_EVENT_POOL_DOMAIN_FAILED) {
		d->reason_text = portal_rd_str(r, v, "reason");
		return;
	}
	read_host(r, v, "ipv4", FZ_FAMILY_INET, &d->ipv4);
	read_host(r, v, "ipv6", FZ_FAMILY_INET6, &d->ipv6);
}

static void read_filters_updated(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	struct portal_resource *res = &ev->u.resource;

	res->name = "";
	portal_rd_uuid(r, v, "id", &res->id);
	portal_read_filters(r, portal_rd_need_list(r, v, "filters"), &res->filters, &res->filters_len);
}

static void read_access_rejected(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	portal_read_authorization(r, v, false, &ev->u.authorization);
}

static void read_expiry_updated(struct portal_rd *r, const struct jv *v, struct portal_event *ev)
{
	portal_read_authorization(r, v, true, &ev->u.authorization);
}

const struct portal_event_rule portal_client_rules[] = {
	{ "init", PORTAL_EVENT_INIT, read_init },
	{ "config_changed", PORTAL_EVENT_CONFIG_CHANGED, read_config_changed },
	{ "resource_created_or_updated", PORTAL_EVENT_RESOURCE_UPSERTED, read_resource },
	{ "resource_deleted", PORTAL_EVENT_RESOURCE_DELETED, read_resource_deleted },
	{ "relays_presence", PORTAL_EVENT_RELAYS_PRESENCE, read_relays },
	{ "authorization_created", PORTAL_EVENT_AUTHZ_CREATED, read_authz_created },
	{ "authorization_creation_failed", PORTAL_EVENT_AUTHZ_FAILED, read_authz_failed },
	{ "ice_candidates", PORTAL_EVENT_CANDIDATES_ADDED, read_gateway_candidates },
	{ "gateway_ice_candidates", PORTAL_EVENT_CANDIDATES_ADDED, read_gateway_candidates },
	{ "invalidate_ice_candidates", PORTAL_EVENT_CANDIDATES_REMOVED, read_gateway_candidates },
	{ "invalidate_gateway_ice_candidates", PORTAL_EVENT_CANDIDATES_REMOVED, read_gateway_candidates },
	{ "client_ice_candidates", PORTAL_EVENT_CANDIDATES_ADDED, read_client_candidates },
	{ "invalidate_client_ice_candidates", PORTAL_EVENT_CANDIDATES_REMOVED, read_client_candidates },
	{ "client_device_access_authorized", PORTAL_EVENT_DEVICE_ACCESS, read_device_access },
	{ "client_device_access_denied", PORTAL_EVENT_DEVICE_DENIED, read_device_denied },
	{ "client_ice_candidate_error", PORTAL_EVENT_DEVICE_OFFLINE, read_device_offline },
	{ "device_pool_domain_resolved", PORTAL_EVENT_POOL_DOMAIN_RESOLVED, read_pool_domain },
	{ "device_pool_domain_resolution_failed", PORTAL_EVENT_POOL_DOMAIN_FAILED, read_pool_domain },
	{ "resource_filters_updated", PORTAL_EVENT_FILTERS_UPDATED, read_filters_updated },
	{ "reject_access", PORTAL_EVENT_ACCESS_REJECTED, read_access_rejected },
	{ "access_authorization_expiry_updated", PORTAL_EVENT_EXPIRY_UPDATED, read_expiry_updated },
	{ NULL, PORTAL_EVENT_INIT, NULL },
};
