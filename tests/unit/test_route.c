/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/addr.h"
#include "base/rng.h"
#include "core/filter.h"
#include "core/route.h"

#define TCP(a, b)                                                                                            \
	{                                                                                                    \
		PORTAL_PROTO_TCP, a, b                                                                       \
	}
#define UDP(a, b)                                                                                            \
	{                                                                                                    \
		PORTAL_PROTO_UDP, a, b                                                                       \
	}
#define ICMP                                                                                                 \
	{                                                                                                    \
		PORTAL_PROTO_ICMP, 0, 65535                                                                  \
	}

static struct filter *make_filter(struct unit_env *u, const struct portal_filter *rules, size_t n)
{
	struct filter *f = NULL;

	ck_assert_int_eq(filter_new(&u->env, rules, n, &f), 0);
	return f;
}

START_TEST(test_filter_table)
{
	static const struct {
		struct portal_filter rules[4];
		size_t n;
		uint8_t kind;
		uint16_t port;
		bool want;
	} cases[] = {
		{ { TCP(0, 0) }, 0, IP_TCP, 1, true },
		{ { TCP(0, 0) }, 0, IP_OTHER, 0, true },
		{ { TCP(22, 22) }, 1, IP_TCP, 22, true },
		{ { TCP(22, 22) }, 1, IP_TCP, 21, false },
		{ { TCP(22, 22) }, 1, IP_TCP, 23, false },
		{ { TCP(22, 22) }, 1, IP_UDP, 22, false },
		{ { TCP(22, 22) }, 1, IP_ICMP_ECHO, 22, false },
		{ { TCP(22, 22) }, 1, IP_OTHER, 22, false },
		{ { TCP(0, 65535) }, 1, IP_TCP, 0, true },
		{ { TCP(0, 65535) }, 1, IP_TCP, 65535, true },
		{ { ICMP }, 1, IP_ICMP_ECHO, 7, true },
		{ { ICMP }, 1, IP_ICMP_OTHER, 0, true },
		{ { ICMP }, 1, IP_TCP, 0, false },
		{ { UDP(10, 20), UDP(15, 30), UDP(31, 40) }, 3, IP_UDP, 35, true },
		{ { UDP(10, 20), UDP(15, 30), UDP(31, 40) }, 3, IP_UDP, 41, false },
		{ { UDP(31, 40), UDP(10, 20), TCP(1, 65535) }, 3, IP_UDP, 25, false },
		{ { UDP(10, 100), UDP(20, 30) }, 2, IP_UDP, 99, true },
		{ { TCP(443, 443), UDP(443, 443), ICMP }, 3, IP_UDP, 443, true },
	};
	struct unit_env u;

	unit_env_init(&u, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct filter *f = make_filter(&u, cases[i].rules, cases[i].n);
		ck_assert_msg(filter_permits(f, cases[i].kind, cases[i].port) == cases[i].want, "case %zu",
			      i);
		filter_unref(f);
	}
	unit_env_check(&u);
}
END_TEST

START_TEST(test_filter_bad)
{
	static struct portal_filter many[FILTER_RANGES_MAX + 1];
	struct unit_env u;
	struct filter *f = NULL;
	struct portal_filter odd = { (enum portal_proto)9, 0, 1 };

	unit_env_init(&u, 1);
	ck_assert_int_eq(filter_new(&u.env, &(struct portal_filter)TCP(2, 1), 1, &f), FZ_ERR_INVAL);
	ck_assert_int_eq(filter_new(&u.env, &odd, 1, &f), FZ_ERR_INVAL);
	ck_assert_int_eq(filter_new(&u.env, many, FILTER_RANGES_MAX + 1, &f), FZ_ERR_FULL);
	u.fail_at = 1;
	ck_assert_int_eq(filter_new(&u.env, &(struct portal_filter)TCP(1, 2), 1, &f), FZ_ERR_NOMEM);
	ck_assert_ptr_null(f);
	filter_unref(NULL);
	unit_env_check(&u);
}
END_TEST

START_TEST(test_filter_equal)
{
	struct unit_env u;

	unit_env_init(&u, 1);
	struct filter *a = make_filter(&u, (struct portal_filter[]){ TCP(1, 5), TCP(6, 9), ICMP }, 3);
	struct filter *b = make_filter(&u, (struct portal_filter[]){ ICMP, TCP(3, 9), TCP(1, 4) }, 3);
	struct filter *c = make_filter(&u, (struct portal_filter[]){ TCP(1, 9) }, 1);
	struct filter *d = make_filter(&u, (struct portal_filter[]){ UDP(1, 9) }, 1);
	struct filter *any = make_filter(&u, NULL, 0);
	ck_assert(filter_equal(a, b));
	ck_assert(!filter_equal(a, c));
	ck_assert(!filter_equal(c, d));
	ck_assert(!filter_equal(a, any));
	ck_assert(filter_equal(any, any));
	filter_unref(filter_ref(a));
	struct filter *all[] = { a, b, c, d, any };
	for (int i = 0; i < 5; i++)
		filter_unref(all[i]);
	unit_env_check(&u);
}
END_TEST

/* Many ranges against a bitmap of ports. */
START_TEST(test_filter_twin)
{
	struct unit_env u;
	static bool want[2][65536];

	unit_env_init(&u, 3);
	for (int round = 0; round < 30; round++) {
		struct portal_filter rules[40];
		size_t n = 1 + fz_rng_below(&u.env, 40);
		unsigned wrong = 0;
		memset(want, 0, sizeof(want));
		for (size_t i = 0; i < n; i++) {
			uint32_t start = fz_rng_below(&u.env, 65536),
				 len = fz_rng_below(&u.env, round % 2 ? 20 : 4000);
			uint32_t end = start + len > 65535 ? 65535 : start + len;
			enum portal_proto proto =
				fz_rng_below(&u.env, 2) ? PORTAL_PROTO_UDP : PORTAL_PROTO_TCP;
			rules[i] = (struct portal_filter){ proto, (uint16_t)start, (uint16_t)end };
			for (uint32_t p = start; p <= end; p++)
				want[proto == PORTAL_PROTO_UDP][p] = true;
		}
		struct filter *f = make_filter(&u, rules, n);
		for (uint32_t p = 0; p < 65536; p++) {
			wrong += filter_permits(f, IP_TCP, (uint16_t)p) != want[0][p];
			wrong += filter_permits(f, IP_UDP, (uint16_t)p) != want[1][p];
		}
		ck_assert_uint_eq(wrong, 0);
		filter_unref(f);
	}
	unit_env_check(&u);
}
END_TEST

static struct fz_uuid uuid(unsigned n)
{
	struct fz_uuid id = { { 0 } };

	id.b[14] = (uint8_t)(n >> 8);
	id.b[15] = (uint8_t)n;
	return id;
}

static struct fz_prefix net(const char *text)
{
	struct fz_prefix p;

	ck_assert_int_eq(fz_prefix_parse(text, &p), 0);
	return p;
}

static struct fz_ip ip(const char *text)
{
	struct fz_ip a;

	ck_assert_int_eq(fz_ip_parse(text, &a), 0);
	return a;
}

/* Tags are texts here; the first letter counts, a later one is more specific. */
static int tag_order(const void *a, const void *b)
{
	return *(const char *)a - *(const char *)b;
}

struct way {
	unsigned id;
	const char *net;
	struct portal_filter rule;
	bool any;
	const char *tag;
};

static const struct {
	struct way ways[4];
	const char *ip;
	uint8_t kind;
	uint16_t port;
	unsigned want; /* id, 0 = none */
	bool permitted;
} choices[] = {
	{ { { 1, "10.0.0.0/8", ICMP, true }, { 2, "10.20.0.0/16", ICMP, true } },
	  "10.20.0.1",
	  IP_TCP,
	  80,
	  2,
	  true },
	{ { { 1, "10.0.0.0/8", ICMP, true }, { 2, "10.20.0.0/16", ICMP, true } },
	  "10.99.0.1",
	  IP_TCP,
	  80,
	  1,
	  true },
	{ { { 1, "10.0.0.0/8", ICMP, true }, { 2, "10.20.0.0/16", ICMP, true } },
	  "11.0.0.1",
	  IP_TCP,
	  80,
	  0,
	  false },
	{ { { 1, "10.0.0.0/8", TCP(443, 443) }, { 2, "10.0.0.0/8", TCP(80, 80) } },
	  "10.1.1.1",
	  IP_TCP,
	  443,
	  1,
	  true },
	{ { { 1, "10.0.0.0/8", TCP(443, 443) }, { 2, "10.0.0.0/8", TCP(80, 80) } },
	  "10.1.1.1",
	  IP_TCP,
	  80,
	  2,
	  true },
	{ { { 1, "10.0.0.0/8", TCP(443, 443) }, { 2, "10.0.0.0/8", TCP(80, 80) } },
	  "10.1.1.1",
	  IP_TCP,
	  9999,
	  2,
	  false },
	{ { { 1, "10.0.0.0/8", ICMP, true }, { 2, "10.20.0.0/16", TCP(80, 80) } },
	  "10.20.0.1",
	  IP_TCP,
	  22,
	  1,
	  true },
	{ { { 1, "10.0.0.0/8", ICMP, true }, { 2, "10.20.0.0/16", TCP(80, 80) } },
	  "10.20.0.1",
	  IP_TCP,
	  80,
	  2,
	  true },
	{ { { 1, "0.0.0.0/0", TCP(1, 1) }, { 2, "10.0.0.1/32", TCP(2, 2) } },
	  "10.0.0.1",
	  IP_ICMP_ECHO,
	  5,
	  2,
	  false },
	{ { { 1, "::/0", ICMP, true }, { 2, "2001:db8::/32", ICMP, true } },
	  "2001:db8::1",
	  IP_OTHER,
	  0,
	  2,
	  true },
	{ { { 1, "::/0", ICMP, true }, { 2, "2001:db8::/32", ICMP, true } },
	  "10.0.0.1",
	  IP_OTHER,
	  0,
	  0,
	  false },
	/* Tags: 3 exact, 2 and 1 wildcards on the same address. */
	{ { { 1, "100.96.0.1/32", TCP(80, 80), false, "b" },
	    { 2, "100.96.0.1/32", TCP(80, 80), false, "a" },
	    { 3, "100.96.0.1/32", TCP(443, 443), false, "a" } },
	  "100.96.0.1",
	  IP_TCP,
	  80,
	  1,
	  true },
	{ { { 1, "100.96.0.1/32", TCP(80, 80), false, "b" },
	    { 2, "100.96.0.1/32", TCP(80, 80), false, "a" },
	    { 3, "100.96.0.1/32", TCP(443, 443), false, "a" } },
	  "100.96.0.1",
	  IP_TCP,
	  443,
	  3,
	  true },
	{ { { 1, "100.96.0.0/16", TCP(80, 80), false, "b" },
	    { 2, "100.96.0.1/32", TCP(80, 80), false, "a" } },
	  "100.96.0.1",
	  IP_TCP,
	  80,
	  1,
	  true }, /* tag beats prefix */
};

START_TEST(test_choices)
{
	struct unit_env u;

	unit_env_init(&u, 1);
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		struct route_table *t = NULL;
		bool permitted;
		ck_assert_int_eq(route_table_new(&u.env, choices[i].ways[0].tag ? tag_order : NULL, 100, &t),
				 0);
		for (const struct way *w = choices[i].ways; w->net != NULL; w++) {
			struct filter *f = make_filter(&u, &w->rule, w->any ? 0 : 1);
			struct fz_prefix p = net(w->net);
			struct fz_uuid id = uuid(w->id);
			ck_assert_int_eq(route_add(t, &p, &id, f, (void *)(uintptr_t)w->tag), 0);
			filter_unref(f);
		}
		for (int again = 0; again < 2; again++) {
			struct fz_ip to = ip(choices[i].ip);
			const struct route *r =
				route_find(t, &to, choices[i].kind, choices[i].port, &permitted);
			ck_assert_msg((r ? r->id.b[15] : 0u) == choices[i].want, "case %zu", i);
			ck_assert_msg(permitted == choices[i].permitted, "case %zu", i);
			ck_assert(route_covers(t, &to) == (r != NULL));
		}
		route_table_free(t);
	}
	unit_env_check(&u);
}
END_TEST

START_TEST(test_bounds)
{
	struct unit_env u;
	struct route_table *t = NULL;
	bool permitted;
	size_t cursor = 0;

	unit_env_init(&u, 1);
	struct filter *any = make_filter(&u, NULL, 0),
		      *none = make_filter(&u, &(struct portal_filter)ICMP, 1);
	ck_assert_int_eq(route_table_new(&u.env, NULL, 2, &t), 0);
	struct fz_prefix a = net("10.0.0.0/8"), b = net("::/0"), c = net("1.2.3.4/32"), bad = { .len = 3 };
	struct fz_uuid one = uuid(1), two = uuid(2);
	ck_assert_int_eq(route_add(t, &bad, &one, any, NULL), FZ_ERR_INVAL);
	ck_assert_int_eq(route_add(t, &a, &one, any, NULL), 0);
	ck_assert_int_eq(route_add(t, &b, &one, any, NULL), 0);
	ck_assert_int_eq(route_add(t, &c, &two, any, NULL), FZ_ERR_FULL);
	ck_assert_int_eq(route_add(t, &a, &one, none, t), 0); /* a replacement always fits */
	ck_assert_uint_eq(route_count(t), 2);
	struct fz_ip to = ip("10.9.9.9"), unset = { 0 };
	const struct route *r = route_find(t, &to, IP_TCP, 5, &permitted);
	ck_assert_ptr_eq(r->tag, t);
	ck_assert(!permitted);
	ck_assert_ptr_null(route_find(t, &unset, IP_TCP, 5, &permitted));
	ck_assert(!route_covers(t, &unset));
	ck_assert_ptr_nonnull(route_each(t, &cursor));
	ck_assert_ptr_nonnull(route_each(t, &cursor));
	ck_assert_ptr_null(route_each(t, &cursor));
	ck_assert_uint_eq(route_remove(t, &c, &one), 0);
	ck_assert_uint_eq(route_remove(t, &a, &two), 0);
	ck_assert_uint_eq(route_remove_id(t, &one), 2);
	ck_assert_uint_eq(route_count(t), 0);
	ck_assert(!route_covers(t, &to));
	filter_unref(any);
	filter_unref(none);
	route_table_free(t);
	route_table_free(NULL);
	unit_env_check(&u);
}
END_TEST

/* The slow obvious twin: a list. */
struct twin {
	struct fz_prefix net;
	unsigned id;
	int filter; /* index */
	char tag;
};

#define TWINS 300
#define FILTERS 6
static const char tags[] = "abc";

static bool permits(int filter, uint8_t kind, uint16_t port)
{
	switch (filter) {
	case 0:
		return true;
	case 1:
		return kind == IP_TCP && port < 4;
	case 2:
		return kind == IP_UDP && port >= 2 && port <= 5;
	case 3:
		return kind == IP_ICMP_ECHO || kind == IP_ICMP_OTHER;
	case 4:
		return (kind == IP_TCP && port == 7) || kind == IP_UDP;
	default:
		return kind == IP_TCP;
	}
}

static const struct twin *twin_find(const struct twin *list, size_t n, bool tagged, const struct fz_ip *to,
				    uint8_t kind, uint16_t port)
{
	const struct twin *best = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct twin *c = &list[i];
		if (!fz_prefix_contains(&c->net, to))
			continue;
		if (best == NULL) {
			best = c;
			continue;
		}
		int d = permits(c->filter, kind, port) - permits(best->filter, kind, port);
		if (d == 0 && tagged)
			d = c->tag - best->tag;
		if (d == 0)
			d = c->net.len - best->net.len;
		if (d == 0)
			d = (int)c->id - (int)best->id;
		if (d > 0)
			best = c;
	}
	return best;
}

/* Addresses from a small pool with common beginnings, so that networks nest and clash. */
static struct fz_ip twin_ip(struct unit_env *u)
{
	struct fz_ip a = { .family = fz_rng_below(&u->env, 2) ? FZ_FAMILY_INET : FZ_FAMILY_INET6 };

	for (size_t i = 0; i < fz_ip_len(&a); i++)
		a.b[i] = (uint8_t[]){ 0, 0xff, 0x80, 1 }[fz_rng_below(&u->env, i < 2 ? 2 : 4)];
	return a;
}

static struct fz_prefix twin_net(struct unit_env *u)
{
	struct fz_prefix p = { .ip = twin_ip(u) };
	size_t bits = fz_ip_len(&p.ip) * 8;

	p.len = (uint8_t)(fz_rng_below(&u->env, 4) ? fz_rng_below(&u->env, (uint32_t)bits + 1) : bits);
	for (size_t i = p.len; i < bits; i++)
		p.ip.b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	return p;
}

static void run_twin(bool tagged, int ops, uint64_t seed)
{
	struct unit_env u;
	struct route_table *t = NULL;
	static struct twin list[TWINS];
	struct filter *filters[FILTERS];
	const struct portal_filter rules[FILTERS][2] = {
		{ TCP(0, 0), TCP(0, 0) }, { TCP(0, 3), TCP(1, 2) },     { UDP(2, 5), UDP(3, 3) },
		{ ICMP, ICMP },           { TCP(7, 7), UDP(0, 65535) }, { TCP(0, 65535), TCP(9, 9) }
	};
	size_t n = 0;

	unit_env_init(&u, seed);
	for (int i = 0; i < FILTERS; i++)
		filters[i] = make_filter(&u, rules[i], i == 0 ? 0 : 2);
	ck_assert_int_eq(route_table_new(&u.env, tagged ? tag_order : NULL, TWINS, &t), 0);
	for (int op = 0; op < ops; op++) {
		uint32_t dice = fz_rng_below(&u.env, 100);
		unsigned id_n = 1 + fz_rng_below(&u.env, 20);
		struct fz_uuid id = uuid(id_n);
		if (dice < 12) {
			int f = (int)fz_rng_below(&u.env, FILTERS);
			const char *tag = tagged ? &tags[fz_rng_below(&u.env, 3)] : tags;
			struct fz_prefix p = n > 0 && dice < 4 ? list[fz_rng_below(&u.env, (uint32_t)n)].net
							       : twin_net(&u);
			size_t i = 0;
			while (i < n && !(list[i].id == id_n && list[i].tag == *tag &&
					  list[i].net.len == p.len && fz_ip_equal(&list[i].net.ip, &p.ip)))
				i++;
			int err = route_add(t, &p, &id, filters[f], (void *)(uintptr_t)tag);
			ck_assert_int_eq(err, i == TWINS ? FZ_ERR_FULL : 0);
			if (err == 0) {
				list[i] = (struct twin){ p, id_n, f, *tag };
				n += i == n;
			}
		} else if (dice < 18 && n > 0) {
			struct twin gone = list[fz_rng_below(&u.env, (uint32_t)n)];
			size_t removed = 0;
			id = uuid(gone.id);
			for (size_t i = 0; i < n;) {
				if (list[i].id == gone.id && list[i].net.len == gone.net.len &&
				    fz_ip_equal(&list[i].net.ip, &gone.net.ip)) {
					list[i] = list[--n];
					removed++;
				} else {
					i++;
				}
			}
			ck_assert_uint_eq(route_remove(t, &gone.net, &id), removed);
		} else if (dice == 18) {
			size_t removed = 0;
			for (size_t i = 0; i < n;) {
				if (list[i].id == id_n) {
					list[i] = list[--n];
					removed++;
				} else {
					i++;
				}
			}
			ck_assert_uint_eq(route_remove_id(t, &id), removed);
		} else if (dice == 19 && fz_rng_below(&u.env, 100) == 0) {
			route_clear(t);
			n = 0;
		} else {
			struct fz_ip to = twin_ip(&u);
			uint8_t kind = (uint8_t)fz_rng_below(&u.env, IP_OTHER + 1);
			uint16_t port = (uint16_t)fz_rng_below(&u.env, 9);
			bool permitted;
			const struct route *r = route_find(t, &to, kind, port, &permitted);
			const struct twin *w = twin_find(list, n, tagged, &to, kind, port);
			/* Check's own macros cost more than the search. */
			bool same = r == NULL
					    ? w == NULL && !permitted
					    : w != NULL && r->id.b[15] == w->id && r->net.len == w->net.len &&
						      r->filter == filters[w->filter] &&
						      permitted == permits(w->filter, kind, port);
			if (!same || route_covers(t, &to) != (w != NULL))
				ck_abort_msg("operation %d", op);
		}
		if (route_count(t) != n)
			ck_abort_msg("operation %d", op);
	}
	for (int i = 0; i < FILTERS; i++)
		filter_unref(filters[i]);
	route_table_free(t);
	unit_env_check(&u);
}

START_TEST(test_twin)
{
	run_twin(false, 50000, 1);
	run_twin(true, 50000, 2);
}
END_TEST

/* Every allocation fails once: the table is as it was before, and complete at the end. */
START_TEST(test_no_memory)
{
	struct unit_env u;
	static const char *const nets[] = { "10.0.0.0/8",  "10.1.0.0/16", "10.128.0.0/9",   "fd00::/8",
					    "10.1.2.3/32", "0.0.0.0/0",   "192.168.0.0/16", "10.1.2.4/32",
					    "10.1.2.0/31", "fe80::/10" };

	for (long fail = 1;; fail++) {
		struct route_table *t = NULL;
		struct filter *f = NULL;
		bool permitted;
		unit_env_init(&u, 1);
		ck_assert_int_eq(filter_new(&u.env, NULL, 0, &f), 0);
		u.fail_at = fail + 1;
		if (route_table_new(&u.env, NULL, 100, &t) == 0) {
			for (size_t i = 0; i < 10; i++) {
				struct fz_prefix p = net(nets[i]);
				struct fz_uuid id = uuid((unsigned)i);
				int err = route_add(t, &p, &id, f, NULL);
				if (err != 0) {
					ck_assert_int_eq(err, FZ_ERR_NOMEM);
					ck_assert_uint_eq(route_count(t), i);
					ck_assert_int_eq(route_add(t, &p, &id, f, NULL), 0);
				}
			}
			struct fz_ip to = ip("10.1.2.3");
			const struct route *r = route_find(t, &to, IP_TCP, 1, &permitted);
			ck_assert_uint_eq(r->id.b[15], 4);
		}
		route_table_free(t);
		filter_unref(f);
		unit_env_check(&u);
		if (u.allocs <= fail)
			break;
		ck_assert_int_lt(fail, 200);
	}
}
END_TEST

/* Thousands of single addresses in one block, as DNS resources make them. */
START_TEST(test_many)
{
	struct unit_env u;
	struct route_table *t = NULL;
	bool permitted;

	unit_env_init(&u, 1);
	struct filter *f = make_filter(&u, NULL, 0);
	ck_assert_int_eq(route_table_new(&u.env, NULL, 8192, &t), 0);
	for (unsigned i = 0; i < 8192; i++) {
		struct fz_prefix p = { { FZ_FAMILY_INET, { 100, 96, (uint8_t)(i >> 8), (uint8_t)i } }, 32 };
		struct fz_uuid id = uuid(i);
		ck_assert_int_eq(route_add(t, &p, &id, f, NULL), 0);
	}
	for (unsigned i = 0; i < 8192; i++) {
		struct fz_ip to = { FZ_FAMILY_INET, { 100, 96, (uint8_t)(i >> 8), (uint8_t)i } };
		const struct route *r = route_find(t, &to, IP_TCP, 1, &permitted);
		struct fz_uuid id = uuid(i);
		ck_assert(fz_uuid_equal(&r->id, &id));
	}
	for (unsigned i = 0; i < 8192; i += 2) {
		struct fz_uuid id = uuid(i);
		struct fz_prefix p = { { FZ_FAMILY_INET, { 100, 96, (uint8_t)(i >> 8), (uint8_t)i } }, 32 };
		ck_assert_uint_eq(route_remove(t, &p, &id), 1);
	}
	ck_assert_uint_eq(route_count(t), 4096);
	route_table_free(t);
	filter_unref(f);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("route");

	unit_case(s, "filter", test_filter_table, test_filter_bad, test_filter_equal, test_filter_twin);
	unit_case(s, "route", test_choices, test_bounds, test_twin, test_no_memory, test_many);
	return s;
}
