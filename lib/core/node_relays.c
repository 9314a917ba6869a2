/* SPDX-License-Identifier: Apache-2.0 */
/* The node's relays: what the portal lists, which facts of theirs connections are offered, and where a
 * connection goes when its relay is lost. */
#include <string.h>

#include "base/log.h"
#include "base/time.h"
#include "core/node_impl.h"

/* Hand the relay's facts to a connection; `again` repeats what was signalled before. */
static void offer_relay(struct conn *c, const struct relay *r, bool again, uint64_t now_us)
{
	for (size_t i = 0; i < 2; i++)
		if (r->host[i].addr.ip.family)
			conn_add_local(c, &r->host[i], again, now_us);
	for (size_t i = 0; i < 2; i++)
		if (r->mapped[i].addr.ip.family)
			conn_add_local(c, &r->mapped[i], again, now_us);
	for (size_t i = 0; i < 2 && r == c->relay; i++)
		if (r->relayed[i].addr.ip.family)
			conn_add_local(c, &r->relayed[i], again, now_us);
}

void node_offer_all(struct node *n, struct conn *c, bool again, uint64_t now_us)
{
	for (size_t i = 0; i < n->relays.len; i++)
		offer_relay(c, n->relays.v[i], again, now_us);
	node_touch(n, c);
}

/* Channels to what the peer has announced so far: without ICE the controlled side sends nothing, and so binds
 * none, before it is reached through one. Later everybody binds what it sends to. */
static void bind_channels(struct conn *c, uint64_t now_us)
{
	struct cand cand;
	size_t at = 0;

	while (c->state == CONN_CONNECTING && path_next_remote(c->path, &at, &cand))
		if (cand.kind != CAND_HOST)
			(void)!turn_alloc_bind(c->relay->alloc, &cand.addr, now_us);
}

/* Connections of a lost relay move to another as soon as one has answered. */
static void reselect(struct node *n, struct conn *c, uint64_t now_us)
{
	c->relay = relays_select(&n->relays);
	if (c->relay == NULL)
		return;
	fz_info(n->env, "node", "peer %u: uses another relay now", c->ref);
	bind_channels(c, now_us);
	node_offer_all(n, c, true, now_us);
}

static void forget_relay(struct node *n, struct relay *r, uint64_t now_us)
{
	for (size_t s = 0; s < n->slots_len; s++) {
		struct conn *c = n->slots[s];
		if (c == NULL || c->relay != r)
			continue;
		for (size_t i = 0; i < 2; i++)
			if (r->relayed[i].addr.ip.family)
				conn_remove_local(c, &r->relayed[i], now_us);
		c->relay = NULL;
		node_touch(n, c);
	}
	relays_remove(&n->relays, r);
	for (size_t s = 0; s < n->slots_len; s++)
		if (n->slots[s] && n->slots[s]->relay == NULL)
			reselect(n, n->slots[s], now_us);
}

static void upsert_relay(struct node *n, const struct portal_relay *info, uint64_t now_us)
{
	struct relay *r = relays_find(&n->relays, &info->id);
	int err;

	if (r && relay_matches(r, info)) {
		turn_alloc_refresh(r->alloc, now_us);
		return;
	}
	if (r) {
		/* Other credentials from the same port of ours: the server refuses them as long as the old
		 * allocation stands. */
		turn_alloc_close(r->alloc, now_us);
		node_flush_relays(n, now_us);
		forget_relay(n, r, now_us);
	}
	err = relays_add(&n->relays, info, now_us, &r);
	if (err != 0)
		fz_warn(n->env, "node", "a relay is not used: %s", fz_strerror(err));
	else
		n->had_relays = true;
}

void node_update_relays(struct node *n, const struct fz_uuid *gone, size_t gone_len,
			const struct portal_relay *relays, size_t relays_len, uint64_t now_us)
{
	for (size_t i = 0; i < gone_len; i++) {
		struct relay *r = relays_find(&n->relays, &gone[i]);
		if (r)
			forget_relay(n, r, now_us);
	}
	for (size_t i = 0; i < n->relays.len; i++) {
		bool listed = false;
		for (size_t k = 0; k < relays_len; k++)
			listed |= fz_uuid_equal(&n->relays.v[i]->id, &relays[k].id);
		if (!listed)
			turn_alloc_refresh(n->relays.v[i]->alloc, now_us);
	}
	for (size_t i = 0; i < relays_len; i++)
		upsert_relay(n, &relays[i], now_us);
}

/* A fact of a relay changed: tell the connections it concerns. */
static void relay_cand_changed(struct node *n, struct relay *r, enum relay_change what,
			       const struct cand *cand, uint64_t now_us)
{
	for (size_t s = 0; s < n->slots_len; s++) {
		struct conn *c = n->slots[s];
		if (c == NULL)
			continue;
		if (c->relay == NULL && what == RELAY_CAND_NEW) {
			reselect(n, c, now_us);
			continue;
		}
		if (cand->kind == CAND_RELAY && c->relay != r)
			continue;
		if (what == RELAY_CAND_NEW)
			conn_add_local(c, cand, false, now_us);
		else
			conn_remove_local(c, cand, now_us);
		if (what == RELAY_CAND_NEW && cand->kind == CAND_RELAY)
			bind_channels(c, now_us);
		node_touch(n, c);
	}
}

/* Connections that waited for the first relay to answer have no address of ours to try. */
static void fail_stranded(struct node *n)
{
	for (size_t s = 0; s < n->slots_len; s++) {
		struct conn *c = n->slots[s];
		if (c && c->state == CONN_CONNECTING && !c->has_locals) {
			conn_fail(c, "no relay answers");
			node_touch(n, c);
		}
	}
}

void node_poll_relays(struct node *n, uint64_t now_us)
{
	enum relay_change what;
	struct cand cand;

	for (size_t i = 0; i < n->relays.len;) {
		struct relay *r = n->relays.v[i];
		while (relay_poll_change(r, n->env, &what, &cand)) {
			if (what == RELAY_FAILED)
				r->failed = true;
			else
				relay_cand_changed(n, r, what, &cand, now_us);
		}
		if (r->failed) {
			fz_info(n->env, "node", "relay %zu does not answer or refuses us: dropped", i);
			forget_relay(n, r, now_us);
		} else {
			i++;
		}
	}
	if (n->relays.len == 0 && n->had_relays) {
		n->had_relays = false;
		node_event(n, NODE_NO_RELAYS, NULL, "the last relay is lost");
		fail_stranded(n);
	}
}

void node_release_relays(struct node *n, uint64_t now_us)
{
	for (size_t i = 0; i < n->relays.len; i++)
		turn_alloc_close(n->relays.v[i]->alloc, now_us);
	node_flush_relays(n, now_us);
	for (size_t s = 0; s < n->slots_len; s++)
		if (n->slots[s])
			n->slots[s]->relay = NULL;
	relays_clear(&n->relays);
	n->had_relays = false;
}
