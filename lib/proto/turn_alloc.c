/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/turn_alloc.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "proto/turn_alloc_int.h"

/* Sent at 0, 1, 2.5, 4.75 s, given up at 8.125 s. */
const struct stun_schedule turn_schedule = { FZ_MS(1000), 150, 4, 0 };
/* For a question asked in doubt: 0, 0.3, 0.75 s, given up at 1.425 s. One lost datagram must not cost a
 * relay. */
const struct stun_schedule turn_schedule_hasty = { FZ_MS(300), 150, 3, 0 };

/* Time never runs backwards in here. */
void turn_clock_in(struct turn_alloc *a, uint64_t now_us)
{
	if (now_us > a->now_us)
		a->now_us = now_us;
}

/* ---- life ---- */

int turn_alloc_new(const struct fz_env *env, const struct turn_alloc_opts *opts, uint64_t now_us,
		   struct turn_alloc **ret)
{
	const char *software = opts->software ? opts->software : "";
	struct turn_alloc *a;
	int err;

	if ((fz_addr_set(&opts->server4) && opts->server4.ip.family != FZ_FAMILY_INET) ||
	    (fz_addr_set(&opts->server6) && opts->server6.ip.family != FZ_FAMILY_INET6) ||
	    (!fz_addr_set(&opts->server4) && !fz_addr_set(&opts->server6)) ||
	    strlen(software) > TURN_SOFTWARE_MAX)
		return FZ_ERR_INVAL;
	a = fz_zalloc(env, sizeof(*a));
	if (a == NULL)
		return FZ_ERR_NOMEM;
	a->env = env;
	err = turn_auth_init(&a->auth, env, opts->username, opts->password, opts->realm);
	if (err) {
		fz_free(env, a);
		return err;
	}
	memcpy(a->software, software, strlen(software));
	turn_chans_init(&a->chans, env);
	a->side[SIDE_V4].server = a->side[SIDE_V4].configured = opts->server4;
	a->side[SIDE_V6].server = a->side[SIDE_V6].configured = opts->server6;
	a->now_us = now_us;
	turn_start_over(a);
	*ret = a;
	return 0;
}

void turn_alloc_free(struct turn_alloc *a)
{
	if (a == NULL)
		return;
	const struct fz_env *env = a->env;
	turn_chans_clear(&a->chans);
	turn_auth_clear(&a->auth, env);
	fz_free(env, a->queue);
	fz_free(env, a);
}

/* Deadlines of an allocation that does not exist. */
static void clear_deadlines(struct turn_alloc *a)
{
	a->refresh_us = a->expiry_us = a->keepalive_us = a->doubt_us = a->retry_us = FZ_NEVER_US;
}

/* From the beginning with what was configured: BINDING to every address. */
void turn_start_over(struct turn_alloc *a)
{
	clear_deadlines(a);
	turn_chans_clear(&a->chans);
	turn_stop_control(a);
	turn_auth_forget(&a->auth);
	a->state = TURN_PROBING;
	a->active = NO_SIDE;
	a->rtt_us = 0;
	a->ask = ASK_BOTH_AND_DRAFT;
	a->mismatches = 0;
	a->not_ours = false;
	a->tried_other = false;
	a->has_refused_event = false;
	for (unsigned i = 0; i < SIDES; i++) {
		struct turn_side *s = &a->side[i];
		a->relayed[i] = (struct fz_addr){ 0 };
		s->local = s->mapped = (struct fz_addr){ 0 };
		s->answered = false;
		if (fz_addr_set(&s->server))
			stun_txn_start(&s->binding, a->env, &turn_schedule, a->now_us);
	}
}

void turn_alloc_restart(struct turn_alloc *a, uint64_t now_us)
{
	turn_clock_in(a, now_us);
	if (a->state == TURN_DEAD || a->state == TURN_CLOSING)
		return;
	a->redirects = 0;
	a->retry_wait_us = 0;
	a->queue_len = 0;
	for (unsigned i = 0; i < SIDES; i++)
		a->side[i].server = a->side[i].configured;
	turn_start_over(a);
	for (unsigned i = 0; i < SIDES; i++)
		a->told_relayed[i] = a->side[i].told_local = a->side[i].told_mapped = (struct fz_addr){ 0 };
}

void turn_alloc_refresh(struct turn_alloc *a, uint64_t now_us)
{
	turn_clock_in(a, now_us);
	if (a->state == TURN_SUSPENDED)
		turn_start_over(a);
	else if (a->state == TURN_READY && a->ctl == CTL_NONE)
		turn_start_control(a, CTL_REFRESH, &turn_schedule_hasty);
}

void turn_alloc_close(struct turn_alloc *a, uint64_t now_us)
{
	bool worth_it = a->state == TURN_READY || (a->state == TURN_ALLOCATING && turn_auth_ready(&a->auth));

	turn_clock_in(a, now_us);
	turn_chans_clear(&a->chans);
	turn_stop_control(a);
	clear_deadlines(a);
	a->queue_len = 0;
	for (unsigned i = 0; i < SIDES; i++)
		stun_txn_stop(&a->side[i].binding);
	a->state = TURN_CLOSING;
	if (worth_it)
		turn_start_control(a, CTL_RELEASE, &turn_schedule_hasty);
}

/* ---- transitions ---- */

void turn_start_control(struct turn_alloc *a, enum turn_control kind, const struct stun_schedule *s)
{
	a->ctl = kind;
	a->ctl_had_nonce = false;
	stun_txn_start(&a->ctl_txn, a->env, s, a->now_us);
}

void turn_stop_control(struct turn_alloc *a)
{
	a->ctl = CTL_NONE;
	a->ctl_challenges = 0;
	stun_txn_stop(&a->ctl_txn);
}

void turn_use_side(struct turn_alloc *a, unsigned side)
{
	a->active = side;
	a->state = TURN_ALLOCATING;
	turn_start_control(a, CTL_ALLOCATE, &turn_schedule);
}

void turn_set_lifetime(struct turn_alloc *a, uint32_t lifetime_s)
{
	a->refresh_us = a->now_us + FZ_SEC(lifetime_s) / 2;
	a->expiry_us = a->now_us + FZ_SEC(lifetime_s);
}

void turn_allocated(struct turn_alloc *a, uint32_t lifetime_s)
{
	a->state = TURN_READY;
	a->mismatches = 0;
	a->not_ours = false;
	a->retry_wait_us = 0;
	a->retry_us = FZ_NEVER_US;
	a->stats.allocations++;
	a->allocated_us = a->now_us;
	turn_set_lifetime(a, lifetime_s);
	a->keepalive_us = a->now_us + TURN_KEEPALIVE_US;
	for (size_t i = 0; i < a->queue_len; i++) {
		struct fz_addr peer = a->queue[i];
		(void)turn_alloc_bind(a, &peer, a->now_us); /* no room or other family: nobody waits for it */
	}
	a->queue_len = 0;
}

static void queue_bind(struct turn_alloc *a, const struct fz_addr *peer, int *ret_err)
{
	for (size_t i = 0; i < a->queue_len; i++)
		if (fz_addr_equal(&a->queue[i], peer))
			return;
	*ret_err = fz_grow(a->env, &a->queue, &a->queue_cap, a->queue_len, sizeof(*a->queue), TURN_QUEUE_MAX);
	if (*ret_err == 0)
		a->queue[a->queue_len++] = *peer;
	else if (*ret_err == FZ_ERR_FULL)
		a->stats.channel_full++;
}

void turn_invalidate(struct turn_alloc *a)
{
	int err;

	for (size_t i = 0; i < a->chans.n; i++) {
		const struct turn_chan *c = a->chans.v[i];
		if (c->txn.active || c->doubtful)
			queue_bind(a, &c->peer, &err);
	}
	turn_chans_clear(&a->chans);
	turn_stop_control(a);
	clear_deadlines(a);
	a->relayed[SIDE_V4] = a->relayed[SIDE_V6] = (struct fz_addr){ 0 };
}

void turn_suspend(struct turn_alloc *a, uint16_t code)
{
	turn_invalidate(a);
	a->queue_len = 0;
	a->state = TURN_SUSPENDED;
	a->short_lives = 0;
	a->refused_code = code;
	a->has_refused_event = true;
	a->retry_wait_us = a->retry_wait_us == 0 ? TURN_RETRY_MIN_US : a->retry_wait_us * 2;
	if (a->retry_wait_us > TURN_RETRY_MAX_US)
		a->retry_wait_us = TURN_RETRY_MAX_US;
	a->retry_us = a->now_us + a->retry_wait_us;
	fz_info(a->env, "turn", "relay refuses an allocation (error %u), next attempt in %llu s", code,
		(unsigned long long)(a->retry_wait_us / 1000000));
}

void turn_die(struct turn_alloc *a, enum turn_reason reason)
{
	turn_invalidate(a);
	a->queue_len = 0;
	for (unsigned i = 0; i < SIDES; i++)
		stun_txn_stop(&a->side[i].binding);
	a->state = TURN_DEAD;
	a->active = NO_SIDE;
	a->reason = reason;
	a->has_failed_event = true;
	a->has_refused_event = false;
}

/* Nothing comes back from this address. The other one is a way out if it ever answered. */
static void side_lost(struct turn_alloc *a, unsigned side)
{
	unsigned other = side == SIDE_V4 ? SIDE_V6 : SIDE_V4;

	stun_txn_stop(&a->side[side].binding);
	a->side[side].answered = false;
	if (a->active != NO_SIDE && a->active != side)
		return;
	turn_invalidate(a);
	a->active = NO_SIDE;
	if (a->side[other].answered) {
		turn_auth_forget(&a->auth);
		turn_use_side(a, other);
	} else if (a->side[other].binding.active) {
		a->state = TURN_PROBING;
	} else {
		turn_die(a, TURN_REASON_NO_ANSWER);
	}
}

/* ---- channels ---- */

static bool has_family_of(const struct turn_alloc *a, const struct fz_addr *peer)
{
	return fz_addr_set(peer) && fz_addr_set(&a->relayed[side_of(peer)]);
}

static int bind_now(struct turn_alloc *a, const struct fz_addr *peer, struct turn_chan **ret)
{
	int err = turn_chans_take(&a->chans, peer, ret, a->now_us);

	if (err == FZ_ERR_FULL)
		a->stats.channel_full++;
	if (err == 0)
		turn_chan_start(&a->chans, *ret, &turn_schedule, a->now_us);
	return err;
}

int turn_alloc_bind(struct turn_alloc *a, const struct fz_addr *peer, uint64_t now_us)
{
	struct turn_chan *c;
	int err = 0;

	turn_clock_in(a, now_us);
	if (a->state == TURN_PROBING || a->state == TURN_ALLOCATING) {
		queue_bind(a, peer, &err);
		return err;
	}
	if (a->state != TURN_READY || !has_family_of(a, peer))
		return FZ_ERR_STATE;
	c = turn_chans_by_peer(&a->chans, peer);
	if (c != NULL && turn_chan_usable(c, a->now_us))
		return 0;
	if (c != NULL && c->state == TURN_CHAN_REFUSED && a->now_us - c->since_us < TURN_CHAN_REFUSED_US)
		return FZ_ERR_STATE;
	return bind_now(a, peer, &c);
}

/* Counts a use; binds again before the permission runs out. */
static void use_channel(struct turn_alloc *a, struct turn_chan *c)
{
	if (turn_chan_use(&a->chans, c, a->now_us))
		turn_chan_start(&a->chans, c, &turn_schedule, a->now_us);
}

uint16_t turn_alloc_channel(struct turn_alloc *a, const struct fz_addr *peer, uint64_t now_us)
{
	struct turn_chan *c = turn_chans_by_peer(&a->chans, peer);

	turn_clock_in(a, now_us);
	if (c == NULL || !turn_chan_usable(c, a->now_us)) {
		if (turn_alloc_bind(a, peer, now_us) != 0)
			return 0;
		c = turn_chans_by_peer(&a->chans, peer);
		if (c == NULL)
			return 0; /* queued */
	}
	use_channel(a, c);
	return c->number;
}

static struct turn_chan *channel_rx(struct turn_alloc *a, uint16_t number)
{
	struct turn_chan *c = turn_chans_by_number(&a->chans, number);

	/* An unanswered bind counts: data may overtake the answer, and the number had no other meaning for
	 * long. */
	if (c == NULL || c->state == TURN_CHAN_REFUSED || a->now_us - c->since_us >= TURN_CHAN_REUSE_US) {
		a->stats.channel_unknown++;
		return NULL;
	}
	c->rx_us = a->now_us;
	a->doubt_us = FZ_NEVER_US;
	a->stats.channel_rx++;
	use_channel(a, c);
	return c;
}

int turn_alloc_channel_peer(struct turn_alloc *a, uint16_t number, struct fz_addr *ret_peer,
			    struct fz_addr *ret_relayed, uint64_t now_us)
{
	struct turn_chan *c;

	turn_clock_in(a, now_us);
	c = channel_rx(a, number);
	if (c == NULL)
		return FZ_ERR_STATE;
	*ret_peer = c->peer;
	*ret_relayed = a->relayed[side_of(&c->peer)];
	return 0;
}

int turn_alloc_unwrap(struct turn_alloc *a, const struct fz_addr *from, const uint8_t *data, size_t len,
		      struct fz_addr *ret_peer, struct fz_addr *ret_relayed, uint64_t now_us)
{
	uint16_t number;
	int payload, err;

	if (!turn_alloc_is_server(a, from))
		return FZ_ERR_NOT_MINE;
	payload = turn_channel_decode(data, len, &number);
	if (payload < 0) {
		a->stats.bad_wire++;
		return payload;
	}
	err = turn_alloc_channel_peer(a, number, ret_peer, ret_relayed, now_us);
	return err ? err : payload;
}

void turn_alloc_note_sent(struct turn_alloc *a, uint64_t now_us)
{
	turn_clock_in(a, now_us);
	if (a->state != TURN_READY)
		return;
	a->keepalive_us = a->now_us + TURN_KEEPALIVE_US;
	if (a->doubt_us == FZ_NEVER_US)
		a->doubt_us = a->now_us + TURN_DOUBT_US;
}

/* ---- input ---- */

bool turn_alloc_is_server(const struct turn_alloc *a, const struct fz_addr *addr)
{
	return fz_addr_set(addr) && fz_addr_equal(&a->side[side_of(addr)].server, addr);
}

int turn_alloc_handle_datagram(struct turn_alloc *a, const struct fz_addr *local, const struct fz_addr *from,
			       const uint8_t *data, size_t len, uint64_t now_us)
{
	struct stun_msg m;

	turn_clock_in(a, now_us);
	if (!turn_alloc_is_server(a, from))
		return FZ_ERR_NOT_MINE;
	if (stun_decode(data, len, &m) != 0) {
		if (stun_looks_like(data, len))
			a->stats.bad_wire++;
		else
			a->stats.not_stun++;
		return FZ_ERR_WIRE;
	}
	if (m.cls != STUN_SUCCESS && m.cls != STUN_ERROR)
		return FZ_ERR_NOT_MINE;
	return turn_handle_answer(a, side_of(from), local, &m);
}

/* ---- timers ---- */

static void ask_again_in_time(struct turn_alloc *a)
{
	if (a->expiry_us <= a->now_us) {
		fz_info(a->env, "turn", "allocation expired");
		turn_invalidate(a);
		turn_use_side(a, a->active);
		return;
	}
	if (a->ctl != CTL_NONE)
		return; /* whatever is due now is answered by it, or asked when it is done */
	if (a->retry_us <= a->now_us) {
		a->retry_us = FZ_NEVER_US;
		if (a->state == TURN_SUSPENDED) { /* with a new nonce, the best question first */
			turn_auth_forget(&a->auth);
			a->ask = ASK_BOTH_AND_DRAFT;
			a->mismatches = 0;
			a->not_ours = false;
			a->tried_other = false;
		}
		turn_use_side(a, a->active);
	} else if (a->refresh_us <= a->now_us || a->doubt_us <= a->now_us) {
		a->refresh_us = a->doubt_us = FZ_NEVER_US;
		turn_start_control(a, CTL_REFRESH, &turn_schedule);
	}
}

static void keep_alive(struct turn_alloc *a)
{
	struct turn_side *s = &a->side[a->active];

	if (a->keepalive_us == FZ_NEVER_US || a->keepalive_us > a->now_us + TURN_EARLY_US)
		return;
	a->keepalive_us = a->now_us + TURN_KEEPALIVE_US;
	if (!s->binding.active)
		stun_txn_start(&s->binding, a->env, &turn_schedule, a->now_us);
}

/* Four lost datagrams of one bind prove little on a lossy line: a refresh decides. But a server that answers
 * that one, and this one never, will not do so later either. A binding that was confirmed is used as long as
 * it lives. */
static void give_up_bind(struct turn_alloc *a, struct turn_chan *c)
{
	bool is_alive = c->state == TURN_CHAN_BOUND && turn_chan_usable(c, a->now_us);

	if (++c->rounds >= TURN_ROUNDS_MAX && !is_alive) {
		a->stats.channel_refused++;
		turn_chan_refused(&a->chans, c, a->now_us);
		return;
	}
	turn_chan_start(&a->chans, c, &turn_schedule, a->now_us);
	if (a->ctl == CTL_NONE)
		turn_start_control(a, CTL_REFRESH, &turn_schedule);
}

static void channels_due(struct turn_alloc *a)
{
	struct turn_chan *c;

	for (;;) {
		switch (turn_chans_next_due(&a->chans, &c, a->now_us)) {
		case TURN_CHAN_NOTHING:
			return;
		case TURN_CHAN_REBIND:
			turn_chan_start(&a->chans, c, &turn_schedule, a->now_us);
			break;
		case TURN_CHAN_GIVE_UP:
			give_up_bind(a, c);
			break;
		}
	}
}

void turn_alloc_handle_timeout(struct turn_alloc *a, uint64_t now_us)
{
	turn_clock_in(a, now_us);
	for (unsigned i = 0; i < SIDES; i++)
		if (stun_txn_given_up(&a->side[i].binding, a->now_us))
			side_lost(a, i);
	if (stun_txn_given_up(&a->ctl_txn, a->now_us)) {
		if (a->state == TURN_CLOSING)
			turn_stop_control(a);
		else
			side_lost(a, a->active);
	}
	if (a->state == TURN_DEAD || a->state == TURN_CLOSING || a->active == NO_SIDE)
		return;
	channels_due(a);
	if (a->active == NO_SIDE)
		return;
	ask_again_in_time(a);
	if (a->state == TURN_READY)
		keep_alive(a);
}

uint64_t turn_alloc_next_timeout(const struct turn_alloc *a)
{
	uint64_t at = fz_min_us(a->refresh_us, a->expiry_us);

	at = fz_min_us(at, fz_min_us(a->keepalive_us, a->doubt_us));
	if (a->ctl != CTL_NONE)
		at = fz_min_us(a->expiry_us, a->keepalive_us); /* the others wait for its end */
	else
		at = fz_min_us(at, a->retry_us);
	at = fz_min_us(at, stun_txn_due(&a->ctl_txn));
	for (unsigned i = 0; i < SIDES; i++)
		at = fz_min_us(at, stun_txn_due(&a->side[i].binding));
	return fz_min_us(at, turn_chans_next_timeout(&a->chans));
}

/* ---- questions ---- */

const struct fz_addr *turn_alloc_server(const struct turn_alloc *a)
{
	return a->active == NO_SIDE ? NULL : &a->side[a->active].server;
}

const struct fz_addr *turn_alloc_local(const struct turn_alloc *a)
{
	return a->active == NO_SIDE ? NULL : &a->side[a->active].local;
}

bool turn_alloc_relayed(const struct turn_alloc *a, enum fz_family family, struct fz_addr *ret)
{
	const struct fz_addr *relayed = &a->relayed[family == FZ_FAMILY_INET6 ? SIDE_V6 : SIDE_V4];

	if (!fz_addr_set(relayed))
		return false;
	*ret = *relayed;
	return true;
}

bool turn_alloc_has_bind(const struct turn_alloc *a)
{
	return a->chans.send_first != NULL;
}

bool turn_alloc_owns(const struct turn_alloc *a, const struct fz_addr *relayed)
{
	return fz_addr_set(relayed) && fz_addr_equal(&a->relayed[side_of(relayed)], relayed);
}

uint64_t turn_alloc_rtt_us(const struct turn_alloc *a)
{
	return a->rtt_us;
}

enum turn_state turn_alloc_state(const struct turn_alloc *a)
{
	return a->state;
}

const struct turn_stats *turn_alloc_stats(const struct turn_alloc *a)
{
	return &a->stats;
}
