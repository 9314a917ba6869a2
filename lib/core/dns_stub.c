/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dns_stub.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "core/dns_stub_impl.h"
#include "core/route.h"
#include "fzconn/error.h"

/* Resources and pools of a client. */
#define PATTERNS_MAX 65536
/* Resources that a single name belongs to; less specific ones are not looked at. */
#define MATCHES_MAX 64
#define POOL_LIMIT_US FZ_SEC(5)

int dns_stub_new(const struct fz_env *env, struct proxy_ips *ips, struct dns_stub **ret)
{
	struct dns_stub *s = fz_zalloc(env, sizeof(*s));

	if (s == NULL)
		return FZ_ERR_NOMEM;
	s->env = env;
	s->ips = ips;
	dns_servers_init(&s->servers, env);
	if (dns_patterns_new(env, PATTERNS_MAX, &s->names) != 0 ||
	    dns_patterns_new(env, PATTERNS_MAX, &s->pools) != 0 || dns_pool_init(&s->pool, env) != 0 ||
	    dns_cache_new(env, &s->cache) != 0 || dns_jobs_init(&s->jobs, env) != 0) {
		dns_stub_free(s);
		return FZ_ERR_NOMEM;
	}
	*ret = s;
	return 0;
}

void dns_stub_free(struct dns_stub *s)
{
	if (s == NULL)
		return;
	dns_jobs_clear(&s->jobs);
	dns_cache_free(s->cache);
	dns_pool_clear(&s->pool);
	dns_patterns_free(s->pools);
	dns_patterns_free(s->names);
	dns_servers_clear(&s->servers);
	fz_free(s->env, s);
}

const struct dns_stub_stats *dns_stub_stats(const struct dns_stub *s)
{
	return &s->stats;
}

/* ---- configuration ---- */

const struct dns_servers *dns_stub_servers(const struct dns_stub *s)
{
	return &s->servers;
}

/* Which servers are reached through the tunnel. */
static void mark_servers(struct dns_stub *s)
{
	for (size_t i = 0; i < s->servers.len; i++) {
		struct dns_server *d = &s->servers.v[i];
		d->tunnelled =
			s->servers.from_portal && (s->internet || (s->cidr && route_covers(s->cidr, &d->ip)));
	}
}

/* The same servers may count for another reason. */
static void lists_changed(struct dns_stub *s, bool other_sentinels, uint64_t now_us)
{
	mark_servers(s);
	if (!other_sentinels)
		return;
	dns_cache_flush(s->cache);
	dns_forward_restart(s, true, now_us);
}

bool dns_stub_set_system(struct dns_stub *s, const struct fz_ip *servers, size_t n, uint64_t now_us)
{
	bool changed;

	dns_servers_set_system(&s->servers, servers, n, &changed);
	lists_changed(s, changed, now_us);
	return changed;
}

int dns_stub_set_portal(struct dns_stub *s, const struct portal_interface *i, bool *ret_changed,
			uint64_t now_us)
{
	int err = dns_servers_set_portal(&s->servers, i->upstream_do53, i->upstream_do53_len, i->upstream_doh,
					 i->upstream_doh_len, ret_changed);

	if (err == 0)
		lists_changed(s, *ret_changed, now_us);
	return err;
}

void dns_stub_route(struct dns_stub *s, bool internet, const struct route_table *cidr)
{
	s->internet = internet;
	s->cidr = cidr;
	mark_servers(s);
}

int dns_stub_add_resource(struct dns_stub *s, const struct portal_resource *r)
{
	dns_cache_flush(s->cache);
	if (r->type == PORTAL_RESOURCE_DYNAMIC_POOL)
		return dns_patterns_add(s->pools, r->address, &r->id, 0);
	if (r->type != PORTAL_RESOURCE_DNS)
		return 0;
	/* What was assigned for it under another pattern is its no more. */
	(void)proxy_ips_readopt(s->ips, &r->id, r->address);
	return dns_patterns_add(s->names, r->address, &r->id, r->ip_stack);
}

void dns_stub_remove_resource(struct dns_stub *s, const struct fz_uuid *id, uint64_t now_us)
{
	struct dns_job *j;

	dns_cache_flush(s->cache);
	if (dns_patterns_remove(s->names, id))
		dns_stub_site_down(s, id, now_us);
	if (!dns_patterns_remove(s->pools, id))
		return;
	dns_pool_remove_pool(&s->pool, id);
	for (size_t slot = 0; (j = dns_job_each(&s->jobs, &slot)) != NULL;)
		if (j->is_pool && fz_uuid_equal(&j->resource, id))
			dns_fail(s, j, DNS_SERVFAIL);
}

void dns_stub_reset(struct dns_stub *s, uint64_t now_us)
{
	dns_forward_restart(s, false, now_us);
}

/* ---- answers ---- */

size_t dns_answer_max(const struct dns_origin *origin, const struct dns_msg *query)
{
	uint16_t takes;

	if (origin->tcp)
		return DNS_MESSAGE_MAX;
	takes = dns_edns(query).udp_size;
	if (takes < DNS_UDP_MIN)
		return DNS_UDP_MIN;
	return takes < DNS_STUB_UDP_MAX ? takes : DNS_STUB_UDP_MAX;
}

void dns_answer_ready(struct dns_stub *s, const struct dns_origin *origin, size_t len)
{
	s->answer_to = *origin;
	s->answer_len = len;
}

void dns_fail(struct dns_stub *s, struct dns_job *j, enum dns_rcode rcode)
{
	j->rcode = rcode;
	dns_job_want(&s->jobs, j, DNS_WANT_ANSWER);
}

static void answer_empty(struct dns_stub *s, const struct dns_origin *o, const struct dns_msg *q,
			 enum dns_rcode rcode)
{
	dns_answer_ready(s, o, dns_reply_empty(q, rcode, s->buf, dns_answer_max(o, q)));
}

static void answer_ips(struct dns_stub *s, const struct dns_origin *o, const struct dns_msg *q,
		       const struct fz_ip *ips, size_t n)
{
	dns_answer_ready(s, o, dns_reply_ips(q, ips, n, DNS_STUB_TTL, s->buf, dns_answer_max(o, q)));
}

/* ---- names of DNS resources ---- */

static void announce(struct dns_stub *s, struct proxy_domain *d, bool is_query)
{
	s->name = (struct dns_out){ .type = DNS_OUT_NAME, .u.name = { d, is_query } };
}

/* Assign addresses, and remember for which resources. */
static struct proxy_domain *assign(struct dns_stub *s, const struct dns_msg *q, const struct dns_match *m,
				   size_t n)
{
	struct proxy_domain *d;
	bool is_new;
	int err = proxy_ips_assign(s->ips, &q->name, &d);

	if (err != 0) {
		fz_debug(s->env, "dns", "no addresses for a name: %s", fz_strerror(err));
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		err = proxy_domain_use(s->ips, d, &m[i].id, m[i].pattern, &is_new);
		if (err != 0)
			fz_debug(s->env, "dns", "a resource of a name is left out: %s", fz_strerror(err));
	}
	return d;
}

static bool any_supports(const struct dns_match *m, size_t n, enum fz_family family)
{
	unsigned only_other = family == FZ_FAMILY_INET ? PORTAL_STACK_IPV6_ONLY : PORTAL_STACK_IPV4_ONLY;

	for (size_t i = 0; i < n; i++)
		if (m[i].tag != only_other)
			return true;
	return false;
}

static void answer_proxies(struct dns_stub *s, const struct dns_origin *o, const struct dns_msg *q,
			   const struct dns_match *m, size_t n)
{
	enum fz_family family = q->type == DNS_A ? FZ_FAMILY_INET : FZ_FAMILY_INET6;
	struct proxy_domain *d = assign(s, q, m, n);
	struct fz_ip ips[PROXY_IPS_EACH];

	if (d == NULL) {
		s->stats.failed++;
		answer_empty(s, o, q, DNS_SERVFAIL);
		return;
	}
	announce(s, d, true);
	proxy_domain_ips(d, family, ips);
	answer_ips(s, o, q, ips, any_supports(m, n, family) ? PROXY_IPS_EACH : 0);
}

/* True: it is a matter of our resources, and dealt with. */
static bool answer_resource(struct dns_stub *s, const struct dns_origin *o, const struct dns_msg *q,
			    uint64_t now_us)
{
	struct dns_match m[MATCHES_MAX];
	struct proxy_domain *d;
	size_t n;

	if (q->type != DNS_A && q->type != DNS_AAAA && q->type != DNS_HTTPS && q->type != DNS_SRV &&
	    q->type != DNS_TXT)
		return false;
	n = dns_patterns_find(s->names, &q->name, m, MATCHES_MAX);
	if (n == 0)
		return false;
	if (q->type == DNS_SRV || q->type == DNS_TXT) {
		dns_forward_to_site(s, o, q, &m[0].id, now_us);
		return true;
	}
	s->stats.resource++;
	if (q->type != DNS_HTTPS) {
		answer_proxies(s, o, q, m, n);
		return true;
	}
	/* Empty: hints in there would lead around the proxy addresses. */
	d = proxy_ips_find(s->ips, &q->name);
	if (d)
		announce(s, d, true);
	answer_empty(s, o, q, DNS_NOERROR);
	return true;
}

static bool answer_reverse(struct dns_stub *s, const struct dns_origin *o, const struct dns_msg *q)
{
	struct proxy_domain *d;
	struct dns_name name;
	struct fz_ip ip;

	if (q->type != DNS_PTR || !dns_name_to_ip(&q->name, &ip) ||
	    (d = proxy_ips_by_ip(s->ips, &ip)) == NULL)
		return false;
	s->stats.resource++;
	announce(s, d, false);
	proxy_domain_name(d, &name);
	dns_answer_ready(s, o, dns_reply_ptr(q, &name, DNS_STUB_TTL, s->buf, dns_answer_max(o, q)));
	return true;
}

/* Browsers ask for it to learn whether they should leave DNS to the system: they should. */
static bool is_canary(const struct dns_name *n)
{
	static const struct dns_name canary = { 25, "\23use-application-dns\3net" };

	return dns_name_equal(n, &canary);
}

/* ---- names of device pools ---- */

static void answer_device(struct dns_stub *s, const struct dns_origin *o, const struct dns_msg *q,
			  const struct dns_pool_name *n)
{
	const struct fz_ip *ip = q->type == DNS_A ? &n->ipv4 : &n->ipv6;

	answer_ips(s, o, q, ip, ip->family != FZ_FAMILY_NONE);
}

/* Wait for the portal; the first one who asks for a name asks it. */
static void await_device(struct dns_stub *s, const struct dns_origin *o, const struct dns_msg *q,
			 const struct fz_uuid *pool, bool ask, uint64_t now_us)
{
	struct dns_job *j = dns_job_new(&s->jobs, o, q, now_us + POOL_LIMIT_US);

	if (j == NULL) {
		s->stats.full++;
		s->stats.failed++;
		answer_empty(s, o, q, DNS_SERVFAIL);
		return;
	}
	j->is_pool = true;
	j->resource = *pool;
	if (ask)
		dns_job_want(&s->jobs, j, DNS_WANT_PORTAL);
}

static bool answer_pool(struct dns_stub *s, const struct dns_origin *o, const struct dns_msg *q,
			uint64_t now_us)
{
	struct dns_match m[MATCHES_MAX];
	size_t n = dns_patterns_find(s->pools, &q->name, m, MATCHES_MAX), best = 0;
	struct dns_pool_name *known;

	if (n == 0)
		return false;
	s->stats.pool++;
	if (q->type != DNS_A && q->type != DNS_AAAA) {
		answer_empty(s, o, q, DNS_NOERROR);
		return true;
	}
	for (size_t i = 1; i < n; i++)
		if (fz_uuid_compare(&m[i].id, &m[best].id) < 0)
			best = i;
	known = dns_pool_find(&s->pool, &m[best].id, &q->name);
	if (known && known->known)
		answer_device(s, o, q, known);
	else
		await_device(s, o, q, &m[best].id,
			     known == NULL && dns_pool_add(&s->pool, &m[best].id, &q->name) != NULL, now_us);
	return true;
}

static bool same_device(const struct dns_job *j, const struct fz_uuid *pool, const struct dns_name *name)
{
	struct dns_msg q;

	return j->is_pool && fz_uuid_equal(&j->resource, pool) &&
	       dns_parse_query(j->query, j->len, &q) == 0 && dns_name_equal(&q.name, name);
}

void dns_stub_handle_pool(struct dns_stub *s, const struct fz_uuid *resource, const char *name, int rcode,
			  const struct fz_ip *ipv4, const struct fz_ip *ipv6, uint64_t now_us)
{
	struct dns_pool_name *n;
	struct dns_name wire;
	struct dns_job *j;

	(void)now_us;
	if (dns_name_parse(name, &wire) != 0 || (n = dns_pool_find(&s->pool, resource, &wire)) == NULL ||
	    n->known) {
		s->stats.late++;
		return;
	}
	for (size_t slot = 0; (j = dns_job_each(&s->jobs, &slot)) != NULL;)
		if (same_device(j, resource, &wire))
			dns_fail(s, j, (enum dns_rcode)rcode);
	n->known = rcode == DNS_NOERROR;
	if (n->known && ipv4)
		n->ipv4 = *ipv4;
	if (n->known && ipv6)
		n->ipv6 = *ipv6;
	if (!n->known)
		dns_pool_remove(&s->pool, n);
}

/* The portal was silent for one of those who wait. Another one asks again. */
static void pool_expired(struct dns_stub *s, struct dns_job *expired)
{
	struct dns_pool_name *n;
	struct dns_job *j;
	struct dns_msg q;

	expired->is_pool = false;
	dns_fail(s, expired, DNS_SERVFAIL);
	if (dns_parse_query(expired->query, expired->len, &q) != 0)
		return;
	for (size_t slot = 0; (j = dns_job_each(&s->jobs, &slot)) != NULL;) {
		if (!same_device(j, &expired->resource, &q.name))
			continue;
		if (j->want == DNS_WANT_NOTHING)
			dns_job_want(&s->jobs, j, DNS_WANT_PORTAL);
		return;
	}
	n = dns_pool_find(&s->pool, &expired->resource, &q.name);
	if (n && !n->known)
		dns_pool_remove(&s->pool, n);
}

/* ---- inputs ---- */

int dns_stub_handle_query(struct dns_stub *s, const struct dns_origin *origin, const void *data, size_t len,
			  uint64_t now_us)
{
	struct dns_msg q;
	size_t n;

	if (dns_servers_find(&s->servers, &origin->sentinel) == NULL) {
		s->stats.no_sentinel++;
		return FZ_ERR_NOT_FOUND;
	}
	if (dns_parse_query(data, len, &q) != 0) {
		s->stats.malformed++;
		return FZ_ERR_WIRE;
	}
	s->stats.queries++;
	if (!origin->tcp && dns_job_same(&s->jobs, origin, &q)) {
		s->stats.repeated++;
		return 0;
	}
	n = dns_cache_get(s->cache, &q, s->buf, dns_answer_max(origin, &q), now_us);
	if (n > 0) {
		s->stats.cached++;
		dns_answer_ready(s, origin, n);
	} else if (answer_pool(s, origin, &q, now_us)) {
		return 0;
	} else if (is_canary(&q.name)) {
		answer_empty(s, origin, &q, DNS_NXDOMAIN);
	} else if (!answer_resource(s, origin, &q, now_us) && !answer_reverse(s, origin, &q)) {
		dns_forward(s, origin, &q, now_us);
	}
	return 0;
}

void dns_stub_handle_timeout(struct dns_stub *s, uint64_t now_us)
{
	struct fz_heap_node *node;

	while ((node = fz_heap_peek(&s->jobs.due)) != NULL && node->at_us <= now_us) {
		struct dns_job *j = fz_container(node, struct dns_job, due);

		if (j->deadline_us > now_us) {
			dns_job_set_try(&s->jobs, j, FZ_NEVER_US);
			dns_forward_silent(s, j, now_us);
			continue;
		}
		fz_heap_set(&s->jobs.due, node, FZ_NEVER_US);
		if (j->is_pool)
			pool_expired(s, j);
		else
			dns_forward_expired(s, j, now_us);
	}
}

uint64_t dns_stub_next_timeout(const struct dns_stub *s)
{
	struct fz_heap_node *node = fz_heap_peek(&s->jobs.due);

	return node ? node->at_us : FZ_NEVER_US;
}

/* ---- outputs ---- */

/* The job ends with an answer of our own. */
static void finish(struct dns_stub *s, struct dns_job *j)
{
	const struct dns_pool_name *n = NULL;
	struct dns_msg q;

	s->stats.failed += j->rcode == DNS_SERVFAIL;
	if (dns_parse_query(j->query, j->len, &q) == 0) {
		if (j->is_pool && j->rcode == DNS_NOERROR)
			n = dns_pool_find(&s->pool, &j->resource, &q.name);
		if (n)
			answer_device(s, &j->origin, &q, n);
		else
			answer_empty(s, &j->origin, &q, j->rcode);
	}
	dns_job_free(&s->jobs, j);
}

static bool give_pool(struct dns_stub *s, const struct dns_job *j, struct dns_out *ret)
{
	struct dns_msg q;

	if (dns_parse_query(j->query, j->len, &q) != 0)
		return false;
	ret->type = DNS_OUT_POOL;
	ret->u.pool.resource = j->resource;
	ret->u.pool.name = dns_name_format(&q.name, s->text);
	return true;
}

static void give_answer(struct dns_stub *s, struct dns_out *ret)
{
	ret->type = DNS_OUT_ANSWER;
	ret->u.answer.origin = s->answer_to;
	ret->u.answer.data = s->buf;
	ret->u.answer.len = s->answer_len;
	s->answer_len = 0;
}

bool dns_stub_poll(struct dns_stub *s, struct dns_out *ret, uint64_t now_us)
{
	struct dns_job *j;

	if (s->name.u.name.domain) {
		*ret = s->name;
		s->name.u.name.domain = NULL;
		return true;
	}
	if (s->answer_len > 0) {
		give_answer(s, ret);
		return true;
	}
	while ((j = dns_job_take(&s->jobs)) != NULL) {
		enum dns_want want = j->want;

		j->want = DNS_WANT_NOTHING;
		if (want == DNS_WANT_ANSWER) {
			finish(s, j);
			give_answer(s, ret);
			return true;
		}
		if (want == DNS_WANT_PORTAL && give_pool(s, j, ret))
			return true;
		if (want == DNS_WANT_TRY && dns_forward_try(s, j, &ret->u.exchange, now_us)) {
			ret->type = DNS_OUT_EXCHANGE;
			return true;
		}
	}
	return false;
}
