/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/addr.h"
#include "core/cut.h"
#include "core/nat_table.h"
#include "packets.h"
#include "wire/csum.h"

#define SEC UINT64_C(1000000)

static struct unit_env u;
static struct nat_pool *pool;
static struct nat_table t;
static int tag;

static void setup(size_t max, size_t max_each)
{
	unit_env_init(&u, 1);
	ck_assert_int_eq(nat_pool_new(&u.env, max, max_each, &pool), 0);
	nat_table_init(&t, pool);
}

static void teardown(void)
{
	nat_table_clear(&t);
	nat_pool_free(pool);
	unit_env_check(&u);
}

static struct fz_ip ip(const char *text)
{
	struct fz_ip a;

	ck_assert_int_eq(fz_ip_parse(text, &a), 0);
	return a;
}

/* Facts of a packet that the table looks at. */
static struct ip_view out_view(uint8_t kind, uint16_t sport, const struct fz_ip *proxy)
{
	return (struct ip_view){
		.version = proxy->family, .kind = kind, .sport = sport, .dport = 443, .dst = *proxy
	};
}

static struct ip_view in_view(uint8_t kind, uint16_t dport, const struct fz_ip *real)
{
	return (struct ip_view){
		.version = real->family, .kind = kind, .sport = 443, .dport = dport, .src = *real
	};
}

static enum nat_answer look_in(uint8_t kind, uint16_t port, const struct fz_ip *real, uint64_t now_us)
{
	struct ip_view v = in_view(kind, port, real);
	struct nat_session *s;

	return nat_find_inbound(&t, &v, now_us, &s);
}

/* A real packet through the table. */
struct made {
	uint8_t room[FZ_PKT_HEADROOM + 2000];
	struct fz_pkt pkt;
	struct ip_view view;
};

static void make(struct made *m, const char *hex)
{
	size_t len = unit_hex(m->room + FZ_PKT_HEADROOM, 2000, hex);

	m->pkt = ip_pkt(m->room + FZ_PKT_HEADROOM, len);
	ck_assert_int_eq(ip_parse(&m->pkt, &m->view), IP_OK);
}

static struct nat_session *send(const struct ip_view *v, const struct fz_ip *real, uint64_t now_us)
{
	struct nat_session *s = nat_find_outbound(&t, v, now_us);

	if (s == NULL)
		ck_assert_int_eq(nat_open(&t, v, real, &tag, now_us, &s), 0);
	ck_assert_ptr_eq(nat_tag(s), &tag);
	return s;
}

/* The mapped port of a flow, opened when it is new. */
static uint16_t port_of(uint8_t kind, uint16_t sport, const char *proxy, const char *real, uint64_t now_us)
{
	struct fz_ip p = ip(proxy), r = ip(real);
	struct ip_view v = out_view(kind, sport, &p);
	struct mk mk = { .proto = kind == IP_TCP ? 6 : 17 };
	struct made m;
	size_t len = mk_packet(m.room + FZ_PKT_HEADROOM, &mk);

	m.pkt = ip_pkt(m.room + FZ_PKT_HEADROOM, len);
	ck_assert_int_eq(ip_parse(&m.pkt, &m.view), IP_OK);
	ip_set_sport(&m.pkt, &m.view, sport);
	ip_set_dst(&m.pkt, &m.view, &p);
	nat_outbound(send(&v, &r, now_us), &m.pkt, &m.view, now_us);
	ck_assert(csum_ok(m.pkt.data, &m.view));
	ck_assert(fz_ip_equal(&m.view.dst, &r));
	return m.view.sport;
}

/* ---- vectors ---- */

#define TAKEN "4500001e0000000040110c8e 64400001 0a000001 9c41 01bb 000a 8b32 6869"

START_TEST(vector_rewrite)
{
	struct made m;

	setup(0, 0);
	/* Port 40000 towards the real address is taken by another proxy's flow. */
	ck_assert_uint_eq(port_of(IP_UDP, 40000, "100.96.0.5", "10.0.0.1", SEC), 40000);
	make(&m, "4500001e000000004011b22d 64400001 64600001 9c40 01bb 000a 30d3 6869");
	nat_outbound(send(&m.view, &(struct fz_ip){ FZ_FAMILY_INET, { 10, 0, 0, 1 } }, SEC), &m.pkt, &m.view,
		     SEC);
	unit_assert_hex(m.pkt.data, m.pkt.len,
			"4500001e0000000040110c8e644000010a0000019c4101bb000a8b326869");
	/* And back. */
	make(&m, "4500001e0000000040110c8e 0a000001 64400001 01bb 9c41 000a 8b32 6869");
	struct nat_session *s;
	ck_assert_int_eq(nat_find_inbound(&t, &m.view, SEC, &s), NAT_FOUND);
	nat_inbound(s, &m.pkt, &m.view, SEC);
	unit_assert_hex(m.pkt.data, m.pkt.len,
			"4500001e000000004011b22d646000016440000101bb9c40000a30d36869");
	teardown();
}
END_TEST

START_TEST(vector_error)
{
	static const char error[] = "450000380000000014018083 c0000201 64400001 0304cf12 000004b0"
				    "4500001e0000000040110c8e 64400001 0a000001 9c4101bb000a8b32";
	struct icmp_quote q;
	struct nat_session *s;
	struct made m;

	setup(0, 0);
	(void)port_of(IP_UDP, 40000, "100.96.0.5", "10.0.0.1", SEC);
	ck_assert_uint_eq(port_of(IP_UDP, 40000, "100.96.0.1", "10.0.0.1", SEC), 40001);
	make(&m, error);
	ck_assert_int_eq(icmp_parse_error(m.pkt.data, &m.view, &q), 0);
	ck_assert_int_eq(nat_find_error(&t, &q, SEC, &s), NAT_FOUND);
	nat_inbound_error(s, &m.pkt, &m.view, &q, false, SEC);
	unit_assert_hex(m.pkt.data, m.pkt.len,
			"45000038000000001401de236460000164400001030474b3000004b0"
			"4500001e0000000040110c8e64400001646000019c4001bb000a8b32");
	ck_assert(csum_ok(m.pkt.data, &m.view));
	/* Our own kernel's: the source stays. */
	make(&m, error);
	nat_inbound_error(s, &m.pkt, &m.view, &q, true, SEC);
	ck_assert(csum_ok(m.pkt.data, &m.view));
	ck_assert_int_eq(icmp_parse_error(m.pkt.data, &m.view, &q), 0);
	ck_assert_uint_eq(m.view.src.b[0], 192);
	ck_assert_uint_eq(q.orig.sport, 40000);
	ck_assert_uint_eq(q.orig.dst.b[1], 96);
	ck_assert_uint_eq(q.rest, 1200); /* the MTU is kept */
	/* No session. */
	q.orig.sport = 1;
	ck_assert_int_eq(nat_find_error(&t, &q, SEC, &s), NAT_NONE);
	teardown();
}
END_TEST

/* IPv6, quoting an echo request. */
START_TEST(vector_error6)
{
	struct fz_ip proxy = ip("fd00:2021:1111:8000::1"), real = ip("2001:db8::5");
	struct ip_view v = out_view(IP_ICMP_ECHO, 7, &proxy);
	struct icmp_quote q;
	struct nat_session *s;
	struct made m;

	setup(0, 0);
	(void)send(&v, &real, SEC);
	make(&m, "6000000000383a40 20010db8000000000000000000000009 fd002021111100000000000000000001"
		 "0100000000000000 6000000000083a3f fd002021111100000000000000000001"
		 "20010db8000000000000000000000005 8000 1234 0007 0001");
	csum_l4(m.pkt.data, &m.view);
	ck_assert_int_eq(icmp_parse_error(m.pkt.data, &m.view, &q), 0);
	ck_assert_int_eq(nat_find_error(&t, &q, SEC, &s), NAT_FOUND);
	nat_inbound_error(s, &m.pkt, &m.view, &q, false, SEC);
	ck_assert(csum_ok(m.pkt.data, &m.view));
	ck_assert_int_eq(icmp_parse_error(m.pkt.data, &m.view, &q), 0);
	ck_assert(fz_ip_equal(&m.view.src, &proxy));
	ck_assert(fz_ip_equal(&q.orig.dst, &proxy));
	ck_assert_uint_eq(q.orig.sport, 7);
	teardown();
}
END_TEST

/* ---- ports ---- */

START_TEST(a10_8_same_flow_same_port)
{
	setup(0, 0);
	ck_assert_uint_eq(port_of(IP_TCP, 5555, "100.96.0.1", "10.0.0.1", SEC), 5555);
	ck_assert_uint_eq(port_of(IP_TCP, 5555, "100.96.0.1", "10.0.0.1", 2 * SEC), 5555);
	/* Other proxies of the same host: the ports have to differ. Other kinds, hosts and families do not
	 * matter. */
	ck_assert_uint_eq(port_of(IP_TCP, 5555, "100.96.0.2", "10.0.0.1", SEC), 5556);
	ck_assert_uint_eq(port_of(IP_TCP, 5555, "100.96.0.3", "10.0.0.1", SEC), 5557);
	ck_assert_uint_eq(port_of(IP_TCP, 5555, "100.96.0.2", "10.0.0.1", 3 * SEC), 5556);
	ck_assert_uint_eq(port_of(IP_UDP, 5555, "100.96.0.2", "10.0.0.1", SEC), 5555);
	ck_assert_uint_eq(port_of(IP_TCP, 5555, "100.96.0.4", "10.0.0.2", SEC), 5555);
	/* The end of the numbers: 65535 is followed by 1, and 0 is used only by who brought it. */
	ck_assert_uint_eq(port_of(IP_TCP, 65535, "100.96.0.1", "10.0.0.1", SEC), 65535);
	ck_assert_uint_eq(port_of(IP_TCP, 65535, "100.96.0.2", "10.0.0.1", SEC), 1);
	ck_assert_uint_eq(port_of(IP_TCP, 0, "100.96.0.1", "10.0.0.1", SEC), 0);
	ck_assert_uint_eq(port_of(IP_TCP, 0, "100.96.0.2", "10.0.0.1", SEC), 2);
	ck_assert_uint_eq(nat_pool_stats(pool)->live, 9);
	teardown();
}
END_TEST

/* Nearly all ports are taken: one is found all the same, at the latest at random. */
START_TEST(crowded)
{
	struct fz_ip proxies[9], real = ip("10.0.0.1");
	struct nat_session *s;
	unsigned refused = 0;

	setup(1 << 17, 1 << 17);
	for (uint8_t i = 0; i < 9; i++)
		proxies[i] = (struct fz_ip){ FZ_FAMILY_INET, { 100, 96, 0, i } };
	for (unsigned i = 0; i < 64000; i++) {
		struct ip_view v = out_view(IP_UDP, (uint16_t)(i % 8000 + 1), &proxies[i / 8000]);
		if (nat_open(&t, &v, &real, &tag, SEC, &s) != 0)
			refused++;
	}
	ck_assert_uint_le(refused, 10);
	ck_assert_uint_eq(nat_pool_stats(pool)->no_port, refused);
	for (unsigned i = 0; i < 3000; i++) {
		struct ip_view v = out_view(IP_UDP, (uint16_t)(i + 1), &proxies[8]);
		(void)nat_open(&t, &v, &real, &tag, SEC, &s);
	}
	ck_assert_uint_le(nat_pool_stats(pool)->live, 65535);
	/* They are all different. */
	for (unsigned port = 1, found = 0; port <= 65535; port++) {
		found += look_in(IP_UDP, (uint16_t)port, &real, SEC) == NAT_FOUND;
		if (port == 65535)
			ck_assert_uint_eq(found, nat_pool_stats(pool)->live);
	}
	teardown();
}
END_TEST

START_TEST(limits)
{
	struct fz_ip proxy = ip("100.96.0.1"), real = ip("10.0.0.1");
	struct nat_table other;
	struct nat_session *s;
	struct ip_view v;
	unsigned n;

	setup(300, 200);
	nat_table_init(&other, pool);
	for (n = 0; n < 250; n++) {
		v = out_view(IP_TCP, (uint16_t)(n + 1), &proxy);
		int err = nat_open(&t, &v, &real, &tag, SEC, &s);
		ck_assert_int_eq(err, n < 200 ? 0 : FZ_ERR_FULL);
	}
	/* Another client still gets its share, and the same ports. */
	for (n = 0; n < 150; n++) {
		v = out_view(IP_TCP, (uint16_t)(n + 1), &proxy);
		int err = nat_open(&other, &v, &real, &tag, SEC, &s);
		ck_assert_int_eq(err, n < 100 ? 0 : FZ_ERR_FULL);
	}
	ck_assert_uint_eq(nat_pool_stats(pool)->no_session, 100);
	v = in_view(IP_TCP, 1, &real);
	ck_assert_int_eq(nat_find_inbound(&other, &v, SEC, &s), NAT_FOUND);
	nat_table_clear(&other);
	ck_assert_int_eq(nat_find_inbound(&other, &v, SEC, &s), NAT_NONE);
	ck_assert_uint_eq(nat_pool_stats(pool)->live, 200);
	/* What has ended makes room. */
	nat_pool_expire(pool, SEC + NAT_UNCONFIRMED_US);
	ck_assert_uint_eq(nat_pool_stats(pool)->live, 0);
	for (n = 0; n < 200; n++) {
		v = out_view(IP_TCP, (uint16_t)(n + 300), &proxy);
		ck_assert_int_eq(nat_open(&t, &v, &real, &tag, 100 * SEC, &s), 0);
	}
	nat_table_clear(&other);
	teardown();
}
END_TEST

START_TEST(other_protocols)
{
	struct fz_ip proxy = ip("100.96.0.1"), real = ip("10.0.0.1");
	struct nat_session *s;

	setup(0, 0);
	for (uint8_t kind = IP_ICMP_OTHER; kind <= IP_OTHER; kind++) {
		struct ip_view v = out_view(kind, 0, &proxy), back = in_view(kind, 0, &real);
		ck_assert_ptr_null(nat_find_outbound(&t, &v, SEC));
		ck_assert_int_eq(nat_open(&t, &v, &real, &tag, SEC, &s), FZ_ERR_UNSUPPORTED);
		(void)port_of(IP_UDP, 9, "100.96.0.1", "10.0.0.1", SEC);
		ck_assert_int_eq(nat_find_inbound(&t, &back, SEC, &s), NAT_NONE);
	}
	teardown();
}
END_TEST

/* A new resolution concerns new flows only. */
START_TEST(a10_12_sessions_keep_their_address)
{
	struct fz_ip proxy = ip("100.96.0.1"), before = ip("10.0.0.1"), after = ip("10.0.0.2");
	struct ip_view one = out_view(IP_TCP, 1, &proxy), two = out_view(IP_TCP, 2, &proxy);

	setup(0, 0);
	(void)send(&one, &before, SEC);
	(void)send(&one, &after, 2 * SEC);
	(void)send(&two, &after, 2 * SEC);
	ck_assert_int_eq(look_in(IP_TCP, 1, &before, 3 * SEC), NAT_FOUND);
	ck_assert_int_eq(look_in(IP_TCP, 1, &after, 3 * SEC), NAT_NONE);
	ck_assert_int_eq(look_in(IP_TCP, 2, &after, 3 * SEC), NAT_FOUND);
	teardown();
}
END_TEST

/* ---- life ---- */

enum way { OUT, IN };

/* A packet of the flow 100.96.0.1:443 <- port 9, real address 10.0.0.1. */
static void pass(uint8_t kind, enum way way, uint8_t flags, uint64_t now_us)
{
	struct fz_ip proxy = { FZ_FAMILY_INET, { 100, 96, 0, 1 } },
		     real = { FZ_FAMILY_INET, { 10, 0, 0, 1 } };
	struct ip_view v = way == OUT ? out_view(kind, 9, &proxy) : in_view(kind, 9, &real);
	uint8_t bytes[60] = { 0x45 };
	struct fz_pkt pkt = ip_pkt(bytes, sizeof(bytes));
	struct nat_session *s;

	v.l3_len = 20;
	v.tcp_flags = flags;
	if (way == OUT) {
		nat_outbound(send(&v, &real, now_us), &pkt, &v, now_us);
	} else {
		ck_assert_int_eq(nat_find_inbound(&t, &v, now_us, &s), NAT_FOUND);
		nat_inbound(s, &pkt, &v, now_us);
	}
}

struct life {
	const char *why;
	uint8_t kind;
	struct {
		enum way way;
		uint8_t flags;
		uint64_t at_s; /* 0 = no further packet */
	} packets[5];
	uint64_t ends_s;
};

static const struct life lives[] = {
	{ "TCP", IP_TCP, { { OUT, IP_TCP_SYN, 1 }, { IN, IP_TCP_SYN | IP_TCP_ACK, 2 } }, 2 + 7440 },
	{ "TCP, last packet out", IP_TCP, { { OUT, 0, 1 }, { IN, 0, 2 }, { OUT, 0, 30 } }, 30 + 7440 },
	{ "UDP", IP_UDP, { { OUT, 0, 1 }, { IN, 0, 31 } }, 31 + 120 },
	{ "echo", IP_ICMP_ECHO, { { OUT, 0, 1 }, { IN, 0, 2 } }, 2 + 120 },
	{ "UDP without answer", IP_UDP, { { OUT, 0, 1 } }, 1 + 60 },
	{ "TCP without answer", IP_TCP, { { OUT, 0, 1 }, { OUT, 0, 50 } }, 50 + 60 },
	{ "FIN both ways",
	  IP_TCP,
	  { { OUT, 0, 1 }, { IN, 0, 2 }, { OUT, IP_TCP_FIN, 3 }, { IN, IP_TCP_FIN, 4 }, { OUT, 0, 6 } },
	  6 + 5 },
	{ "FIN one way", IP_TCP, { { OUT, 0, 1 }, { IN, IP_TCP_FIN, 2 } }, 2 + 7440 },
};

static const struct life resets[] = {
	{ "RST out", IP_TCP, { { OUT, 0, 1 }, { IN, 0, 2 }, { OUT, IP_TCP_RST, 3 } }, 3 },
	{ "RST in", IP_TCP, { { OUT, 0, 1 }, { IN, IP_TCP_RST | IP_TCP_ACK, 2 } }, 2 },
	{ "no flags in UDP", IP_UDP, { { OUT, IP_TCP_RST, 1 }, { IN, IP_TCP_RST, 2 } }, 2 + 120 },
};

static void live(const struct life *c)
{
	for (size_t i = 0; i < 5 && c->packets[i].at_s; i++)
		pass(c->kind, c->packets[i].way, c->packets[i].flags, c->packets[i].at_s * SEC);
}

/* What has ended is gone, by itself or by a sweep, and late answers are known for what they are. */
static void check_life(const struct life *c, bool by_sweep)
{
	struct fz_ip proxy = ip("100.96.0.1"), real = ip("10.0.0.1");
	struct ip_view v = out_view(c->kind, 9, &proxy);

	setup(0, 0);
	live(c);
	if (c->ends_s > 3) {
		if (by_sweep)
			nat_pool_expire(pool, c->ends_s * SEC - 1);
		ck_assert_msg(look_in(c->kind, 9, &real, c->ends_s * SEC - 1) == NAT_FOUND, "%s", c->why);
		ck_assert_msg(nat_pool_next(pool) <= c->ends_s * SEC + SEC, "%s", c->why);
	}
	if (by_sweep) {
		nat_pool_expire(pool, c->ends_s * SEC);
		ck_assert_msg(nat_pool_stats(pool)->live == 0, "%s", c->why);
		ck_assert(nat_pool_next(pool) == FZ_NEVER_US);
	}
	ck_assert_msg(look_in(c->kind, 9, &real, c->ends_s * SEC) == NAT_ENDED, "%s", c->why);
	ck_assert_ptr_null(nat_find_outbound(&t, &v, c->ends_s * SEC));
	/* The next packet out begins anew with the same port. */
	pass(c->kind, OUT, 0, c->ends_s * SEC);
	ck_assert_int_eq(look_in(c->kind, 9, &real, c->ends_s * SEC), NAT_FOUND);
	teardown();
}

START_TEST(a10_9_lifetimes)
{
	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
		check_life(&lives[i], false);
		check_life(&lives[i], true);
	}
}
END_TEST

START_TEST(a10_10_resets)
{
	for (size_t i = 0; i < sizeof(resets) / sizeof(resets[0]); i++) {
		check_life(&resets[i], false);
		check_life(&resets[i], true);
	}
}
END_TEST

/* An ICMP error is an answer. */
START_TEST(error_confirms)
{
	struct fz_ip proxy = ip("100.96.0.1"), real = ip("10.0.0.1");
	struct ip_view v = out_view(IP_UDP, 40001, &proxy);
	struct icmp_quote q;
	struct nat_session *s;
	struct made m;

	setup(0, 0);
	(void)send(&v, &real, SEC);
	make(&m, "450000380000000014018083 c0000201 64400001 0304cf12 000004b0"
		 "4500001e0000000040110c8e 64400001 0a000001 9c4101bb000a8b32");
	ck_assert_int_eq(icmp_parse_error(m.pkt.data, &m.view, &q), 0);
	ck_assert_int_eq(nat_find_error(&t, &q, 50 * SEC, &s), NAT_FOUND);
	nat_inbound_error(s, &m.pkt, &m.view, &q, false, 50 * SEC);
	ck_assert_int_eq(look_in(IP_UDP, 40001, &real, 169 * SEC), NAT_FOUND);
	ck_assert_int_eq(look_in(IP_UDP, 40001, &real, 170 * SEC), NAT_ENDED);
	ck_assert_int_eq(nat_find_error(&t, &q, 170 * SEC, &s), NAT_ENDED);
	teardown();
}
END_TEST

/* Ended sessions are remembered in bounded memory, the newest longest. */
START_TEST(memory_of_the_ended)
{
	struct fz_ip proxy = ip("100.96.0.1"), real = ip("10.0.0.1");

	setup(1 << 15, 0);
	for (unsigned i = 1; i <= NAT_ENDED_MAX + 100; i++) {
		struct ip_view v = out_view(IP_UDP, (uint16_t)i, &proxy);
		(void)send(&v, &real, SEC + i);
	}
	nat_pool_expire(pool, 1000 * SEC);
	ck_assert_uint_eq(nat_pool_stats(pool)->ended, NAT_ENDED_MAX + 100);
	ck_assert_int_eq(look_in(IP_UDP, 1, &real, 1000 * SEC), NAT_NONE);
	ck_assert_int_eq(look_in(IP_UDP, 100, &real, 1000 * SEC), NAT_NONE);
	ck_assert_int_eq(look_in(IP_UDP, 101, &real, 1000 * SEC), NAT_ENDED);
	ck_assert_int_eq(look_in(IP_UDP, NAT_ENDED_MAX + 100, &real, 1000 * SEC), NAT_ENDED);
	teardown();
}
END_TEST

/* ---- super-packets ---- */

static uint64_t rnd_state = 1;

static uint32_t rnd(uint32_t n)
{
	rnd_state = rnd_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(rnd_state >> 33) % n;
}

/* A super-packet as the TUN or the joiner gives it; returns its length. */
static size_t make_super(uint8_t *p, struct fz_pkt *pkt, size_t *ret_gso)
{
	struct mk m = { .v6 = (int)rnd(2),
			.proto = rnd(2) ? 6 : 17,
			.flow = rnd(9),
			.seq = rnd(UINT32_MAX),
			.flags = rnd(2) ? 0x18 : 0x11,
			.opt_len = (int)rnd(4) * 4,
			.tos = (int)rnd(256),
			.id = (int)rnd(65536),
			.seed = rnd(1000) };
	size_t hdr, len;

	*ret_gso = 1 + rnd(m.v6 ? 1100 : 1150);
	m.payload = *ret_gso + 1 + rnd(20000);
	if (m.proto == 17)
		m.opt_len = 0;
	len = mk_packet(p, &m);
	hdr = len - m.payload;
	*pkt = ip_pkt(p, len);
	pkt->gso = m.proto == 17 ? FZ_GSO_UDP : m.v6 ? FZ_GSO_TCP6 : FZ_GSO_TCP4;
	pkt->gso_size = (uint16_t)*ret_gso;
	pkt->csum_start = m.v6 ? 40 : 20;
	pkt->csum_offset = m.proto == 17 ? 6 : 16;
	pkt->needs_csum = 1;
	/* The field holds the folded sum of the pseudo-header. */
	struct ip_view v;
	ck_assert_int_eq(ip_parse(pkt, &v), IP_OK);
	mk_be16(p + pkt->csum_start + pkt->csum_offset, csum_fold(csum_pseudo(p, &v, len - pkt->csum_start)));
	ck_assert_uint_lt(hdr, len);
	return len;
}

static void translate(struct fz_pkt *pkt, struct ip_view *v, bool out, const struct fz_ip *real)
{
	struct nat_session *s;

	if (out) {
		s = nat_find_outbound(&t, v, SEC);
		if (s == NULL)
			ck_assert_int_eq(nat_open(&t, v, real, &tag, SEC, &s), 0);
		nat_outbound(s, pkt, v, SEC);
	} else {
		ck_assert_int_eq(nat_find_inbound(&t, v, SEC, &s), NAT_FOUND);
		nat_inbound(s, pkt, v, SEC);
	}
}

/* Once whole and then cut, once cut and then each alone: byte for byte the same. */
static void compare(bool out)
{
	static uint8_t a[FZ_PKT_HEADROOM + 70000], b[FZ_PKT_HEADROOM + 70000];
	struct fz_pkt whole, parts;
	struct ip_view wv, pv;
	struct cut wc, pc;
	const uint8_t *ws, *ps;
	size_t gso, wlen, plen;
	struct fz_ip real;

	make_super(a + FZ_PKT_HEADROOM, &whole, &gso);
	memcpy(b, a, sizeof(a));
	parts = whole;
	parts.data = b + FZ_PKT_HEADROOM;
	ck_assert_int_eq(ip_parse(&whole, &wv), IP_OK);
	real = wv.dst;
	real.b[3] ^= (uint8_t)rnd(256);
	real.b[2] ^= 0x40;
	if (!out) {
		/* A session to which this is an answer, with another port inside. */
		struct ip_view v = out_view(wv.kind, (uint16_t)(wv.dport ^ rnd(2)), &real);
		struct nat_session *s;
		v.version = wv.version;
		if (v.sport != wv.dport) { /* take the first choice away */
			struct ip_view first = v;
			first.dst.b[3] ^= 0xff;
			(void)send(&first, &wv.src, SEC);
		}
		/* The mapped port is the packet's destination only when it stayed. */
		(void)send(&v, &wv.src, SEC);
		if (nat_find_inbound(&t, &wv, SEC, &s) != NAT_FOUND)
			return;
	}
	pv = wv;
	translate(&whole, &wv, out, &real);
	cut_init(&wc, &whole, &wv);
	cut_init(&pc, &parts, &pv);
	while (cut_next(&wc, &ws, &wlen)) {
		uint8_t one[FZ_TUNNEL_MTU];
		struct fz_pkt pkt;
		struct ip_view v;
		ck_assert(cut_next(&pc, &ps, &plen));
		memcpy(one, ps, plen);
		pkt = ip_pkt(one, plen);
		ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
		translate(&pkt, &v, out, &real);
		ck_assert_uint_eq(wlen, plen);
		ck_assert(csum_ok(one, &v));
		ck_assert_mem_eq(ws, one, wlen);
	}
	ck_assert(!cut_next(&pc, &ps, &plen));
}

START_TEST(super_packets)
{
	for (unsigned i = 0; i < 400; i++) {
		setup(0, 0);
		/* Some flows find their port taken. */
		compare(i % 2 == 0);
		teardown();
	}
}
END_TEST

/* ---- against an obvious twin ---- */

struct twin {
	uint8_t kind;
	uint16_t in, out;
	struct fz_ip proxy, real;
	uint64_t out_us, in_us;
	int fins; /* 1 out, 2 in */
	bool reset;
};

static struct twin twins[1000];
static size_t n_twins;

static uint64_t twin_end(const struct twin *w)
{
	uint64_t last = w->in_us > w->out_us ? w->in_us : w->out_us;
	uint64_t at = last + (w->kind == IP_TCP ? 7440 * SEC : 120 * SEC);

	if (w->in_us == 0 && w->out_us + 60 * SEC < at)
		at = w->out_us + 60 * SEC;
	if (w->fins == 3)
		at = last + 5 * SEC;
	return w->reset ? last : at;
}

static struct twin *twin_in(uint8_t kind, uint16_t port, const struct fz_ip *real, uint64_t now)
{
	for (size_t i = n_twins; i-- > 0;)
		if (twins[i].kind == kind && twins[i].out == port && fz_ip_equal(&twins[i].real, real) &&
		    twin_end(&twins[i]) > now)
			return &twins[i];
	return NULL;
}

static struct twin *twin_out(uint8_t kind, uint16_t port, const struct fz_ip *proxy, const struct fz_ip *real,
			     uint64_t now)
{
	uint16_t out = port;

	for (size_t i = n_twins; i-- > 0;)
		if (twins[i].kind == kind && twins[i].in == port && fz_ip_equal(&twins[i].proxy, proxy) &&
		    twin_end(&twins[i]) > now)
			return &twins[i];
	while (twin_in(kind, out, real, now))
		out = out == 65535 ? 1 : (uint16_t)(out + 1);
	if (n_twins == 1000) { /* forget what is long over */
		size_t kept = 0;
		for (size_t i = 0; i < n_twins; i++)
			if (twin_end(&twins[i]) > now)
				twins[kept++] = twins[i];
		n_twins = kept;
	}
	twins[n_twins] =
		(struct twin){ .kind = kind, .in = port, .out = out, .proxy = *proxy, .real = *real };
	return &twins[n_twins++];
}

START_TEST(a19_14_random_histories)
{
	static const uint8_t kinds[] = { IP_TCP, IP_UDP, IP_ICMP_ECHO };
	uint64_t now = SEC;

	rnd_state = 42;
	n_twins = 0;
	setup(4096, 4096);
	for (unsigned i = 0; i < 100000; i++) {
		uint8_t kind = kinds[rnd(3)], bytes[60] = { 0x45 };
		uint16_t port = (uint16_t)(65533 + rnd(6)); /* around the end of the numbers */
		struct fz_ip proxy = { FZ_FAMILY_INET, { 100, 96, 0, (uint8_t)rnd(4) } };
		struct fz_ip real = { FZ_FAMILY_INET, { 10, 0, 0, (uint8_t)rnd(2) } };
		struct fz_pkt pkt = ip_pkt(bytes, sizeof(bytes));
		static const uint8_t flags[] = { 0, 0, 0, 0, 0, 0, IP_TCP_FIN, IP_TCP_RST };
		uint8_t f = flags[rnd(8)];
		struct nat_session *s;
		struct twin *w;

		if (rnd(4) == 0)
			now += rnd(20) == 0 ? rnd(8000) * SEC : rnd(8) * SEC;
		if (rnd(3) == 0)
			nat_pool_expire(pool, now);
		if (rnd(2)) {
			struct ip_view v = out_view(kind, port, &proxy);
			v.l3_len = 20;
			v.tcp_flags = f;
			w = twin_out(kind, port, &proxy, &real, now);
			s = nat_find_outbound(&t, &v, now);
			if (s == NULL)
				ck_assert_int_eq(nat_open(&t, &v, &real, &tag, now, &s), 0);
			nat_outbound(s, &pkt, &v, now);
			ck_assert_msg(v.sport == w->out && fz_ip_equal(&v.dst, &w->real),
				      "step %u: %u, not %u", i, v.sport, w->out);
			w->out_us = now;
			w->fins |= kind == IP_TCP && f == IP_TCP_FIN ? 1 : 0;
		} else {
			struct ip_view v = in_view(kind, port, &real);
			v.l3_len = 20;
			v.tcp_flags = f;
			w = twin_in(kind, port, &real, now);
			ck_assert_msg((nat_find_inbound(&t, &v, now, &s) == NAT_FOUND) == (w != NULL),
				      "step %u", i);
			if (w == NULL)
				continue;
			nat_inbound(s, &pkt, &v, now);
			ck_assert(v.dport == w->in && fz_ip_equal(&v.src, &w->proxy));
			w->in_us = now;
			w->fins |= kind == IP_TCP && f == IP_TCP_FIN ? 2 : 0;
		}
		w->reset |= kind == IP_TCP && f == IP_TCP_RST;
	}
	teardown();
}
END_TEST

/* ---- memory ---- */

START_TEST(failing_allocations)
{
	struct fz_ip proxy = ip("100.96.0.1"), real = ip("10.0.0.1");
	bool complete = false;

	for (long n = 1; !complete; n++) {
		unit_env_init(&u, 1);
		u.fail_at = n;
		complete = true;
		if (nat_pool_new(&u.env, 0, 0, &pool) != 0) {
			complete = false;
			unit_env_check(&u);
			continue;
		}
		nat_table_init(&t, pool);
		for (unsigned i = 0; i < 300; i++) {
			struct ip_view v = out_view(IP_TCP, (uint16_t)(i + 1), &proxy);
			struct nat_session *s;
			int err = nat_open(&t, &v, &real, &tag, SEC, &s);
			if (err != 0)
				complete = false;
			ck_assert((err == 0) == (nat_find_outbound(&t, &v, SEC) != NULL));
		}
		if (u.fail_at <= u.allocs)
			complete = false; /* a map that did not grow is no error */
		teardown();
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("nat_table");

	unit_case(s, "vectors", vector_rewrite, vector_error, vector_error6);
	unit_case(s, "ports", a10_8_same_flow_same_port, crowded, limits, other_protocols,
		  a10_12_sessions_keep_their_address);
	unit_case(s, "life", a10_9_lifetimes, a10_10_resets, error_confirms, memory_of_the_ended);
	unit_case(s, "packets", super_packets, a19_14_random_histories);
	unit_case(s, "memory", failing_allocations);
	return s;
}
