/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "proto/turn_alloc_int.h"

/* How far an answer may be believed. */
enum trust {
	SIGNED, /* MESSAGE-INTEGRITY under our key */
	OPEN, /* unsigned, to a request that was unsigned too: on the way to a nonce nothing else is possible
	       */
	UNSIGNED /* unsigned, although we signed: only a challenge or a mismatch may be looked at */
};

/* FZ_ERR_AUTH: drop it. */
static int judge(struct turn_alloc *a, const struct stun_msg *m, bool had_nonce, enum trust *ret)
{
	if (m->integrity_at == 0 || a->auth.realm[0] == '\0') {
		/* Before the realm is known no MAC can be checked; then a signed challenge counts like an
		 * unsigned one. */
		*ret = had_nonce ? UNSIGNED : OPEN;
		return 0;
	}
	if (turn_auth_check(&a->auth, m) != 0) {
		a->stats.bad_auth++;
		return FZ_ERR_AUTH;
	}
	*ret = SIGNED;
	return 0;
}

static int ignore_unsigned(struct turn_alloc *a)
{
	a->stats.unsigned_answer++;
	return FZ_ERR_AUTH;
}

static int ignore_useless(struct turn_alloc *a)
{
	a->stats.bad_answer++;
	return FZ_ERR_WIRE;
}

/* ---- challenges ---- */

enum challenge {
	CHALLENGE_NONE, /* not one */
	CHALLENGE_ANSWER, /* realm and nonce taken: send the request again, as a new one */
	CHALLENGE_REFUSED, /* our credentials do not count here */
	CHALLENGE_IGNORE
};

/* RFC 8489 section 9.2.5: 401 asks for credentials, 438 for another nonce. Servers often leave these
 * unsigned, since they do so for want of a key. So an unsigned one ends at most in another try, a few times;
 * only while there is nothing to lose may it say that the credentials are wrong. */
static enum challenge handle_challenge(struct turn_alloc *a, const struct stun_msg *m, enum trust trust,
				       bool had_nonce, uint8_t *tries)
{
	bool is_401 = m->error_code == STUN_CODE_UNAUTHENTICATED;

	if (!is_401 && m->error_code != STUN_CODE_STALE_NONCE)
		return CHALLENGE_NONE;
	if (is_401 && had_nonce && (trust == SIGNED || turn_auth_same_nonce(&a->auth, m)))
		return trust == SIGNED || a->state != TURN_READY ? CHALLENGE_REFUSED : CHALLENGE_IGNORE;
	switch (turn_auth_learn(&a->auth, m)) {
	case 0:
		if (*tries >= TURN_CHALLENGES_MAX)
			return CHALLENGE_IGNORE; /* the repetition that is due anyway uses what was learnt */
		++*tries;
		return CHALLENGE_ANSWER;
	case FZ_ERR_AUTH:
		return a->state != TURN_READY ? CHALLENGE_REFUSED : CHALLENGE_IGNORE;
	default:
		return CHALLENGE_IGNORE;
	}
}

/* What answers to all authenticated requests have in common. 0: look into it; FZ_ERR_AGAIN: send the request
 * again, as a new one; FZ_ERR_AUTH: dropped; FZ_ERR_DEAD: it was the end of us. */
static int screen(struct turn_alloc *a, const struct stun_msg *m, bool had_nonce, uint8_t *tries,
		  enum trust *ret_trust)
{
	if (judge(a, m, had_nonce, ret_trust) != 0)
		return FZ_ERR_AUTH;
	if (m->cls != STUN_ERROR)
		return 0;
	switch (handle_challenge(a, m, *ret_trust, had_nonce, tries)) {
	case CHALLENGE_ANSWER:
		return FZ_ERR_AGAIN;
	case CHALLENGE_REFUSED:
		turn_die(a, TURN_REASON_UNAUTHORISED);
		return FZ_ERR_DEAD;
	case CHALLENGE_IGNORE:
		return ignore_unsigned(a);
	case CHALLENGE_NONE:
		break;
	}
	return 0;
}

/* ---- BINDING ---- */

static int handle_binding(struct turn_alloc *a, struct turn_side *s, unsigned side,
			  const struct fz_addr *local, const struct stun_msg *m)
{
	bool moved;

	if (m->cls == STUN_SUCCESS && !fz_addr_set(&m->mapped))
		return ignore_useless(a);
	stun_txn_take_rtt(&s->binding, &a->rtt_us, a->now_us);
	stun_txn_stop(&s->binding);
	s->answered = true;
	s->local = *local;
	/* A server may refuse BINDING (it wants credentials for it): it is there, and that is half of the
	 * question. */
	if (m->cls == STUN_SUCCESS && m->mapped.ip.family == local->ip.family)
		s->mapped = m->mapped;
	moved = side == a->active && a->state == TURN_READY && fz_addr_set(&s->mapped) &&
		!fz_addr_equal(&s->mapped, &a->alloc_mapped);
	if (a->active == NO_SIDE)
		turn_use_side(a, side);
	else if (moved && a->ctl == CTL_NONE)
		turn_start_control(a, CTL_REFRESH,
				   &turn_schedule); /* the NAT gave us another port: whose is it? */
	return 0;
}

/* ---- ALLOCATE ---- */

static bool is_usable(const struct fz_addr *relayed)
{
	static const struct fz_ip none4 = { .family = FZ_FAMILY_INET }, none6 = { .family = FZ_FAMILY_INET6 };

	return fz_addr_set(relayed) && relayed->port != 0 && !fz_ip_equal(&relayed->ip, &none4) &&
	       !fz_ip_equal(&relayed->ip, &none6) && !fz_ip_is_multicast(&relayed->ip);
}

static int handle_allocated(struct turn_alloc *a, const struct stun_msg *m)
{
	struct turn_attrs attrs;
	struct turn_side *s = &a->side[a->active];

	if (turn_attrs_decode(m, &attrs) != 0 || !attrs.has_lifetime || attrs.lifetime_s == 0 ||
	    !(is_usable(&attrs.relayed4) || is_usable(&attrs.relayed6)))
		return ignore_useless(a);
	turn_stop_control(a);
	a->relayed[SIDE_V4] = is_usable(&attrs.relayed4) ? attrs.relayed4 : (struct fz_addr){ 0 };
	a->relayed[SIDE_V6] = is_usable(&attrs.relayed6) ? attrs.relayed6 : (struct fz_addr){ 0 };
	if (fz_addr_set(&m->mapped) && m->mapped.ip.family == s->local.ip.family)
		s->mapped = m->mapped; /* this one is authentic */
	a->alloc_mapped = s->mapped;
	fz_info(a->env, "turn", "allocated%s%s for %u s", fz_addr_set(&a->relayed[SIDE_V4]) ? " IPv4" : "",
		fz_addr_set(&a->relayed[SIDE_V6]) ? " IPv6" : "", attrs.lifetime_s);
	turn_allocated(a, attrs.lifetime_s);
	return 0;
}

/* Somebody else's allocation stays in the way: the server's other address makes another 5-tuple. */
static void take_other_side(struct turn_alloc *a, uint16_t code)
{
	unsigned other = a->active == SIDE_V4 ? SIDE_V6 : SIDE_V4;

	if (a->side[other].answered && !a->tried_other) {
		a->tried_other = true;
		a->mismatches = 0;
		a->not_ours = false;
		turn_auth_forget(&a->auth);
		turn_use_side(a, other);
	} else {
		turn_suspend(a, a->not_ours ? TURN_CODE_WRONG_CREDENTIALS : code);
	}
}

/* 5-tuple taken. First give back what is there, for it may be ours from an earlier life; then wait for the
 * server to forget it. */
static void handle_taken(struct turn_alloc *a, uint16_t code)
{
	unsigned times = ++a->mismatches;

	turn_stop_control(a);
	if (times > TURN_MISMATCHES_MAX)
		take_other_side(a, code);
	else if (times == 1)
		turn_start_control(a, CTL_RELEASE, &turn_schedule);
	else
		a->retry_us = a->now_us + TURN_SETTLE_US;
}

/* RFC 8489 section 10. */
static void handle_redirect(struct turn_alloc *a, const struct stun_msg *m)
{
	struct turn_side *s = &a->side[a->active];
	unsigned other = a->active == SIDE_V4 ? SIDE_V6 : SIDE_V4;

	if (!is_usable(&m->alternate) || m->alternate.ip.family != s->server.ip.family ||
	    ++a->redirects > TURN_REDIRECTS_MAX) {
		turn_suspend(a, m->error_code);
		return;
	}
	s->server = m->alternate;
	a->side[other].server = (struct fz_addr){ 0 }; /* it belongs to the server that sent us away */
	stun_txn_stop(&a->side[other].binding);
	turn_start_over(a);
}

static void ask_for_less(struct turn_alloc *a, uint16_t code)
{
	turn_stop_control(a);
	if (a->ask + 1 < ASKS) {
		a->ask++;
		turn_start_control(a, CTL_ALLOCATE, &turn_schedule);
	} else if (code == STUN_CODE_UNKNOWN_ATTRIBUTE) {
		turn_die(a, TURN_REASON_PROTOCOL);
	} else {
		turn_suspend(a, code);
	}
}

static void handle_allocate_error(struct turn_alloc *a, const struct stun_msg *m)
{
	switch (m->error_code) {
	case STUN_CODE_TRY_ALTERNATE:
		handle_redirect(a, m);
		break;
	case STUN_CODE_BAD_REQUEST:
	case STUN_CODE_UNKNOWN_ATTRIBUTE:
	case TURN_CODE_FAMILY_UNSUPPORTED:
		ask_for_less(a, m->error_code);
		break;
	case TURN_CODE_ALLOCATION_MISMATCH:
		handle_taken(a, m->error_code);
		break;
	default:
		turn_suspend(a, m->error_code);
		break;
	}
}

/* ---- REFRESH ---- */

/* Each new allocation is told to all peers: one that is denied as soon as it is given would keep them all
 * busy. */
static void allocate_anew(struct turn_alloc *a)
{
	if (a->now_us - a->allocated_us >= TURN_SHORT_LIFE_US)
		a->short_lives = 0;
	if (++a->short_lives > TURN_SHORT_LIVES_MAX) {
		turn_suspend(a, TURN_CODE_ALLOCATION_MISMATCH);
		return;
	}
	turn_invalidate(a);
	turn_use_side(a, a->active);
}

static int handle_refreshed(struct turn_alloc *a, const struct stun_msg *m)
{
	struct turn_attrs attrs;

	if (turn_attrs_decode(m, &attrs) != 0 || !attrs.has_lifetime)
		return ignore_useless(a);
	turn_stop_control(a);
	if (attrs.lifetime_s == 0)
		allocate_anew(a);
	else
		turn_set_lifetime(a, attrs.lifetime_s);
	a->alloc_mapped = a->side[a->active].mapped; /* the server knows us as we are now */
	return 0;
}

static void handle_refresh_error(struct turn_alloc *a, const struct stun_msg *m)
{
	switch (m->error_code) {
	case TURN_CODE_ALLOCATION_MISMATCH:
		fz_info(a->env, "turn", "the relay has forgotten our allocation");
		allocate_anew(a);
		break;
	case TURN_CODE_WRONG_CREDENTIALS:
		turn_suspend(a, m->error_code);
		break;
	case STUN_CODE_UNKNOWN_ATTRIBUTE:
		turn_die(a, TURN_REASON_PROTOCOL);
		break;
	default: /* not now: try again while the allocation lasts */
		turn_stop_control(a);
		a->refresh_us = a->now_us + TURN_RETRY_MIN_US;
		break;
	}
}

/* Answer to REFRESH with lifetime 0, made because ALLOCATE found the 5-tuple taken, or when closing. */
static void handle_released(struct turn_alloc *a, const struct stun_msg *m)
{
	bool is_gone = m->cls == STUN_SUCCESS || m->error_code == TURN_CODE_ALLOCATION_MISMATCH;

	turn_stop_control(a);
	if (a->state == TURN_CLOSING)
		return;
	if (is_gone) {
		turn_start_control(a, CTL_ALLOCATE, &turn_schedule);
	} else if (m->error_code == TURN_CODE_WRONG_CREDENTIALS) {
		/* It belongs to somebody with other credentials, who may just have given it back. */
		a->not_ours = true;
		a->retry_us = a->now_us + TURN_SETTLE_US;
	} else {
		turn_suspend(a, m->error_code);
	}
}

/* ---- the request of which there is one ---- */

static int dispatch_control(struct turn_alloc *a, const struct stun_msg *m)
{
	switch (a->ctl) {
	case CTL_ALLOCATE:
		if (m->cls == STUN_SUCCESS)
			return handle_allocated(a, m);
		handle_allocate_error(a, m);
		return 0;
	case CTL_REFRESH:
		if (m->cls == STUN_SUCCESS)
			return handle_refreshed(a, m);
		handle_refresh_error(a, m);
		return 0;
	case CTL_RELEASE:
		handle_released(a, m);
		return 0;
	default:
		return FZ_ERR_NOT_MINE;
	}
}

/* Same request, next transaction, keeping count of the challenges. */
static void repeat_control(struct turn_alloc *a)
{
	turn_start_control(a, a->ctl, a->ctl_txn.schedule);
}

/* May this unsigned answer to a signed request be looked at? Some servers find the 5-tuple taken, or owned by
 * another user, before they have a key. Nothing can be lost by it: there is no allocation yet. */
static bool is_tolerable(const struct turn_alloc *a, const struct stun_msg *m)
{
	if (a->state == TURN_READY || m->cls != STUN_ERROR)
		return false;
	return (a->ctl == CTL_ALLOCATE && m->error_code == TURN_CODE_ALLOCATION_MISMATCH) ||
	       (a->ctl == CTL_RELEASE && m->error_code == TURN_CODE_WRONG_CREDENTIALS);
}

static int handle_control(struct turn_alloc *a, const struct stun_msg *m)
{
	enum trust trust;
	int err;

	if (m->method != (a->ctl == CTL_ALLOCATE ? TURN_ALLOCATE : TURN_REFRESH) ||
	    (m->cls == STUN_ERROR && m->error_code == 0))
		return ignore_useless(a);
	err = screen(a, m, a->ctl_had_nonce, &a->ctl_challenges, &trust);
	if (err == FZ_ERR_AGAIN) {
		stun_txn_take_rtt(&a->ctl_txn, &a->rtt_us, a->now_us);
		repeat_control(a);
	}
	if (err)
		return err == FZ_ERR_AUTH ? err : 0;
	/* An open success would mean a relay without authentication: not what we were told to use. */
	if (trust == UNSIGNED ? !is_tolerable(a, m) : trust == OPEN && m->cls == STUN_SUCCESS)
		return ignore_unsigned(a);
	stun_txn_take_rtt(&a->ctl_txn, &a->rtt_us, a->now_us);
	a->doubt_us = FZ_NEVER_US;
	return dispatch_control(a, m);
}

/* ---- CHANNEL-BIND ---- */

static void handle_bind_error(struct turn_alloc *a, struct turn_chan *c, const struct stun_msg *m)
{
	switch (m->error_code) {
	case TURN_CODE_ALLOCATION_MISMATCH:
		allocate_anew(a);
		return;
	case STUN_CODE_UNKNOWN_ATTRIBUTE:
		turn_die(a, TURN_REASON_PROTOCOL);
		return;
	case STUN_CODE_BAD_REQUEST:
		/* Some servers say so when they know nothing of the allocation: ask before believing it. */
		c->doubtful = true;
		if (a->ctl == CTL_NONE)
			turn_start_control(a, CTL_REFRESH, &turn_schedule);
		break;
	default:
		break;
	}
	a->stats.channel_refused++;
	fz_debug(a->env, "turn", "channel %04x refused: error %u", c->number, m->error_code);
	turn_chan_refused(&a->chans, c, a->now_us);
}

static int handle_bind(struct turn_alloc *a, struct turn_chan *c, const struct stun_msg *m)
{
	enum trust trust;
	int err;

	if (m->method != TURN_CHANNEL_BIND || (m->cls == STUN_ERROR && m->error_code == 0))
		return ignore_useless(a);
	err = screen(a, m, c->had_nonce, &c->challenges, &trust);
	if (err == FZ_ERR_AGAIN)
		turn_chan_start(&a->chans, c, &turn_schedule, a->now_us);
	if (err)
		return err == FZ_ERR_AUTH ? err : 0;
	if (trust != SIGNED)
		return ignore_unsigned(a);
	stun_txn_take_rtt(&c->txn, &a->rtt_us, a->now_us);
	a->doubt_us = FZ_NEVER_US;
	if (m->cls == STUN_SUCCESS)
		turn_chan_bound(&a->chans, c, a->now_us);
	else
		handle_bind_error(a, c, m);
	return 0;
}

int turn_handle_answer(struct turn_alloc *a, unsigned side, const struct fz_addr *local,
		       const struct stun_msg *m)
{
	struct turn_side *s = &a->side[side];
	struct turn_chan *c;

	if (m->method == STUN_BINDING && stun_txn_matches(&s->binding, &m->txid))
		return handle_binding(a, s, side, local, m);
	if (side == a->active) {
		if (stun_txn_matches(&a->ctl_txn, &m->txid))
			return handle_control(a, m);
		c = turn_chans_by_txid(&a->chans, &m->txid);
		if (c != NULL)
			return handle_bind(a, c, m);
	}
	a->stats.unknown_txn++;
	return FZ_ERR_NOT_MINE;
}
