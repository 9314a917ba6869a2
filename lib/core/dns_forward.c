/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/time.h"
#include "core/dns_stub_impl.h"
#include "fzconn/error.h"

/* Askers commonly give up after 5 s. Direct queries are answered before that; through the tunnel a connection
 * may have to be made first. */
#define DIRECT_LIMIT_US FZ_MS(4500)
#define TUNNEL_LIMIT_US FZ_SEC(10)
/* Silence after which the next server is asked as well. */
#define DIRECT_GAP_US FZ_MS(1500)
#define TUNNEL_GAP_US FZ_MS(2500)

#define FAILURES_MAX 2
#define BAD_FOR_US FZ_SEC(30)

#define ID_BITS 3 /* the try in an exchange's id */
static_assert(DNS_TRIES_MAX <= 1 << ID_BITS, "a try's number fits into an id");

/* ---- health ---- */

static void server_failed(struct dns_stub *s, const struct dns_job *j, unsigned try_no, uint64_t now_us)
{
	struct dns_health *h = &s->health[j->server_of[try_no]];

	if (j->is_site)
		return;
	if (++h->failures >= FAILURES_MAX)
		h->bad_until_us = now_us + BAD_FOR_US;
}

/* ---- choosing ---- */

static bool usable(const struct dns_stub *s, const struct dns_job *j, size_t i)
{
	/* A name that a server inside the tunnel is asked for is nobody's business outside. */
	return s->servers.v[i].tunnelled == s->servers.v[j->own].tunnelled;
}

/* The next server that was not asked yet: in the list's order from our own on, bad ones last.
 * DNS_SERVERS_MAX = there is none. */
static size_t next_server(const struct dns_stub *s, const struct dns_job *j, uint64_t now_us)
{
	for (int bad = 0; bad <= 1; bad++) {
		for (size_t k = 0; k < s->servers.len; k++) {
			size_t i = (j->own + k) % s->servers.len;
			if (usable(s, j, i) && !(j->asked & 1u << i) &&
			    (bad || s->health[i].bad_until_us <= now_us))
				return i;
		}
	}
	return DNS_SERVERS_MAX;
}

static bool is_tunnelled(const struct dns_stub *s, const struct dns_job *j)
{
	return j->is_site || (j->own < s->servers.len && s->servers.v[j->own].tunnelled);
}

static struct dns_job *start(struct dns_stub *s, const struct dns_origin *origin, const struct dns_msg *query,
			     uint64_t limit_us, uint64_t now_us)
{
	struct dns_job *j = dns_job_new(&s->jobs, origin, query, now_us + limit_us);

	if (j == NULL) {
		s->stats.full++;
		s->stats.failed++;
		dns_answer_ready(s, origin,
				 dns_reply_empty(query, DNS_SERVFAIL, s->buf, dns_answer_max(origin, query)));
		return NULL;
	}
	dns_job_want(&s->jobs, j, DNS_WANT_TRY);
	return j;
}

void dns_forward(struct dns_stub *s, const struct dns_origin *origin, const struct dns_msg *query,
		 uint64_t now_us)
{
	const struct dns_server *own = dns_servers_find(&s->servers, &origin->sentinel);
	struct dns_job *j =
		start(s, origin, query, own->tunnelled ? TUNNEL_LIMIT_US : DIRECT_LIMIT_US, now_us);

	s->stats.forwarded++;
	if (j)
		j->own = (uint8_t)(own - s->servers.v);
}

void dns_forward_to_site(struct dns_stub *s, const struct dns_origin *origin, const struct dns_msg *query,
			 const struct fz_uuid *resource, uint64_t now_us)
{
	struct dns_job *j = start(s, origin, query, TUNNEL_LIMIT_US, now_us);

	s->stats.site++;
	if (j) {
		j->is_site = true;
		j->resource = *resource;
	}
}

/* ---- tries ---- */

bool dns_forward_try(struct dns_stub *s, struct dns_job *j, struct dns_exchange *ret, uint64_t now_us)
{
	size_t i = j->is_site ? 0 : next_server(s, j, now_us);
	const struct dns_server *server;

	if (i == DNS_SERVERS_MAX)
		i = j->own; /* all were asked: once more */
	if (j->tries == DNS_TRIES_MAX || now_us >= j->deadline_us || (!j->is_site && i >= s->servers.len)) {
		dns_fail(s, j, DNS_SERVFAIL);
		return false;
	}
	server = &s->servers.v[i];
	*ret = (struct dns_exchange){
		.id = (uint64_t)j->id << ID_BITS | j->tries,
		.tcp = j->origin.tcp,
		.timeout_ms = (uint32_t)((j->deadline_us - now_us + 999) / 1000),
		.data = j->query,
		.len = j->len,
	};
	if (j->is_site) {
		ret->path = DNS_PATH_SITE;
		ret->resource = j->resource;
		ret->family = j->origin.sentinel.family;
	} else {
		ret->path = server->tunnelled ? DNS_PATH_TUNNEL : DNS_PATH_DIRECT;
		ret->server = (struct fz_addr){ .ip = server->ip, .port = server->url ? 0 : DNS_PORT };
		ret->url = server->url;
		j->asked |= 1u << i;
	}
	j->server_of[j->tries] = (uint8_t)i;
	j->open |= (uint8_t)(1u << j->tries++);
	s->stats.tries++;
	dns_job_set_try(&s->jobs, j, now_us + (is_tunnelled(s, j) ? TUNNEL_GAP_US : DIRECT_GAP_US));
	return true;
}

/* TCP repeats what is lost by itself: it is of use only to ask somebody else. */
static bool repeats_itself(const struct dns_stub *s, const struct dns_job *j)
{
	return j->origin.tcp || (!j->is_site && s->servers.v[j->own].url != NULL);
}

void dns_forward_silent(struct dns_stub *s, struct dns_job *j, uint64_t now_us)
{
	unsigned last = j->tries - 1u;

	if (j->open & 1u << last) {
		s->stats.silent++;
		server_failed(s, j, last, now_us);
	}
	if ((j->is_site || next_server(s, j, now_us) == DNS_SERVERS_MAX) && repeats_itself(s, j))
		dns_job_set_try(&s->jobs, j, FZ_NEVER_US);
	else if (j->tries == DNS_TRIES_MAX)
		dns_job_set_try(&s->jobs, j, FZ_NEVER_US);
	else
		dns_job_want(&s->jobs, j, DNS_WANT_TRY);
}

void dns_forward_expired(struct dns_stub *s, struct dns_job *j, uint64_t now_us)
{
	for (unsigned i = 0; i < j->tries; i++)
		if (j->open & 1u << i)
			server_failed(s, j, i, now_us);
	dns_fail(s, j, DNS_SERVFAIL);
}

/* Somebody else may know, or has yet to answer; else that was it. */
static void try_failed(struct dns_stub *s, struct dns_job *j, unsigned try_no, uint64_t now_us)
{
	j->open &= (uint8_t) ~(1u << try_no);
	server_failed(s, j, try_no, now_us);
	if (!j->is_site && j->tries < DNS_TRIES_MAX && next_server(s, j, now_us) != DNS_SERVERS_MAX)
		dns_job_want(&s->jobs, j, DNS_WANT_TRY);
	else if (j->open == 0)
		dns_fail(s, j, DNS_SERVFAIL);
}

static void answered(struct dns_stub *s, struct dns_job *j, const struct dns_msg *query,
		     const struct dns_msg *reply, uint64_t now_us)
{
	size_t max = dns_answer_max(&j->origin, query), len;

	dns_cache_put(s->cache, query, reply, now_us);
	memcpy(s->buf, reply->data, reply->len);
	memcpy(s->buf, j->query, 2); /* the id */
	len = dns_truncate(s->buf, reply->len, max);
	s->stats.truncated += len != reply->len;
	dns_answer_ready(s, &j->origin, len);
	dns_job_free(&s->jobs, j);
}

static struct dns_job *find(struct dns_stub *s, uint64_t id, unsigned *ret_try)
{
	struct dns_job *j =
		id >> ID_BITS <= UINT32_MAX ? dns_job_find(&s->jobs, (uint32_t)(id >> ID_BITS)) : NULL;

	*ret_try = id & ((1u << ID_BITS) - 1);
	return j && j->open & 1u << *ret_try ? j : NULL;
}

void dns_stub_handle_answer(struct dns_stub *s, uint64_t id, int err, const void *data, size_t len,
			    uint64_t now_us)
{
	struct dns_msg query, reply;
	unsigned try_no;
	struct dns_job *j = find(s, id, &try_no);

	if (j == NULL) {
		s->stats.late++;
		return;
	}
	if (err == 0 && (dns_parse_query(j->query, j->len, &query) != 0 ||
			 dns_parse_reply(data, len, &reply) != 0 || !dns_answers(&reply, &query))) {
		s->stats.strange++;
		err = FZ_ERR_WIRE;
	}
	if (err != 0) {
		fz_debug(s->env, "dns", "a server gave no answer: %s", fz_strerror(err));
		try_failed(s, j, try_no, now_us);
		return;
	}
	if (!j->is_site)
		s->health[j->server_of[try_no]] = (struct dns_health){ 0 };
	answered(s, j, &query, &reply, now_us);
}

/* ---- sites ---- */

void dns_stub_defer(struct dns_stub *s, uint64_t id)
{
	unsigned try_no;
	struct dns_job *j = find(s, id, &try_no);

	if (j == NULL)
		return;
	j->open &= (uint8_t) ~(1u << try_no);
	j->tries--;
	j->deferred = true;
	dns_job_set_try(&s->jobs, j, FZ_NEVER_US);
}

void dns_stub_site_up(struct dns_stub *s, const struct fz_uuid *resource, uint64_t now_us)
{
	struct dns_job *j;

	(void)now_us;
	for (size_t slot = 0; (j = dns_job_each(&s->jobs, &slot)) != NULL;) {
		if (!j->deferred || !fz_uuid_equal(&j->resource, resource))
			continue;
		j->deferred = false;
		dns_job_want(&s->jobs, j, DNS_WANT_TRY);
	}
}

void dns_stub_site_down(struct dns_stub *s, const struct fz_uuid *resource, uint64_t now_us)
{
	struct dns_job *j;

	(void)now_us;
	for (size_t slot = 0; (j = dns_job_each(&s->jobs, &slot)) != NULL;)
		if (j->is_site && fz_uuid_equal(&j->resource, resource))
			dns_fail(s, j, DNS_SERVFAIL);
}

/* ---- changes ---- */

void dns_forward_restart(struct dns_stub *s, bool other_servers, uint64_t now_us)
{
	struct dns_job *j;

	(void)now_us;
	memset(s->health, 0, sizeof(s->health));
	for (size_t slot = 0; (j = dns_job_each(&s->jobs, &slot)) != NULL;) {
		if (j->is_pool || j->is_site || j->want == DNS_WANT_ANSWER)
			continue;
		/* Results of what was sent before are late from now on. */
		j->open = 0;
		j->asked = 0;
		if (other_servers)
			j->own = 0;
		if (s->servers.len == 0)
			dns_fail(s, j, DNS_SERVFAIL);
		else
			dns_job_want(&s->jobs, j, DNS_WANT_TRY);
	}
}
