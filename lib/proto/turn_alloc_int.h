/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the TURN client: seen by turn_alloc.c (life, channels, timers), turn_answer.c (responses),
 * turn_output.c (datagrams and events) and turn_request.c (what requests contain), by nobody else. */
#ifndef PROTO_TURN_ALLOC_INT_H
#define PROTO_TURN_ALLOC_INT_H

#include "proto/stun_txn.h"
#include "proto/turn_alloc.h"
#include "proto/turn_auth.h"
#include "proto/turn_chan.h"

#define TURN_SOFTWARE_MAX 128
#define TURN_QUEUE_MAX 100 /* binds that wait for the allocation */
#define TURN_KEEPALIVE_US FZ_SEC(25)
#define TURN_EARLY_US FZ_SEC(5) /* so much sooner when somebody is awake anyway: one wake-up less */
#define TURN_DOUBT_US FZ_SEC(25) /* we send, the relay is silent: is the allocation still there? */
#define TURN_RETRY_MIN_US FZ_SEC(60) /* RFC 8656 section 7.4: after 486 and 508 wait at least a minute */
#define TURN_RETRY_MAX_US FZ_SEC(480)
#define TURN_SETTLE_US                                                                                       \
	FZ_MS(1100) /* servers need up to a second to forget an allocation that was given back */
#define TURN_CHALLENGES_MAX 4 /* 401 or 438 in a row */
#define TURN_REDIRECTS_MAX 3
#define TURN_ROUNDS_MAX 3 /* of an unanswered CHANNEL-BIND */
#define TURN_MISMATCHES_MAX 4
#define TURN_SHORT_LIFE_US FZ_SEC(10) /* an allocation that ends sooner did not last */
#define TURN_SHORT_LIVES_MAX 3 /* in a row */

/* Families have an index. */
enum { SIDE_V4, SIDE_V6, SIDES, NO_SIDE = SIDES };

static inline unsigned side_of(const struct fz_addr *a)
{
	return a->ip.family == FZ_FAMILY_INET6 ? SIDE_V6 : SIDE_V4;
}

/* One address of the server, and what BINDING through it says of us. */
struct turn_side {
	struct fz_addr configured; /* family none = absent */
	struct fz_addr server; /* the same, or where it sent us */
	struct fz_addr local, mapped;
	struct fz_addr told_local, told_mapped; /* reported by an event */
	struct stun_txn binding;
	bool answered;
};

/* The request of which only one is outstanding at a time. */
enum turn_control { CTL_NONE, CTL_ALLOCATE, CTL_REFRESH, CTL_RELEASE };

/* Which families an ALLOCATE asks for, from the best to the least; a server that refuses one gets the next.
 */
enum turn_ask { ASK_BOTH_AND_DRAFT, ASK_BOTH, ASK_V4, ASK_V6, ASKS };

struct turn_alloc {
	const struct fz_env *env;
	struct turn_auth auth;
	char software[TURN_SOFTWARE_MAX + 1];
	enum turn_state state;
	unsigned active; /* side in use, NO_SIDE = none yet */
	struct turn_side side[SIDES];

	enum turn_control ctl;
	struct stun_txn ctl_txn;
	bool ctl_had_nonce;
	uint8_t ctl_challenges;
	uint8_t ask; /* enum turn_ask */
	uint8_t mismatches, redirects, short_lives;
	bool not_ours; /* the 5-tuple has an allocation under other credentials */
	bool tried_other; /* ... so the other family was tried, from which the 5-tuple is another one */
	uint16_t refused_code; /* why suspended */

	struct fz_addr relayed[SIDES], told_relayed[SIDES];
	struct fz_addr alloc_mapped; /* how the server saw us when it allocated */
	uint64_t refresh_us, expiry_us, keepalive_us, doubt_us, retry_us, retry_wait_us;
	uint64_t allocated_us; /* when the newest allocation was gained */
	uint64_t rtt_us;
	uint64_t now_us; /* latest time seen */

	struct turn_chans chans;
	struct fz_addr *queue; /* peers that wait for the allocation */
	size_t queue_len, queue_cap;

	enum turn_reason reason;
	bool has_failed_event, has_refused_event;
	struct turn_stats stats;
};

extern const struct stun_schedule turn_schedule, turn_schedule_hasty;

/* turn_request.c: write a request into the buffer; length or FZ_ERR_NOSPACE. */
int turn_write_binding(const struct turn_alloc *a, const struct stun_txid *id, uint8_t *buf, size_t cap);
int turn_write_control(const struct turn_alloc *a, uint8_t *buf, size_t cap);
int turn_write_bind(const struct turn_alloc *a, const struct turn_chan *c, uint8_t *buf, size_t cap);

/* turn_alloc.c: what happens next. */
void turn_clock_in(struct turn_alloc *a, uint64_t now_us);
void turn_start_control(struct turn_alloc *a, enum turn_control kind, const struct stun_schedule *s);
void turn_stop_control(struct turn_alloc *a);
/* The relayed addresses and all channels are gone; binds that were under way wait for the next allocation. */
void turn_invalidate(struct turn_alloc *a);
void turn_suspend(struct turn_alloc *a, uint16_t code);
void turn_die(struct turn_alloc *a, enum turn_reason reason);
void turn_use_side(struct turn_alloc *a, unsigned side);
void turn_allocated(struct turn_alloc *a, uint32_t lifetime_s);
void turn_start_over(struct turn_alloc *a);
void turn_set_lifetime(struct turn_alloc *a, uint32_t lifetime_s);

/* turn_answer.c: a response from the server's side. */
int turn_handle_answer(struct turn_alloc *a, unsigned side, const struct fz_addr *local,
		       const struct stun_msg *m);

#endif
