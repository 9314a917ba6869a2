/* SPDX-License-Identifier: Apache-2.0 */
/* Names of DNS resources: a client announces the addresses that stand for one, we resolve it with the
 * system's resolvers and say whether the client may use them. */
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "core/dns_pattern.h"
#include "core/gateway_impl.h"
#include "core/ranges.h"
#include "wire/p2p_payload.h"

/* A name that takes longer is not served. */
#define LOOKUP_LIMIT_US FZ_SEC(10)

/* An announcement whose name is being resolved. */
struct lookup {
	struct lookup *next; /* the next to end */
	uint64_t id, end_us;
	struct fz_uuid client;
	struct p2p_assigned_ips asked;
};

static void answer(struct gateway *g, const struct client_peer *p, const struct p2p_assigned_ips *asked,
		   bool active, uint64_t now_us)
{
	struct p2p_domain_status status = { .resource = asked->resource, .active = active };
	uint8_t buf[P2P_PAYLOAD_MAX];
	int len;

	memcpy(status.domain, asked->domain, sizeof(status.domain));
	len = p2p_build_domain_status(g->env, &status, buf);
	if (len >= 0)
		len = node_send_control(endpoint_node(g->endpoint), p->ref, P2P_DOMAIN_STATUS, buf,
					(size_t)len, now_us);
	if (len < 0) /* the client repeats what has no answer */
		fz_debug(g->env, "names", "a status could not be sent: %s", fz_strerror(len));
}

/* The grant that lets the client use this name; NULL and why. */
static struct grant *grant_for(const struct client_peer *p, const struct p2p_assigned_ips *asked,
			       const struct dns_name *name, const char **ret_why)
{
	struct grant *grant = grants_find(&p->grants, &asked->resource);

	*ret_why = grant == NULL                                ? "the resource is not granted"
		   : grant->type != PORTAL_RESOURCE_DNS         ? "the resource is not one of names"
		   : !dns_pattern_matches(grant->pattern, name) ? "the resource has other names"
								: NULL;
	return *ret_why ? NULL : grant;
}

static bool are_proxies(const struct p2p_assigned_ips *asked)
{
	for (size_t i = 0; i < asked->ips_len; i++)
		if (!range_is_proxy(&asked->ips[i]))
			return false;
	return true;
}

static void refuse(struct gateway *g, const struct client_peer *p, const struct p2p_assigned_ips *asked,
		   const char *why, uint64_t now_us)
{
	char id[FZ_UUID_STRLEN];

	/* As often as the client likes: at debug, so that it can not fill the log. */
	fz_debug(g->env, "names", "peer %u may not use a name of resource %s: %s", p->ref,
		 fz_uuid_format(&asked->resource, id), why);
	fz_debug(g->env, "names", "peer %u: that name is %s", p->ref, asked->domain);
	answer(g, p, asked, false, now_us);
}

/* ---- results ---- */

/* The client numbers anew: nothing that it announced before counts any more. */
static void start_over(struct gateway *g, struct client_peer *p)
{
	fz_debug(g->env, "names", "peer %u has given its addresses to other names", p->ref);
	nat_table_clear(&p->nat);
	proxies_clear(&p->proxies);
}

/* What lies behind these would be another client, ourselves, or nobody. */
static bool is_usable(const struct fz_ip *ip)
{
	static const struct fz_ip any4 = { FZ_FAMILY_INET, { 0 } }, any6 = { FZ_FAMILY_INET6, { 0 } };

	return !range_is_tunnel(ip) && !range_is_proxy(ip) && !fz_ip_is_multicast(ip) &&
	       !fz_ip_equal(ip, &any4) && !fz_ip_equal(ip, &any6);
}

static bool is_known(const struct client_peer *p, const struct p2p_assigned_ips *asked)
{
	for (size_t i = 0; i < asked->ips_len; i++) {
		const struct proxy *x = proxies_find(&p->proxies, &asked->ips[i]);
		if (x && x->real.family != FZ_FAMILY_NONE)
			return true;
	}
	return false;
}

/* No such name, or one without address, is an answer: packets to it are told so. That of a server which fails
 * says nothing about addresses that were found before. */
static bool assign(struct gateway *g, struct client_peer *p, const struct p2p_assigned_ips *asked,
		   const struct fz_resolved *r, const char **ret_why)
{
	struct fz_ip reals[64];
	struct dns_name name;
	struct grant *grant;
	size_t n = 0;
	int err;

	if (dns_name_parse(asked->domain, &name) != 0)
		return false;
	if (proxies_conflict(&p->proxies, &name, asked->ips, asked->ips_len))
		start_over(g, p);
	grant = grant_for(p, asked, &name, ret_why);
	if (grant == NULL)
		return false;
	if (r->err == FZ_ERR_TIMEOUT && !is_known(p, asked)) {
		*ret_why = "no name server answers";
		return false;
	}
	for (size_t i = 0; i < r->len && n < sizeof(reals) / sizeof(reals[0]); i++)
		if (is_usable(&r->addrs[i]))
			reals[n++] = r->addrs[i];
	err = proxies_assign(&p->proxies, grant, asked->domain, asked->ips, asked->ips_len,
			     r->err == 0 || r->err == FZ_ERR_NOT_FOUND ? reals : NULL, n);
	*ret_why = err ? fz_strerror(err) : NULL;
	fz_debug(g->env, "names", "peer %u: %s has %zu addresses (%s)", p->ref, asked->domain, n,
		 fz_strerror(r->err));
	return err == 0;
}

static void finish(struct gateway *g, struct lookup *l, const struct fz_resolved *r, uint64_t now_us)
{
	struct client_peer *p = peer_by_id(g, &l->client);
	const char *why = NULL;

	if (p && assign(g, p, &l->asked, r, &why))
		answer(g, p, &l->asked, true, now_us);
	else if (p)
		refuse(g, p, &l->asked, why, now_us);
	fz_free(g->env, l);
}

void names_resolved(void *role, const struct fz_resolved *r, uint64_t now_us)
{
	struct gateway *g = role;

	for (struct lookup **at = &g->lookups; *at; at = &(*at)->next) {
		struct lookup *l = *at;
		if (l->id != r->id)
			continue;
		*at = l->next;
		if (*at == NULL)
			g->lookups_end = at;
		g->lookups_len--;
		finish(g, l, r, now_us);
		return;
	}
}

/* ---- announcements ---- */

/* The same is under way: whoever repeats it gets one answer. */
static struct lookup *find_same(const struct gateway *g, const struct client_peer *p,
				const struct p2p_assigned_ips *asked, size_t *ret_own)
{
	*ret_own = 0;
	for (struct lookup *l = g->lookups; l; l = l->next) {
		if (!fz_uuid_equal(&l->client, &p->id))
			continue;
		++*ret_own;
		if (fz_uuid_equal(&l->asked.resource, &asked->resource) &&
		    strcmp(l->asked.domain, asked->domain) == 0)
			return l;
	}
	return NULL;
}

/* Beyond the limits there is no answer; the client repeats its question when it has traffic. */
static void look_up(struct gateway *g, const struct client_peer *p, const struct p2p_assigned_ips *asked,
		    uint64_t now_us)
{
	size_t own;
	struct lookup *l = find_same(g, p, asked, &own);

	if (l) {
		l->asked = *asked;
		return;
	}
	l = own < LOOKUPS_EACH && g->lookups_len < LOOKUPS_MAX ? fz_zalloc(g->env, sizeof(*l)) : NULL;
	if (l == NULL) {
		endpoint_drop(g->endpoint, DROP_ASK);
		return;
	}
	l->id = ++g->lookup_id;
	l->end_us = now_us + LOOKUP_LIMIT_US;
	l->client = p->id;
	l->asked = *asked;
	if (endpoint_resolve(g->endpoint, l->id, asked->domain) != 0) {
		fz_free(g->env, l);
		return;
	}
	*g->lookups_end = l;
	g->lookups_end = &l->next;
	g->lookups_len++;
}

void names_control(void *role, uint32_t ref, uint8_t type, const uint8_t *payload, size_t len,
		   uint64_t now_us)
{
	struct gateway *g = role;
	struct client_peer *p = peer_by_ref(g, ref);
	struct p2p_assigned_ips asked;
	struct dns_name name;
	const char *why;

	if (p == NULL || type != P2P_ASSIGNED_IPS)
		return; /* of a newer peer, perhaps */
	if (p2p_parse_assigned_ips(payload, len, &asked) != 0) {
		endpoint_drop(g->endpoint, DROP_MALFORMED);
		return;
	}
	if (!are_proxies(&asked))
		refuse(g, p, &asked, "it was given an address outside of the range for that", now_us);
	else if (dns_name_parse(asked.domain, &name) != 0)
		refuse(g, p, &asked, "it is no name", now_us);
	else if (grant_for(p, &asked, &name, &why) == NULL)
		refuse(g, p, &asked, why, now_us);
	else
		look_up(g, p, &asked, now_us);
}

/* ---- time ---- */

void names_timeout(struct gateway *g, uint64_t now_us)
{
	struct fz_resolved late = { .err = FZ_ERR_TIMEOUT };

	while (g->lookups && g->lookups->end_us <= now_us) {
		late.id = g->lookups->id;
		names_resolved(g, &late, now_us);
	}
}

uint64_t names_next(const struct gateway *g)
{
	return g->lookups ? g->lookups->end_us : FZ_NEVER_US;
}

void names_clear(struct gateway *g)
{
	struct lookup *next;

	for (struct lookup *l = g->lookups; l; l = next) {
		next = l->next;
		fz_free(g->env, l);
	}
}
