/* SPDX-License-Identifier: Apache-2.0 */
/* The TURN client under a hostile server and a hostile network. The input is a script of steps, each an
 * opcode and what it needs; answers are built from its bytes around a true transaction id, some of them
 * signed with the true key. Checked: nothing unsigned gains or costs an allocation, tables stay bounded, no
 * endless output at one moment. */
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "base/time.h"
#include "proto/turn_alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void seeded_fill(void *ctx, void *buf, size_t len)
{
	uint32_t *state = ctx;
	uint8_t *b = buf;

	while (len--) {
		*state = *state * 1664525u + 1013904223u;
		*b++ = (uint8_t)(*state >> 24);
	}
}

enum { ASKED = 16 };

struct world {
	struct turn_alloc *a;
	struct fz_addr server[2], local[2];
	uint64_t now_us;
	uint8_t key[STUN_LONG_TERM_KEY_LEN];
	struct stun_txid asked[ASKED]; /* the last requests, newest at (n - 1) % ASKED */
	uint16_t method[ASKED];
	bool had_mac[ASKED], over_v6[ASKED];
	unsigned n;
};

static void drain(struct world *w)
{
	uint8_t buf[TURN_TRANSMIT_MAX];
	struct fz_addr to;
	struct turn_event ev;
	struct stun_msg m;
	int n, sent = 0;

	while ((n = turn_alloc_poll_transmit(w->a, buf, sizeof(buf), &to, w->now_us)) > 0) {
		must(sent++ < 4096 + 200);
		must(stun_decode(buf, (size_t)n, &m) == 0 && m.cls == STUN_REQUEST && m.n_unknown == 0);
		must(turn_alloc_is_server(w->a, &to));
		unsigned i = w->n++ % ASKED;
		w->asked[i] = m.txid;
		w->method[i] = m.method;
		w->had_mac[i] = m.integrity_at != 0;
		w->over_v6[i] = to.ip.family == FZ_FAMILY_INET6;
	}
	must(n == 0);
	while (turn_alloc_poll_event(w->a, &ev))
		must(ev.type <= TURN_FAILED);
}

static void answer(struct world *w, struct fz_rd *r)
{
	uint8_t buf[TURN_TRANSMIT_MAX], how = fz_rd_u8(r);
	const uint8_t *body;
	struct stun_enc e;
	size_t len = fz_rd_u8(r);
	enum turn_state before = turn_alloc_state(w->a);
	bool is_signed = how & 0x80;

	body = fz_rd_take(r, len);
	if (w->n == 0 || body == NULL)
		return;
	unsigned i = (w->n - 1 - (how & 7) % (w->n < ASKED ? w->n : ASKED)) % ASKED;
	uint16_t method = how & 0x20 ? (uint16_t)(len & 15) : w->method[i];
	stun_enc_init(&e, buf, sizeof(buf), method, how & 0x40 ? STUN_ERROR : STUN_SUCCESS, &w->asked[i]);
	/* attributes: type as one byte and a flag, length, value */
	struct fz_rd attrs = fz_rd_init(body, len);
	while (fz_rd_left(&attrs) >= 3) {
		uint16_t type = fz_rd_u8(&attrs);
		uint8_t flags = fz_rd_u8(&attrs);
		size_t want = fz_rd_u8(&attrs), left = fz_rd_left(&attrs);
		if (want > left)
			want = left;
		stun_put(&e, (uint16_t)(type | (flags & 1) << 15), fz_rd_take(&attrs, want), want);
	}
	if (how & 0x10) {
		stun_put_text(&e, STUN_REALM, "firezone");
		stun_put_text(&e, STUN_NONCE, len & 1 ? "a" : "b");
	}
	if (is_signed)
		stun_put_integrity(&e, w->key, sizeof(w->key));
	int n = stun_enc_end(&e);
	if (n <= 0)
		return;
	(void)turn_alloc_handle_datagram(w->a, &w->local[w->over_v6[i]], &w->server[w->over_v6[i]], buf,
					 (size_t)n, w->now_us);
	if (!is_signed && before == TURN_READY)
		must(turn_alloc_state(w->a) == TURN_READY);
	if (!is_signed && before != TURN_READY)
		must(turn_alloc_state(w->a) != TURN_READY);
}

static struct fz_addr peer_of(uint8_t b)
{
	struct fz_addr a = { .ip = { .family = b & 1 ? FZ_FAMILY_INET6 : FZ_FAMILY_INET }, .port = 7 };

	a.ip.b[3] = b;
	return a;
}

static void step(struct world *w, struct fz_rd *r)
{
	struct fz_addr peer, relayed;
	uint8_t op = fz_rd_u8(r);
	size_t len;

	switch (op % 10) {
	case 0:
	case 1:
	case 2:
		answer(w, r);
		break;
	case 3: /* time, by deadlines or by steps */
		w->now_us += op & 0x80 ? FZ_MS(fz_rd_u8(r)) : FZ_SEC(fz_rd_u8(r) * 4u);
		turn_alloc_handle_timeout(w->a, w->now_us);
		break;
	case 4: {
		uint64_t next = turn_alloc_next_timeout(w->a);
		if (next != FZ_NEVER_US && next > w->now_us)
			w->now_us = next;
		turn_alloc_handle_timeout(w->a, w->now_us);
		break;
	}
	case 5:
		peer = peer_of(fz_rd_u8(r));
		if (turn_alloc_channel(w->a, &peer, w->now_us) != 0)
			must(turn_alloc_state(w->a) == TURN_READY);
		break;
	case 6: /* raw bytes from the server */
		len = fz_rd_u8(r);
		if (len > fz_rd_left(r))
			len = fz_rd_left(r);
		const uint8_t *raw = fz_rd_take(r, len);
		(void)turn_alloc_handle_datagram(w->a, &w->local[0], &w->server[0], raw, len, w->now_us);
		(void)turn_alloc_unwrap(w->a, &w->server[0], raw, len, &peer, &relayed, w->now_us);
		break;
	case 7:
		(void)turn_alloc_channel_peer(w->a, (uint16_t)(0x4000 + fz_rd_u8(r)), &peer, &relayed,
					      w->now_us);
		turn_alloc_note_sent(w->a, w->now_us);
		break;
	case 8:
		turn_alloc_refresh(w->a, w->now_us);
		break;
	case 9:
		if (op > 240)
			turn_alloc_close(w->a, w->now_us);
		else if (op > 200)
			turn_alloc_restart(w->a, w->now_us);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t state = 1;
	struct fz_env env = *fz_env_default();
	struct world w = { .now_us = FZ_SEC(10),
			   .server = { { .ip = { FZ_FAMILY_INET, { 203, 0, 113, 1 } }, .port = 3478 },
				       { .ip = { FZ_FAMILY_INET6, { 0x20, 1 } }, .port = 3478 } },
			   .local = { { .ip = { FZ_FAMILY_INET, { 10, 0, 0, 1 } }, .port = 1 },
				      { .ip = { FZ_FAMILY_INET6, { 0xfd } }, .port = 1 } } };
	struct turn_alloc_opts opts = {
		.username = "u", .password = "p", .server4 = w.server[0], .server6 = w.server[1]
	};
	struct fz_rd r = fz_rd_init(data, size);

	env.rng = (struct fz_rng){ seeded_fill, &state };
	must(stun_long_term_key("u", "firezone", "p", w.key) == 0);
	must(turn_alloc_new(&env, &opts, w.now_us, &w.a) == 0);
	drain(&w);
	for (int steps = 0; fz_rd_left(&r) > 0 && steps < 400; steps++) {
		step(&w, &r);
		drain(&w);
	}
	turn_alloc_free(w.a);
	return 0;
}
