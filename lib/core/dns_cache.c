/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dns_cache.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "base/wr.h"
#include "fzconn/error.h"

/* The message up to the end of its answers. Compressed names in it point to the question or to other answers;
 * a question in another spelling has the same length, so that all of them stay right. */
struct entry {
	struct fz_map_link link;
	struct entry *older, *newer;
	uint64_t since_us, until_us;
	size_t len;
	uint16_t type, answers;
	bool dnssec_ok;
	uint8_t data[];
};

struct dns_cache {
	const struct fz_env *env;
	struct fz_map map;
	struct entry *oldest, *newest;
	size_t bytes;
};

int dns_cache_new(const struct fz_env *env, struct dns_cache **ret)
{
	struct dns_cache *c = fz_zalloc(env, sizeof(*c));

	if (c == NULL)
		return FZ_ERR_NOMEM;
	c->env = env;
	if (fz_map_init(&c->map, env, 64) != 0) {
		fz_free(env, c);
		return FZ_ERR_NOMEM;
	}
	*ret = c;
	return 0;
}

static size_t size_of(const struct entry *e)
{
	return sizeof(*e) + e->len;
}

static void drop(struct dns_cache *c, struct entry *e)
{
	*(e->older ? &e->older->newer : &c->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &c->newest) = e->older;
	fz_map_remove(&c->map, &e->link);
	c->bytes -= size_of(e);
	fz_free(c->env, e);
}

void dns_cache_flush(struct dns_cache *c)
{
	while (c->oldest)
		drop(c, c->oldest);
}

void dns_cache_free(struct dns_cache *c)
{
	if (c == NULL)
		return;
	dns_cache_flush(c);
	fz_map_clear(&c->map, c->env);
	fz_free(c->env, c);
}

size_t dns_cache_count(const struct dns_cache *c)
{
	return c->map.used;
}

size_t dns_cache_bytes(const struct dns_cache *c)
{
	return c->bytes;
}

static bool cacheable(const struct dns_msg *query)
{
	return query->class == DNS_CLASS_IN && !(query->flags & (DNS_CD | DNS_OPCODE));
}

static uint64_t hash_of(const struct dns_cache *c, const struct dns_msg *query)
{
	struct dns_name low;

	dns_name_fold(&query->name, &low);
	return fz_map_hash(&c->map, low.b, low.len) + query->type;
}

static bool same_name(const struct entry *e, const struct dns_name *name)
{
	struct dns_name have;
	struct fz_rd r = { e->data + DNS_HEADER_LEN, e->data + e->len, false };

	return dns_name_read(&r, e->data, &have) && dns_name_equal(&have, name);
}

static struct entry *find(const struct dns_cache *c, const struct dns_msg *query, uint64_t hash)
{
	bool dnssec_ok = dns_edns(query).dnssec_ok;

	for (struct fz_map_link *l = fz_map_first(&c->map, hash); l; l = fz_map_next(l)) {
		struct entry *e = fz_container(l, struct entry, link);
		if (e->type == query->type && e->dnssec_ok == dnssec_ok && same_name(e, &query->name))
			return e;
	}
	return NULL;
}

/* The least TTL of records of the type asked for; 0 when there is none. RFC 2181 section 8: the upper half of
 * the numbers is 0. */
static uint32_t least_ttl(const struct dns_msg *reply)
{
	size_t at = reply->answers_at;
	uint32_t least = UINT32_MAX;
	struct dns_record rr;

	while (dns_next_answer(reply, &at, &rr)) {
		if (rr.type != reply->type)
			continue;
		if (rr.ttl > INT32_MAX)
			return 0;
		if (rr.ttl < least)
			least = rr.ttl;
	}
	return least == UINT32_MAX ? 0 : least;
}

static void make_room(struct dns_cache *c, size_t size)
{
	while (c->oldest && (c->map.used >= DNS_CACHE_ENTRIES || c->bytes + size > DNS_CACHE_BYTES))
		drop(c, c->oldest);
}

void dns_cache_put(struct dns_cache *c, const struct dns_msg *query, const struct dns_msg *reply,
		   uint64_t now_us)
{
	uint64_t hash = hash_of(c, query);
	struct entry *e;
	uint32_t ttl;

	if (!cacheable(query) || reply->flags & (DNS_TC | DNS_RCODE) || reply->name.len == 0 ||
	    reply->answers_end > DNS_CACHE_ANSWER_MAX)
		return;
	ttl = least_ttl(reply);
	if (ttl < DNS_CACHE_TTL_MIN_S)
		return;
	e = find(c, query, hash);
	if (e)
		drop(c, e);
	make_room(c, sizeof(*e) + reply->answers_end);
	e = fz_zalloc(c->env, sizeof(*e) + reply->answers_end);
	if (e == NULL)
		return;
	e->since_us = now_us;
	e->until_us = now_us + FZ_SEC(ttl < DNS_CACHE_TTL_MAX_S ? ttl : DNS_CACHE_TTL_MAX_S);
	e->len = reply->answers_end;
	e->type = query->type;
	e->answers = reply->answers;
	e->dnssec_ok = dns_edns(query).dnssec_ok;
	memcpy(e->data, reply->data, e->len);
	e->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
	c->bytes += size_of(e);
	fz_map_insert(&c->map, c->env, &e->link, hash);
}

static void age_records(uint8_t *data, size_t len, uint64_t age_s)
{
	struct dns_msg m;
	struct dns_record rr;
	size_t at;

	if (dns_parse_reply(data, len, &m) != 0)
		return;
	at = m.answers_at;
	while (dns_next_answer(&m, &at, &rr))
		fz_put_be32(data + rr.ttl_at, rr.ttl > age_s ? rr.ttl - (uint32_t)age_s : 0);
}

size_t dns_cache_get(struct dns_cache *c, const struct dns_msg *query, uint8_t *buf, size_t cap,
		     uint64_t now_us)
{
	struct entry *e;
	size_t head;

	if (c->map.used == 0 || !cacheable(query) || (e = find(c, query, hash_of(c, query))) == NULL)
		return 0;
	if (e->until_us <= now_us) {
		drop(c, e);
		return 0;
	}
	head = dns_reply_empty(query, DNS_NOERROR, buf, cap);
	if (e->len > cap) {
		buf[2] |= DNS_TC >> 8;
		return head;
	}
	memcpy(buf + head, e->data + head, e->len - head);
	fz_put_be16(buf + 6, e->answers);
	age_records(buf, e->len, (now_us - e->since_us) / FZ_SEC(1));
	return e->len;
}
