/* SPDX-License-Identifier: Apache-2.0 */
/* One outstanding STUN request (RFC 8489 section 6.2.1): its id, when it is repeated, when it is given up,
 * and what its answer says about the round trip. Knows nothing of the request's content: the owner writes the
 * datagram each time with the same id, so that the answer to any copy counts and a server recognises a
 * repetition. */
#ifndef PROTO_STUN_TXN_H
#define PROTO_STUN_TXN_H

#include "base/time.h"
#include "fzconn/env.h"
#include "wire/stun.h"

/* The first wait, by how much each wait is longer than the one before, how many datagrams, and the last wait.
 */
struct stun_schedule {
	uint64_t rto_us;
	uint32_t growth_pct; /* 150 = half as long again */
	uint32_t max_sends;
	uint64_t last_wait_us; /* after the last datagram; 0 = as the growth says */
};

/* 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s, given up at 39.5 s: the defaults of RFC 8489. */
extern const struct stun_schedule stun_schedule_rfc;

struct stun_txn {
	struct stun_txid id;
	bool active; /* between start and stop */
	uint32_t sends;
	uint64_t first_us, wait_us;
	uint64_t due_us; /* next datagram, or giving up when `spent`; FZ_NEVER_US when inactive */
	const struct stun_schedule *schedule; /* borrowed */
};

/* A new request with a random id, due at once; the schedule is borrowed until the next start. */
void stun_txn_start(struct stun_txn *t, const struct fz_env *env, const struct stun_schedule *s,
		    uint64_t now_us);
void stun_txn_stop(struct stun_txn *t);
/* Is a datagram due? Write it, then call stun_txn_sent(). */
bool stun_txn_wants_send(const struct stun_txn *t, uint64_t now_us);
void stun_txn_sent(struct stun_txn *t, uint64_t now_us);
/* All datagrams sent and the last wait is over: stop it. */
bool stun_txn_given_up(const struct stun_txn *t, uint64_t now_us);
/* Is this the id of the outstanding request, and was it sent at all? */
bool stun_txn_matches(const struct stun_txn *t, const struct stun_txid *id);
uint64_t stun_txn_due(const struct stun_txn *t);

/* Time from the first datagram until now: never too low, too high when a repetition was answered. Smoothed
 * 7/8 old plus 1/8 new; *rtt_us 0 = no sample yet. */
void stun_txn_take_rtt(const struct stun_txn *t, uint64_t *rtt_us, uint64_t now_us);

#endif
