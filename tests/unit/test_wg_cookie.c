/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/rng.h"
#include "base/time.h"
#include "proto/wg_cookie.h"

static const struct fz_ip home = { .family = FZ_FAMILY_INET, .b = { 192, 0, 2, 1 } };
static const struct fz_ip elsewhere = { .family = FZ_FAMILY_INET, .b = { 192, 0, 2, 2 } };

struct world {
	struct unit_env u;
	struct fz_key public_key;
	struct wg_guard guard;
	struct wg_jar jar;
	uint8_t msg[WG_INITIATION_LEN], reply[WG_COOKIE_REPLY_LEN];
	uint64_t now_us;
};

static void setup(struct world *w)
{
	memset(w, 0, sizeof(*w));
	unit_env_init(&w->u, 1);
	w->now_us = FZ_SEC(77);
	fz_rng_fill(&w->u.env, &w->public_key, sizeof(w->public_key));
	ck_assert_int_eq(wg_guard_init(&w->guard, &w->u.env, &w->public_key, w->now_us), 0);
	ck_assert_int_eq(wg_mac_keys_init(&w->jar.keys, &w->public_key), 0);
}

static void teardown(struct world *w)
{
	wg_guard_clear(&w->guard);
	unit_env_check(&w->u);
}

/* A fresh message, signed. */
static void write_message(struct world *w)
{
	fz_rng_fill(&w->u.env, w->msg, sizeof(w->msg));
	fz_put_le32(w->msg, WG_INITIATION);
	ck_assert_int_eq(wg_jar_sign(&w->jar, w->msg, sizeof(w->msg), w->now_us), 0);
}

static int admit(struct world *w, const struct fz_ip *from)
{
	return wg_guard_admit(&w->guard, w->msg, sizeof(w->msg), from, w->now_us, w->reply);
}

/* Use up the allowance of this second. */
static void flood(struct world *w)
{
	int err;

	write_message(w);
	do
		err = admit(w, &elsewhere);
	while (err == 0);
	ck_assert_int_eq(err, FZ_ERR_AGAIN);
}

START_TEST(mac1)
{
	struct world w;

	setup(&w);
	write_message(&w);
	ck_assert_int_eq(admit(&w, &home), 0);
	for (size_t i = 0; i < sizeof(w.msg) - 16; i++) {
		w.msg[i] ^= 1;
		ck_assert_msg(admit(&w, &home) == (i < 4 ? FZ_ERR_WIRE : FZ_ERR_AUTH), "byte %zu", i);
		w.msg[i] ^= 1;
	}
	for (size_t len = 0; len < sizeof(w.msg); len++)
		ck_assert_int_eq(wg_guard_admit(&w.guard, w.msg, len, &home, w.now_us, w.reply), FZ_ERR_WIRE);
	ck_assert_uint_eq(w.guard.count, 1); /* what is damaged does not count */
	teardown(&w);
}
END_TEST

/* Two datagrams that Firezone's own programs sent (tests/vectors/captures/iceless-relayed.json), and the
 * public keys of those they were sent to. */
static const struct {
	const char *public_key, *msg;
} recorded[] = {
	{ "4e637ebaf5ec22fc6c0e930c258fc196263944e61565bea2fd5a9af61f65ea2a",
	  "0100000001a2d95d4725b0c18f7fc649a66720f29bc982d08154d64bc3155c3921fbad49b76a024b0faee1df4dce7b6ab5"
	  "09c2"
	  "2d606734399cc0bd15f1ee11356603489745ee19f59e81ca84f192d8a2909ecbb7a87ff1f1dd57df220f32bb76744d1de2"
	  "6578"
	  "498beb9784454ab7b9065900d66d570854b4894b9ad3762afae4f78a94ee00000000000000000000000000000000" },
	{ "d97c6aaaea1b90b8a9857997b87ac0a80befe194f75adc55359d039ad157041e",
	  "0200000001a5a43601a2d95d2144159f0686c272332398236b300a26aaeb32aef1498541539abca51cf7137860676ed0e7"
	  "f469"
	  "9c039dd34d99e48a8c844a85ef6e7da5465190f5038f86cc3b00000000000000000000000000000000" },
};

START_TEST(recorded_mac1)
{
	for (size_t i = 0; i < 2; i++) {
		struct unit_env u;
		struct wg_guard guard;
		struct fz_key key;
		uint8_t msg[WG_INITIATION_LEN], reply[WG_COOKIE_REPLY_LEN];
		size_t len = unit_hex(msg, sizeof(msg), recorded[i].msg);
		unit_env_init(&u, 1);
		unit_hex(key.b, sizeof(key.b), recorded[i].public_key);
		ck_assert_int_eq(wg_guard_init(&guard, &u.env, &key, 0), 0);
		ck_assert_int_eq(wg_guard_admit(&guard, msg, len, &home, 0, reply), 0);
		ck_assert_uint_eq(fz_get_le32(msg + 4) & 0xff, 1); /* the first session of each */
		msg[len - 17] ^= 1;
		ck_assert_int_eq(wg_guard_admit(&guard, msg, len, &home, 0, reply), FZ_ERR_AUTH);
	}
}
END_TEST

START_TEST(a15_4_allowance)
{
	struct world w;

	setup(&w);
	write_message(&w);
	for (int second = 0; second < 3; second++) {
		for (unsigned i = 0; i < 100; i++)
			ck_assert_int_eq(admit(&w, &home), 0);
		ck_assert_int_eq(admit(&w, &home), FZ_ERR_AGAIN);
		w.now_us += 999999;
		ck_assert_int_eq(admit(&w, &home), FZ_ERR_AGAIN);
		w.now_us += 1;
	}
	teardown(&w);
}
END_TEST

START_TEST(cookie)
{
	struct world w;

	setup(&w);
	flood(&w);
	ck_assert_int_eq(wg_jar_handle_reply(&w.jar, w.reply, sizeof(w.reply), w.now_us), 0);
	write_message(&w);
	/* The cookie was made for the other address. */
	ck_assert_int_eq(admit(&w, &home), FZ_ERR_AGAIN);
	ck_assert_int_eq(wg_jar_handle_reply(&w.jar, w.reply, sizeof(w.reply), w.now_us), 0);
	write_message(&w);
	ck_assert_int_eq(admit(&w, &home), 0);
	ck_assert_int_eq(admit(&w, &elsewhere), FZ_ERR_AGAIN);
	w.msg[sizeof(w.msg) - 1] ^= 1;
	ck_assert_int_eq(admit(&w, &home), FZ_ERR_AGAIN);
	teardown(&w);
}
END_TEST

/* Whoever owns an address gets cookies: that must not buy any amount of our time. */
START_TEST(cookie_holder_floods)
{
	static const struct fz_ip v6[] = {
		{ .family = FZ_FAMILY_INET6, .b = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 7, [15] = 1 } },
		{ .family = FZ_FAMILY_INET6, .b = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 7, [8] = 9, [15] = 2 } },
		{ .family = FZ_FAMILY_INET6, .b = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 8, [15] = 1 } },
	};
	struct world w;
	int admitted = 0;

	setup(&w);
	flood(&w);
	ck_assert_int_eq(admit(&w, &v6[0]), FZ_ERR_AGAIN);
	ck_assert_int_eq(wg_jar_handle_reply(&w.jar, w.reply, sizeof(w.reply), w.now_us), 0);
	for (int i = 0; i < 5000; i++) {
		write_message(&w);
		int err = admit(&w, &v6[i % 2]); /* one network, any number of addresses */
		admitted += err == 0;
		ck_assert(err == 0 || err == FZ_ERR_FULL);
	}
	ck_assert_int_le(admitted, WG_COOKIES_PER_SECOND);
	ck_assert_int_ge(admitted, WG_COOKIES_PER_SECOND - 1);
	/* nobody else's cookie */
	ck_assert_int_eq(admit(&w, &v6[2]), FZ_ERR_AGAIN);
	w.now_us += FZ_SEC(1);
	flood(&w);
	write_message(&w);
	ck_assert_int_eq(admit(&w, &v6[0]), 0);
	teardown(&w);
}
END_TEST

START_TEST(cookie_age)
{
	struct world w;

	setup(&w);
	w.now_us += FZ_SEC(127);
	for (unsigned i = 0; i < 100; i++) {
		write_message(&w);
		ck_assert_int_eq(admit(&w, &home), 0);
	}
	write_message(&w);
	ck_assert_int_eq(admit(&w, &home), FZ_ERR_AGAIN);
	ck_assert_int_eq(wg_jar_handle_reply(&w.jar, w.reply, sizeof(w.reply), w.now_us), 0);
	w.now_us += WG_COOKIE_LIFE_US - 1;
	write_message(&w);
	for (unsigned i = 0; i < 200; i++) /* one period later, still good */
		ck_assert_int_eq(admit(&w, &home), 0);
	w.now_us += 1;
	write_message(&w); /* forgotten */
	for (size_t i = sizeof(w.msg) - 16; i < sizeof(w.msg); i++)
		ck_assert_uint_eq(w.msg[i], 0);
	ck_assert(!w.jar.has_cookie);
	teardown(&w);
}
END_TEST

/* A cookie of two periods ago is worth nothing, whatever its owner thinks. */
START_TEST(cookie_too_old)
{
	struct world w;

	setup(&w);
	write_message(&w);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_int_eq(admit(&w, &home), 0);
	ck_assert_int_eq(admit(&w, &home), FZ_ERR_AGAIN);
	ck_assert_int_eq(wg_jar_handle_reply(&w.jar, w.reply, sizeof(w.reply), w.now_us), 0);
	write_message(&w);
	w.now_us += FZ_SEC(255);
	for (unsigned i = 0; i < 200; i++)
		ck_assert_int_eq(admit(&w, &home), 0);
	w.now_us += FZ_SEC(1);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_int_eq(admit(&w, &home), 0);
	ck_assert_int_eq(admit(&w, &home), FZ_ERR_AGAIN);
	teardown(&w);
}
END_TEST

START_TEST(bad_replies)
{
	struct world w;
	struct wg_jar before;

	setup(&w);
	ck_assert_int_eq(wg_jar_handle_reply(&w.jar, w.reply, 64, w.now_us), FZ_ERR_WIRE);
	flood(&w);
	before = w.jar;
	for (size_t i = 0; i < sizeof(w.reply); i++) {
		w.reply[i] ^= 1;
		ck_assert_int_eq(wg_jar_handle_reply(&w.jar, w.reply, 64, w.now_us),
				 i < 4 ? FZ_ERR_WIRE : FZ_ERR_AUTH);
		w.reply[i] ^= 1;
	}
	for (size_t len = 0; len < 64; len++)
		ck_assert_int_eq(wg_jar_handle_reply(&w.jar, w.reply, len, w.now_us), FZ_ERR_WIRE);
	ck_assert_mem_eq(&before, &w.jar, sizeof(before));
	write_message(&w); /* a later message: the reply is not for it */
	ck_assert_int_eq(wg_jar_handle_reply(&w.jar, w.reply, 64, w.now_us), FZ_ERR_AUTH);
	flood(&w);
	ck_assert_int_eq(wg_jar_handle_reply(&w.jar, w.reply, 64, w.now_us), 0);
	ck_assert_int_eq(wg_jar_handle_reply(&w.jar, w.reply, 64, w.now_us), FZ_ERR_AUTH); /* a copy */
	teardown(&w);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("wg_cookie");

	unit_case(s, "guard", mac1, recorded_mac1, a15_4_allowance);
	unit_case(s, "cookie", cookie, cookie_holder_floods, cookie_age, cookie_too_old, bad_replies);
	return s;
}
