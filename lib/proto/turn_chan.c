/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/turn_chan.h"

#include <string.h>

#include "base/mem.h"
#include "fzconn/error.h"

void turn_chans_init(struct turn_chans *t, const struct fz_env *env)
{
	*t = (struct turn_chans){ .env = env };
}

void turn_chans_clear(struct turn_chans *t)
{
	for (size_t i = 0; i < t->n; i++)
		fz_free(t->env, t->v[i]);
	fz_free(t->env, t->v);
	fz_map_clear(&t->by_peer, t->env);
	fz_map_clear(&t->by_txid, t->env);
	fz_heap_clear(&t->heap, t->env);
	turn_chans_init(t, t->env);
}

/* Unused bytes of an address are zero by contract, so that its bytes are its identity. */
static uint64_t peer_hash(const struct turn_chans *t, const struct fz_addr *peer)
{
	return fz_map_hash(&t->by_peer, peer, sizeof(*peer));
}

struct turn_chan *turn_chans_by_peer(const struct turn_chans *t, const struct fz_addr *peer)
{
	if (t->n == 0)
		return NULL;
	uint64_t hash = peer_hash(t, peer);
	for (struct fz_map_link *l = fz_map_first(&t->by_peer, hash); l; l = fz_map_next(l)) {
		struct turn_chan *c = fz_container(l, struct turn_chan, by_peer);
		if (fz_addr_equal(&c->peer, peer))
			return c;
	}
	return NULL;
}

struct turn_chan *turn_chans_by_txid(const struct turn_chans *t, const struct stun_txid *id)
{
	if (t->n == 0)
		return NULL;
	uint64_t hash = fz_map_hash(&t->by_txid, id->b, sizeof(id->b));
	for (struct fz_map_link *l = fz_map_first(&t->by_txid, hash); l; l = fz_map_next(l)) {
		struct turn_chan *c = fz_container(l, struct turn_chan, by_txid);
		if (stun_txn_matches(&c->txn, id))
			return c;
	}
	return NULL;
}

struct turn_chan *turn_chans_by_number(const struct turn_chans *t, uint16_t number)
{
	size_t i = (size_t)number - TURN_CHANNEL_MIN;

	return number >= TURN_CHANNEL_MIN && i < t->n ? t->v[i] : NULL;
}

/* ---- numbers ---- */

static int prepare(struct turn_chans *t)
{
	int err = 0;

	if (t->by_peer.buckets == NULL)
		err = fz_map_init(&t->by_peer, t->env, 0);
	if (err == 0 && t->by_txid.buckets == NULL)
		err = fz_map_init(&t->by_txid, t->env, 0);
	if (err == 0)
		err = fz_heap_reserve(&t->heap, t->env, t->n + 1);
	if (err == 0)
		err = fz_grow(t->env, &t->v, &t->cap, t->n, sizeof(struct turn_chan *), TURN_CHAN_MAX);
	return err;
}

static int take_fresh(struct turn_chans *t, struct turn_chan **ret)
{
	int err = prepare(t);
	struct turn_chan *c;

	if (err)
		return err;
	c = fz_zalloc(t->env, sizeof(*c));
	if (c == NULL)
		return FZ_ERR_NOMEM;
	c->number = (uint16_t)(TURN_CHANNEL_MIN + t->n);
	t->v[t->n++] = c;
	*ret = c;
	return 0;
}

/* Nobody else can still know it as the name of another peer. */
static bool is_reusable(const struct turn_chan *c, uint64_t now_us)
{
	if (c->txn.active)
		return false;
	if (c->state == TURN_CHAN_REFUSED)
		return now_us - c->since_us >= TURN_CHAN_REFUSED_US;
	return now_us - c->since_us >= TURN_CHAN_REUSE_US && now_us - c->rx_us >= TURN_CHAN_REUSE_US;
}

static int take_again(struct turn_chans *t, struct turn_chan **ret, uint64_t now_us)
{
	if (now_us < t->scan_again_us)
		return FZ_ERR_FULL;
	for (size_t i = 0; i < t->n; i++) {
		struct turn_chan *c = t->v[t->scan_at];
		t->scan_at = (t->scan_at + 1) % t->n;
		if (is_reusable(c, now_us)) {
			fz_map_remove(&t->by_peer, &c->by_peer);
			*ret = c;
			return 0;
		}
	}
	t->scan_again_us = now_us + FZ_SEC(1);
	return FZ_ERR_FULL;
}

int turn_chans_take(struct turn_chans *t, const struct fz_addr *peer, struct turn_chan **ret, uint64_t now_us)
{
	struct turn_chan *c = turn_chans_by_peer(t, peer);

	if (c == NULL) {
		int err = t->n < TURN_CHAN_MAX ? take_fresh(t, &c) : take_again(t, &c, now_us);
		if (err)
			return err;
		c->peer = *peer;
		fz_map_insert(&t->by_peer, t->env, &c->by_peer, peer_hash(t, peer));
	}
	c->state = TURN_CHAN_BINDING;
	c->since_us = now_us;
	c->rx_us = 0;
	c->used = false;
	c->doubtful = false;
	c->challenges = c->rounds = 0;
	*ret = c;
	return 0;
}

/* ---- requests and deadlines ---- */

/* The one place that decides what a channel waits for. */
static void plan(struct turn_chans *t, struct turn_chan *c)
{
	uint64_t at = FZ_NEVER_US;

	if (c->txn.active)
		at = c->queued ? FZ_NEVER_US : stun_txn_due(&c->txn);
	else if (c->state == TURN_CHAN_BOUND && c->used)
		at = c->since_us + TURN_CHAN_REBIND_US;
	fz_heap_set(&t->heap, &c->due, at);
}

static void enqueue(struct turn_chans *t, struct turn_chan *c)
{
	if (c->queued)
		return;
	c->queued = true;
	c->next_send = NULL;
	if (t->send_last)
		t->send_last->next_send = c;
	else
		t->send_first = c;
	t->send_last = c;
}

static void dequeue(struct turn_chans *t)
{
	struct turn_chan *c = t->send_first;

	t->send_first = c->next_send;
	if (t->send_first == NULL)
		t->send_last = NULL;
	c->queued = false;
}

void turn_chan_start(struct turn_chans *t, struct turn_chan *c, const struct stun_schedule *s,
		     uint64_t now_us)
{
	turn_chan_stop(t, c);
	stun_txn_start(&c->txn, t->env, s, now_us);
	fz_map_insert(&t->by_txid, t->env, &c->by_txid,
		      fz_map_hash(&t->by_txid, c->txn.id.b, sizeof(c->txn.id.b)));
	enqueue(t, c);
	plan(t, c);
}

void turn_chan_stop(struct turn_chans *t, struct turn_chan *c)
{
	if (!c->txn.active)
		return;
	stun_txn_stop(&c->txn);
	fz_map_remove(&t->by_txid, &c->by_txid);
	plan(t, c);
}

void turn_chan_bound(struct turn_chans *t, struct turn_chan *c, uint64_t now_us)
{
	turn_chan_stop(t, c);
	c->state = TURN_CHAN_BOUND;
	c->since_us = now_us;
	c->used = false;
	c->challenges = c->rounds = 0;
	plan(t, c);
}

void turn_chan_refused(struct turn_chans *t, struct turn_chan *c, uint64_t now_us)
{
	turn_chan_stop(t, c);
	c->state = TURN_CHAN_REFUSED;
	c->since_us = now_us;
	plan(t, c);
}

bool turn_chan_use(struct turn_chans *t, struct turn_chan *c, uint64_t now_us)
{
	bool was_used = c->used;

	c->used = true;
	if (c->state != TURN_CHAN_BOUND || c->txn.active)
		return false;
	if (now_us - c->since_us >= TURN_CHAN_REBIND_US)
		return true;
	if (!was_used)
		plan(t, c);
	return false;
}

struct turn_chan *turn_chans_peek_send(struct turn_chans *t)
{
	while (t->send_first != NULL && !t->send_first->txn.active)
		dequeue(t); /* answered while it waited to be repeated */
	return t->send_first;
}

void turn_chans_sent(struct turn_chans *t, uint64_t now_us)
{
	struct turn_chan *c = t->send_first;

	dequeue(t);
	stun_txn_sent(&c->txn, now_us);
	plan(t, c);
}

enum turn_chan_due turn_chans_next_due(struct turn_chans *t, struct turn_chan **ret, uint64_t now_us)
{
	for (;;) {
		struct fz_heap_node *node = fz_heap_peek(&t->heap);

		if (node == NULL || node->at_us > now_us)
			return TURN_CHAN_NOTHING;
		struct turn_chan *c = fz_container(node, struct turn_chan, due);
		*ret = c;
		if (!c->txn.active)
			return TURN_CHAN_REBIND;
		if (stun_txn_given_up(&c->txn, now_us))
			return TURN_CHAN_GIVE_UP;
		enqueue(t, c);
		plan(t, c);
	}
}

uint64_t turn_chans_next_timeout(const struct turn_chans *t)
{
	const struct fz_heap_node *node = fz_heap_peek(&t->heap);

	if (t->send_first != NULL && t->send_first->txn.active)
		return t->send_first->txn.due_us; /* someone forgot to drain the output: remind them */
	return node ? node->at_us : FZ_NEVER_US;
}
