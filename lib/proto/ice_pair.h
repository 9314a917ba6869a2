/* SPDX-License-Identifier: Apache-2.0 */
/* Candidate pairs of one ICE agent and the schedule of their checks (RFC 8445 sections 6.1.2 and 7): every
 * pair is checked for as long as it lives, first at once, then at growing gaps. No message is seen here, only
 * that one was sent, answered or received. Owned by ice_agent. */
#ifndef PROTO_ICE_PAIR_H
#define PROTO_ICE_PAIR_H

#include "base/time.h"
#include "proto/path.h"

/* RFC 8445 section 6.1.2.5 asks for a limit; 100 is its default. The pair of lowest priority is dropped. */
#define ICE_PAIRS_MAX 100
/* Checks that can still be answered: at most 9 fall into ICE_TXN_MEMORY_US of the densest profile, and
 * triggered ones. */
#define ICE_TXNS 12
#define ICE_TXN_MEMORY_US FZ_SEC(10)
/* A request of the peer keeps a pair alive that does not answer. */
#define ICE_REQUEST_KEEPS_US FZ_SEC(15)

struct ice_timing {
	uint64_t initial_us, max_us;
	uint32_t max_retransmits;
};
const struct ice_timing *ice_timing_of(enum path_profile profile);

struct ice_txn {
	uint64_t id, sent_us;
	uint32_t attempt;
	bool is_open, as_controlling;
};

struct ice_pair {
	struct path_route route;
	uint16_t local, remote; /* entries of the candidate lists */
	bool has_succeeded;
	bool is_nominated; /* controlling: by us; controlled: the peer sent USE-CANDIDATE */
	bool is_peer_silent; /* the peer checks other pairs, but no longer this one */
	bool was_hurried; /* a request of the peer has moved its check up once */
	uint8_t rivals; /* requests since the last one on the selected pair, at most 255 */
	uint64_t priority;
	uint64_t next_check_us, last_sent_us, first_unanswered_us;
	uint64_t last_answer_us, last_request_us; /* 0 = never */
	uint64_t last_nominated_us; /* controlled: last USE-CANDIDATE */
	uint64_t rtt_us;
	uint32_t attempts, answered; /* checks sent; number of the last answered one */
	uint32_t since_alive; /* checks sent since the last sign of life */
	struct ice_txn txns[ICE_TXNS];
};

struct ice_pairs {
	struct ice_pair *v;
	size_t len, cap;
};

/* RFC 8445 section 6.1.2.3. */
uint64_t ice_pair_priority(uint32_t controlling, uint32_t controlled);

/* Delay after the n-th check; the gap doubles up to the profile's maximum. */
uint64_t ice_check_delay(const struct ice_timing *t, uint32_t n);
/* When the next check is due, decided now. */
void ice_pair_schedule(struct ice_pair *p, const struct ice_timing *t, uint64_t now_us);
/* A check with this id leaves now. */
void ice_pair_sent(struct ice_pair *p, const struct ice_timing *t, uint64_t id, bool as_controlling,
		   uint64_t now_us);
/* The open check with this id, NULL when there is none or it is too old. */
struct ice_txn *ice_pair_txn(struct ice_pair *p, uint64_t id, uint64_t now_us);
/* That check was answered; a first success makes the pair usable. */
void ice_pair_answered(struct ice_pair *p, const struct ice_timing *t, struct ice_txn *txn, uint64_t now_us);
/* A request of the peer arrived on it. */
void ice_pair_requested(struct ice_pair *p, bool controlling, uint64_t now_us);
/* Nobody answers any more and the peer is silent: give the pair up. */
bool ice_pair_is_lost(const struct ice_pair *p, const struct ice_timing *t, uint64_t now_us);
/* It worked, but of late it does not: prefer another one that does. For the controlling side only answers
 * count, for the controlled side requests of the peer as well. */
bool ice_pair_is_suspect(const struct ice_pair *p, bool controlling, uint64_t now_us);

void ice_pairs_clear(struct ice_pairs *s, const struct fz_env *env);
/* By local, local_relayed and remote; -1 when there is none. */
int ice_pairs_find(const struct ice_pairs *s, const struct path_route *route);
/* Append. FZ_ERR_FULL only when the new one has the lowest priority of all; otherwise the lowest may have to
 * leave: *ret_evict is its index, to be removed first, and nothing was added. */
int ice_pairs_add(struct ice_pairs *s, const struct fz_env *env, const struct ice_pair *p, int *ret_evict);
/* The last pair takes the place of the removed one. */
void ice_pairs_remove(struct ice_pairs *s, size_t at);
/* The due pair of highest priority; -1 when none is due. */
int ice_pairs_due(const struct ice_pairs *s, uint64_t now_us);
uint64_t ice_pairs_next(const struct ice_pairs *s);

#endif
