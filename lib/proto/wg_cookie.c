/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wg_cookie.h"

#include <string.h>

#include "base/addr.h"
#include "base/rng.h"
#include "base/time.h"

#define COOKIE_PERIOD_US FZ_SEC(128)

int wg_mac_keys_init(struct wg_mac_keys *k, const struct fz_key *public_key)
{
	int err = crypto_blake2s("mac1----", 8, public_key->b, 32, k->mac1.b);

	return err ? err : crypto_blake2s("cookie--", 8, public_key->b, 32, k->cookie.b);
}

int wg_jar_sign(struct wg_jar *j, uint8_t *msg, size_t len, uint64_t now_us)
{
	uint8_t *mac1 = msg + len - 2 * CRYPTO_MAC128_LEN, *mac2 = msg + len - CRYPTO_MAC128_LEN;
	int err = crypto_mac128(j->keys.mac1.b, 32, msg, (size_t)(mac1 - msg), NULL, 0, mac1);

	if (err)
		return err;
	if (j->has_cookie && now_us >= j->cookie_us + WG_COOKIE_LIFE_US) {
		j->has_cookie = false;
		fz_wipe(j->cookie, sizeof(j->cookie));
	}
	memset(mac2, 0, CRYPTO_MAC128_LEN);
	if (j->has_cookie)
		err = crypto_mac128(j->cookie, WG_COOKIE_LEN, msg, (size_t)(mac2 - msg), NULL, 0, mac2);
	if (err)
		return err;
	memcpy(j->mac1, mac1, sizeof(j->mac1));
	j->index = fz_get_le32(msg + 4);
	j->has_mac1 = true;
	return 0;
}

int wg_jar_handle_reply(struct wg_jar *j, const uint8_t *msg, size_t len, uint64_t now_us)
{
	struct wg_cookie_reply m;
	uint8_t cookie[WG_COOKIE_LEN];
	int err = wg_cookie_reply_decode(msg, len, &m);

	if (err)
		return err;
	if (!j->has_mac1 || m.receiver != j->index)
		return FZ_ERR_AUTH;
	err = crypto_xopen(&j->keys.cookie, m.nonce, j->mac1, sizeof(j->mac1), m.enc_cookie,
			   WG_COOKIE_LEN + WG_TAG_LEN, cookie);
	if (err == 0) {
		memcpy(j->cookie, cookie, sizeof(j->cookie));
		j->cookie_us = now_us;
		j->has_cookie = true;
		j->has_mac1 = false; /* one reply to one message: a copy of it shall not renew the cookie */
	}
	fz_wipe(cookie, sizeof(cookie));
	return err;
}

int wg_guard_init(struct wg_guard *g, const struct fz_env *env, const struct fz_key *public_key,
		  uint64_t now_us)
{
	*g = (struct wg_guard){ .env = env, .start_us = now_us, .window_us = now_us };
	fz_rng_fill(env, g->secret.b, sizeof(g->secret.b));
	return wg_mac_keys_init(&g->keys, public_key);
}

void wg_guard_clear(struct wg_guard *g)
{
	fz_wipe(g, sizeof(*g));
}

/* The cookie of an address in a given period. The port is left out: a NAT may change it at will; and of IPv6
 * the lower half, which every host can choose. */
static int make_cookie(const struct wg_guard *g, const struct fz_ip *from, uint64_t period,
		       uint8_t cookie[WG_COOKIE_LEN])
{
	uint8_t number[8];

	fz_put_le64(number, period);
	return crypto_mac128(g->secret.b, sizeof(g->secret.b), number, sizeof(number), from->b, 8, cookie);
}

static int check_mac2(const uint8_t cookie[WG_COOKIE_LEN], const uint8_t *msg, size_t len)
{
	uint8_t want[CRYPTO_MAC128_LEN];
	size_t at = len - sizeof(want);
	int err = crypto_mac128(cookie, WG_COOKIE_LEN, msg, at, NULL, 0, want);

	if (err)
		return err;
	return fz_secret_eq(want, msg + at, sizeof(want)) ? 0 : FZ_ERR_AUTH;
}

static int make_reply(const struct wg_guard *g, const uint8_t *msg, size_t len,
		      const uint8_t cookie[WG_COOKIE_LEN], uint8_t reply[WG_COOKIE_REPLY_LEN])
{
	uint8_t nonce[CRYPTO_XNONCE_LEN], sealed[WG_COOKIE_LEN + WG_TAG_LEN];
	const struct wg_cookie_reply m = { fz_get_le32(msg + 4), nonce, sealed };
	int err;

	fz_rng_fill(g->env, nonce, sizeof(nonce));
	err = crypto_xseal(&g->keys.cookie, nonce, msg + len - WG_MACS_LEN, CRYPTO_MAC128_LEN, cookie,
			   WG_COOKIE_LEN, sealed);
	if (err == 0)
		wg_cookie_reply_encode(&m, reply);
	return err;
}

static int count_in_group(struct wg_guard *g, const uint8_t cookie[WG_COOKIE_LEN])
{
	uint8_t *n = &g->by_group[cookie[0] % WG_COOKIE_GROUPS];

	if (*n >= WG_COOKIES_PER_SECOND)
		return FZ_ERR_FULL;
	++*n;
	return 0;
}

/* Under load: mac2 or nothing. */
static int admit_by_cookie(struct wg_guard *g, const uint8_t *msg, size_t len, const struct fz_ip *from,
			   uint64_t now_us, uint8_t reply[WG_COOKIE_REPLY_LEN])
{
	uint64_t period = now_us > g->start_us ? (now_us - g->start_us) / COOKIE_PERIOD_US : 0;
	uint8_t cookie[WG_COOKIE_LEN], older[WG_COOKIE_LEN];
	int err = make_cookie(g, from, period, cookie);

	if (err == 0)
		err = check_mac2(cookie, msg, len);
	/* Cookies live 120 s at their owner, so one from the period before may still be in use. */
	if (err == FZ_ERR_AUTH && period > 0) {
		err = make_cookie(g, from, period - 1, older);
		if (err == 0)
			err = check_mac2(older, msg, len);
	}
	if (err == 0)
		return count_in_group(g, cookie);
	if (err != FZ_ERR_AUTH)
		return err;
	err = make_reply(g, msg, len, cookie, reply);
	return err ? err : FZ_ERR_AGAIN;
}

int wg_guard_admit(struct wg_guard *g, const uint8_t *msg, size_t len, const struct fz_ip *from,
		   uint64_t now_us, uint8_t reply[WG_COOKIE_REPLY_LEN])
{
	enum wg_type type = wg_classify(msg, len);
	uint8_t want[CRYPTO_MAC128_LEN];
	size_t at = len - WG_MACS_LEN;
	int err;

	if (type != WG_INITIATION && type != WG_RESPONSE)
		return FZ_ERR_WIRE;
	err = crypto_mac128(g->keys.mac1.b, 32, msg, at, NULL, 0, want);
	if (err)
		return err;
	if (!fz_secret_eq(want, msg + at, sizeof(want)))
		return FZ_ERR_AUTH;
	if (now_us >= g->window_us + FZ_SEC(1)) {
		g->window_us = now_us;
		g->count = 0;
		memset(g->by_group, 0, sizeof(g->by_group));
	}
	if (g->count < WG_HANDSHAKES_PER_SECOND) {
		g->count++;
		return 0;
	}
	return admit_by_cookie(g, msg, len, from, now_us, reply);
}
