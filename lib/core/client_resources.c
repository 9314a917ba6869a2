/* SPDX-License-Identifier: Apache-2.0 */
/* The client's resources as they come, change and go, and what the host is told of them: the interface and
 * the list for people. */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "core/client_impl.h"
#include "core/ranges.h"

/* ---- changes ---- */

void client_resource_gone(struct client *c, struct resource *res, uint64_t now_us)
{
	struct pending ring = resource_take_waiting(&c->resources, res);

	client_reject(c, &ring, ICMP_NET_UNREACHABLE);
	client_withdraw(c, res, now_us);
	c->names_changed |= res->type == PORTAL_RESOURCE_DNS;
	dns_stub_remove_resource(c->stub, &res->id, now_us);
	resources_remove(&c->resources, res);
	c->routes_changed = c->list_changed = true;
	client_dns_drain(c, now_us);
}

static void add(struct client *c, const struct portal_resource *p, uint64_t now_us)
{
	struct resource *res;
	int err = resources_add(&c->resources, p, &res);

	if (err == 0) {
		c->names_changed |= res->type == PORTAL_RESOURCE_DNS;
		err = dns_stub_add_resource(c->stub, p); /* a pattern that is not valid matches nothing */
		if (err == FZ_ERR_NOMEM)
			resources_remove(&c->resources, res);
	}
	if (err != 0)
		fz_warn(c->env, "client", "a resource is not used: %s", fz_strerror(err));
	if (err == FZ_ERR_NOMEM)
		c->resync_us = now_us + ENDPOINT_RETRY_US;
	c->routes_changed = c->list_changed = true;
}

void client_resource_upsert(struct client *c, const struct portal_resource *p, uint64_t now_us)
{
	struct resource *res = resources_find(&c->resources, &p->id);
	struct pending ring = { 0 };

	if (res && resource_matches(c->env, res, p)) {
		(void)resource_rename(&c->resources, res, p);
		c->list_changed = true;
		return;
	}
	if (res) {
		ring = resource_take_waiting(&c->resources, res);
		client_resource_gone(c, res, now_us);
	}
	add(c, p, now_us);
	client_replay(c, &ring, now_us); /* it may still belong there */
}

void client_remove_unlisted(struct client *c, const struct portal_init *init, uint64_t now_us)
{
	for (size_t i = 0; i < init->resources_len; i++) {
		struct resource *res = resources_find(&c->resources, &init->resources[i].id);
		if (res)
			res->listed = true;
	}
	for (size_t i = c->resources.len; i-- > 0;) {
		struct resource *res = c->resources.v[i];
		if (!res->listed)
			client_resource_gone(c, res, now_us);
		else
			res->listed = false;
	}
}

void client_set_internet(struct client *c, bool on, uint64_t now_us)
{
	struct resource *res = c->resources.internet;

	if (c->resources.internet_on == on)
		return;
	c->resources.internet_on = on;
	if (res == NULL)
		return;
	if (!on) {
		struct pending ring = resource_take_waiting(&c->resources, res);
		client_reject(c, &ring, ICMP_NET_UNREACHABLE);
		client_withdraw(c, res, now_us);
	}
	c->routes_changed = c->list_changed = true;
	client_publish(c, now_us);
}

/* ---- the interface ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

void client_set_interface(struct client *c, const struct portal_interface *i, uint64_t now_us)
{
	bool servers_changed = false;
	char *domain;

	if (!fz_ip_equal(&c->ipv4, &i->ipv4) || !fz_ip_equal(&c->ipv6, &i->ipv6)) {
		client_dns_move(c, &i->ipv4, &i->ipv6);
		c->routes_changed = true;
	}
	if (dns_stub_set_portal(c->stub, i, &servers_changed, now_us) != 0)
		c->resync_us = now_us + ENDPOINT_RETRY_US;
	c->routes_changed |= servers_changed;
	client_dns_drain(c, now_us);
	if (same_text(c->search_domain, i->search_domain))
		return;
	domain = i->search_domain ? fz_strdup(c->env, i->search_domain) : NULL;
	if (i->search_domain && domain == NULL) {
		c->resync_us = now_us + ENDPOINT_RETRY_US;
		return;
	}
	fz_free(c->env, c->search_domain);
	c->search_domain = domain;
	c->routes_changed = true;
}

static int by_prefix(const void *pa, const void *pb)
{
	const struct fz_prefix *a = pa, *b = pb;
	int order = a->ip.family - b->ip.family;

	if (order == 0)
		order = memcmp(a->ip.b, b->ip.b, sizeof(a->ip.b));
	return order ? order : a->len - b->len;
}

static size_t unique(struct fz_prefix *v, size_t n)
{
	size_t out = 0;

	qsort(v, n, sizeof(*v), by_prefix);
	for (size_t i = 0; i < n; i++)
		if (out == 0 || by_prefix(&v[out - 1], &v[i]) != 0)
			v[out++] = v[i];
	return out;
}

/* The interface routes every network among the resources and the ranges that only we give a meaning. */
static size_t collect_routes(const struct client *c, struct fz_prefix *v)
{
	static const struct fz_prefix everything[] = { { { FZ_FAMILY_INET, { 0 } }, 0 },
						       { { FZ_FAMILY_INET6, { 0 } }, 0 } };
	const struct resources *r = &c->resources;
	size_t n = 0;

	for (size_t i = 0; i < RANGES; i++)
		v[n++] = ranges[i];
	for (size_t i = 0; i < r->len; i++)
		if (r->v[i]->type == PORTAL_RESOURCE_CIDR)
			v[n++] = r->v[i]->net;
	for (size_t i = 0; i < 2 && r->internet_on && r->internet; i++)
		v[n++] = everything[i];
	return unique(v, n);
}

static void publish_netcfg(struct client *c, uint64_t now_us)
{
	struct fz_netcfg cfg = { .ipv4 = c->ipv4, .ipv6 = c->ipv6, .search_domain = c->search_domain };
	struct fz_prefix *v = fz_calloc(c->env, c->resources.len + RANGES + 2, sizeof(*v));
	const struct dns_servers *servers = dns_stub_servers(c->stub);
	struct fz_ip sentinels[DNS_SERVERS_MAX];
	int err = FZ_ERR_NOMEM;

	for (size_t i = 0; i < servers->len; i++)
		sentinels[i] = servers->v[i].sentinel;
	cfg.dns = sentinels;
	cfg.dns_len = servers->len;
	if (v) {
		cfg.routes = v;
		cfg.routes_len = collect_routes(c, v);
		err = endpoint_set_netcfg(c->endpoint, &cfg);
	}
	c->routes_changed = err != 0;
	c->retry_us = now_us + ENDPOINT_RETRY_US;
	fz_free(c->env, v);
}

/* ---- the list ---- */

static enum fz_resource_status status_of(const struct resource *res)
{
	bool offline = res->sites_len > 0;

	for (size_t i = 0; i < res->sites_len; i++) {
		if (res->sites[i]->up > 0)
			return FZ_RESOURCE_ONLINE;
		offline &= res->sites[i]->offline;
	}
	return offline ? FZ_RESOURCE_OFFLINE : FZ_RESOURCE_UNKNOWN;
}

static bool is_listed(const struct resource *res)
{
	return res->type == PORTAL_RESOURCE_DNS || res->type == PORTAL_RESOURCE_CIDR ||
	       res->type == PORTAL_RESOURCE_INTERNET;
}

/* The portal's word holds until another answer; that everybody is offline, as long as the sites say so. */
static const char *reason_of(const struct resource *res, enum fz_resource_status status)
{
	if (!res->refused || (res->reason == PORTAL_REASON_OFFLINE && status != FZ_RESOURCE_OFFLINE))
		return status == FZ_RESOURCE_OFFLINE ? portal_reason_word(PORTAL_REASON_OFFLINE) : NULL;
	return portal_reason_word(res->reason);
}

void client_describe(const struct client *c, const struct resource *res, struct fz_resource *ret)
{
	static const enum fz_resource_type types[] = { [PORTAL_RESOURCE_DNS] = FZ_RESOURCE_DNS,
						       [PORTAL_RESOURCE_CIDR] = FZ_RESOURCE_CIDR,
						       [PORTAL_RESOURCE_INTERNET] = FZ_RESOURCE_INTERNET };

	*ret = (struct fz_resource){ .type = types[res->type], .status = status_of(res) };
	fz_uuid_format(&res->id, ret->id);
	ret->name = res->name;
	ret->address = res->address;
	ret->description = res->description;
	ret->reason = reason_of(res, ret->status);
	ret->is_active = res->type != PORTAL_RESOURCE_INTERNET ||
			 (c->resources.internet_on && res == c->resources.internet);
	ret->has_access = res->gateway != NULL;
	ret->site_name = res->sites_len > 0 ? res->sites[0]->name : "";
	if (res->sites_len > 0)
		fz_uuid_format(&res->sites[0]->id, ret->site);
}

bool client_resource_at(struct client *c, size_t i, struct fz_resource *ret)
{
	resources_sort(&c->resources);
	for (size_t k = 0; k < c->resources.len; k++) {
		if (!is_listed(c->resources.v[k]) || i-- > 0)
			continue;
		client_describe(c, c->resources.v[k], ret);
		return true;
	}
	return false;
}

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h;
}

static uint64_t mix_text(uint64_t h, const char *text)
{
	return text ? mix(h, text, strlen(text) + 1) : mix(h, "\1", 1);
}

/* Of all that is shown, in any order. */
static uint64_t list_digest(const struct client *c)
{
	struct fz_resource d;
	uint64_t sum = 0;

	for (size_t i = 0; i < c->resources.len; i++) {
		if (!is_listed(c->resources.v[i]))
			continue;
		client_describe(c, c->resources.v[i], &d);
		uint64_t h = mix(0xcbf29ce484222325u, d.id, sizeof(d.id));
		h = mix_text(mix_text(mix_text(h, d.name), d.address), d.description);
		h = mix_text(mix(h, d.site, sizeof(d.site)), d.reason);
		h = mix(h, (uint8_t[]){ d.type, d.status, d.is_active }, 3);
		sum += h;
	}
	return sum;
}

static void publish_list(struct client *c)
{
	struct fz_event ev = { .type = FZ_EVENT_RESOURCES };
	uint64_t digest = list_digest(c);

	c->list_changed = false;
	if (digest == c->list_digest)
		return;
	c->list_digest = digest;
	endpoint_event(c->endpoint, &ev);
}

void client_publish(struct client *c, uint64_t now_us)
{
	const struct resources *r = &c->resources;

	if (c->ipv4.family == FZ_FAMILY_NONE)
		return; /* the portal has not said anything yet */
	if (c->routes_changed) {
		dns_stub_route(c->stub, r->internet_on && r->internet, r->cidr);
		publish_netcfg(c, now_us);
	}
	if (c->names_changed)
		endpoint_dns_flush(c->endpoint);
	c->names_changed = false;
	if (c->list_changed)
		publish_list(c);
}
