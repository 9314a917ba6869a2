/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/stun_txn.h"

#include <string.h>

#include "base/rng.h"

const struct stun_schedule stun_schedule_rfc = { FZ_MS(500), 200, 7, FZ_MS(8000) };

void stun_txn_start(struct stun_txn *t, const struct fz_env *env, const struct stun_schedule *s,
		    uint64_t now_us)
{
	*t = (struct stun_txn){ .active = true, .wait_us = s->rto_us, .due_us = now_us, .schedule = s };
	fz_rng_fill(env, t->id.b, sizeof(t->id.b));
}

void stun_txn_stop(struct stun_txn *t)
{
	t->active = false;
	t->due_us = FZ_NEVER_US;
}

static bool spent(const struct stun_txn *t)
{
	return t->sends >= t->schedule->max_sends;
}

bool stun_txn_wants_send(const struct stun_txn *t, uint64_t now_us)
{
	return t->active && !spent(t) && t->due_us <= now_us;
}

void stun_txn_sent(struct stun_txn *t, uint64_t now_us)
{
	if (t->sends++ == 0)
		t->first_us = now_us;
	if (spent(t) && t->schedule->last_wait_us != 0)
		t->wait_us = t->schedule->last_wait_us;
	t->due_us = now_us + t->wait_us;
	t->wait_us = t->wait_us * t->schedule->growth_pct / 100;
}

bool stun_txn_given_up(const struct stun_txn *t, uint64_t now_us)
{
	return t->active && spent(t) && t->due_us <= now_us;
}

bool stun_txn_matches(const struct stun_txn *t, const struct stun_txid *id)
{
	return t->active && t->sends != 0 && memcmp(t->id.b, id->b, sizeof(id->b)) == 0;
}

uint64_t stun_txn_due(const struct stun_txn *t)
{
	return t->active ? t->due_us : FZ_NEVER_US;
}

void stun_txn_take_rtt(const struct stun_txn *t, uint64_t *rtt_us, uint64_t now_us)
{
	uint64_t sample = now_us > t->first_us ? now_us - t->first_us : 1;

	*rtt_us = *rtt_us == 0 ? sample : (*rtt_us * 7 + sample) / 8;
}
