/* SPDX-License-Identifier: Apache-2.0 */
/* One WireGuard peer: handshakes, sessions, timers and counters put together. It knows nothing of addresses:
 *what it writes goes where the caller's path selection says, and input is taken from wherever it comes.
 *
 *	receive: wg_classify(); data -> wg_peer_open(); initiation, response -> wg_self_admit(), then
 *	wg_peer_handle_message(); an initiation finds its peer by wg_self_identify(), the others by
 *wg_receiver(). After every call that may have changed something: wg_peer_poll_transmit() until 0,
 *wg_peer_poll_event(). */
#ifndef PROTO_WG_PEER_H
#define PROTO_WG_PEER_H

#include "base/secret.h"
#include "fzconn/env.h"
#include "proto/wg_self.h"
#include "proto/wg_timers.h"
#include "wire/wg.h"

struct wg_peer;

struct wg_peer_opts {
	struct fz_key public_key;
	struct fz_key psk; /* zero = none */
	uint32_t index24; /* upper 24 bits of our indices, unique among the node's peers */
	const struct wg_timing *timing; /* borrowed; NULL = wg_timing_standard */
	uint32_t persistent_keepalive_ms; /* 0 = off */
};

enum wg_event {
	WG_SESSION, /* a handshake ended well; the initiator can send in it at once */
	WG_SENDABLE, /* the responder's new session was confirmed by the initiator's first packet: we can send
			in it */
	WG_EXPIRED /* handshakes exhausted or no session for too long: all keys are gone; wg_peer_initiate()
		      revives */
};

struct wg_stats {
	uint64_t sessions; /* handshakes that ended well */
	uint64_t initiations_sent;
	uint64_t last_handshake_us; /* when the newest session was made; 0 = never */
	uint64_t tx_packets, rx_packets; /* data with content */
	uint64_t tx_bytes, rx_bytes; /* of content */
	uint64_t tx_keepalives, rx_keepalives;
	/* dropped input */
	uint64_t bad_message; /* malformed, of the wrong type, or not for this peer */
	uint64_t bad_session; /* data for a session that does not exist (any more) */
	uint64_t bad_tag; /* data or handshake message that does not decrypt */
	uint64_t replayed; /* data counter seen before or too old */
	uint64_t stale_handshake; /* initiation not newer than the last one, response or cookie to nothing of
				     ours */
	/* dropped output */
	uint64_t unsendable; /* nothing to send it in */
};

/* self is borrowed until wg_peer_free(). FZ_ERR_INVAL: the public key is a point of small order. */
FZ_MUST_CHECK int wg_peer_new(const struct fz_env *env, struct wg_self *self, const struct wg_peer_opts *opts,
			      uint64_t now_us, struct wg_peer **ret);
void wg_peer_free(struct wg_peer *p);
const struct fz_key *wg_peer_public(const struct wg_peer *p);
const struct wg_stats *wg_peer_stats(const struct wg_peer *p);

/* An admitted initiation of this peer, an admitted response, or a cookie reply. Errors leave no trace but a
 * counter: FZ_ERR_WIRE malformed, FZ_ERR_NOT_MINE another peer's key or index, FZ_ERR_AUTH forged, replayed
 * or unexpected. */
FZ_MUST_CHECK int wg_peer_handle_message(struct wg_peer *p, const uint8_t *msg, size_t len, uint64_t now_us);

/* Start a handshake now; nothing happens while one is in flight. */
void wg_peer_initiate(struct wg_peer *p, uint64_t now_us);
bool wg_peer_handshake_in_flight(const struct wg_peer *p);

/* Write the next message: response, initiation, keepalive, in this order; the first byte tells which (enum
 * wg_type). unix_ns is the wall clock. Returns its length, 0 when there is none, FZ_ERR_NOSPACE when cap is
 * below WG_HANDSHAKE_MAX (nothing is lost), FZ_ERR_NOMEM or FZ_ERR_CRYPTO (the message is lost, its retry is
 * not). */
FZ_MUST_CHECK int wg_peer_poll_transmit(struct wg_peer *p, uint8_t *buf, size_t cap, uint64_t now_us,
					uint64_t unix_ns);
void wg_peer_handle_timeout(struct wg_peer *p, uint64_t now_us);
uint64_t wg_peer_next_timeout(const struct wg_peer *p);
bool wg_peer_poll_event(struct wg_peer *p, enum wg_event *ret);

bool wg_peer_can_send(const struct wg_peer *p, uint64_t now_us);
/* Encrypt one packet into dst, WG_OVERHEAD bytes longer than it. plain may lie at dst + WG_HEADER_LEN,
 * otherwise the two are disjoint. Returns the length written, or FZ_ERR_STATE when there is no session to
 * send in (dst untouched). */
FZ_MUST_CHECK int wg_peer_seal(struct wg_peer *p, uint8_t *dst, const uint8_t *plain, size_t len,
			       uint64_t now_us);
/* Decrypt a data message into dst, WG_OVERHEAD bytes shorter; dst may be msg + WG_HEADER_LEN, otherwise the
 * two are disjoint. Returns the length of the content, padding included; 0 = keepalive. Nothing but dst and a
 * counter changes on failure: FZ_ERR_WIRE malformed, FZ_ERR_NOT_MINE another peer's index, FZ_ERR_STATE
 * session unknown or too old, FZ_ERR_AUTH forged or replayed. */
FZ_MUST_CHECK int wg_peer_open(struct wg_peer *p, uint8_t *dst, const uint8_t *msg, size_t len,
			       uint64_t now_us);

#endif
