/* SPDX-License-Identifier: Apache-2.0 */
/* Two WireGuard peers of each other, a hand-turned clock and a wire that can lose messages. */
#ifndef WG_PAIR_H
#define WG_PAIR_H

#include "proto/wg_peer.h"
#include "unit.h"

/* Static keys 0x11.. and 0x22.., pre-shared key 0x55.., indices 0xabcdef and 0x123456. */
struct end {
	struct unit_env u;
	struct wg_self *self;
	struct wg_peer *peer;
	uint8_t fixed[32]; /* ephemeral key to use instead of random ones */
	bool has_fixed;
	unsigned sent[5]; /* by enum wg_type */
	unsigned events[3];
	uint64_t last_sent_us[5];
	bool mute; /* what it sends gets lost */
	unsigned lose[5]; /* so many of the next messages of a type get lost */
};

struct pair {
	struct end a, b;
	uint64_t now_us, unix_ns;
};

void pair_init(struct pair *w, const struct wg_timing *timing);
void pair_free(struct pair *w);
/* Carry messages until both are silent, at the present time. */
void pair_settle(struct pair *w);
/* Let time pass, running every deadline on its way; messages take no time. */
void pair_run(struct pair *w, uint64_t us);
/* Start a handshake at one end and complete it. */
void pair_connect(struct pair *w);
/* Seal a packet of len bytes at one end; returns the length or an error. */
int pair_seal(struct pair *w, struct end *from, uint8_t *dgram, size_t len);
/* Send a packet from one end to the other at once; true when it arrived intact. */
bool pair_send(struct pair *w, struct end *from, size_t len);

#endif
