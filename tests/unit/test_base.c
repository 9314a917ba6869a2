/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/addr.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/opts.h"
#include "base/rd.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/wr.h"

static const struct {
	const char *in, *out; /* out NULL = refused */
} ips[] = {
	{ "0.0.0.0", "0.0.0.0" },
	{ "255.255.255.255", "255.255.255.255" },
	{ "1.2.3", NULL },
	{ "1.2.3.4.5", NULL },
	{ "01.2.3.4", NULL },
	{ "256.1.1.1", NULL },
	{ "1.2.3.4 ", NULL },
	{ "", NULL },
	{ "::", "::" },
	{ "::1", "::1" },
	{ "1::", "1::" },
	{ "2001:DB8::A", "2001:db8::a" },
	{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
	{ "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
	{ "1:2:3:4:5:6:7", NULL },
	{ "1:2:3:4:5:6:7:8:9", NULL },
	{ "1::2::3", NULL },
	{ ":1::2", NULL },
	{ "1:", NULL },
	{ "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
	{ "::ffff:1.2.3.4", "::ffff:1.2.3.4" },
	{ "::1.2.3", NULL },
	{ "12345::", NULL },
	{ "fe80::1%eth0", NULL },
	{ "[::1]", NULL },
	{ ":::", NULL },
};

START_TEST(ip_text)
{
	for (size_t i = 0; i < sizeof(ips) / sizeof(ips[0]); i++) {
		struct fz_ip ip;
		char buf[FZ_IP_STRLEN];
		int err = fz_ip_parse(ips[i].in, &ip);
		ck_assert_msg((err == 0) == (ips[i].out != NULL), "\"%s\" gave %d", ips[i].in, err);
		if (ips[i].out)
			ck_assert_str_eq(fz_ip_format(&ip, buf), ips[i].out);
	}
}
END_TEST

START_TEST(addr_and_prefix_text)
{
	static const char *const good[] = { "1.2.3.4:0", "1.2.3.4:65535", "[::1]:3478" };
	static const char *const bad[] = { "1.2.3.4", "1.2.3.4:65536", "1.2.3.4:", "::1:80",
					   "[::1]80", "[1.2.3.4]:1",   "[]:1",     "1.2.3.4:01" };
	static const char *const nets[] = { "10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00:2021:1111::/107",
					    "1.2.3.4/32" };
	static const char *const not_nets[] = { "10.0.0.1/8",  "10.0.0.0",   "10.0.0.0/33", "10.0.0.0/",
						"10.0.0.0/-1", "fd00::1/64", "10.0.0.0/08" };
	char buf[64];

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct fz_addr a;
		ck_assert_int_eq(fz_addr_parse(good[i], &a), 0);
		ck_assert_str_eq(fz_addr_format(&a, buf), good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct fz_addr a;
		ck_assert_msg(fz_addr_parse(bad[i], &a) == FZ_ERR_INVAL, "%s", bad[i]);
	}
	for (size_t i = 0; i < sizeof(nets) / sizeof(*nets); i++) {
		struct fz_prefix p;
		ck_assert_int_eq(fz_prefix_parse(nets[i], &p), 0);
		ck_assert_str_eq(fz_prefix_format(&p, buf), nets[i]);
	}
	for (size_t i = 0; i < sizeof(not_nets) / sizeof(*not_nets); i++) {
		struct fz_prefix p;
		ck_assert_msg(fz_prefix_parse(not_nets[i], &p) == FZ_ERR_INVAL, "%s", not_nets[i]);
	}
}
END_TEST

START_TEST(prefix_contains)
{
	struct fz_prefix net;
	struct fz_ip ip;

	ck_assert_int_eq(fz_prefix_parse("100.64.0.0/11", &net), 0);
	ck_assert_int_eq(fz_ip_parse("100.95.255.255", &ip), 0);
	ck_assert(fz_prefix_contains(&net, &ip));
	ck_assert_int_eq(fz_ip_parse("100.96.0.0", &ip), 0);
	ck_assert(!fz_prefix_contains(&net, &ip));
	ck_assert_int_eq(fz_ip_parse("::", &ip), 0);
	ck_assert(!fz_prefix_contains(&net, &ip));
}
END_TEST

START_TEST(base64)
{
	uint8_t all[256], back[256];
	char text[400];

	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	for (size_t n = 0; n <= 256; n++) {
		ck_assert_uint_eq(fz_b64_encode(text, all, n), FZ_B64_LEN(n));
		ck_assert_int_eq(fz_b64_decode(back, n, text), 0);
		ck_assert_int_eq(memcmp(all, back, n), 0);
	}
	fz_b64_encode(text, all, 32);
	ck_assert_str_eq(text, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
	memset(all, 0xfb, 32);
	fz_b64_encode(text, all, 32);
	ck_assert_str_eq(text, "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=");
	static const char *const bad[] = { "",
					   "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
					   "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=",
					   "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8-",
					   "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGx dHh8=",
					   "AAAA" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(fz_b64_decode(back, 32, bad[i]) == FZ_ERR_WIRE, "%s", bad[i]);
}
END_TEST

START_TEST(uuid)
{
	struct fz_uuid id;
	char buf[FZ_UUID_STRLEN];

	ck_assert_int_eq(fz_uuid_parse("C0ffee00-1234-4abc-8def-0123456789ab", &id), 0);
	ck_assert_str_eq(fz_uuid_format(&id, buf), "c0ffee00-1234-4abc-8def-0123456789ab");
	ck_assert_int_eq(fz_uuid_parse("c0ffee0011234-4abc-8def-0123456789ab", &id), FZ_ERR_WIRE);
	ck_assert_int_eq(fz_uuid_parse("c0ffee00-1234-4abc-8def-0123456789a", &id), FZ_ERR_WIRE);
	ck_assert_int_eq(fz_uuid_parse("c0ffee00-1234-4abc-8def-0123456789ag", &id), FZ_ERR_WIRE);
}
END_TEST

static void keep_line(void *ctx, enum fz_log_level level, const char *area, const char *line)
{
	(void)level, (void)area;
	strcpy(ctx, line);
}

/* What others sent ends up in lines: it must not begin lines of its own, nor talk to the terminal. */
START_TEST(log_injection)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "plain text, gr\xc3\xbc\xc3\x9f\x65", "plain text, gr\xc3\xbc\xc3\x9f\x65" },
		{ "a\nERROR b\r\tc", "a?ERROR b??c" },
		{ "\x1b]0;title\x07", "?]0;title?" },
		{ "del \x7f", "del ?" },
		{ "C1 \xc2\x9b\x33\x31m, no C1 \xc2\xa0", "C1 ??31m, no C1 \xc2\xa0" },
		{ "cut \xc2", "cut \xc2" },
	};
	char line[1024];
	struct fz_env env = { .log = { .write = keep_line, .ctx = line, .max_level = FZ_LOG_WARN } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fz_warn(&env, "test", "%s", cases[i].in);
		ck_assert_str_eq(line, cases[i].out);
	}
}
END_TEST

START_TEST(options_of_other_ages)
{
	struct {
		size_t size;
		uint32_t a, b;
	} now, old = { 12, 7, 9 };
	struct {
		size_t size;
		uint32_t a, b, c, d;
	} newer = { 24, 1, 2, 0, 0 };

	ck_assert_int_eq(fz_opts_import(&now, sizeof(now), &old, 12), 0);
	ck_assert_uint_eq(now.a, 7);
	ck_assert_uint_eq(now.b, 0);
	ck_assert_int_eq(fz_opts_import(&now, sizeof(now), &newer, sizeof(newer)), 0);
	newer.d = 1;
	ck_assert_int_eq(fz_opts_import(&now, sizeof(now), &newer, sizeof(newer)), FZ_ERR_ABI);
	ck_assert_int_eq(fz_opts_import(&now, sizeof(now), &old, 3), FZ_ERR_ABI);
	ck_assert_int_eq(fz_opts_import(&now, sizeof(now), &old, 1 << 20), FZ_ERR_ABI);
}
END_TEST

START_TEST(cursors)
{
	uint8_t buf[16];
	struct fz_wr w = fz_wr_init(buf, sizeof(buf));

	fz_wr_be16(&w, 0x1234);
	fz_wr_le32(&w, 0x89abcdef);
	fz_wr_be64(&w, 0x0102030405060708u);
	ck_assert(!w.bad);
	fz_wr_be32(&w, 1);
	ck_assert(w.bad);
	ck_assert_uint_eq(fz_wr_len(&w), 14);
	struct fz_rd r = fz_rd_init(buf, 14);
	ck_assert_uint_eq(fz_rd_be16(&r), 0x1234);
	ck_assert_uint_eq(fz_rd_le32(&r), 0x89abcdef);
	struct fz_rd sub = fz_rd_sub(&r, 4);
	ck_assert_uint_eq(fz_rd_be64(&sub), 0x0102030400000000u); /* cannot reach past its own end */
	ck_assert(sub.bad);
	ck_assert_uint_eq(fz_rd_be32(&r), 0x05060708);
	ck_assert(!r.bad);
	ck_assert_uint_eq(fz_rd_u8(&r), 0);
	ck_assert(r.bad);
	ck_assert_uint_eq(fz_rd_left(&r), 0);
}
END_TEST

START_TEST(error_texts_have_no_holes)
{
	static const int codes[] = { 0,   -1,  -2,  -3,  -4,  -5,  -6,   -7,   -8,   -9,
				     -10, -11, -12, -13, -14, -15, -100, -101, -102, -103 };

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		ck_assert_str_ne(fz_strerror(codes[i]), "unknown error");
	ck_assert_str_eq(fz_strerror(-99), "unknown error");
}
END_TEST

START_TEST(growing_has_a_limit)
{
	struct unit_env u;
	uint32_t *v = NULL;
	size_t cap = 0, n = 0;

	unit_env_init(&u, 1);
	while (fz_grow(&u.env, &v, &cap, n, sizeof(*v), 20) == 0)
		v[n++] = 1;
	ck_assert_uint_eq(n, 20);
	ck_assert_int_eq(fz_grow(&u.env, &v, &cap, n, sizeof(*v), 20), FZ_ERR_FULL);
	u.fail_at = u.allocs + 1;
	ck_assert_int_eq(fz_grow(&u.env, &v, &cap, n, sizeof(*v), 40), FZ_ERR_NOMEM);
	fz_free(&u.env, v);
	unit_env_check(&u);
}
END_TEST

START_TEST(secrets)
{
	uint8_t a[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, b[8] = { 1, 2, 3, 4, 5, 6, 7, 9 };

	ck_assert(!fz_secret_eq(a, b, 8));
	ck_assert(fz_secret_eq(a, b, 7));
	fz_wipe(a, 8);
	ck_assert(fz_all_zero(a, 8));
}
END_TEST

START_TEST(random_below_is_in_range)
{
	struct unit_env u;
	uint32_t seen[3] = { 0 };

	unit_env_init(&u, 7);
	for (int i = 0; i < 3000; i++)
		seen[fz_rng_below(&u.env, 3)]++;
	for (int i = 0; i < 3; i++)
		ck_assert_uint_gt(seen[i], 800);
}
END_TEST

START_TEST(heap_agrees_with_a_linear_search)
{
	enum { N = 60 };
	struct unit_env u;
	struct fz_heap h = { 0 };
	struct fz_heap_node n[N];
	uint64_t twin[N];

	unit_env_init(&u, 3);
	memset(n, 0, sizeof(n));
	ck_assert_int_eq(fz_heap_reserve(&h, &u.env, N), 0);
	for (int i = 0; i < N; i++)
		twin[i] = FZ_NEVER_US;
	for (int step = 0; step < 20000; step++) {
		uint32_t i = fz_rng_below(&u.env, N);
		twin[i] = fz_rng_below(&u.env, 4) ? fz_rng_below(&u.env, 1000) : FZ_NEVER_US;
		fz_heap_set(&h, &n[i], twin[i]);
		uint64_t least = FZ_NEVER_US;
		for (int k = 0; k < N; k++)
			least = fz_min_us(least, twin[k]);
		struct fz_heap_node *top = fz_heap_peek(&h);
		ck_assert_uint_eq(top ? top->at_us : FZ_NEVER_US, least);
	}
	fz_heap_clear(&h, &u.env);
	unit_env_check(&u);
}
END_TEST

struct entry {
	struct fz_map_link link;
	uint32_t key;
	bool in;
};

static struct entry *find(const struct fz_map *m, uint32_t key)
{
	uint64_t h = fz_map_hash(m, &key, sizeof(key));

	for (struct fz_map_link *l = fz_map_first(m, h); l; l = fz_map_next(l)) {
		struct entry *e = fz_container(l, struct entry, link);
		if (e->key == key)
			return e;
	}
	return NULL;
}

START_TEST(map_agrees_with_an_array)
{
	enum { N = 500 };
	static struct entry e[N];
	struct unit_env u;
	struct fz_map m;

	unit_env_init(&u, 4);
	memset(e, 0, sizeof(e));
	ck_assert_int_eq(fz_map_init(&m, &u.env, 1), 0);
	for (int step = 0; step < 20000; step++) {
		uint32_t i = fz_rng_below(&u.env, N);
		e[i].key = i * 7;
		ck_assert_ptr_eq(find(&m, i * 7), e[i].in ? &e[i] : NULL);
		if (e[i].in)
			fz_map_remove(&m, &e[i].link);
		else
			fz_map_insert(&m, &u.env, &e[i].link, fz_map_hash(&m, &e[i].key, 4));
		e[i].in = !e[i].in;
	}
	fz_map_clear(&m, &u.env);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("base");

	unit_case(s, "text", ip_text, addr_and_prefix_text, base64, uuid, log_injection);
	unit_case(s, "values", prefix_contains, options_of_other_ages, cursors, secrets,
		  error_texts_have_no_holes, growing_has_a_limit, random_below_is_in_range);
	unit_case(s, "containers", heap_agrees_with_a_linear_search, map_agrees_with_an_array);
	return s;
}
