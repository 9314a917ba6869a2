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

START_TEST(allowance)
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
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(admit(&w, &home), 0);
	ck_assert_int_eq(admit(&w, &elsewhere), FZ_ERR_AGAIN);
	w.msg[sizeof(w.msg) - 1] ^= 1;
	ck_assert_int_eq(admit(&w, &home), FZ_ERR_AGAIN);
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

	unit_case(s, "guard", mac1, allowance);
	unit_case(s, "cookie", cookie, cookie_age, cookie_too_old, bad_replies);
	return s;
}
