/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ice_pair.h"

#include <string.h>

#include "base/mem.h"

/* What makes a pair suspect: that many checks without a sign of life, and that long. */
#define SUSPECT_CHECKS 3
#define SUSPECT_US FZ_SEC(4)

const struct ice_timing *ice_timing_of(enum path_profile profile)
{
	static const struct ice_timing timings[] = {
		[PATH_CLIENT_DEFAULT] = { FZ_MS(250), FZ_MS(1500), 12 },
		[PATH_CLIENT_IDLE] = { FZ_SEC(25), FZ_SEC(25), 4 },
		[PATH_SERVER_DEFAULT] = { FZ_MS(250), FZ_SEC(15), 45 },
		[PATH_SERVER_IDLE] = { FZ_SEC(25), FZ_SEC(25), 40 },
	};

	return &timings[profile];
}

uint64_t ice_pair_priority(uint32_t controlling, uint32_t controlled)
{
	/* RFC 8445 section 5.1.2 ends at 2^31 - 1; more would overflow. */
	uint64_t g = controlling < INT32_MAX ? controlling : INT32_MAX;
	uint64_t d = controlled < INT32_MAX ? controlled : INT32_MAX;

	return ((g < d ? g : d) << 32) + 2 * (g > d ? g : d) + (g > d);
}

uint64_t ice_check_delay(const struct ice_timing *t, uint32_t n)
{
	uint64_t delay = t->initial_us;

	if (n == 0)
		return 0;
	for (uint32_t i = 1; i < n && i <= t->max_retransmits && delay < t->max_us; i++)
		delay *= 2;
	return fz_min_us(delay, t->max_us);
}

static uint32_t unanswered(const struct ice_pair *p)
{
	return p->attempts - p->answered;
}

static uint32_t at_most(uint32_t n, uint32_t max)
{
	return n < max ? n : max;
}

void ice_pair_schedule(struct ice_pair *p, const struct ice_timing *t, uint64_t now_us)
{
	uint32_t n = p->attempts;

	if (n == 0) {
		p->next_check_us = now_us;
		return;
	}
	/* Replies got lost: forget the relaxed pace of the good times and ramp up again. */
	if (unanswered(p) > 0 && now_us - p->first_unanswered_us > t->max_us / 2)
		n = unanswered(p);
	p->next_check_us = p->last_sent_us + ice_check_delay(t, at_most(n, t->max_retransmits));
}

void ice_pair_sent(struct ice_pair *p, const struct ice_timing *t, uint64_t id, bool as_controlling,
		   uint64_t now_us)
{
	if (unanswered(p) == 0)
		p->first_unanswered_us = now_us;
	p->attempts++;
	p->since_alive++;
	p->last_sent_us = now_us;
	p->txns[p->attempts % ICE_TXNS] = (struct ice_txn){ .id = id,
							    .sent_us = now_us,
							    .attempt = p->attempts,
							    .is_open = true,
							    .as_controlling = as_controlling };
	ice_pair_schedule(p, t, now_us);
}

struct ice_txn *ice_pair_txn(struct ice_pair *p, uint64_t id, uint64_t now_us)
{
	for (size_t i = 0; i < ICE_TXNS; i++) {
		struct ice_txn *x = &p->txns[i];
		if (x->is_open && x->id == id)
			return now_us - x->sent_us <= ICE_TXN_MEMORY_US ? x : NULL;
	}
	return NULL;
}

static uint64_t sent_time_of(const struct ice_pair *p, uint32_t attempt)
{
	const struct ice_txn *x = &p->txns[attempt % ICE_TXNS];

	return x->attempt == attempt ? x->sent_us : p->last_sent_us;
}

void ice_pair_answered(struct ice_pair *p, const struct ice_timing *t, struct ice_txn *txn, uint64_t now_us)
{
	uint64_t rtt = now_us - txn->sent_us;

	txn->is_open = false;
	p->has_succeeded = true;
	p->last_answer_us = now_us;
	p->since_alive = 0;
	p->rtt_us = p->rtt_us == 0 ? rtt : (7 * p->rtt_us + rtt) / 8;
	if (txn->attempt > p->answered)
		p->answered = txn->attempt;
	if (unanswered(p) > 0)
		p->first_unanswered_us = sent_time_of(p, p->answered + 1);
	ice_pair_schedule(p, t, now_us);
}

void ice_pair_requested(struct ice_pair *p, bool controlling, uint64_t now_us)
{
	p->last_request_us = now_us;
	p->is_peer_silent = false;
	if (!controlling)
		p->since_alive = 0;
}

bool ice_pair_is_lost(const struct ice_pair *p, const struct ice_timing *t, uint64_t now_us)
{
	if (unanswered(p) < t->max_retransmits ||
	    now_us < p->last_sent_us + ice_check_delay(t, t->max_retransmits))
		return false;
	return p->last_request_us == 0 || now_us - p->last_request_us >= ICE_REQUEST_KEEPS_US;
}

bool ice_pair_is_suspect(const struct ice_pair *p, bool controlling, uint64_t now_us)
{
	uint64_t alive_us = p->last_answer_us;

	if (!controlling && p->last_request_us > alive_us)
		alive_us = p->last_request_us;
	if (!controlling && p->is_peer_silent)
		return true;
	return p->since_alive >= SUSPECT_CHECKS && now_us - alive_us >= SUSPECT_US;
}

void ice_pairs_clear(struct ice_pairs *s, const struct fz_env *env)
{
	fz_free(env, s->v);
	*s = (struct ice_pairs){ 0 };
}

int ice_pairs_find(const struct ice_pairs *s, const struct path_route *route)
{
	for (size_t i = 0; i < s->len; i++)
		if (path_route_equal(&s->v[i].route, route))
			return (int)i;
	return -1;
}

int ice_pairs_add(struct ice_pairs *s, const struct fz_env *env, const struct ice_pair *p, int *ret_evict)
{
	size_t lowest = 0;
	int err;

	*ret_evict = -1;
	if (s->len == ICE_PAIRS_MAX) {
		for (size_t i = 1; i < s->len; i++)
			if (s->v[i].priority < s->v[lowest].priority)
				lowest = i;
		if (p->priority > s->v[lowest].priority)
			*ret_evict = (int)lowest;
		return FZ_ERR_FULL;
	}
	err = fz_grow(env, &s->v, &s->cap, s->len, sizeof(*s->v), ICE_PAIRS_MAX);
	if (err == 0)
		s->v[s->len++] = *p;
	return err;
}

void ice_pairs_remove(struct ice_pairs *s, size_t at)
{
	s->v[at] = s->v[--s->len];
}

int ice_pairs_due(const struct ice_pairs *s, uint64_t now_us)
{
	int best = -1;

	for (size_t i = 0; i < s->len; i++)
		if (s->v[i].next_check_us <= now_us && (best < 0 || s->v[i].priority > s->v[best].priority))
			best = (int)i;
	return best;
}

uint64_t ice_pairs_next(const struct ice_pairs *s)
{
	uint64_t next_us = FZ_NEVER_US;

	for (size_t i = 0; i < s->len; i++)
		next_us = fz_min_us(next_us, s->v[i].next_check_us);
	return next_us;
}
