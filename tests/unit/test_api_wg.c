/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fzconn/tunnel.h"
#include "proto/wg_peer.h"

static const struct fz_ip from = { FZ_FAMILY_INET, { 192, 0, 2, 1 } };

struct world {
	struct unit_env u;
	struct fz_wg *a, *b;
	uint64_t now_us;
};

static void setup(struct world *w)
{
	struct fz_wg_opts oa = { .size = sizeof(oa), .index = 5 }, ob = { .size = sizeof(ob) };

	memset(w, 0, sizeof(*w));
	unit_env_init(&w->u, 9);
	fz_wg_key_generate(&w->u.env, &oa.private_key);
	fz_wg_key_generate(&w->u.env, &ob.private_key);
	memset(&oa.psk, 7, 32);
	ob.psk = oa.psk;
	ck_assert_int_eq(fz_wg_key_public(&oa.private_key, &ob.peer_public), 0);
	ck_assert_int_eq(fz_wg_key_public(&ob.private_key, &oa.peer_public), 0);
	ck_assert_int_eq(fz_wg_new(&w->u.env, &oa, &w->a, 0), 0);
	ck_assert_int_eq(fz_wg_new(&w->u.env, &ob, &w->b, 0), 0);
}

static void teardown(struct world *w)
{
	fz_wg_free(w->a);
	fz_wg_free(w->b);
	unit_env_check(&w->u);
}

static int carry(struct world *w, struct fz_wg *s, struct fz_wg *r)
{
	uint8_t m[FZ_WG_MESSAGE_MAX], out[FZ_WG_MESSAGE_MAX];
	int n, any = 0;

	while ((n = fz_wg_poll_transmit(s, m, sizeof(m), w->now_us, w->now_us * 1000 + 1)) > 0) {
		any = 1;
		ck_assert_int_eq(fz_wg_decapsulate(r, &from, m, (size_t)n, out, sizeof(out), w->now_us), 0);
	}
	ck_assert_int_eq(n, 0);
	return any;
}

static void connect_pair(struct world *w)
{
	fz_wg_connect(w->a, w->now_us);
	while (carry(w, w->a, w->b) | carry(w, w->b, w->a))
		;
	ck_assert(fz_wg_can_send(w->a, w->now_us));
	ck_assert(fz_wg_can_send(w->b, w->now_us));
}

START_TEST(options)
{
	struct unit_env u;
	struct fz_wg *wg = NULL;
	struct fz_wg_opts good = { .size = sizeof(good), .peer_public = { { 9 } } }, o;
	struct {
		struct fz_wg_opts o;
		uint64_t newer;
	} big = { .o = good };

	unit_env_init(&u, 1);
	o = good;
	o.size = 4;
	ck_assert_int_eq(fz_wg_new(&u.env, &o, &wg, 0), FZ_ERR_ABI);
	big.o.size = sizeof(big);
	big.newer = 1;
	ck_assert_int_eq(fz_wg_new(&u.env, &big.o, &wg, 0), FZ_ERR_ABI);
	o = good;
	memset(&o.peer_public, 0, 32);
	ck_assert_int_eq(fz_wg_new(&u.env, &o, &wg, 0), FZ_ERR_INVAL);
	o.peer_public.b[0] = 1; /* a point of small order */
	ck_assert_int_eq(fz_wg_new(&u.env, &o, &wg, 0), FZ_ERR_INVAL);
	o = good;
	o.index = 0x1000000;
	ck_assert_int_eq(fz_wg_new(&u.env, &o, &wg, 0), FZ_ERR_INVAL);
	o = good;
	o.timing = 3;
	ck_assert_int_eq(fz_wg_new(&u.env, &o, &wg, 0), FZ_ERR_INVAL);
	o = good;
	o.rekey_after_ms = 999;
	ck_assert_int_eq(fz_wg_new(&u.env, &o, &wg, 0), FZ_ERR_INVAL);
	o.rekey_after_ms = 120001;
	ck_assert_int_eq(fz_wg_new(&u.env, &o, &wg, 0), FZ_ERR_INVAL);
	ck_assert_ptr_null(wg);
	big.newer = 0;
	ck_assert_int_eq(fz_wg_new(&u.env, &big.o, &wg, 0), 0);
	fz_wg_free(wg);
	o = good;
	o.size = offsetof(struct fz_wg_opts, psk); /* an older caller */
	ck_assert_int_eq(fz_wg_new(&u.env, &o, &wg, 0), 0);
	fz_wg_free(wg);
	for (long n = 1;; n++) {
		unit_env_check(&u);
		unit_env_init(&u, 1);
		u.fail_at = n;
		int err = fz_wg_new(&u.env, &good, &wg, 0);
		if (err == 0)
			break;
		ck_assert_int_eq(err, FZ_ERR_NOMEM);
	}
	fz_wg_free(wg);
	fz_wg_free(NULL);
	unit_env_check(&u);
}
END_TEST

START_TEST(keys)
{
	static const char *const bad[] = { "", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
					   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
					   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= " };
	/* RFC 7748 section 6.1, in the text of wg(8) */
	struct fz_wg_key k, pub;
	char buf[FZ_WG_KEY_STRLEN];

	ck_assert_int_eq(fz_wg_key_parse("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=", &k), 0);
	ck_assert_int_eq(fz_wg_key_public(&k, &pub), 0);
	unit_assert_hex(pub.b, 32, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	ck_assert_str_eq(fz_wg_key_format(&k, buf), "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_int_eq(fz_wg_key_parse(bad[i], &k), FZ_ERR_INVAL);
	ck_assert_str_eq(fz_wg_key_format(&k, buf), "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=");
	fz_wg_key_wipe(&k);
	for (size_t i = 0; i < 32; i++)
		ck_assert_uint_eq(k.b[i], 0);
}
END_TEST

/* Padding is cut off by the length that the IP header names; without an IP header there is no packet. */
static const struct {
	const char *why;
	uint8_t head[8];
	size_t len;
	int want;
} packets[] = {
	{ "IPv4", { 0x45, 0, 0, 60 }, 60, 60 },
	{ "IPv4, padded", { 0x45, 0, 0, 60 }, 64, 60 },
	{ "IPv4, cut", { 0x45, 0, 0, 61 }, 60, FZ_ERR_WIRE },
	{ "IPv4, length below the header", { 0x45, 0, 0, 19 }, 60, FZ_ERR_WIRE },
	{ "IPv4, no header", { 0x45, 0, 0, 19 }, 19, FZ_ERR_WIRE },
	{ "IPv6", { 0x60, 0, 0, 0, 0, 20 }, 60, 60 },
	{ "IPv6, padded", { 0x60, 0, 0, 0, 0, 0 }, 48, 40 },
	{ "IPv6, cut", { 0x60, 0, 0, 0, 0, 21 }, 60, FZ_ERR_WIRE },
	{ "IPv6, no header", { 0x60, 0, 0, 0, 0, 0 }, 39, FZ_ERR_WIRE },
	{ "neither", { 0x50, 0, 0, 60 }, 60, FZ_ERR_WIRE },
	{ "one byte", { 0x45 }, 1, FZ_ERR_WIRE },
	{ "keepalive", { 0 }, 0, 0 },
};

START_TEST(plain_packets)
{
	struct world w;
	uint8_t in[80], dgram[112], out[80];

	setup(&w);
	connect_pair(&w);
	for (size_t i = 0; i < sizeof(packets) / sizeof(*packets); i++) {
		memset(in, 0, sizeof(in));
		memcpy(in, packets[i].head, 8);
		int n = fz_wg_encapsulate(w.a, in, packets[i].len, dgram, sizeof(dgram), w.now_us);
		ck_assert_int_eq(n, (int)packets[i].len + FZ_WG_OVERHEAD);
		ck_assert_msg(fz_wg_decapsulate(w.b, &from, dgram, (size_t)n, out, sizeof(out), w.now_us) ==
				      packets[i].want,
			      "%s", packets[i].why);
	}
	teardown(&w);
}
END_TEST

START_TEST(contract)
{
	struct world w;
	uint8_t packet[40] = { 0x60 }, dgram[FZ_WG_MESSAGE_MAX], out[80];
	struct fz_wg_stats st = { .size = sizeof(st) };
	enum fz_wg_event ev;
	uint32_t index;
	int n;

	setup(&w);
	ck_assert_int_eq(fz_wg_encapsulate(w.a, packet, 40, dgram, 71, w.now_us), FZ_ERR_NOSPACE);
	ck_assert_int_eq(fz_wg_encapsulate(w.a, packet, 65536, dgram, 1 << 20, w.now_us), FZ_ERR_INVAL);
	ck_assert_int_eq(fz_wg_encapsulate(w.a, packet, 40, dgram, 72, w.now_us), FZ_ERR_STATE);
	ck_assert_int_eq(fz_wg_poll_transmit(w.a, dgram, 147, w.now_us, 1), FZ_ERR_NOSPACE);
	n = fz_wg_poll_transmit(w.a, dgram, 148, w.now_us, 1);
	ck_assert_int_eq(n, 148);
	ck_assert_int_eq(fz_wg_index(dgram, 148, &index), FZ_ERR_STATE);
	ck_assert_int_eq(fz_wg_decapsulate(w.a, NULL, dgram, 148, out, sizeof(out), w.now_us), FZ_ERR_AUTH);
	ck_assert_int_eq(fz_wg_decapsulate(w.b, NULL, dgram, 147, out, sizeof(out), w.now_us),
			 FZ_ERR_NOT_MINE);
	ck_assert_int_eq(fz_wg_decapsulate(w.b, NULL, dgram, 148, out, 0, w.now_us), 0);
	ck_assert_int_eq(fz_wg_poll_transmit(w.b, dgram, 148, w.now_us, 1), 92);
	ck_assert_int_eq(fz_wg_index(dgram, 92, &index), 0);
	ck_assert_uint_eq(index, 5);
	ck_assert_int_eq(fz_wg_index(dgram, 91, &index), FZ_ERR_NOT_MINE);
	ck_assert_int_eq(fz_wg_decapsulate(w.a, NULL, dgram, 92, out, 0, w.now_us), 0);
	ck_assert(fz_wg_poll_event(w.a, &ev) && ev == FZ_WG_SESSION);
	ck_assert(!fz_wg_poll_event(w.a, &ev));
	ck_assert(fz_wg_poll_event(w.b, &ev) && ev == FZ_WG_SESSION);
	n = fz_wg_encapsulate(w.a, packet, 40, dgram, 72, w.now_us);
	ck_assert_int_eq(n, 72);
	ck_assert_int_eq(fz_wg_decapsulate(w.b, NULL, dgram, 72, out, 39, w.now_us), FZ_ERR_NOSPACE);
	ck_assert_int_eq(fz_wg_decapsulate(w.b, NULL, dgram, 72, out, 40, w.now_us), 40);
	ck_assert(fz_wg_poll_event(w.b, &ev) && ev == FZ_WG_SENDABLE);
	ck_assert_int_eq(fz_wg_decapsulate(w.b, NULL, dgram, 72, dgram + 16, 72, w.now_us), FZ_ERR_AUTH);
	ck_assert_int_eq(fz_wg_get_stats(w.b, &st), 0);
	ck_assert_uint_eq(st.rx_packets, 1);
	ck_assert_uint_eq(st.dropped_replayed, 1);
	ck_assert_uint_eq(st.dropped_malformed, 1);
	st = (struct fz_wg_stats){ .size = offsetof(struct fz_wg_stats, last_session_us) };
	ck_assert_int_eq(fz_wg_get_stats(w.a, &st), 0);
	ck_assert_uint_eq(st.sessions, 1);
	ck_assert_uint_eq(st.tx_packets, 0);
	st.size = 3;
	ck_assert_int_eq(fz_wg_get_stats(w.a, &st), FZ_ERR_ABI);
	teardown(&w);
}
END_TEST

/* A flood is answered with cookies. */
START_TEST(cookies)
{
	struct world w;
	uint8_t init[FZ_WG_MESSAGE_MAX], reply[FZ_WG_MESSAGE_MAX], out[10];
	int err = FZ_ERR_AUTH;

	setup(&w);
	fz_wg_connect(w.a, 0);
	ck_assert_int_eq(fz_wg_poll_transmit(w.a, init, sizeof(init), 0, 5), 148);
	ck_assert_int_eq(fz_wg_decapsulate(w.b, &from, init, 148, out, sizeof(out), 0), 0);
	while (err == FZ_ERR_AUTH) /* copies are refused, but cost something */
		err = fz_wg_decapsulate(w.b, &from, init, 148, out, sizeof(out), 0);
	ck_assert_int_eq(err, FZ_ERR_AGAIN);
	ck_assert_int_eq(fz_wg_poll_transmit(w.b, reply, 147, 0, 5), FZ_ERR_NOSPACE);
	ck_assert_int_eq(fz_wg_poll_transmit(w.b, reply, sizeof(reply), 0, 5), WG_COOKIE_REPLY_LEN);
	ck_assert_int_eq(fz_wg_decapsulate(w.a, &from, reply, WG_COOKIE_REPLY_LEN, out, sizeof(out), 0), 0);
	ck_assert_int_eq(fz_wg_poll_transmit(w.b, reply, sizeof(reply), 0, 5), WG_RESPONSE_LEN);
	teardown(&w);
}
END_TEST

START_TEST(early_rekey)
{
	struct world w;
	struct fz_wg_opts o = { .size = sizeof(o), .rekey_after_ms = 1000 };
	uint8_t packet[40] = { 0x60 }, dgram[100], out[40];
	struct fz_wg_stats st = { .size = sizeof(st) };

	setup(&w);
	fz_wg_free(w.a);
	fz_wg_public(w.b, &o.peer_public);
	memset(&o.psk, 7, 32);
	memset(&o.private_key, 3, 32);
	ck_assert_int_eq(fz_wg_new(&w.u.env, &o, &w.a, 0), 0);
	struct fz_wg_opts ob = { .size = sizeof(ob), .psk = o.psk };
	fz_wg_free(w.b);
	memset(&ob.private_key, 4, 32);
	fz_wg_public(w.a, &ob.peer_public);
	ck_assert_int_eq(fz_wg_new(&w.u.env, &ob, &w.b, 0), 0);
	fz_wg_free(w.a);
	fz_wg_public(w.b, &o.peer_public);
	ck_assert_int_eq(fz_wg_new(&w.u.env, &o, &w.a, 0), 0);
	connect_pair(&w);
	for (int i = 0; i < 100; i++) {
		w.now_us += 100000;
		fz_wg_handle_timeout(w.a, w.now_us);
		fz_wg_handle_timeout(w.b, w.now_us);
		while (carry(&w, w.a, w.b) | carry(&w, w.b, w.a))
			;
		ck_assert_int_eq(fz_wg_encapsulate(w.a, packet, 40, dgram, sizeof(dgram), w.now_us), 72);
		ck_assert_int_eq(fz_wg_decapsulate(w.b, &from, dgram, 72, out, 40, w.now_us), 40);
	}
	ck_assert_int_eq(fz_wg_get_stats(w.a, &st), 0);
	ck_assert_uint_ge(st.sessions, 7);
	ck_assert_uint_le(st.sessions, 10);
	teardown(&w);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("api_wg");

	unit_case(s, "objects", options, keys);
	unit_case(s, "traffic", plain_packets, contract, cookies, early_rekey);
	return s;
}
