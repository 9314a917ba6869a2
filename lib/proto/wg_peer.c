/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wg_peer.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "proto/wg_cookie.h"
#include "proto/wg_noise.h"
#include "proto/wg_session.h"

#define SLOTS 8 /* a session lives in the slot of its index modulo this */

/* An initiation of ours that may still be answered. */
struct attempt {
	struct wg_noise_sent noise;
	uint32_t local_index;
	bool open;
};

struct wg_peer {
	const struct fz_env *env;
	struct wg_self *self;
	struct wg_session *sessions[SLOTS];
	struct wg_session *current; /* the one we send in; NULL = none */
	struct wg_timers timers;
	struct wg_stats stats;
	uint32_t index24;
	uint8_t session8; /* of the last handshake message we made */
	bool wants_initiation, wants_keepalive, has_response;
	bool has_session_event, has_sendable_event, has_expired_event;

	struct wg_noise_remote remote;
	struct wg_jar jar;
	struct attempt newest, previous;
	uint8_t timestamp_in[WG_TIMESTAMP_LEN]; /* newest accepted */
	uint64_t timestamp_out_ns; /* newest sent */
	uint8_t response[WG_RESPONSE_LEN];
};

/* Creation */

int wg_peer_new(const struct fz_env *env, struct wg_self *self, const struct wg_peer_opts *opts,
		uint64_t now_us, struct wg_peer **ret)
{
	struct wg_peer *p = fz_zalloc(env, sizeof(*p));
	int err;

	if (p == NULL)
		return FZ_ERR_NOMEM;
	p->env = env;
	p->self = self;
	p->index24 = opts->index24 & 0xffffff;
	p->remote.public_key = opts->public_key;
	p->remote.psk = opts->psk;
	wg_timers_init(&p->timers, opts->timing ? opts->timing : &wg_timing_standard,
		       opts->persistent_keepalive_ms, now_us);
	err = crypto_dh_derive(&wg_self_noise(self)->dh, &p->remote.public_key, &p->remote.shared);
	if (err == 0)
		err = wg_mac_keys_init(&p->jar.keys, &p->remote.public_key);
	if (err) {
		wg_peer_free(p);
		return err == FZ_ERR_AUTH ? FZ_ERR_INVAL : err;
	}
	*ret = p;
	return 0;
}

static void drop_session(struct wg_peer *p, size_t slot)
{
	if (p->sessions[slot] && p->current == p->sessions[slot])
		p->current = NULL;
	wg_session_free(p->env, p->sessions[slot]);
	p->sessions[slot] = NULL;
}

static void close_attempt(struct attempt *a)
{
	fz_wipe(a, sizeof(*a));
}

static void drop_keys(struct wg_peer *p)
{
	for (size_t i = 0; i < SLOTS; i++)
		drop_session(p, i);
	close_attempt(&p->newest);
	close_attempt(&p->previous);
}

void wg_peer_free(struct wg_peer *p)
{
	if (p == NULL)
		return;
	const struct fz_env *env = p->env;
	drop_keys(p);
	fz_wipe(p, sizeof(*p));
	fz_free(env, p);
}

const struct fz_key *wg_peer_public(const struct wg_peer *p)
{
	return &p->remote.public_key;
}

const struct wg_stats *wg_peer_stats(const struct wg_peer *p)
{
	return &p->stats;
}

/* Sessions */

static uint64_t age(const struct wg_session *s, uint64_t now_us)
{
	return now_us > s->created_us ? now_us - s->created_us : 0;
}

/* Index for the next handshake message. Skips the slot of the session in use: it must survive until the other
 * side has taken up the new one, however many attempts that takes. */
static uint32_t next_index(struct wg_peer *p)
{
	do
		p->session8++;
	while (p->current && p->current->local_index % SLOTS == p->session8 % SLOTS);
	return p->index24 << 8 | p->session8;
}

static int add_session(struct wg_peer *p, const struct wg_noise_keys *keys, uint32_t local_index,
		       uint32_t remote_index, bool we_initiated, uint64_t now_us)
{
	struct wg_session *s;
	int err = wg_session_new(p->env, keys, local_index, remote_index, we_initiated, now_us, &s);

	if (err)
		return err;
	drop_session(p, local_index % SLOTS);
	p->sessions[local_index % SLOTS] = s;
	if (we_initiated)
		p->current = s;
	s->serial = ++p->stats.sessions;
	p->stats.last_handshake_us = now_us;
	p->has_session_event = true;
	p->has_expired_event = false;
	return 0;
}

/* Handshake messages from the peer */

static int handle_initiation(struct wg_peer *p, const uint8_t *msg, size_t len, uint64_t now_us)
{
	struct wg_initiation m;
	struct wg_noise_half half;
	struct wg_noise_keys keys;
	struct fz_key ephemeral;
	uint8_t timestamp[WG_TIMESTAMP_LEN], response[WG_RESPONSE_LEN], last8 = p->session8;
	uint32_t index;
	int err = wg_initiation_decode(msg, len, &m);

	if (err == 0)
		err = wg_self_take_half(p->self, msg, len, &half);
	if (err)
		return err;
	fz_rng_fill(p->env, ephemeral.b, sizeof(ephemeral.b));
	crypto_dh_clamp(&ephemeral);
	index = next_index(p);
	err = fz_secret_eq(&half.remote_public, &p->remote.public_key, FZ_KEY_LEN) ? 0 : FZ_ERR_NOT_MINE;
	if (err == 0)
		err = wg_noise_prove(&half, &p->remote, &m, timestamp);
	if (err == 0 && memcmp(timestamp, p->timestamp_in, sizeof(timestamp)) <= 0) {
		p->stats.stale_handshake++;
		err = FZ_ERR_AUTH;
	}
	if (err == 0)
		err = wg_noise_respond(&half, &p->remote, &ephemeral, index, m.sender, response, &keys);
	if (err == 0)
		err = wg_jar_sign(&p->jar, response, sizeof(response), now_us);
	if (err == 0)
		err = add_session(p, &keys, index, m.sender, false, now_us);
	if (err == 0) {
		memcpy(p->timestamp_in, timestamp, sizeof(timestamp));
		memcpy(p->response, response, sizeof(response));
		p->has_response = true;
		wg_timers_response_sent(&p->timers, now_us);
	} else {
		p->session8 = last8;
	}
	fz_wipe(&half, sizeof(half));
	fz_wipe(&keys, sizeof(keys));
	fz_wipe(&ephemeral, sizeof(ephemeral));
	return err;
}

static struct attempt *find_attempt(struct wg_peer *p, uint32_t index)
{
	if (p->newest.open && p->newest.local_index == index)
		return &p->newest;
	if (p->previous.open && p->previous.local_index == index)
		return &p->previous;
	return NULL;
}

static int handle_response(struct wg_peer *p, const uint8_t *msg, size_t len, uint64_t now_us)
{
	struct wg_response m;
	struct wg_noise_keys keys;
	struct attempt *a;
	int err = wg_response_decode(msg, len, &m);

	if (err)
		return err;
	if (wg_index24(m.receiver) != p->index24)
		return FZ_ERR_NOT_MINE;
	a = find_attempt(p, m.receiver);
	if (a == NULL) {
		p->stats.stale_handshake++;
		return FZ_ERR_AUTH;
	}
	err = wg_noise_finish(wg_self_noise(p->self), &p->remote, &a->noise, &m, &keys);
	if (err == 0)
		err = add_session(p, &keys, m.receiver, m.sender, true, now_us);
	fz_wipe(&keys, sizeof(keys));
	if (err)
		return err;
	/* An answer to the older attempt ends the retries too, but the newer one may still be answered: the
	 * peer has made a session for each. The other way round the older session would be of no use any
	 * more. */
	if (a == &p->newest)
		close_attempt(&p->previous);
	close_attempt(a);
	wg_timers_response_received(&p->timers, now_us);
	p->wants_initiation = false;
	p->wants_keepalive = true; /* the peer may not send before it hears from us in the new session */
	return 0;
}

static int handle_cookie_reply(struct wg_peer *p, const uint8_t *msg, size_t len, uint64_t now_us)
{
	if (wg_index24(wg_receiver(msg)) != p->index24)
		return FZ_ERR_NOT_MINE;
	return wg_jar_handle_reply(&p->jar, msg, len, now_us);
}

int wg_peer_handle_message(struct wg_peer *p, const uint8_t *msg, size_t len, uint64_t now_us)
{
	uint64_t stale = p->stats.stale_handshake;
	int err;

	switch (wg_classify(msg, len)) {
	case WG_INITIATION:
		err = handle_initiation(p, msg, len, now_us);
		break;
	case WG_RESPONSE:
		err = handle_response(p, msg, len, now_us);
		break;
	case WG_COOKIE_REPLY:
		err = handle_cookie_reply(p, msg, len, now_us);
		break;
	default:
		err = FZ_ERR_WIRE;
		break;
	}
	p->stats.bad_message += err == FZ_ERR_WIRE || err == FZ_ERR_NOT_MINE;
	p->stats.bad_tag += err == FZ_ERR_AUTH && stale == p->stats.stale_handshake;
	return err;
}

/* Handshake messages to the peer */

void wg_peer_initiate(struct wg_peer *p, uint64_t now_us)
{
	(void)now_us; /* counts from when it is written */
	if (!wg_timers_in_flight(&p->timers))
		p->wants_initiation = true;
}

bool wg_peer_handshake_in_flight(const struct wg_peer *p)
{
	return p->wants_initiation || wg_timers_in_flight(&p->timers);
}

static int write_initiation(struct wg_peer *p, uint8_t *buf, uint64_t now_us, uint64_t unix_ns)
{
	struct attempt a = { .local_index = next_index(p), .open = true };
	struct fz_key ephemeral;
	uint8_t timestamp[WG_TIMESTAMP_LEN];
	int err;

	/* The peer refuses what is not newer than the last one, also after our wall clock went back. */
	if (unix_ns <= p->timestamp_out_ns)
		unix_ns = p->timestamp_out_ns + 1;
	p->timestamp_out_ns = unix_ns;
	wg_timestamp(timestamp, unix_ns);
	fz_rng_fill(p->env, ephemeral.b, sizeof(ephemeral.b));
	crypto_dh_clamp(&ephemeral);
	err = wg_noise_initiate(wg_self_noise(p->self), &p->remote, &ephemeral, a.local_index, timestamp, buf,
				&a.noise);
	if (err == 0)
		err = wg_jar_sign(&p->jar, buf, WG_INITIATION_LEN, now_us);
	if (err == 0) {
		close_attempt(&p->previous);
		p->previous = p->newest;
		p->newest = a;
		p->stats.initiations_sent++;
	}
	close_attempt(&a);
	fz_wipe(&ephemeral, sizeof(ephemeral));
	wg_timers_initiation_sent(&p->timers, now_us); /* a failed one is retried like a lost one */
	return err ? err : WG_INITIATION_LEN;
}

int wg_peer_poll_transmit(struct wg_peer *p, uint8_t *buf, size_t cap, uint64_t now_us, uint64_t unix_ns)
{
	if (!p->has_response && !p->wants_initiation && !p->wants_keepalive)
		return 0;
	if (cap < WG_HANDSHAKE_MAX)
		return FZ_ERR_NOSPACE;
	if (p->has_response) {
		p->has_response = false;
		memcpy(buf, p->response, WG_RESPONSE_LEN);
		return WG_RESPONSE_LEN;
	}
	if (p->wants_initiation) {
		p->wants_initiation = false;
		return write_initiation(p, buf, now_us, unix_ns);
	}
	p->wants_keepalive = false;
	if (!wg_peer_can_send(p, now_us))
		return 0;
	return wg_peer_seal(p, buf, NULL, 0, now_us);
}

/* Time */

void wg_peer_handle_timeout(struct wg_peer *p, uint64_t now_us)
{
	for (size_t i = 0; i < SLOTS; i++) {
		if (p->sessions[i] && age(p->sessions[i], now_us) >= FZ_MS(p->timers.timing->reject_after_ms))
			drop_session(p, i);
	}
	switch (wg_timers_handle_timeout(&p->timers, p->env, wg_peer_can_send(p, now_us), now_us)) {
	case WG_DUE_NOTHING:
		break;
	case WG_DUE_INITIATION:
		p->wants_initiation = true;
		break;
	case WG_DUE_KEEPALIVE:
		p->wants_keepalive = true;
		break;
	case WG_DUE_EXPIRY:
		drop_keys(p);
		p->wants_initiation = p->wants_keepalive = p->has_response = false;
		p->has_session_event = p->has_sendable_event = false;
		p->has_expired_event = true;
		break;
	}
}

uint64_t wg_peer_next_timeout(const struct wg_peer *p)
{
	uint64_t at = wg_timers_next_timeout(&p->timers, p->current != NULL);

	for (size_t i = 0; i < SLOTS; i++) {
		if (p->sessions[i])
			at = fz_min_us(at,
				       p->sessions[i]->created_us + FZ_MS(p->timers.timing->reject_after_ms));
	}
	return at;
}

bool wg_peer_poll_event(struct wg_peer *p, enum wg_event *ret)
{
	bool *const flags[] = { &p->has_session_event, &p->has_sendable_event, &p->has_expired_event };
	static const enum wg_event events[] = { WG_SESSION, WG_SENDABLE, WG_EXPIRED };

	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		if (*flags[i]) {
			*flags[i] = false;
			*ret = events[i];
			return true;
		}
	}
	return false;
}

/* Data */

bool wg_peer_can_send(const struct wg_peer *p, uint64_t now_us)
{
	const struct wg_session *s = p->current;
	const struct wg_timing *t = p->timers.timing;

	if (s == NULL || age(s, now_us) >= FZ_MS(t->reject_after_ms))
		return false;
	return !s->we_initiated || age(s, now_us) <= FZ_MS(t->send_cutoff_ms);
}

int wg_peer_seal(struct wg_peer *p, uint8_t *dst, const uint8_t *plain, size_t len, uint64_t now_us)
{
	int n;

	if (!wg_peer_can_send(p, now_us)) {
		p->stats.unsendable++;
		return FZ_ERR_STATE;
	}
	n = wg_session_seal(p->current, dst, plain, len);
	if (n < 0) {
		p->stats.unsendable++;
		return n;
	}
	wg_timers_sent(&p->timers, len != 0, now_us);
	if (len == 0) {
		p->stats.tx_keepalives++;
	} else {
		p->stats.tx_packets++;
		p->stats.tx_bytes += len;
	}
	return n;
}

/* The peer has taken up a session: send in it too, unless we have moved on to a newer one. */
static void take_up(struct wg_peer *p, struct wg_session *s)
{
	if (p->current && p->current->serial > s->serial)
		return;
	p->current = s;
	p->has_sendable_event = true;
}

int wg_peer_open(struct wg_peer *p, uint8_t *dst, const uint8_t *msg, size_t len, uint64_t now_us)
{
	struct wg_session *s;
	uint32_t index;
	int n;

	if (wg_classify(msg, len) != WG_DATA) {
		p->stats.bad_message++;
		return FZ_ERR_WIRE;
	}
	index = wg_receiver(msg);
	if (wg_index24(index) != p->index24) {
		p->stats.bad_message++;
		return FZ_ERR_NOT_MINE;
	}
	s = p->sessions[index % SLOTS];
	if (s == NULL || s->local_index != index ||
	    age(s, now_us) >= FZ_MS(p->timers.timing->reject_after_ms)) {
		p->stats.bad_session++;
		return FZ_ERR_STATE;
	}
	n = wg_session_open(s, dst, msg, len);
	if (n < 0) {
		p->stats.replayed += n == FZ_ERR_FULL;
		p->stats.bad_tag += n == FZ_ERR_AUTH;
		return n == FZ_ERR_FULL ? FZ_ERR_AUTH : n;
	}
	if (s != p->current)
		take_up(p, s);
	wg_timers_received(&p->timers, n != 0, now_us);
	if (n == 0) {
		p->stats.rx_keepalives++;
	} else {
		p->stats.rx_packets++;
		p->stats.rx_bytes += (uint64_t)n;
	}
	return n;
}
