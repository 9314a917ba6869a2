/* SPDX-License-Identifier: Apache-2.0 */
/* Channels of one allocation (RFC 8656 section 12): which number stands for which peer, how old each binding
 * is, which requests are outstanding. Owned by turn_alloc, which writes the requests and reads the answers.
 *
 * Times: a channel lives 10 minutes from its last confirmation, the permission that comes with it only 5
 * (sections 9 and 12). So a channel in use is bound again after 4 minutes. After 10 minutes nothing may be
 * sent on it, and for 5 more minutes its number must not name another peer. */
#ifndef PROTO_TURN_CHAN_H
#define PROTO_TURN_CHAN_H

#include "base/heap.h"
#include "base/map.h"
#include "proto/stun_txn.h"
#include "wire/turn.h"

#define TURN_CHAN_LIFE_US FZ_SEC(600)
#define TURN_CHAN_REBIND_US FZ_SEC(240)
#define TURN_CHAN_REUSE_US FZ_SEC(900)
#define TURN_CHAN_REFUSED_US FZ_SEC(30)
#define TURN_CHAN_MAX (TURN_CHANNEL_MAX - TURN_CHANNEL_MIN + 1)

enum turn_chan_state {
	TURN_CHAN_BINDING, /* the first CHANNEL-BIND is unanswered; usable, in the hope that it works */
	TURN_CHAN_BOUND, /* confirmed once; another CHANNEL-BIND may be outstanding */
	TURN_CHAN_REFUSED /* not bound; the peer is not tried again before TURN_CHAN_REFUSED_US */
};

struct turn_chan {
	struct fz_map_link by_peer, by_txid;
	struct fz_heap_node due; /* repetition, giving up, or binding again */
	struct turn_chan *next_send;
	struct fz_addr peer;
	uint16_t number;
	uint8_t state; /* enum turn_chan_state */
	uint8_t challenges; /* answered in a row without success */
	uint8_t rounds; /* CHANNEL-BINDs in a row that were given up */
	bool used; /* data went one way or the other since since_us */
	bool queued; /* in the send list */
	bool had_nonce; /* the outstanding request carried credentials */
	bool doubtful; /* refused in a way that may mean that the allocation is gone */
	uint64_t since_us; /* last confirmation; first datagram while BINDING; refusal */
	uint64_t rx_us; /* last data received */
	struct stun_txn txn;
};

struct turn_chans {
	const struct fz_env *env;
	struct turn_chan **v; /* by number - TURN_CHANNEL_MIN */
	size_t n, cap;
	size_t scan_at;
	uint64_t scan_again_us; /* all numbers were taken: do not look before */
	struct fz_map by_peer, by_txid;
	struct fz_heap heap;
	struct turn_chan *send_first, *send_last;
};

/* Zeroed memory plus env; nothing is allocated before the first channel. */
void turn_chans_init(struct turn_chans *t, const struct fz_env *env);
/* Forget all channels and give their memory back. */
void turn_chans_clear(struct turn_chans *t);

struct turn_chan *turn_chans_by_peer(const struct turn_chans *t, const struct fz_addr *peer);
struct turn_chan *turn_chans_by_txid(const struct turn_chans *t, const struct stun_txid *id);
struct turn_chan *turn_chans_by_number(const struct turn_chans *t, uint16_t number);

/* A number for this peer: the one it had if that may still be its own, else a fresh one, else one that is
 * free again. The caller starts the request. FZ_ERR_FULL, FZ_ERR_NOMEM. */
int turn_chans_take(struct turn_chans *t, const struct fz_addr *peer, struct turn_chan **ret,
		    uint64_t now_us);

/* May data be sent on it? */
static inline bool turn_chan_usable(const struct turn_chan *c, uint64_t now_us)
{
	return c->state != TURN_CHAN_REFUSED && now_us - c->since_us < TURN_CHAN_LIFE_US;
}

/* Start a CHANNEL-BIND (a new transaction), due at once. */
void turn_chan_start(struct turn_chans *t, struct turn_chan *c, const struct stun_schedule *s,
		     uint64_t now_us);
/* The answer came, or nobody waits for it any more. */
void turn_chan_stop(struct turn_chans *t, struct turn_chan *c);
/* Confirmed. */
void turn_chan_bound(struct turn_chans *t, struct turn_chan *c, uint64_t now_us);
void turn_chan_refused(struct turn_chans *t, struct turn_chan *c, uint64_t now_us);
/* Data went through. Returns true when it is time to bind the channel again. */
bool turn_chan_use(struct turn_chans *t, struct turn_chan *c, uint64_t now_us);

/* First of those whose CHANNEL-BIND is to be written now, in the order in which they were wanted; NULL =
 * none. */
struct turn_chan *turn_chans_peek_send(struct turn_chans *t);
/* It was written. */
void turn_chans_sent(struct turn_chans *t, uint64_t now_us);

enum turn_chan_due { TURN_CHAN_NOTHING, TURN_CHAN_GIVE_UP, TURN_CHAN_REBIND };
/* Next thing that is due: repetitions go to the send list by themselves, the rest is for the caller to act on
 * before the next call. */
enum turn_chan_due turn_chans_next_due(struct turn_chans *t, struct turn_chan **ret, uint64_t now_us);
uint64_t turn_chans_next_timeout(const struct turn_chans *t);

#endif
