/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/rng.h"
#include "proto/wg_session.h"

/* The slow, obvious twin of the window: every counter ever seen. */
#define TWIN_MAX 100000
struct twin {
	uint64_t top; /* next */
	uint64_t base;
	bool seen[TWIN_MAX];
};

static bool twin_accepts(const struct twin *t, uint64_t counter)
{
	if (counter + WG_WINDOW < t->top)
		return false;
	return !t->seen[counter - t->base];
}

static void twin_mark(struct twin *t, uint64_t counter)
{
	t->seen[counter - t->base] = true;
	if (counter >= t->top)
		t->top = counter + 1;
}

START_TEST(window_twin)
{
	static struct twin t;
	static struct wg_window w;
	struct unit_env u;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		unit_env_init(&u, seed);
		memset(&t, 0, sizeof(t));
		memset(&w, 0, sizeof(w));
		for (int i = 0; i < 60000; i++) {
			uint32_t kind = fz_rng_below(&u.env, 1000);
			uint64_t counter;
			if (kind < 600) /* in order */
				counter = t.top;
			else if (kind < 800) /* a little late or early */
				counter = t.top + 40 - fz_rng_below(&u.env, 80);
			else if (kind < 990) /* anywhere around the window's edges */
				counter = t.top + 70 - fz_rng_below(&u.env, WG_WINDOW + 140);
			else if (kind < 997) /* a jump */
				counter = t.top + fz_rng_below(&u.env, 300);
			else
				counter = t.top + fz_rng_below(&u.env, 2 * WG_WINDOW);
			if (counter >= TWIN_MAX) /* wrapped below 0, or the end */
				continue;
			bool yes = twin_accepts(&t, counter), same = wg_window_accepts(&w, counter) == yes;
			if (same && yes) {
				wg_window_mark(&w, counter);
				twin_mark(&t, counter);
				same = !wg_window_accepts(&w, counter) && w.next == t.top;
			}
			if (!same)
				ck_abort_msg("seed %d step %d counter %d", (int)seed, i, (int)counter);
		}
	}
}
END_TEST

START_TEST(window_edges)
{
	static struct wg_window w;

	memset(&w, 0, sizeof(w));
	ck_assert(wg_window_accepts(&w, 0));
	/* The first packet seen may have any number: data can overtake the keepalive that ends a handshake.
	 */
	wg_window_mark(&w, 10);
	ck_assert(wg_window_accepts(&w, 0));
	ck_assert(wg_window_accepts(&w, 9));
	ck_assert(!wg_window_accepts(&w, 10));
	wg_window_mark(&w, 0);
	ck_assert(!wg_window_accepts(&w, 0));
	wg_window_mark(&w, WG_WINDOW);
	ck_assert(!wg_window_accepts(&w, 0));
	ck_assert(wg_window_accepts(&w, 1)); /* exactly WG_WINDOW numbers are remembered */
	wg_window_mark(&w, WG_WINDOW + 1);
	ck_assert(!wg_window_accepts(&w, 1));
	ck_assert(wg_window_accepts(&w, 2));
	wg_window_mark(&w, 1000000); /* far ahead: everything before is forgotten */
	ck_assert(!wg_window_accepts(&w, WG_WINDOW + 1));
	ck_assert(wg_window_accepts(&w, 1000000 - WG_WINDOW + 1));
	ck_assert(!wg_window_accepts(&w, 1000000 - WG_WINDOW));
	ck_assert(wg_window_accepts(&w, WG_COUNTER_END - 1));
	ck_assert(!wg_window_accepts(&w, WG_COUNTER_END));
	ck_assert(!wg_window_accepts(&w, UINT64_MAX));
	wg_window_mark(&w, WG_COUNTER_END - 1);
	ck_assert(!wg_window_accepts(&w, WG_COUNTER_END - 1));
	ck_assert(wg_window_accepts(&w, WG_COUNTER_END - 2));
}
END_TEST

static void make_sessions(struct unit_env *u, struct wg_session **a, struct wg_session **b)
{
	struct wg_noise_keys ka, kb;

	unit_env_init(u, 3);
	fz_rng_fill(&u->env, &ka, sizeof(ka));
	kb = (struct wg_noise_keys){ .send = ka.receive, .receive = ka.send };
	ck_assert_int_eq(wg_session_new(&u->env, &ka, 0x101, 0x202, true, 5, a), 0);
	ck_assert_int_eq(wg_session_new(&u->env, &kb, 0x202, 0x101, false, 5, b), 0);
}

START_TEST(seal_and_open)
{
	struct unit_env u;
	struct wg_session *a, *b;
	uint8_t plain[1400], dgram[1432], apart[1432], out[1400];

	make_sessions(&u, &a, &b);
	fz_rng_fill(&u.env, plain, sizeof(plain));
	for (size_t len = 0; len <= sizeof(plain); len = len < 70 ? len + 1 : len + 133) {
		int want = (int)len + WG_OVERHEAD;
		memcpy(dgram + WG_HEADER_LEN, plain, len);
		ck_assert_int_eq(wg_session_seal(a, dgram, dgram + WG_HEADER_LEN, len), want);
		a->counter--; /* the same number again, only to compare */
		ck_assert_int_eq(wg_session_seal(a, apart, plain, len), want);
		ck_assert_mem_eq(dgram, apart, (size_t)want);
		ck_assert_uint_eq(wg_receiver(dgram), 0x202);
		ck_assert_int_eq(wg_session_open(b, out, dgram, (size_t)want), (int)len);
		ck_assert_mem_eq(out, plain, len);
		ck_assert_int_eq(wg_session_open(b, out, dgram, (size_t)want), FZ_ERR_FULL);
	}
	/* In place, and damage leaves no trace. */
	ck_assert_int_eq(wg_session_seal(a, dgram, plain, 100), 132);
	for (size_t i = 8; i < 132; i++) {
		struct wg_window before = b->window;
		memcpy(apart, dgram, 132);
		apart[i] ^= 1;
		/* Other counters than the one sent are fresh, or seen. */
		int err = wg_session_open(b, out, apart, 132);
		ck_assert(err == FZ_ERR_AUTH || (i < 16 && err == FZ_ERR_FULL));
		ck_assert_mem_eq(&before, &b->window, sizeof(before));
	}
	ck_assert_int_eq(wg_session_open(b, dgram + WG_HEADER_LEN, dgram, 132), 100);
	ck_assert_mem_eq(dgram + WG_HEADER_LEN, plain, 100);
	wg_session_free(&u.env, a);
	wg_session_free(&u.env, b);
	unit_env_check(&u);
}
END_TEST

START_TEST(counter_end)
{
	struct unit_env u;
	struct wg_session *a, *b;
	uint8_t dgram[64], out[32];

	make_sessions(&u, &a, &b);
	a->counter = WG_COUNTER_END - 1;
	ck_assert_int_eq(wg_session_seal(a, dgram, NULL, 0), 32);
	ck_assert_int_eq(wg_session_open(b, out, dgram, 32), 0);
	ck_assert_int_eq(wg_session_seal(a, dgram, NULL, 0), FZ_ERR_STATE);
	wg_session_free(&u.env, a);
	wg_session_free(&u.env, b);
	wg_session_free(&u.env, NULL);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("wg_session");

	unit_case(s, "window", window_twin, window_edges);
	unit_case(s, "session", seal_and_open, counter_end);
	return s;
}
