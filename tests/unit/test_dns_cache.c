/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_rig.h"

#include <stdio.h>

#include "base/rng.h"
#include "base/time.h"
#include "base/wr.h"
#include "core/dns_cache.h"

static const uint8_t filler[250]; /* of large records */

struct box {
	struct unit_env u;
	struct dns_cache *cache;
	uint64_t now_us;
	uint8_t q[512], r[DNS_MESSAGE_MAX], out[DNS_MESSAGE_MAX];
	struct dns_msg query, reply, got;
};

static void box_init(struct box *b)
{
	unit_env_init(&b->u, 1);
	b->now_us = FZ_SEC(100);
	ck_assert_int_eq(dns_cache_new(&b->u.env, &b->cache), 0);
}

static void box_clear(struct box *b)
{
	dns_cache_free(b->cache);
	unit_env_check(&b->u);
}

static void set_query(struct box *b, const char *name, unsigned type)
{
	size_t len = rig_message(b->q, 77, DNS_RD, name, type);

	ck_assert_int_eq(dns_parse_query(b->q, len, &b->query), 0);
}

static size_t start_reply(struct box *b, const char *name, unsigned type)
{
	return rig_message(b->r, 5, DNS_QR | DNS_AA | DNS_RD | DNS_RA, name, type);
}

static void put(struct box *b, size_t len)
{
	ck_assert_int_eq(dns_parse_reply(b->r, len, &b->reply), 0);
	dns_cache_put(b->cache, &b->query, &b->reply, b->now_us);
}

static void put_a(struct box *b, const char *name, uint32_t ttl)
{
	set_query(b, name, DNS_A);
	put(b, rig_add_answer(b->r, start_reply(b, name, DNS_A), DNS_A, ttl, "\1\2\3\4", 4));
}

static bool get(struct box *b)
{
	size_t len = dns_cache_get(b->cache, &b->query, b->out, sizeof(b->out), b->now_us);

	if (len > 0)
		ck_assert_int_eq(dns_parse_reply(b->out, len, &b->got), 0);
	return len > 0;
}

static uint32_t ttl_of(const struct dns_msg *m, unsigned n)
{
	size_t at = m->answers_at;
	struct dns_record rr = { 0 };

	for (unsigned i = 0; i <= n; i++)
		ck_assert(dns_next_answer(m, &at, &rr));
	return rr.ttl;
}

START_TEST(a6_45_ttl_counts_down)
{
	struct box b;
	size_t len;

	box_init(&b);
	put_a(&b, "www.example.com", 3600);
	b.now_us += FZ_SEC(100) + 999999;
	set_query(&b, "WWW.example.COM", DNS_A);
	ck_assert(get(&b));
	ck_assert_uint_eq(ttl_of(&b.got, 0), 3500);
	ck_assert_uint_eq(b.got.id, 77);
	ck_assert_uint_eq(b.got.flags, DNS_QR | DNS_RD);
	ck_assert_mem_eq(b.out + DNS_HEADER_LEN, b.q + DNS_HEADER_LEN, b.query.name.len); /* our spelling */
	/* Two records, each with its own. */
	set_query(&b, "two.example.com", DNS_A);
	len = start_reply(&b, "two.example.com", DNS_A);
	len = rig_add_answer(b.r, len, DNS_A, 1800, "\1\2\3\4", 4);
	len = rig_add_answer(b.r, len, DNS_A, 3600, "\1\2\3\5", 4);
	put(&b, len);
	b.now_us += FZ_SEC(100);
	ck_assert(get(&b));
	ck_assert_uint_eq(ttl_of(&b.got, 0), 1700);
	ck_assert_uint_eq(ttl_of(&b.got, 1), 3500);
	b.now_us += FZ_SEC(1700) - 1;
	ck_assert(get(&b));
	ck_assert_uint_eq(ttl_of(&b.got, 0), 1);
	b.now_us += 1; /* the least TTL of the type is the end */
	ck_assert(!get(&b));
	box_clear(&b);
}
END_TEST

START_TEST(a6_45_alias_and_address)
{
	struct box b;
	size_t len;

	box_init(&b);
	set_query(&b, "www.example.org", DNS_A);
	len = start_reply(&b, "www.example.org", DNS_A);
	len = rig_add_answer(b.r, len, DNS_CNAME, 60, "\3cdn\300\020", 6);
	len = rig_add_answer(b.r, len, DNS_A, 120, "\1\2\3\4", 4);
	len = rig_add_opt(b.r, len, 1232, false);
	put(&b, len);
	b.now_us += FZ_SEC(3);
	ck_assert(get(&b));
	ck_assert_uint_eq(ttl_of(&b.got, 0), 57);
	ck_assert_uint_eq(ttl_of(&b.got, 1), 117);
	ck_assert_uint_eq(b.got.len, len - 11); /* answers only */
	ck_assert_uint_eq(b.got.additionals, 0);
	b.now_us += FZ_SEC(100); /* the alias has outlived itself, and says so */
	ck_assert(get(&b));
	ck_assert_uint_eq(ttl_of(&b.got, 0), 0);
	box_clear(&b);
}
END_TEST

static void put_nothing(struct box *b, size_t len, const char *why)
{
	put(b, len);
	ck_assert_msg(dns_cache_count(b->cache) == 0, "%s", why);
}

START_TEST(a6_45_what_is_not_kept)
{
	struct box b;
	size_t len;

	box_init(&b);
	put_a(&b, "short.example", 4);
	ck_assert_uint_eq(dns_cache_count(b.cache), 0);
	put_a(&b, "odd.example", 0x80000005); /* RFC 2181: stands for 0 */
	ck_assert_uint_eq(dns_cache_count(b.cache), 0);
	set_query(&b, "x.example", DNS_A);
	put_nothing(&b, start_reply(&b, "x.example", DNS_A), "no record");
	len = rig_add_answer(b.r, start_reply(&b, "x.example", DNS_A), DNS_CNAME, 60, "\1y\300\016", 4);
	put_nothing(&b, len, "an alias alone");
	len = rig_add_answer(b.r, start_reply(&b, "x.example", DNS_A), DNS_A, 60, "\1\2\3\4", 4);
	b.r[2] |= DNS_TC >> 8;
	put_nothing(&b, len, "truncated");
	b.r[2] &= (uint8_t) ~(DNS_TC >> 8);
	b.r[3] |= DNS_NXDOMAIN;
	put_nothing(&b, len, "an error");
	b.r[3] &= 0xf0;
	b.q[3] |= DNS_CD;
	ck_assert_int_eq(dns_parse_query(b.q, b.query.len, &b.query), 0);
	put_nothing(&b, len, "unchecked data");
	b.q[3] = 0;
	b.q[b.query.answers_at - 1] = 3;
	ck_assert_int_eq(dns_parse_query(b.q, b.query.len, &b.query), 0);
	put_nothing(&b, len, "another class");
	set_query(&b, "x.example", 255);
	len = rig_add_answer(b.r, start_reply(&b, "x.example", 255), DNS_A, 60, "\1\2\3\4", 4);
	put_nothing(&b, len, "ANY");
	set_query(&b, "x.example", DNS_TXT);
	len = start_reply(&b, "x.example", DNS_TXT);
	while (len <= DNS_CACHE_ANSWER_MAX)
		len = rig_add_answer(b.r, len, DNS_TXT, 60, filler, 250);
	put_nothing(&b, len, "too long");
	ck_assert_uint_eq(dns_cache_bytes(b.cache), 0);
	box_clear(&b);
}
END_TEST

START_TEST(dnssec_is_kept_apart)
{
	struct box b;
	size_t len;

	box_init(&b);
	put_a(&b, "www.example", 60);
	len = rig_add_opt(b.q, b.query.len, 1232, true);
	ck_assert_int_eq(dns_parse_query(b.q, len, &b.query), 0);
	ck_assert(!get(&b)); /* signatures are missing there */
	dns_cache_put(b.cache, &b.query, &b.reply, b.now_us);
	ck_assert_uint_eq(dns_cache_count(b.cache), 2);
	ck_assert(get(&b));
	box_clear(&b);
}
END_TEST

START_TEST(cut_to_what_fits)
{
	struct box b;
	size_t len;

	box_init(&b);
	set_query(&b, "big.example", DNS_TXT);
	len = start_reply(&b, "big.example", DNS_TXT);
	for (int i = 0; i < 12; i++)
		len = rig_add_answer(b.r, len, DNS_TXT, 60, filler, 200);
	put(&b, len);
	ck_assert_uint_eq(dns_cache_get(b.cache, &b.query, b.out, len, b.now_us), len);
	ck_assert_uint_eq(dns_cache_get(b.cache, &b.query, b.out, len - 1, b.now_us), b.query.answers_end);
	ck_assert_int_eq(dns_parse_reply(b.out, b.query.answers_end, &b.got), 0);
	ck_assert_uint_eq(b.got.flags, DNS_QR | DNS_RD | DNS_TC);
	box_clear(&b);
}
END_TEST

START_TEST(bounds)
{
	struct box b;
	char name[64];
	size_t len;

	box_init(&b);
	for (unsigned i = 0; i < DNS_CACHE_ENTRIES + 10; i++) {
		snprintf(name, sizeof(name), "host%u.example", i);
		put_a(&b, name, 60);
	}
	ck_assert_uint_eq(dns_cache_count(b.cache), DNS_CACHE_ENTRIES);
	set_query(&b, "host9.example", DNS_A);
	ck_assert(!get(&b)); /* the oldest are gone */
	set_query(&b, "host10.example", DNS_A);
	ck_assert(get(&b));
	put_a(&b, "host10.example", 90); /* newer than the others now, and not twice */
	ck_assert_uint_eq(dns_cache_count(b.cache), DNS_CACHE_ENTRIES);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "big%u.example", i);
		set_query(&b, name, DNS_TXT);
		len = start_reply(&b, name, DNS_TXT);
		while (len < 15000)
			len = rig_add_answer(b.r, len, DNS_TXT, 60, filler, 250);
		put(&b, len);
		ck_assert_uint_le(dns_cache_bytes(b.cache), DNS_CACHE_BYTES);
	}
	ck_assert(get(&b));
	dns_cache_flush(b.cache);
	ck_assert_uint_eq(dns_cache_count(b.cache), 0);
	ck_assert_uint_eq(dns_cache_bytes(b.cache), 0);
	ck_assert(!get(&b));
	box_clear(&b);
}
END_TEST

/* ---- the twin: an array that is searched from the end ---- */

struct twin_entry {
	char name[16];
	unsigned type;
	uint32_t ttl;
	uint64_t since_us;
	uint8_t value;
};

static size_t twin_find(const struct twin_entry *v, size_t n, const char *name, unsigned type)
{
	while (n > 0)
		if (strcmp(v[--n].name, name) == 0 && v[n].type == type)
			return n;
	return SIZE_MAX;
}

START_TEST(random_twin)
{
	static struct twin_entry v[100000];
	size_t n = 0, hits = 0;
	struct box b;

	box_init(&b);
	for (int step = 0; step < 100000; step++) {
		char name[16], spelled[16];
		unsigned type = fz_rng_below(&b.u.env, 2) ? DNS_A : DNS_AAAA;
		size_t at;
		snprintf(name, sizeof(name), "n%u.x", fz_rng_below(&b.u.env, 300));
		b.now_us += fz_rng_below(&b.u.env, 200000);
		if (fz_rng_below(&b.u.env, 5000) == 0) {
			dns_cache_flush(b.cache);
			n = 0;
		}
		set_query(&b, name, type);
		if (fz_rng_below(&b.u.env, 3) == 0) {
			uint8_t value = (uint8_t)fz_rng_u32(&b.u.env), data[16] = { value };
			uint32_t ttl = fz_rng_below(&b.u.env, 40);
			put(&b, rig_add_answer(b.r, start_reply(&b, name, type), type, ttl, data,
					       type == DNS_A ? 4 : 16));
			if (ttl >= 5) {
				v[n] = (struct twin_entry){
					.type = type, .ttl = ttl, .since_us = b.now_us, .value = value
				};
				strcpy(v[n++].name, name);
			}
			continue;
		}
		strcpy(spelled, name);
		spelled[0] = fz_rng_below(&b.u.env, 2) ? 'N' : 'n';
		set_query(&b, spelled, type);
		at = twin_find(v, n, name, type);
		if (at != SIZE_MAX && v[at].since_us + FZ_SEC(v[at].ttl) <= b.now_us)
			at = SIZE_MAX;
		ck_assert_int_eq(get(&b), at != SIZE_MAX);
		if (at == SIZE_MAX)
			continue;
		hits++;
		ck_assert_uint_eq(ttl_of(&b.got, 0), v[at].ttl - (b.now_us - v[at].since_us) / FZ_SEC(1));
		ck_assert_uint_eq(b.out[b.got.answers_end - (type == DNS_A ? 4 : 16)], v[at].value);
	}
	ck_assert_uint_gt(hits, 5000);
	box_clear(&b);
}
END_TEST

START_TEST(without_memory)
{
	for (long fail = 1; fail < 100; fail++) {
		struct box b;
		int err;

		unit_env_init(&b.u, 1);
		b.u.fail_at = fail;
		b.now_us = 0;
		err = dns_cache_new(&b.u.env, &b.cache);
		if (err == 0) {
			put_a(&b, "a.example", 60);
			err = get(&b) ? 0 : FZ_ERR_NOMEM;
			ck_assert_uint_eq(dns_cache_count(b.cache), err == 0);
			dns_cache_free(b.cache);
		}
		unit_env_check(&b.u);
		if (err == 0)
			return;
		ck_assert_int_eq(err, FZ_ERR_NOMEM);
	}
	ck_abort();
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("dns_cache");

	unit_case(s, "kept", a6_45_ttl_counts_down, a6_45_alias_and_address, a6_45_what_is_not_kept,
		  dnssec_is_kept_apart, cut_to_what_fits);
	unit_case(s, "bounded", bounds, random_twin, without_memory);
	return s;
}
