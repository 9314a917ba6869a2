/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wg_self.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "proto/wg_cookie.h"

/* Of an initiation: ephemeral and encrypted static key, which determine the first half. */
#define HALF_AT 8
#define HALF_LEN (32 + 32 + WG_TAG_LEN)

struct wg_self {
	const struct fz_env *env;
	struct wg_noise_local noise;
	struct wg_guard guard;
	struct wg_self_stats stats;
	/* Identifying a sender takes one of the two DH computations of an initiation. It is kept for the call
	 * that follows, in which the peer handles the same message. */
	struct wg_noise_half half;
	uint8_t half_of[HALF_LEN];
	bool has_half;
};

int wg_self_new(const struct fz_env *env, const struct fz_key *private_key, uint64_t now_us,
		struct wg_self **ret)
{
	struct wg_self *s = fz_zalloc(env, sizeof(*s));
	struct fz_key key;
	int err;

	if (s == NULL)
		return FZ_ERR_NOMEM;
	s->env = env;
	if (private_key)
		key = *private_key;
	else
		fz_rng_fill(env, key.b, sizeof(key.b));
	crypto_dh_clamp(&key);
	err = crypto_dh_init(&s->noise.dh, &key);
	fz_wipe(&key, sizeof(key));
	if (err == 0)
		err = crypto_dh_public(&s->noise.dh, &s->noise.public_key);
	if (err == 0)
		err = wg_guard_init(&s->guard, env, &s->noise.public_key, now_us);
	if (err) {
		wg_self_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void wg_self_free(struct wg_self *s)
{
	if (s == NULL)
		return;
	const struct fz_env *env = s->env;
	crypto_dh_clear(&s->noise.dh);
	wg_guard_clear(&s->guard);
	fz_wipe(s, sizeof(*s));
	fz_free(env, s);
}

const struct fz_key *wg_self_public(const struct wg_self *s)
{
	return &s->noise.public_key;
}

const struct wg_self_stats *wg_self_stats(const struct wg_self *s)
{
	return &s->stats;
}

const struct wg_noise_local *wg_self_noise(const struct wg_self *s)
{
	return &s->noise;
}

int wg_self_admit(struct wg_self *s, const uint8_t *msg, size_t len, const struct fz_ip *from,
		  uint64_t now_us, uint8_t reply[WG_COOKIE_REPLY_LEN], size_t *ret_len)
{
	int err = wg_guard_admit(&s->guard, msg, len, from, now_us, reply);

	*ret_len = err == FZ_ERR_AGAIN ? WG_COOKIE_REPLY_LEN : 0;
	s->stats.admitted += err == 0;
	s->stats.bad_mac1 += err == FZ_ERR_AUTH;
	s->stats.cookies_sent += err == FZ_ERR_AGAIN;
	s->stats.limited += err == FZ_ERR_FULL;
	return err;
}

/* Make s->half that of the message. */
static int load_half(struct wg_self *s, const uint8_t *msg, size_t len)
{
	struct wg_initiation m;
	int err = wg_initiation_decode(msg, len, &m);

	if (err)
		return err;
	if (s->has_half && memcmp(s->half_of, msg + HALF_AT, HALF_LEN) == 0)
		return 0;
	err = wg_noise_identify(&s->noise, &m, &s->half);
	if (err) {
		s->stats.unidentified++;
		return err;
	}
	memcpy(s->half_of, msg + HALF_AT, HALF_LEN);
	s->has_half = true;
	return 0;
}

int wg_self_identify(struct wg_self *s, const uint8_t *msg, size_t len, struct fz_key *ret_peer_public)
{
	int err = load_half(s, msg, len);

	if (err == 0)
		*ret_peer_public = s->half.remote_public;
	return err;
}

int wg_self_take_half(struct wg_self *s, const uint8_t *msg, size_t len, struct wg_noise_half *ret)
{
	int err = load_half(s, msg, len);

	if (err)
		return err;
	*ret = s->half;
	s->has_half = false;
	fz_wipe(&s->half, sizeof(s->half));
	return 0;
}
