/* SPDX-License-Identifier: Apache-2.0 */
/* What a WireGuard peer costs on top of the cipher: nanoseconds per packet for sealing and opening, next to
 * bare ChaCha20-Poly1305 of the crypto library in the same run. The ratio is what counts; machines differ. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ext/crypto.h"
#include "proto/wg_peer.h"

#define BATCH 50 /* packets of a super-packet */
#define ROUNDS 400 /* batches of a measurement */
#define REPEATS 15 /* the fastest counts: the others met somebody else on this machine */

static uint8_t plain[1500], dgrams[BATCH][1532], out[1532];
static struct wg_self *self[2];
static struct wg_peer *peer[2];
static struct crypto_aead raw_seal, raw_open;
static uint64_t counter = 1;

static void must(bool ok)
{
	if (!ok) {
		fputs("bench_wg: something that cannot fail failed\n", stderr);
		exit(1);
	}
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void run_raw(size_t len, double *seal_ns, double *open_ns)
{
	double a, b, c;

	a = now_ns();
	for (size_t i = 0; i < BATCH; i++)
		must(crypto_aead_seal(&raw_seal, counter + i, plain, len, dgrams[i] + WG_HEADER_LEN) == 0);
	b = now_ns();
	for (size_t i = 0; i < BATCH; i++)
		must(crypto_aead_open(&raw_open, counter + i, dgrams[i] + WG_HEADER_LEN, len + WG_TAG_LEN,
				      out) == 0);
	c = now_ns();
	counter += BATCH;
	*seal_ns += b - a;
	*open_ns += c - b;
}

static void run_peer(size_t len, double *seal_ns, double *open_ns)
{
	double a, b, c;

	a = now_ns();
	for (size_t i = 0; i < BATCH; i++)
		must(wg_peer_seal(peer[0], dgrams[i], plain, len, 0) == (int)len + WG_OVERHEAD);
	b = now_ns();
	for (size_t i = 0; i < BATCH; i++)
		must(wg_peer_open(peer[1], out, dgrams[i], len + WG_OVERHEAD, 0) == (int)len);
	c = now_ns();
	*seal_ns += b - a;
	*open_ns += c - b;
}

static void measure(size_t len)
{
	double raw[2] = { 1e18, 1e18 }, wg[2] = { 1e18, 1e18 };

	for (int r = 0; r < REPEATS; r++) {
		double x[2] = { 0 }, y[2] = { 0 };
		for (int i = 0; i < ROUNDS; i++) { /* in turn, so that both see the same machine */
			run_raw(len, &x[0], &x[1]);
			run_peer(len, &y[0], &y[1]);
		}
		for (int k = 0; k < 2; k++) {
			raw[k] = x[k] < raw[k] ? x[k] : raw[k];
			wg[k] = y[k] < wg[k] ? y[k] : wg[k];
		}
	}
	for (int k = 0; k < 2; k++)
		printf("%-5s %5zu bytes: cipher %6.0f ns, peer %6.0f ns, ratio %.3f, %.2f Gbit/s\n",
		       k ? "open" : "seal", len, raw[k] / BATCH / ROUNDS, wg[k] / BATCH / ROUNDS,
		       wg[k] / raw[k], (double)len * 8 * BATCH * ROUNDS / wg[k]);
}

static void connect_peers(void)
{
	uint8_t msg[WG_HANDSHAKE_MAX];
	int n;

	for (int i = 0; i < 2; i++)
		must(wg_self_new(fz_env_default(), NULL, 0, &self[i]) == 0);
	for (int i = 0; i < 2; i++) {
		struct wg_peer_opts o = { .public_key = *wg_self_public(self[!i]), .index24 = 7 };
		must(wg_peer_new(fz_env_default(), self[i], &o, 0, &peer[i]) == 0);
	}
	wg_peer_initiate(peer[0], 0);
	for (int i = 0; i < 3; i++) {
		n = wg_peer_poll_transmit(peer[i & 1], msg, sizeof(msg), 0, 1);
		must(n > 0);
		must((i < 2 ? wg_peer_handle_message(peer[!(i & 1)], msg, (size_t)n, 0)
			    : wg_peer_open(peer[1], out, msg, (size_t)n, 0)) == 0);
	}
}

static void measure_handshake(void)
{
	static const struct fz_ip from = { .family = FZ_FAMILY_INET, .b = { 192, 0, 2, 1 } };
	uint8_t init[WG_HANDSHAKE_MAX], reply[WG_COOKIE_REPLY_LEN], response[WG_HANDSHAKE_MAX];
	size_t reply_len;
	enum wg_event ev;
	double start = now_ns(), flood;
	int n = 500;

	for (int i = 0; i < n; i++) {
		wg_peer_initiate(peer[0], 0);
		must(wg_peer_poll_transmit(peer[0], init, sizeof(init), 0, 1) == WG_INITIATION_LEN);
		must(wg_peer_handle_message(peer[1], init, WG_INITIATION_LEN, 0) == 0);
		must(wg_peer_poll_transmit(peer[1], response, sizeof(response), 0, 1) == WG_RESPONSE_LEN);
		must(wg_peer_handle_message(peer[0], response, WG_RESPONSE_LEN, 0) == 0);
		must(wg_peer_poll_transmit(peer[0], response, sizeof(response), 0, 1) == WG_OVERHEAD);
		must(wg_peer_open(peer[1], out, response, WG_OVERHEAD, 0) == 0);
		while (wg_peer_poll_event(peer[0], &ev) || wg_peer_poll_event(peer[1], &ev))
			;
	}
	printf("handshake, both sides together: %.0f us\n", (now_ns() - start) / n / 1000);
	flood = now_ns();
	for (int i = 0; i < 20000; i++)
		(void)!wg_self_admit(self[1], init, WG_INITIATION_LEN, &from, 0, reply, &reply_len);
	printf("refusing a flooded initiation with a cookie: %.1f us\n", (now_ns() - flood) / 20000 / 1000);
	init[140 - 24] ^= 1;
	flood = now_ns();
	for (int i = 0; i < 20000; i++)
		(void)!wg_self_admit(self[1], init, WG_INITIATION_LEN, &from, 0, reply, &reply_len);
	printf("refusing one without a valid mac1: %.1f us\n", (now_ns() - flood) / 20000 / 1000);
}

int main(void)
{
	static const size_t lens[] = { 64, 1280 };
	struct fz_key key;

	connect_peers();
	memset(&key, 7, sizeof(key));
	must(crypto_aead_init(&raw_seal, &key, true) == 0 && crypto_aead_init(&raw_open, &key, false) == 0);
	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++)
		measure(lens[i]);
	measure_handshake();
	for (int i = 0; i < 2; i++) {
		wg_peer_free(peer[i]);
		wg_self_free(self[i]);
	}
	crypto_aead_clear(&raw_seal);
	crypto_aead_clear(&raw_open);
	return 0;
}
