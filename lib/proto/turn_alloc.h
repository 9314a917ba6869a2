/* SPDX-License-Identifier: Apache-2.0 */
/* Client of one TURN relay (RFC 8656) over UDP: finds out how the relay sees us, allocates addresses of both
 * families, keeps the allocation, and binds channels to peers. Credentials are in turn_auth.h, the table of
 * channels in turn_chan.h, requests and their repetition in stun_txn.h.
 *
 * One code path for every server: RFC 8489 section 9.2 for authentication, the checks of RFC 8656 on every
 * answer. The first ALLOCATE carries no credentials; the answer brings realm and nonce.
 *
 * Use: offer it what comes from one of its addresses, send what poll_transmit gives, before payload of the
 * same turn; drain poll_event. Belongs to one thread, never calls back. */
#ifndef PROTO_TURN_ALLOC_H
#define PROTO_TURN_ALLOC_H

#include "base/addr.h"
#include "fzconn/env.h"
#include "fzconn/error.h"
#include "wire/stun.h"
#include "wire/turn.h"

/* A buffer of this size is always enough for poll_transmit. */
#define TURN_TRANSMIT_MAX STUN_MSG_MAX

struct turn_alloc_opts {
	const char *username, *password; /* long-term credentials, required */
	const char *realm; /* NULL = whatever the server names; otherwise another realm is refused */
	const char *software; /* SOFTWARE attribute, NULL = none */
	struct fz_addr server4, server6; /* family none = absent; one is required */
};

enum turn_event_type {
	TURN_MAPPED, /* local sees itself as mapped: a host and a server-reflexive candidate */
	TURN_RELAYED, /* addr is ours on the relay; local = our socket's address towards it */
	TURN_RELAYED_LOST, /* addr is no longer ours */
	TURN_REFUSED, /* no allocation for now, see code; tried again by itself. 437 and 441 mean that the
		       * 5-tuple belongs to another allocation: another local port would help (RFC 8656
		       * section 7.4) */
	TURN_FAILED /* the relay is of no use: free this object; reason set. RELAYED_LOST comes first. */
};

enum turn_reason {
	TURN_REASON_NONE,
	TURN_REASON_NO_ANSWER, /* the server does not answer, on no family */
	TURN_REASON_UNAUTHORISED, /* credentials refused */
	TURN_REASON_PROTOCOL /* the server does not understand us, or we do not understand it */
};

struct turn_event {
	enum turn_event_type type;
	enum turn_reason reason; /* TURN_FAILED */
	uint16_t code; /* TURN_REFUSED: the server's error code */
	struct fz_addr local, mapped; /* TURN_MAPPED; TURN_RELAYED: local */
	struct fz_addr relayed; /* TURN_RELAYED, TURN_RELAYED_LOST */
};

/* What it does, for status output. */
enum turn_state {
	TURN_PROBING, /* BINDING sent, no answer yet */
	TURN_ALLOCATING, /* the server answers, ALLOCATE under way */
	TURN_READY, /* relayed addresses exist */
	TURN_SUSPENDED, /* refused for now (quota, no capacity, mismatch); tried again later */
	TURN_CLOSING, /* turn_alloc_close() was called */
	TURN_DEAD /* TURN_FAILED was or will be reported */
};

/* Counters; all but the first four are drops. */
struct turn_stats {
	uint64_t requests, repeats; /* requests sent, and sent again for want of an answer */
	uint64_t channel_rx; /* ChannelData that belonged to a channel */
	uint64_t allocations; /* gained */
	uint64_t not_stun; /* from the server, neither STUN nor ChannelData */
	uint64_t bad_wire; /* malformed */
	uint64_t bad_auth; /* MESSAGE-INTEGRITY wrong */
	uint64_t unsigned_answer; /* MESSAGE-INTEGRITY missing where it is required */
	uint64_t unknown_txn; /* answer to nothing outstanding: late, repeated or forged */
	uint64_t bad_answer; /* well-formed and authentic, but an attribute is missing or of no use */
	uint64_t channel_unknown; /* ChannelData on a number that is not bound */
	uint64_t channel_full; /* no free channel number, or too many binds waiting */
	uint64_t channel_refused; /* peers that the server would not bind */
};

struct turn_alloc;

/* opts is copied. FZ_ERR_INVAL: credentials or addresses missing or too long; FZ_ERR_NOMEM. */
int turn_alloc_new(const struct fz_env *env, const struct turn_alloc_opts *opts, uint64_t now_us,
		   struct turn_alloc **ret);
void turn_alloc_free(struct turn_alloc *a);

/* Our addresses changed: keep servers and credentials, forget all else, without events for what is forgotten.
 */
void turn_alloc_restart(struct turn_alloc *a, uint64_t now_us);
/* Somebody doubts that the allocation is alive (the portal named the relay again, the path broke): ask now,
 * with less patience; a suspended one starts anew. */
void turn_alloc_refresh(struct turn_alloc *a, uint64_t now_us);
/* Give the allocation back: one REFRESH with lifetime 0, to be sent before turn_alloc_free(). Nothing else
 * works afterwards. Without it the server keeps the addresses, and our 5-tuple is not usable with other
 * credentials for up to ten minutes. */
void turn_alloc_close(struct turn_alloc *a, uint64_t now_us);

/* Is this one of the server's addresses? They change when the server redirects us (RFC 8489 section 10). */
bool turn_alloc_is_server(const struct turn_alloc *a, const struct fz_addr *addr);

/* STUN from the server; local = where it arrived. FZ_ERR_NOT_MINE: the source or the transaction is not ours;
 * FZ_ERR_WIRE; FZ_ERR_AUTH: dropped because of its MESSAGE-INTEGRITY. */
int turn_alloc_handle_datagram(struct turn_alloc *a, const struct fz_addr *local, const struct fz_addr *from,
			       const uint8_t *data, size_t len, uint64_t now_us);

/* ChannelData from the server: the payload is at data + TURN_CHANNEL_HEADER_LEN, its length is returned.
 * ret_peer = who sent it to ret_relayed, our address on the relay. FZ_ERR_NOT_MINE: other source;
 * FZ_ERR_WIRE: no ChannelData; FZ_ERR_STATE: channel not bound. */
int turn_alloc_unwrap(struct turn_alloc *a, const struct fz_addr *from, const uint8_t *data, size_t len,
		      struct fz_addr *ret_peer, struct fz_addr *ret_relayed, uint64_t now_us);
/* The same for a batch whose header was read by turn_channel_decode(): who is behind this number? Counts as
 * receipt of data. FZ_ERR_STATE: not bound. */
int turn_alloc_channel_peer(struct turn_alloc *a, uint16_t number, struct fz_addr *ret_peer,
			    struct fz_addr *ret_relayed, uint64_t now_us);

/* Channel to use for a datagram to this peer now: bound, or its CHANNEL-BIND is ahead of the datagram. 0:
 * none, the datagram has to be dropped; a bind was started where one is possible. Counts as use: the channel
 * and the permission behind it are kept while datagrams go one way or the other. */
uint16_t turn_alloc_channel(struct turn_alloc *a, const struct fz_addr *peer, uint64_t now_us);
/* Bind a channel ahead of use. Does nothing when one is bound or on its way. 0; FZ_ERR_STATE: no relayed
 * address of the peer's family, suspended, or the server refused this peer a moment ago; FZ_ERR_FULL;
 * FZ_ERR_NOMEM. */
int turn_alloc_bind(struct turn_alloc *a, const struct fz_addr *peer, uint64_t now_us);
/* ChannelData went out to the server: moves the keep-alive. Once per batch. */
void turn_alloc_note_sent(struct turn_alloc *a, uint64_t now_us);

/* Where ChannelData goes; NULL as long as no server address has answered. */
const struct fz_addr *turn_alloc_server(const struct turn_alloc *a);
/* Our socket's address towards it, NULL likewise. */
const struct fz_addr *turn_alloc_local(const struct turn_alloc *a);
/* Our address of this family on the relay. */
bool turn_alloc_relayed(const struct turn_alloc *a, enum fz_family family, struct fz_addr *ret);
bool turn_alloc_owns(const struct turn_alloc *a, const struct fz_addr *relayed);
/* Smoothed round trip, 0 = no answer yet. */
uint64_t turn_alloc_rtt_us(const struct turn_alloc *a);
enum turn_state turn_alloc_state(const struct turn_alloc *a);
const struct turn_stats *turn_alloc_stats(const struct turn_alloc *a);

/* Next datagram to the server *ret_to. Call until 0. Returns its length, or FZ_ERR_NOSPACE when the buffer is
 * too small (nothing is lost; TURN_TRANSMIT_MAX is enough). */
int turn_alloc_poll_transmit(struct turn_alloc *a, uint8_t *buf, size_t cap, struct fz_addr *ret_to,
			     uint64_t now_us);
/* Is a CHANNEL-BIND waiting for poll_transmit? Then it has to leave before payload on its channel. */
bool turn_alloc_has_bind(const struct turn_alloc *a);
bool turn_alloc_poll_event(struct turn_alloc *a, struct turn_event *ret);
void turn_alloc_handle_timeout(struct turn_alloc *a, uint64_t now_us);
uint64_t turn_alloc_next_timeout(const struct turn_alloc *a);

#endif
