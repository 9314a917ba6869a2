/* SPDX-License-Identifier: Apache-2.0 */
/* Two WireGuard tunnels in memory: a handshake, a packet each way, an hour of silence and what it costs.
 * The network is an array, time is a number: the library needs neither sockets nor a clock. */
#include <stdio.h>
#include <string.h>

#include <fzconn/tunnel.h>

static const struct fz_ip from = { FZ_FAMILY_INET, { 192, 0, 2, 1 } };
static uint64_t now_us;
static unsigned datagrams;

/* Carry what one end wants to send to the other. */
static int carry(struct fz_wg *sender, struct fz_wg *receiver)
{
	uint8_t dgram[FZ_WG_MESSAGE_MAX], packet[FZ_WG_MESSAGE_MAX];
	int n, any = 0;

	while ((n = fz_wg_poll_transmit(sender, dgram, sizeof(dgram), now_us, now_us * 1000)) > 0) {
		any = 1;
		datagrams++;
		n = fz_wg_decapsulate(receiver, &from, dgram, (size_t)n, packet, sizeof(packet), now_us);
		if (n < 0)
			printf("dropped: %s\n", fz_strerror(n));
	}
	return any;
}

static void exchange(struct fz_wg *a, struct fz_wg *b)
{
	while (carry(a, b) | carry(b, a))
		;
}

static int send_packet(struct fz_wg *sender, struct fz_wg *receiver)
{
	/* IPv4, 28 bytes, UDP from 10.0.0.1 to 10.0.0.2; checksums left out */
	static const uint8_t packet[28] = { 0x45, 0, 0,  28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0,
					    0,    1, 10, 0,  0, 2, 0, 9, 0,  9,  0, 8, 0,  0 };
	uint8_t dgram[sizeof(packet) + FZ_WG_OVERHEAD], got[sizeof(packet)];
	int n = fz_wg_encapsulate(sender, packet, sizeof(packet), dgram, sizeof(dgram), now_us);

	if (n > 0)
		n = fz_wg_decapsulate(receiver, &from, dgram, (size_t)n, got, sizeof(got), now_us);
	printf("packet of %zu bytes: %s\n", sizeof(packet), n < 0 ? fz_strerror(n) : "arrived");
	return n == (int)sizeof(packet) && memcmp(got, packet, sizeof(packet)) == 0 ? 0 : 1;
}

int main(void)
{
	const struct fz_env *env = fz_env_default();
	struct fz_wg_opts left = { .size = sizeof(left), .timing = FZ_WG_FIREZONE };
	struct fz_wg_opts right = { .size = sizeof(right), .timing = FZ_WG_FIREZONE };
	struct fz_wg *a = NULL, *b = NULL;
	char text[FZ_WG_KEY_STRLEN];
	enum fz_wg_event ev;
	int failed = 1;

	fz_wg_key_generate(env, &left.private_key);
	fz_wg_key_generate(env, &right.private_key);
	if (fz_wg_key_public(&left.private_key, &right.peer_public) ||
	    fz_wg_key_public(&right.private_key, &left.peer_public) || fz_wg_new(env, &left, &a, now_us) ||
	    fz_wg_new(env, &right, &b, now_us))
		goto out;
	printf("left's public key: %s\n", fz_wg_key_format(&right.peer_public, text));

	failed = send_packet(a, b) == 0; /* no session yet: this starts the handshake */
	exchange(a, b);
	while (fz_wg_poll_event(a, &ev))
		printf("left: %s\n", ev == FZ_WG_SESSION ? "session" : "another event");
	failed += send_packet(a, b) + send_packet(b, a);
	printf("datagrams for the handshake: %u\n", datagrams);

	datagrams = 0;
	while (now_us < 3600u * 1000000u || !fz_wg_can_send(b, now_us)) {
		uint64_t at_a = fz_wg_next_timeout(a), at_b = fz_wg_next_timeout(b);
		now_us = at_a < at_b ? at_a : at_b;
		fz_wg_handle_timeout(a, now_us);
		fz_wg_handle_timeout(b, now_us);
		exchange(a, b);
	}
	printf("datagrams in an idle hour: %u\n", datagrams);
	failed += send_packet(b, a);
out:
	fz_wg_free(a);
	fz_wg_free(b);
	fz_wg_key_wipe(&left.private_key);
	fz_wg_key_wipe(&right.private_key);
	return failed != 0;
}
