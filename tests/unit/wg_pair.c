/* SPDX-License-Identifier: Apache-2.0 */
#include "wg_pair.h"

#include "base/time.h"

static void fill(void *ctx, void *buf, size_t len)
{
	struct end *e = ctx;

	if (e->has_fixed && len == sizeof(e->fixed)) {
		memcpy(buf, e->fixed, len);
		return;
	}
	for (uint8_t *b = buf; len--; b++) {
		uint64_t z = e->u.state += 0x9e3779b97f4a7c15u;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		*b = (uint8_t)(z ^ z >> 29);
	}
}

static void end_init(struct end *e, uint8_t private_byte, uint64_t now_us)
{
	struct fz_key key;

	memset(e, 0, sizeof(*e));
	unit_env_init(&e->u, private_byte);
	e->u.env.rng = (struct fz_rng){ fill, e };
	memset(&key, private_byte, sizeof(key));
	ck_assert_int_eq(wg_self_new(&e->u.env, &key, now_us, &e->self), 0);
}

static void end_connect(struct end *e, const struct end *other, uint32_t index24,
			const struct wg_timing *timing, uint64_t now_us)
{
	struct wg_peer_opts opts = { .index24 = index24, .timing = timing };

	opts.public_key = *wg_self_public(other->self);
	memset(&opts.psk, 0x55, sizeof(opts.psk));
	ck_assert_int_eq(wg_peer_new(&e->u.env, e->self, &opts, now_us, &e->peer), 0);
}

void pair_init(struct pair *w, const struct wg_timing *timing)
{
	w->now_us = FZ_SEC(1000);
	w->unix_ns = 1786000000123456789u;
	end_init(&w->a, 0x11, w->now_us);
	end_init(&w->b, 0x22, w->now_us);
	end_connect(&w->a, &w->b, 0xabcdef, timing, w->now_us);
	end_connect(&w->b, &w->a, 0x123456, timing, w->now_us);
}

static void end_free(struct end *e)
{
	wg_peer_free(e->peer);
	wg_self_free(e->self);
	unit_env_check(&e->u);
}

void pair_free(struct pair *w)
{
	end_free(&w->a);
	end_free(&w->b);
}

static void deliver(struct pair *w, struct end *to, uint8_t *msg, size_t len)
{
	static const struct fz_ip from = { .family = FZ_FAMILY_INET, .b = { 192, 0, 2, 1 } };
	uint8_t reply[WG_COOKIE_REPLY_LEN], out[2000];
	struct fz_key key;
	size_t reply_len;

	switch (wg_classify(msg, len)) {
	case WG_INITIATION:
		ck_assert_int_eq(wg_self_admit(to->self, msg, len, &from, w->now_us, reply, &reply_len), 0);
		ck_assert_int_eq(wg_self_identify(to->self, msg, len, &key), 0);
		ck_assert_mem_eq(&key, wg_peer_public(to->peer), sizeof(key));
		ck_assert_int_eq(wg_peer_handle_message(to->peer, msg, len, w->now_us), 0);
		break;
	case WG_RESPONSE:
		ck_assert_int_eq(wg_self_admit(to->self, msg, len, &from, w->now_us, reply, &reply_len), 0);
		ck_assert_int_eq(wg_peer_handle_message(to->peer, msg, len, w->now_us), 0);
		break;
	case WG_DATA:
		ck_assert_int_ge(wg_peer_open(to->peer, out, msg, len, w->now_us), 0);
		break;
	default:
		ck_abort_msg("not a message");
	}
}

static bool carry(struct pair *w, struct end *from, struct end *to)
{
	uint8_t buf[WG_HANDSHAKE_MAX];
	enum wg_event ev;
	bool any = false;
	int n;

	while ((n = wg_peer_poll_transmit(from->peer, buf, sizeof(buf), w->now_us, w->unix_ns)) != 0) {
		ck_assert_int_gt(n, 0);
		ck_assert_uint_ne(wg_classify(buf, (size_t)n), WG_NONE);
		any = true;
		from->sent[buf[0]]++;
		from->last_sent_us[buf[0]] = w->now_us;
		if (from->lose[buf[0]])
			from->lose[buf[0]]--;
		else if (!from->mute)
			deliver(w, to, buf, (size_t)n);
	}
	while (wg_peer_poll_event(from->peer, &ev))
		from->events[ev]++;
	return any;
}

void pair_settle(struct pair *w)
{
	while (carry(w, &w->a, &w->b) | carry(w, &w->b, &w->a))
		;
}

void pair_run(struct pair *w, uint64_t us)
{
	uint64_t end_us = w->now_us + us;
	unsigned spins = 0;

	for (;;) {
		uint64_t at = fz_min_us(wg_peer_next_timeout(w->a.peer), wg_peer_next_timeout(w->b.peer));
		if (at > end_us)
			at = end_us;
		if (++spins == 100000)
			ck_abort_msg("a deadline stays in the past: a busy loop");
		if (at > w->now_us) {
			w->unix_ns += (at - w->now_us) * 1000;
			w->now_us = at;
		}
		wg_peer_handle_timeout(w->a.peer, w->now_us);
		wg_peer_handle_timeout(w->b.peer, w->now_us);
		pair_settle(w);
		if (at == end_us && wg_peer_next_timeout(w->a.peer) > end_us &&
		    wg_peer_next_timeout(w->b.peer) > end_us)
			return;
	}
}

void pair_connect(struct pair *w)
{
	wg_peer_initiate(w->a.peer, w->now_us);
	pair_settle(w);
	ck_assert(wg_peer_can_send(w->a.peer, w->now_us));
	ck_assert(wg_peer_can_send(w->b.peer, w->now_us));
}

int pair_seal(struct pair *w, struct end *from, uint8_t *dgram, size_t len)
{
	for (size_t i = 0; i < len; i++)
		dgram[WG_HEADER_LEN + i] = (uint8_t)(i * 7 + len);
	return wg_peer_seal(from->peer, dgram, dgram + WG_HEADER_LEN, len, w->now_us);
}

bool pair_send(struct pair *w, struct end *from, size_t len)
{
	struct end *to = from == &w->a ? &w->b : &w->a;
	uint8_t dgram[2000], out[2000];
	int n = pair_seal(w, from, dgram, len);

	if (n < 0)
		return false;
	ck_assert_int_eq(n, (int)len + WG_OVERHEAD);
	if (from->mute)
		return false;
	n = wg_peer_open(to->peer, out, dgram, (size_t)n, w->now_us);
	if (n < 0)
		return false;
	ck_assert_int_eq(n, (int)len);
	for (size_t i = 0; i < len; i++) {
		if (out[i] !=
		    (uint8_t)(i * 7 + len)) /* an assertion of Check costs a system call even if it holds */
			return false;
	}
	return true;
}
