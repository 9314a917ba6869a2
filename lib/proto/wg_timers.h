/* SPDX-License-Identifier: Apache-2.0 */
/* When a WireGuard peer re-keys, sends a keepalive or gives up (WireGuard paper, section 6). The peer reports
 * what happened; this module alone decides which deadline moves. Owned by wg_peer. */
#ifndef PROTO_WG_TIMERS_H
#define PROTO_WG_TIMERS_H

#include "base/time.h"
#include "fzconn/env.h"

/* The numbers of a profile, milliseconds. */
struct wg_timing {
	uint32_t rekey_after_ms; /* initiator, data sent in this session: new handshake at this age */
	uint32_t rekey_on_receive_ms; /* initiator, data received in this session: likewise */
	uint32_t reject_after_ms; /* a session is deleted at this age */
	uint32_t send_cutoff_ms; /* the initiator stops sending in a session older than this; responder:
				    reject_after */
	uint32_t keepalive_ms; /* data received, nothing sent since: empty packet */
	uint32_t unanswered_ms; /* data sent, nothing received since the first such packet: new handshake */
	uint32_t rekey_timeout_ms; /* retry interval of an unanswered initiation */
	uint32_t first_retry_ms; /* while there is no session: intervals start here and double; 0 = they do
				    not */
	uint32_t rekey_attempt_ms; /* give up this long after the first initiation of an attempt */
	uint32_t jitter_ms; /* up to this is added before each initiation that a timer started */
	uint32_t expiry_ms; /* give up when there was no new session for so long; 0 = never */
	uint32_t rekey_idle_ms; /* initiator, traffic or not: new handshake at this age; 0 = never */
	bool keepalive_from_first; /* keepalive_ms counts from the first unanswered data packet, not from the
				      latest */
};

/* Firezone peers behind an ICE path, behind an iceless path, and WireGuard as everybody else runs it. */
extern const struct wg_timing wg_timing_ice, wg_timing_iceless, wg_timing_standard;

enum wg_due { WG_DUE_NOTHING, WG_DUE_INITIATION, WG_DUE_KEEPALIVE, WG_DUE_EXPIRY };

struct wg_timers {
	const struct wg_timing *timing;
	uint64_t persistent_us; /* interval; 0 = off */
	uint64_t established_us; /* newest session, or creation */
	uint64_t unanswered_us; /* first data sent since something authentic came in */
	uint64_t unacknowledged_us; /* data received since something was sent: see keepalive_from_first */
	uint64_t traffic_us; /* last authentic packet in either direction */
	uint64_t attempt_us; /* first initiation of the attempt under way */
	uint64_t initiation_us; /* latest one; FZ_NEVER_US = none in flight */
	uint64_t scheduled_us; /* initiation waiting for its jitter; all else pauses meanwhile */
	bool we_initiated; /* the newest session */
	bool sent_data, received_data; /* in the newest session */
	bool expired;
};

void wg_timers_init(struct wg_timers *t, const struct wg_timing *timing, uint32_t persistent_keepalive_ms,
		    uint64_t now_us);

/* What happened; see below for data. */
void wg_timers_initiation_sent(struct wg_timers *t, uint64_t now_us);
void wg_timers_response_sent(struct wg_timers *t, uint64_t now_us); /* session made as responder */
void wg_timers_response_received(struct wg_timers *t, uint64_t now_us); /* session made as initiator */

/* A data message went out, or came in authentic and new; data = it had content, so was not a keepalive. */
static inline void wg_timers_sent(struct wg_timers *t, bool data, uint64_t now_us)
{
	t->traffic_us = now_us;
	t->unacknowledged_us = FZ_NEVER_US;
	if (data) {
		t->sent_data = true;
		if (t->unanswered_us == FZ_NEVER_US)
			t->unanswered_us = now_us;
	}
}
static inline void wg_timers_received(struct wg_timers *t, bool data, uint64_t now_us)
{
	t->traffic_us = now_us;
	t->unanswered_us = FZ_NEVER_US;
	if (data) {
		t->received_data = true;
		if (t->unacknowledged_us == FZ_NEVER_US || !t->timing->keepalive_from_first)
			t->unacknowledged_us = now_us;
	}
}

static inline bool wg_timers_in_flight(const struct wg_timers *t)
{
	return t->initiation_us != FZ_NEVER_US;
}

/* What is due now. can_send: there is a session to send in. Draws the jitter, so that WG_DUE_INITIATION comes
 * when it is over. After WG_DUE_EXPIRY nothing is due any more until a handshake message is sent or received.
 */
enum wg_due wg_timers_handle_timeout(struct wg_timers *t, const struct fz_env *env, bool can_send,
				     uint64_t now_us);
uint64_t wg_timers_next_timeout(const struct wg_timers *t, bool can_send);

#endif
