/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/tunnel.h"

#include <string.h>

#include "base/mem.h"
#include "base/opts.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/text.h"
#include "ext/crypto.h"
#include "proto/wg_peer.h"
#include "proto/wg_self.h"

_Static_assert(sizeof(struct fz_wg_opts) == offsetof(struct fz_wg_opts, rekey_after_ms) + sizeof(uint32_t),
	       "no padding at the end");
_Static_assert(sizeof(struct fz_wg_stats) == offsetof(struct fz_wg_stats, dropped_load) + sizeof(uint64_t),
	       "no padding at the end");
_Static_assert(FZ_WG_OVERHEAD == WG_OVERHEAD && FZ_WG_MESSAGE_MAX == WG_HANDSHAKE_MAX,
	       "as the protocol has it");

struct fz_wg {
	const struct fz_env *env;
	struct wg_self *self;
	struct wg_peer *peer;
	struct wg_timing timing;
	uint64_t malformed; /* what the peer object does not see */
	uint64_t no_packet;
	uint8_t cookie[WG_COOKIE_REPLY_LEN];
	size_t cookie_len; /* 0 = none to send */
};

/* Keys */

void fz_wg_key_generate(const struct fz_env *env, struct fz_wg_key *ret)
{
	struct fz_key key;

	fz_rng_fill(env, key.b, sizeof(key.b));
	crypto_dh_clamp(&key);
	memcpy(ret->b, key.b, sizeof(ret->b));
	fz_wipe(&key, sizeof(key));
}

int fz_wg_key_public(const struct fz_wg_key *private_key, struct fz_wg_key *ret)
{
	struct crypto_dh dh = { NULL };
	struct fz_key key;
	int err;

	memcpy(key.b, private_key->b, sizeof(key.b));
	err = crypto_dh_init(&dh, &key);
	if (err == 0)
		err = crypto_dh_public(&dh, &key);
	if (err == 0)
		memcpy(ret->b, key.b, sizeof(ret->b));
	crypto_dh_clear(&dh);
	fz_wipe(&key, sizeof(key));
	return err;
}

int fz_wg_key_parse(const char *text, struct fz_wg_key *ret)
{
	struct fz_wg_key key;
	int err = fz_b64_decode(key.b, sizeof(key.b), text) ? FZ_ERR_INVAL : 0;

	if (err == 0)
		*ret = key;
	fz_wipe(&key, sizeof(key));
	return err;
}

const char *fz_wg_key_format(const struct fz_wg_key *key, char buf[FZ_WG_KEY_STRLEN])
{
	fz_b64_encode(buf, key->b, sizeof(key->b));
	return buf;
}

void fz_wg_key_wipe(struct fz_wg_key *key)
{
	fz_wipe(key, sizeof(*key));
}

/* Creation */

static bool is_set(const struct fz_wg_key *key)
{
	return !fz_all_zero(key->b, sizeof(key->b));
}

static int choose_timing(const struct fz_wg_opts *o, struct wg_timing *ret)
{
	static const struct wg_timing *const known[] = { &wg_timing_standard, &wg_timing_ice,
							 &wg_timing_iceless };

	if (o->timing >= sizeof(known) / sizeof(*known))
		return FZ_ERR_INVAL;
	*ret = *known[o->timing];
	if (o->rekey_after_ms == 0)
		return 0;
	if (o->rekey_after_ms < 1000 || o->rekey_after_ms > ret->rekey_after_ms)
		return FZ_ERR_INVAL;
	ret->rekey_after_ms = o->rekey_after_ms;
	return 0;
}

static int start(struct fz_wg *wg, const struct fz_wg_opts *o, uint64_t now_us)
{
	struct wg_peer_opts peer = { .timing = &wg->timing,
				     .persistent_keepalive_ms = o->persistent_keepalive_ms };
	struct fz_key key;
	int err = choose_timing(o, &wg->timing);

	if (err)
		return err;
	if (!is_set(&o->peer_public) || o->index > 0xffffff)
		return FZ_ERR_INVAL;
	memcpy(key.b, o->private_key.b, sizeof(key.b));
	err = wg_self_new(wg->env, is_set(&o->private_key) ? &key : NULL, now_us, &wg->self);
	fz_wipe(&key, sizeof(key));
	if (err)
		return err;
	memcpy(peer.public_key.b, o->peer_public.b, sizeof(peer.public_key.b));
	memcpy(peer.psk.b, o->psk.b, sizeof(peer.psk.b));
	peer.index24 = o->index ? o->index : fz_rng_u32(wg->env) >> 8;
	err = wg_peer_new(wg->env, wg->self, &peer, now_us, &wg->peer);
	fz_wipe(&peer, sizeof(peer));
	return err;
}

int fz_wg_new(const struct fz_env *env, const struct fz_wg_opts *opts, struct fz_wg **ret, uint64_t now_us)
{
	struct fz_wg_opts o;
	struct fz_wg *wg;
	int err = fz_opts_import(&o, sizeof(o), opts, opts->size);

	if (err)
		return err;
	wg = fz_zalloc(env, sizeof(*wg));
	if (wg == NULL) {
		err = FZ_ERR_NOMEM;
		goto out;
	}
	wg->env = env;
	err = start(wg, &o, now_us);
	if (err)
		fz_wg_free(wg);
	else
		*ret = wg;
out:
	fz_wipe(&o, sizeof(o));
	return err;
}

void fz_wg_free(struct fz_wg *wg)
{
	if (wg == NULL)
		return;
	wg_peer_free(wg->peer);
	wg_self_free(wg->self);
	fz_free(wg->env, wg);
}

void fz_wg_public(const struct fz_wg *wg, struct fz_wg_key *ret)
{
	memcpy(ret->b, wg_self_public(wg->self)->b, sizeof(ret->b));
}

/* Packets */

void fz_wg_connect(struct fz_wg *wg, uint64_t now_us)
{
	wg_peer_initiate(wg->peer, now_us);
}

bool fz_wg_can_send(const struct fz_wg *wg, uint64_t now_us)
{
	return wg_peer_can_send(wg->peer, now_us);
}

int fz_wg_encapsulate(struct fz_wg *wg, const void *packet, size_t len, void *buf, size_t cap,
		      uint64_t now_us)
{
	int n;

	if (len > 65535)
		return FZ_ERR_INVAL;
	if (cap < len + WG_OVERHEAD)
		return FZ_ERR_NOSPACE;
	n = wg_peer_seal(wg->peer, buf, packet, len, now_us);
	if (n == FZ_ERR_STATE)
		wg_peer_initiate(wg->peer, now_us);
	return n;
}

/* Length of the IP packet at the front of the plaintext, whose rest is padding; 0 = none. */
static size_t packet_len(const uint8_t *p, size_t len)
{
	size_t n = 0;

	if (len >= 20 && p[0] >> 4 == 4)
		n = fz_get_be16(p + 2);
	else if (len >= 40 && p[0] >> 4 == 6)
		n = (size_t)fz_get_be16(p + 4) + 40;
	else
		return 0;
	return n >= 20 && n <= len ? n : 0;
}

static int take_data(struct fz_wg *wg, const uint8_t *dgram, size_t len, uint8_t *buf, size_t cap,
		     uint64_t now_us)
{
	int n;

	if (cap < len - WG_OVERHEAD)
		return FZ_ERR_NOSPACE;
	n = wg_peer_open(wg->peer, buf, dgram, len, now_us);
	if (n <= 0)
		return n;
	n = (int)packet_len(buf, (size_t)n);
	if (n > 0)
		return n;
	wg->no_packet++;
	return FZ_ERR_WIRE;
}

static int take_message(struct fz_wg *wg, const struct fz_ip *from, const uint8_t *dgram, size_t len,
			uint64_t now_us)
{
	static const struct fz_ip nowhere = { .family = FZ_FAMILY_NONE };
	size_t reply_len;
	int err = wg_self_admit(wg->self, dgram, len, from ? from : &nowhere, now_us, wg->cookie, &reply_len);

	if (err == FZ_ERR_AGAIN)
		wg->cookie_len = reply_len;
	if (err == 0)
		err = wg_peer_handle_message(wg->peer, dgram, len, now_us);
	return err;
}

int fz_wg_decapsulate(struct fz_wg *wg, const struct fz_ip *from, const void *dgram, size_t len, void *buf,
		      size_t cap, uint64_t now_us)
{
	switch (wg_classify(dgram, len)) {
	case WG_DATA:
		return take_data(wg, dgram, len, buf, cap, now_us);
	case WG_INITIATION:
	case WG_RESPONSE:
		return take_message(wg, from, dgram, len, now_us);
	case WG_COOKIE_REPLY:
		return wg_peer_handle_message(wg->peer, dgram, len, now_us);
	default:
		wg->malformed++;
		return FZ_ERR_NOT_MINE;
	}
}

int fz_wg_index(const void *dgram, size_t len, uint32_t *ret)
{
	switch (wg_classify(dgram, len)) {
	case WG_NONE:
		return FZ_ERR_NOT_MINE;
	case WG_INITIATION:
		return FZ_ERR_STATE;
	default:
		*ret = wg_index24(wg_receiver(dgram));
		return 0;
	}
}

int fz_wg_poll_transmit(struct fz_wg *wg, void *buf, size_t cap, uint64_t now_us, uint64_t unix_ns)
{
	size_t n = wg->cookie_len;

	if (n == 0)
		return wg_peer_poll_transmit(wg->peer, buf, cap, now_us, unix_ns);
	if (cap < WG_HANDSHAKE_MAX)
		return FZ_ERR_NOSPACE;
	memcpy(buf, wg->cookie, n);
	wg->cookie_len = 0;
	return (int)n;
}

/* Time and events */

void fz_wg_handle_timeout(struct fz_wg *wg, uint64_t now_us)
{
	wg_peer_handle_timeout(wg->peer, now_us);
}

uint64_t fz_wg_next_timeout(const struct fz_wg *wg)
{
	return wg_peer_next_timeout(wg->peer);
}

bool fz_wg_poll_event(struct fz_wg *wg, enum fz_wg_event *ret)
{
	enum wg_event ev;

	if (!wg_peer_poll_event(wg->peer, &ev))
		return false;
	*ret = ev == WG_SESSION ? FZ_WG_SESSION : ev == WG_SENDABLE ? FZ_WG_SENDABLE : FZ_WG_EXPIRED;
	return true;
}

int fz_wg_get_stats(const struct fz_wg *wg, struct fz_wg_stats *ret)
{
	const struct wg_stats *p = wg_peer_stats(wg->peer);
	const struct wg_self_stats *s = wg_self_stats(wg->self);
	const struct fz_wg_stats all = {
		.size = ret->size,
		.sessions = p->sessions,
		.last_session_us = p->last_handshake_us,
		.tx_packets = p->tx_packets,
		.tx_bytes = p->tx_bytes,
		.rx_packets = p->rx_packets,
		.rx_bytes = p->rx_bytes,
		.initiations_sent = p->initiations_sent,
		.cookies_sent = s->cookies_sent,
		.dropped_malformed = wg->malformed + wg->no_packet + p->bad_message,
		.dropped_session = p->bad_session,
		.dropped_forged = s->bad_mac1 + p->bad_tag,
		.dropped_replayed = p->replayed + p->stale_handshake,
		.unsendable = p->unsendable,
		.dropped_load = s->limited,
	};

	if (ret->size < sizeof(size_t) || ret->size > FZ_OPTS_MAX)
		return FZ_ERR_ABI;
	if (ret->size > sizeof(all))
		memset((uint8_t *)ret + sizeof(all), 0, ret->size - sizeof(all));
	memcpy(ret, &all, ret->size < sizeof(all) ? ret->size : sizeof(all));
	return 0;
}
