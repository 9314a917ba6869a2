/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/turn_alloc_int.h"

/* ---- datagrams ---- */

static int transmit_binding(struct turn_alloc *a, struct turn_side *s, uint8_t *buf, size_t cap,
			    struct fz_addr *ret_to)
{
	int n = turn_write_binding(a, &s->binding.id, buf, cap);

	if (n > 0) {
		stun_txn_sent(&s->binding, a->now_us);
		*ret_to = s->server;
	}
	return n;
}

static int transmit_control(struct turn_alloc *a, uint8_t *buf, size_t cap, struct fz_addr *ret_to)
{
	int n = turn_write_control(a, buf, cap);

	if (n > 0) {
		a->ctl_had_nonce = turn_auth_ready(&a->auth);
		stun_txn_sent(&a->ctl_txn, a->now_us);
		*ret_to = a->side[a->active].server;
	}
	return n;
}

static int transmit_bind(struct turn_alloc *a, struct turn_chan *c, uint8_t *buf, size_t cap,
			 struct fz_addr *ret_to)
{
	int n = turn_write_bind(a, c, buf, cap);

	if (n > 0) {
		c->had_nonce = turn_auth_ready(&a->auth);
		turn_chans_sent(&a->chans, a->now_us);
		*ret_to = a->side[a->active].server;
	}
	return n;
}

static int transmit_next(struct turn_alloc *a, uint8_t *buf, size_t cap, struct fz_addr *ret_to,
			 bool *ret_repeat)
{
	struct turn_chan *c;

	for (unsigned i = 0; i < SIDES; i++)
		if (stun_txn_wants_send(&a->side[i].binding, a->now_us)) {
			*ret_repeat = a->side[i].binding.sends != 0;
			return transmit_binding(a, &a->side[i], buf, cap, ret_to);
		}
	if (a->active == NO_SIDE)
		return 0;
	if (stun_txn_wants_send(&a->ctl_txn, a->now_us)) {
		*ret_repeat = a->ctl_txn.sends != 0;
		return transmit_control(a, buf, cap, ret_to);
	}
	c = turn_chans_peek_send(&a->chans);
	if (c == NULL)
		return 0;
	*ret_repeat = c->txn.sends != 0;
	return transmit_bind(a, c, buf, cap, ret_to);
}

int turn_alloc_poll_transmit(struct turn_alloc *a, uint8_t *buf, size_t cap, struct fz_addr *ret_to,
			     uint64_t now_us)
{
	bool is_repeat;
	int n;

	turn_clock_in(a, now_us);
	n = transmit_next(a, buf, cap, ret_to, &is_repeat);
	if (n == FZ_ERR_NOSPACE && cap >= TURN_TRANSMIT_MAX) {
		turn_die(a,
			 TURN_REASON_PROTOCOL); /* the server's realm and nonce leave no room for a request */
		return 0;
	}
	if (n > 0 && is_repeat)
		a->stats.repeats++;
	else if (n > 0)
		a->stats.requests++;
	return n;
}

/* ---- events ---- */

/* What was reported against what is: so the list of events cannot overflow. */
static bool relayed_event(struct turn_alloc *a, unsigned side, struct turn_event *ret)
{
	struct fz_addr *told = &a->told_relayed[side];

	if (fz_addr_equal(told, &a->relayed[side]))
		return false;
	*ret = (struct turn_event){ 0 };
	if (fz_addr_set(told)) {
		ret->type = TURN_RELAYED_LOST;
		ret->relayed = *told;
		*told = (struct fz_addr){ 0 };
		return true;
	}
	ret->type = TURN_RELAYED;
	ret->relayed = *told = a->relayed[side];
	ret->local = a->side[a->active].local;
	return true;
}

static bool mapped_event(struct turn_side *s, struct turn_event *ret)
{
	if (!fz_addr_set(&s->mapped) ||
	    (fz_addr_equal(&s->told_local, &s->local) && fz_addr_equal(&s->told_mapped, &s->mapped)))
		return false;
	s->told_local = s->local;
	s->told_mapped = s->mapped;
	*ret = (struct turn_event){ .type = TURN_MAPPED, .local = s->local, .mapped = s->mapped };
	return true;
}

bool turn_alloc_poll_event(struct turn_alloc *a, struct turn_event *ret)
{
	for (unsigned i = 0; i < SIDES; i++)
		if (mapped_event(&a->side[i], ret))
			return true;
	for (unsigned i = 0; i < SIDES; i++)
		if (relayed_event(a, i, ret))
			return true;
	if (a->has_refused_event) {
		a->has_refused_event = false;
		*ret = (struct turn_event){ .type = TURN_REFUSED, .code = a->refused_code };
		return true;
	}
	if (a->has_failed_event) {
		a->has_failed_event = false;
		*ret = (struct turn_event){ .type = TURN_FAILED, .reason = a->reason };
		return true;
	}
	return false;
}
