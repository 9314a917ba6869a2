/* SPDX-License-Identifier: Apache-2.0 */
/* Two WireGuard tunnels under a script: each byte chooses an action, the following ones fill it. What one end
 * sends waits in a pool from which the script delivers, repeats, damages and delays it; datagrams of the
 * script's own come raw and, so that the fuzzer need not guess a MAC, signed. Checked: bounds, nothing
 * damaged and nothing twice is accepted, time never stands still. */
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "base/time.h"
#include "fzconn/tunnel.h"
#include "proto/wg_cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define POOL 32
#define DGRAM_MAX 400

struct dgram {
	uint8_t data[DGRAM_MAX];
	size_t len;
	int from; /* end that made it */
	bool delivered; /* was accepted: may not be again */
};

struct world {
	struct fz_wg *end[2];
	struct wg_jar jar[2]; /* signs for that end's public key */
	struct dgram pool[POOL];
	unsigned made;
	uint64_t now_us, state;
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void fill(void *ctx, void *buf, size_t len)
{
	uint64_t *state = ctx;
	uint8_t *b = buf;

	while (len--) {
		*state = *state * 6364136223846793005u + 1442695040888963407u;
		*b++ = (uint8_t)(*state >> 56);
	}
}

static struct dgram *next_slot(struct world *w, int from)
{
	struct dgram *d = &w->pool[w->made++ % POOL];

	memset(d, 0, sizeof(*d));
	d->from = from;
	return d;
}

static void drain(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		enum fz_wg_event ev;
		uint8_t buf[FZ_WG_MESSAGE_MAX];
		int n;
		for (int guard = 0;
		     (n = fz_wg_poll_transmit(w->end[i], buf, sizeof(buf), w->now_us, w->now_us * 1000)) != 0;
		     guard++) {
			must(n > 0 && n <= FZ_WG_MESSAGE_MAX && guard < 8);
			struct dgram *d = next_slot(w, i);
			memcpy(d->data, buf, (size_t)n);
			d->len = (size_t)n;
		}
		for (int guard = 0; fz_wg_poll_event(w->end[i], &ev); guard++)
			must(guard < 3);
	}
}

static int deliver(struct world *w, int to, const uint8_t *data, size_t len)
{
	static const struct fz_ip from = { .family = FZ_FAMILY_INET, .b = { 192, 0, 2, 1 } };
	/* Exactly as large as needed, so that a sanitizer sees a byte too many. */
	size_t cap = len > FZ_WG_OVERHEAD ? len - FZ_WG_OVERHEAD : 0;
	uint8_t *in = malloc(len ? len : 1), *out = malloc(cap ? cap : 1);
	int n;

	must(in && out);
	memcpy(in, data, len);
	n = fz_wg_decapsulate(w->end[to], &from, in, len, out, cap, w->now_us);
	must(n <= (int)cap);
	must(memcmp(in, data, len) == 0);
	free(in);
	free(out);
	return n;
}

/* Deliver something from the pool: as it is, or with one bit changed. */
static void from_pool(struct world *w, struct fz_rd *r)
{
	struct dgram *d = &w->pool[fz_rd_u8(r) % POOL], copy;
	unsigned how = fz_rd_u8(r), at = fz_rd_be16(r);
	int n;

	if (d->len == 0)
		return;
	copy = *d;
	if (how & 1) {
		copy.data[at / 8 % copy.len] ^= (uint8_t)(1 << at % 8);
		n = deliver(w, !d->from, copy.data, copy.len);
		/* mac2 is only looked at under load, and the top bit of an X25519 point not at all. */
		must(n < 0 || (copy.data[0] <= 2 && n == 0));
		return;
	}
	n = deliver(w, !d->from, d->data, d->len);
	must(n < 0 || !d->delivered);
	d->delivered |= n >= 0;
}

static void from_script(struct world *w, struct fz_rd *r)
{
	uint8_t buf[DGRAM_MAX];
	int to = fz_rd_u8(r) & 1;
	bool sign = fz_rd_u8(r) & 1;
	size_t len = fz_rd_be16(r) % sizeof(buf);

	if (len > fz_rd_left(r))
		len = fz_rd_left(r);
	if (len)
		memcpy(buf, fz_rd_take(r, len), len);
	if (sign && (wg_classify(buf, len) == WG_INITIATION || wg_classify(buf, len) == WG_RESPONSE))
		must(wg_jar_sign(&w->jar[to], buf, len, w->now_us) == 0);
	must(deliver(w, to, buf, len) < 0);
}

static void seal(struct world *w, struct fz_rd *r)
{
	int from = fz_rd_u8(r) & 1;
	size_t len = fz_rd_u8(r);
	uint8_t packet[256] = { 0x45, 0, 0, (uint8_t)len };
	struct dgram d;
	int n = fz_wg_encapsulate(w->end[from], packet, len, d.data, sizeof(d.data), w->now_us);

	must(n == FZ_ERR_STATE || n == (int)len + FZ_WG_OVERHEAD);
	if (n < 0)
		return;
	struct dgram *slot = next_slot(w, from);
	memcpy(slot->data, d.data, (size_t)n);
	slot->len = (size_t)n;
}

static void pass_time(struct world *w, struct fz_rd *r)
{
	uint64_t to_us = w->now_us + FZ_MS(fz_rd_be16(r)) * 4;

	for (int steps = 0; w->now_us < to_us; steps++) {
		uint64_t at = fz_min_us(fz_wg_next_timeout(w->end[0]), fz_wg_next_timeout(w->end[1]));
		must(steps < 1000); /* a deadline that stays in the past is a busy loop */
		if (at > to_us)
			at = to_us;
		if (at > w->now_us)
			w->now_us = at;
		fz_wg_handle_timeout(w->end[0], w->now_us);
		fz_wg_handle_timeout(w->end[1], w->now_us);
		drain(w);
	}
}

static void start(struct world *w, const struct fz_env *env, unsigned timing)
{
	struct fz_wg_key private_key[2], public_key[2];

	for (int i = 0; i < 2; i++) {
		struct fz_key key;
		fz_wg_key_generate(env, &private_key[i]);
		must(fz_wg_key_public(&private_key[i], &public_key[i]) == 0);
		memcpy(key.b, public_key[i].b, sizeof(key.b));
		must(wg_mac_keys_init(&w->jar[i].keys, &key) == 0);
	}
	for (int i = 0; i < 2; i++) {
		struct fz_wg_opts o = { .size = sizeof(o),
					.private_key = private_key[i],
					.peer_public = public_key[!i],
					.timing = timing % 3,
					.index = i + 1u };
		must(fz_wg_new(env, &o, &w->end[i], w->now_us) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct fz_rd r = fz_rd_init(data, size);
	struct fz_env env = *fz_env_default();

	memset(&w, 0, sizeof(w));
	w.now_us = FZ_SEC(10);
	w.state = 1;
	env.rng = (struct fz_rng){ fill, &w.state };
	start(&w, &env, fz_rd_u8(&r));
	while (fz_rd_left(&r)) {
		switch (fz_rd_u8(&r) % 5) {
		case 0:
			from_pool(&w, &r);
			break;
		case 1:
			from_script(&w, &r);
			break;
		case 2:
			seal(&w, &r);
			break;
		case 3:
			pass_time(&w, &r);
			break;
		case 4:
			fz_wg_connect(w.end[fz_rd_u8(&r) & 1], w.now_us);
			break;
		}
		drain(&w);
	}
	fz_wg_free(w.end[0]);
	fz_wg_free(w.end[1]);
	return 0;
}
