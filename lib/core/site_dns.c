/* SPDX-License-Identifier: Apache-2.0 */
#include "core/site_dns.h"

#include <assert.h>
#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "base/time.h"

/* Askers commonly give up after 5 s. */
#define LIMIT_US FZ_MS(4500)
/* Silence of one server after which another one is asked, or the same once more. */
#define TRY_MS 1500
/* A server that did not answer is asked after the others for this time. */
#define BAD_FOR_US FZ_SEC(30)
/* UDP answers have to fit into one packet of the tunnel, since fragments do not pass. */
#define UDP4_MAX (FZ_TUNNEL_MTU - 20 - 8)
#define UDP6_MAX (FZ_TUNNEL_MTU - 40 - 8)

#define SLOT_BITS 10
static_assert(SITE_DNS_QUERIES <= 1 << SLOT_BITS, "a slot's number fits into an id");

/* A query under way. Each try has exactly one result. */
struct query {
	uint64_t id, request, end_us;
	struct fz_ip asker;
	uint16_t udp_max; /* 0 = by TCP */
	uint8_t asked, server; /* mask of servers; the last one */
	uint8_t rcode; /* for when nobody has anything better */
	size_t len;
	uint8_t data[];
};

struct site_dns {
	const struct fz_env *env;
	struct endpoint *endpoint;
	struct fz_ip servers[SITE_DNS_SERVERS];
	size_t servers_len;
	uint64_t bad_until_us[SITE_DNS_SERVERS];
	struct query *slots[SITE_DNS_QUERIES];
	uint16_t unused[SITE_DNS_QUERIES];
	size_t unused_len;
	uint64_t last;
	struct site_dns_stats stats;
	uint8_t buf[DNS_MESSAGE_MAX]; /* answers that are changed */
};

int site_dns_new(const struct fz_env *env, struct endpoint *endpoint, struct site_dns **ret)
{
	struct site_dns *s = fz_zalloc(env, sizeof(*s));

	if (s == NULL)
		return FZ_ERR_NOMEM;
	s->env = env;
	s->endpoint = endpoint;
	for (size_t i = 0; i < SITE_DNS_QUERIES; i++)
		s->unused[s->unused_len++] = (uint16_t)(SITE_DNS_QUERIES - 1 - i);
	*ret = s;
	return 0;
}

void site_dns_free(struct site_dns *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < SITE_DNS_QUERIES; i++)
		fz_free(s->env, s->slots[i]);
	fz_free(s->env, s);
}

const struct site_dns_stats *site_dns_stats(const struct site_dns *s)
{
	return &s->stats;
}

/* Queries under way go on with what they have asked so far forgotten. */
void site_dns_set_servers(struct site_dns *s, const struct fz_ip *servers, size_t len)
{
	s->servers_len = len < SITE_DNS_SERVERS ? len : SITE_DNS_SERVERS;
	memset(s->bad_until_us, 0, sizeof(s->bad_until_us));
	if (s->servers_len > 0)
		memcpy(s->servers, servers, s->servers_len * sizeof(*servers));
	for (size_t i = 0; i < SITE_DNS_QUERIES; i++)
		if (s->slots[i])
			s->slots[i]->asked = 0;
}

static void end(struct site_dns *s, struct query *q)
{
	uint16_t slot = (uint16_t)(q->id & ((1u << SLOT_BITS) - 1));

	s->slots[slot] = NULL;
	s->unused[s->unused_len++] = slot;
	fz_free(s->env, q);
}

static void fail(struct site_dns *s, struct query *q)
{
	struct dns_msg m;

	s->stats.failed++;
	if (dns_parse_query(q->data, q->len, &m) == 0)
		endpoint_dns_reply(s->endpoint, q->request, s->buf,
				   dns_reply_empty(&m, (enum dns_rcode)q->rcode, s->buf, DNS_UDP_MIN));
	end(s, q);
}

/* In the list's order, those that were silent of late after the others, and once more from the beginning when
 * all were asked. */
static size_t choose(const struct site_dns *s, struct query *q, uint64_t now_us)
{
	if (q->asked == (1u << s->servers_len) - 1)
		q->asked = 0;
	for (int bad = 0; bad <= 1; bad++)
		for (size_t i = 0; i < s->servers_len; i++)
			if (!(q->asked & 1u << i) && (bad || s->bad_until_us[i] <= now_us))
				return i;
	return 0;
}

static void try_next(struct site_dns *s, struct query *q, uint64_t now_us)
{
	uint64_t left_ms = q->end_us > now_us ? (q->end_us - now_us) / 1000 : 0;
	struct fz_dns_query ask = { .size = sizeof(ask),
				    .id = q->id,
				    .transport = q->udp_max ? FZ_DNS_UDP : FZ_DNS_TCP,
				    .timeout_ms = left_ms < TRY_MS ? (uint32_t)left_ms : TRY_MS,
				    .data = q->data,
				    .len = q->len };

	if (s->servers_len == 0 || left_ms == 0) {
		fail(s, q);
		return;
	}
	q->server = (uint8_t)choose(s, q, now_us);
	q->asked |= (uint8_t)(1u << q->server);
	ask.server = (struct fz_addr){ .ip = s->servers[q->server], .port = 53 };
	if (endpoint_dns_query(s->endpoint, &ask) != 0)
		fail(s, q);
}

static uint16_t udp_limit(const struct fz_dns_request *r, const struct dns_msg *m)
{
	uint16_t most = r->local.ip.family == FZ_FAMILY_INET ? UDP4_MAX : UDP6_MAX;
	uint16_t takes = dns_edns(m).udp_size;

	if (takes == 0)
		takes = DNS_UDP_MIN;
	return takes < most ? takes : most;
}

/* Nobody takes the places of all others. */
static bool has_room(const struct site_dns *s, const struct fz_ip *asker)
{
	size_t own = 0;

	if (s->unused_len == 0)
		return false;
	if (SITE_DNS_QUERIES - s->unused_len < SITE_DNS_EACH)
		return true;
	for (size_t i = 0; i < SITE_DNS_QUERIES; i++)
		own += s->slots[i] && fz_ip_equal(&s->slots[i]->asker, asker);
	return own < SITE_DNS_EACH;
}

void site_dns_request(struct site_dns *s, const struct fz_dns_request *r, uint64_t now_us)
{
	struct query *q = NULL;
	struct dns_msg m;
	uint16_t slot;

	if (dns_parse_query(r->data, r->len, &m) != 0) {
		s->stats.malformed++;
		endpoint_dns_reply(s->endpoint, r->id, NULL, 0);
		return;
	}
	s->stats.queries++;
	if (has_room(s, &r->peer.ip))
		q = fz_zalloc(s->env, sizeof(*q) + r->len);
	if (q == NULL) {
		s->stats.full++;
		endpoint_dns_reply(s->endpoint, r->id, s->buf,
				   dns_reply_empty(&m, DNS_SERVFAIL, s->buf, DNS_UDP_MIN));
		return;
	}
	slot = s->unused[--s->unused_len];
	s->slots[slot] = q;
	q->id = ++s->last << SLOT_BITS | slot;
	q->request = r->id;
	q->asker = r->peer.ip;
	q->end_us = now_us + LIMIT_US;
	q->udp_max = r->tcp ? 0 : udp_limit(r, &m);
	q->rcode = DNS_SERVFAIL;
	q->len = r->len;
	memcpy(q->data, r->data, r->len);
	try_next(s, q, now_us);
}

/* Another server may know better. */
static bool is_unwilling(uint8_t rcode)
{
	return rcode == DNS_SERVFAIL || rcode == DNS_NOTIMP || rcode == DNS_REFUSED;
}

static void deliver(struct site_dns *s, struct query *q, const struct fz_dns_answer *a)
{
	const uint8_t *data = a->data;
	size_t len = a->len;

	if (q->udp_max && len > q->udp_max) {
		memcpy(s->buf, data, len);
		len = dns_truncate(s->buf, len, q->udp_max);
		data = s->buf;
	}
	endpoint_dns_reply(s->endpoint, q->request, data, len);
	end(s, q);
}

void site_dns_answer(struct site_dns *s, const struct fz_dns_answer *a, uint64_t now_us)
{
	size_t slot = a->id & ((1u << SLOT_BITS) - 1);
	struct query *q = slot < SITE_DNS_QUERIES ? s->slots[slot] : NULL;
	uint8_t rcode;

	if (q == NULL || q->id != a->id)
		return;
	if (a->err != 0 || a->len < DNS_HEADER_LEN || a->len > DNS_MESSAGE_MAX) {
		s->bad_until_us[q->server] = now_us + BAD_FOR_US;
		try_next(s, q, now_us);
		return;
	}
	s->bad_until_us[q->server] = 0;
	rcode = a->data[3] & DNS_RCODE;
	if (is_unwilling(rcode) && (q->asked & ((1u << s->servers_len) - 1)) != (1u << s->servers_len) - 1) {
		q->rcode = rcode;
		try_next(s, q, now_us);
		return;
	}
	deliver(s, q, a);
}
