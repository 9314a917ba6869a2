/* SPDX-License-Identifier: Apache-2.0 */
#include "core/node.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/time.h"
#include "core/node_impl.h"

/* Full batches that may wait for the socket. */
#define TX_BATCHES 8

static const char *const drop_names[NODE_DROPS] = {
	[NODE_DROP_UNKNOWN] = "unknown datagram",
	[NODE_DROP_STUN] = "stray STUN",
	[NODE_DROP_RELAY] = "stray relay data",
	[NODE_DROP_NO_CONN] = "no connection",
	[NODE_DROP_HANDSHAKE] = "handshake refused",
	[NODE_DROP_LOAD] = "handshake load",
	[NODE_DROP_AUTH] = "authentication",
	[NODE_DROP_PACKET] = "malformed packet inside",
	[NODE_DROP_NO_PATH] = "no path",
	[NODE_DROP_NO_CHANNEL] = "no channel",
	[NODE_DROP_QUEUE] = "queue full",
};

const char *node_drop_name(enum node_drop d)
{
	return drop_names[d];
}

int node_new(const struct fz_env *env, const struct node_opts *opts, uint64_t now_us, struct node **ret)
{
	struct node *n = fz_zalloc(env, sizeof(*n));
	int err = FZ_ERR_NOMEM;

	if (n == NULL)
		return FZ_ERR_NOMEM;
	n->env = env;
	n->opts = *opts;
	if (n->opts.max_conns == 0 || n->opts.max_conns > NODE_CONNS_MAX)
		n->opts.max_conns = NODE_CONNS_MAX;
	n->salt = fz_rng_u32(env);
	n->dirty_end = &n->dirty;
	relays_init(&n->relays, env);
	if (fz_map_init(&n->by_id, env, 0) == 0 && fz_map_init(&n->by_key, env, 0) == 0 &&
	    fz_map_init(&n->by_ufrag, env, 0) == 0 && fz_map_init(&n->by_initiation, env, 0) == 0)
		err = 0;
	if (err == 0)
		err = wg_self_new(env, NULL, now_us, &n->self);
	if (err == 0)
		err = txq_new(env, TX_BATCHES, &n->txq);
	if (err == 0)
		err = join_new(env, 0, &n->join);
	if (err != 0) {
		node_free(n);
		return err;
	}
	*ret = n;
	return 0;
}

static void untouch(struct node *n, struct conn *c)
{
	struct conn **at = &n->dirty;

	if (!c->dirty)
		return;
	while (*at != c)
		at = &(*at)->next_dirty;
	*at = c->next_dirty;
	if (*at == NULL)
		n->dirty_end = at;
	c->next_dirty = NULL;
	c->dirty = false;
}

/* Take the connection out of every table and free it. */
static void drop_conn(struct node *n, struct conn *c)
{
	n->slots[c->ref & NODE_SLOT_MASK] = NULL;
	n->conns--;
	fz_map_remove(&n->by_id, &c->by_id);
	fz_map_remove(&n->by_key, &c->by_key);
	fz_map_remove(&n->by_ufrag, &c->by_ufrag);
	fz_map_remove(&n->by_initiation, &c->by_initiation);
	fz_heap_set(&n->timers, &c->timer, FZ_NEVER_US);
	untouch(n, c);
	conn_free(c);
}

void node_free(struct node *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->slots_len; i++)
		if (n->slots[i])
			drop_conn(n, n->slots[i]);
	fz_free(n->env, n->slots);
	relays_clear(&n->relays);
	fz_map_clear(&n->by_id, n->env);
	fz_map_clear(&n->by_key, n->env);
	fz_map_clear(&n->by_ufrag, n->env);
	fz_map_clear(&n->by_initiation, n->env);
	fz_heap_clear(&n->timers, n->env);
	txq_free(n->txq);
	join_free(n->join);
	wg_self_free(n->self);
	fz_free(n->env, n->events);
	fz_free(n->env, n);
}

const struct fz_key *node_public_key(const struct node *n)
{
	return wg_self_public(n->self);
}

void node_set_wall(struct node *n, uint64_t now_us, uint64_t unix_ns)
{
	n->wall_offset_ns = unix_ns - now_us * 1000;
}

/* ---- look-up ---- */

struct conn *node_by_ref(const struct node *n, uint32_t ref)
{
	size_t slot = ref & NODE_SLOT_MASK;

	return ref != NODE_NO_REF && slot < n->slots_len && n->slots[slot] && n->slots[slot]->ref == ref
		       ? n->slots[slot]
		       : NULL;
}

const struct conn *node_conn(const struct node *n, uint32_t ref)
{
	return node_by_ref(n, ref);
}

static struct conn *by_id(const struct node *n, const struct fz_uuid *id)
{
	struct fz_map_link *l = fz_map_first(&n->by_id, fz_map_hash(&n->by_id, id, sizeof(*id)));

	for (; l; l = fz_map_next(l)) {
		struct conn *c = fz_container(l, struct conn, by_id);
		if (fz_uuid_equal(&c->id, id))
			return c;
	}
	return NULL;
}

struct conn *node_by_key(const struct node *n, const struct fz_key *key)
{
	struct fz_map_link *l = fz_map_first(&n->by_key, fz_map_hash(&n->by_key, key, sizeof(*key)));

	for (; l; l = fz_map_next(l)) {
		struct conn *c = fz_container(l, struct conn, by_key);
		if (fz_secret_eq(&c->peer_key, key, sizeof(*key)))
			return c;
	}
	return NULL;
}

struct conn *node_by_ufrag(const struct node *n, const char *ufrag, size_t len)
{
	struct fz_map_link *l = fz_map_first(&n->by_ufrag, fz_map_hash(&n->by_ufrag, ufrag, len));

	for (; l; l = fz_map_next(l)) {
		struct conn *c = fz_container(l, struct conn, by_ufrag);
		if (strlen(c->local_ufrag) == len && memcmp(c->local_ufrag, ufrag, len) == 0)
			return c;
	}
	return NULL;
}

/* It depends on the whole message. */
static const uint8_t *mac1_of(const uint8_t *initiation)
{
	return initiation + WG_INITIATION_LEN - WG_MACS_LEN;
}

struct conn *node_by_initiation(const struct node *n, const uint8_t *msg)
{
	const uint8_t *mac = mac1_of(msg);
	struct fz_map_link *l =
		fz_map_first(&n->by_initiation, fz_map_hash(&n->by_initiation, mac, WG_MACS_LEN / 2));

	for (; l; l = fz_map_next(l)) {
		struct conn *c = fz_container(l, struct conn, by_initiation);
		if (memcmp(c->initiation_mac, mac, sizeof(c->initiation_mac)) == 0)
			return c;
	}
	return NULL;
}

void node_note_initiation(struct node *n, struct conn *c, const uint8_t *msg)
{
	memcpy(c->initiation_mac, mac1_of(msg), sizeof(c->initiation_mac));
	fz_map_remove(&n->by_initiation, &c->by_initiation);
	fz_map_insert(&n->by_initiation, n->env, &c->by_initiation,
		      fz_map_hash(&n->by_initiation, c->initiation_mac, sizeof(c->initiation_mac)));
}

uint32_t node_find(const struct node *n, const struct fz_uuid *peer)
{
	const struct conn *c = by_id(n, peer);

	return c ? c->ref : NODE_NO_REF;
}

const struct conn *node_walk(const struct node *n, uint32_t *ref)
{
	size_t slot = *ref == NODE_NO_REF ? 0 : (*ref & NODE_SLOT_MASK) + 1;

	for (; slot < n->slots_len; slot++) {
		if (n->slots[slot]) {
			*ref = n->slots[slot]->ref;
			return n->slots[slot];
		}
	}
	return NULL;
}

/* ---- events ---- */

void node_touch(struct node *n, struct conn *c)
{
	if (c->dirty)
		return;
	c->dirty = true;
	*n->dirty_end = c;
	n->dirty_end = &c->next_dirty;
}

void node_event(struct node *n, enum node_event_type type, const struct conn *c, const char *detail)
{
	if (n->events_at > 0 && n->events_at == n->events_len)
		n->events_at = n->events_len = 0;
	if (fz_grow(n->env, &n->events, &n->events_cap, n->events_len, sizeof(*n->events), NODE_EVENTS_MAX) !=
	    0) {
		fz_error(n->env, "node", "an event was lost");
		return;
	}
	n->events[n->events_len++] = (struct node_event){
		.type = type,
		.ref = c ? c->ref : NODE_NO_REF,
		.peer = c ? c->id : (struct fz_uuid){ { 0 } },
		.detail = detail,
	};
}

bool node_poll_event(struct node *n, struct node_event *ret)
{
	if (n->events_at == n->events_len)
		return false;
	*ret = n->events[n->events_at++];
	return true;
}

/* All connections can move to other addresses with keys and sessions. */
static bool can_roam(const struct node *n)
{
	for (size_t i = 0; i < n->slots_len; i++)
		if (n->slots[i] && !n->slots[i]->iceless)
			return false;
	return n->conns > 0;
}

static void roam(struct node *n, uint64_t now_us)
{
	for (size_t i = 0; i < n->slots_len; i++) {
		if (n->slots[i] == NULL)
			continue;
		conn_roam(n->slots[i], now_us);
		node_touch(n, n->slots[i]);
	}
	relays_restart(&n->relays, now_us);
}

int node_reset(struct node *n, uint64_t now_us)
{
	struct wg_self *fresh;
	int err;

	if (can_roam(n)) {
		roam(n, now_us);
		return 0;
	}
	err = wg_self_new(n->env, NULL, now_us, &fresh);
	if (err != 0)
		return err;
	for (size_t i = 0; i < n->slots_len; i++) {
		if (n->slots[i] == NULL)
			continue;
		node_event(n, NODE_CLOSED, n->slots[i], "the network changed");
		drop_conn(n, n->slots[i]);
	}
	wg_self_free(n->self);
	n->self = fresh;
	node_release_relays(n, now_us);
	return 0;
}

/* ---- connections ---- */

/* A free slot and a handle that was not used lately; the handle is the upper 24 bits of a WireGuard index. */
static int take_slot(struct node *n, uint32_t *ret_ref)
{
	if (n->conns == n->slots_len) {
		size_t cap = n->slots_len;
		struct conn **v = n->slots;
		int err = fz_grow(n->env, &v, &cap, n->slots_len, sizeof(*v), n->opts.max_conns);
		if (err != 0)
			return err;
		n->slots = v;
		memset(v + n->slots_len, 0, (cap - n->slots_len) * sizeof(*v));
		n->slots_len = cap;
	}
	if (fz_heap_reserve(&n->timers, n->env, n->slots_len) != 0)
		return FZ_ERR_NOMEM;
	while (n->slots[n->next_slot % n->slots_len])
		n->next_slot++;
	n->salt += 0x9e3779b9u;
	*ret_ref = (uint32_t)(n->next_slot++ % n->slots_len) | ((n->salt >> 8) << NODE_SLOT_BITS & 0xffffffu);
	return 0;
}

static void insert_conn(struct node *n, struct conn *c)
{
	n->slots[c->ref & NODE_SLOT_MASK] = c;
	n->conns++;
	fz_map_insert(&n->by_id, n->env, &c->by_id, fz_map_hash(&n->by_id, &c->id, sizeof(c->id)));
	fz_map_insert(&n->by_key, n->env, &c->by_key,
		      fz_map_hash(&n->by_key, &c->peer_key, sizeof(c->peer_key)));
	fz_map_insert(&n->by_ufrag, n->env, &c->by_ufrag,
		      fz_map_hash(&n->by_ufrag, c->local_ufrag, strlen(c->local_ufrag)));
}

int node_upsert(struct node *n, const struct conn_params *p, uint64_t now_us, uint32_t *ret_ref)
{
	struct conn *c = by_id(n, &p->id), *fresh;
	struct relay *relay = relays_select(&n->relays);
	uint32_t ref;
	int err;

	if (c && conn_matches(c, p)) {
		conn_renewed(c, now_us);
		node_offer_all(n, c, true, now_us);
		*ret_ref = c->ref;
		return 0;
	}
	if (n->relays.len == 0) {
		node_event(n, NODE_NO_RELAYS, NULL, "there is none");
		return FZ_ERR_STATE;
	}
	err = take_slot(n, &ref);
	if (err == 0)
		err = conn_new(n->env, n->self, p, ref, now_us, &fresh);
	if (err != 0)
		return err;
	if (c) {
		/* The peer has a new key or new credentials: what we had is of no use to it. */
		node_event(n, NODE_CLOSED, c, "replaced by a new connection");
		drop_conn(n, c);
	}
	insert_conn(n, fresh);
	fz_info(n->env, "node", "peer %u: new connection %s ICE", ref, p->iceless ? "without" : "with");
	fresh->relay = relay;
	node_offer_all(n, fresh, false, now_us);
	*ret_ref = ref;
	return 0;
}

void node_close(struct node *n, uint32_t ref, bool goodbye, const char *why, uint64_t now_us)
{
	struct conn *c = node_by_ref(n, ref);

	if (c == NULL)
		return;
	if (goodbye && c->state != CONN_CONNECTING)
		node_send_goodbye(n, c, now_us);
	node_event(n, NODE_CLOSED, c, why);
	drop_conn(n, c);
}

int node_add_candidate(struct node *n, const struct fz_uuid *peer, const char *text, uint64_t now_us)
{
	struct conn *c = by_id(n, peer);
	struct cand cand;
	int err;

	if (c == NULL)
		return FZ_ERR_NOT_FOUND;
	err = path_add_remote(c->path, text, &cand, now_us);
	if (err != 0)
		return err;
	c->candidate_deadline_us = FZ_NEVER_US;
	conn_note_activity(c, now_us);
	/* Host addresses get a channel when something is to be sent there; the others will be needed. */
	if (cand.kind != CAND_HOST && c->relay)
		(void)turn_alloc_bind(c->relay->alloc, &cand.addr, now_us);
	node_touch(n, c);
	return 0;
}

int node_remove_candidate(struct node *n, const struct fz_uuid *peer, const char *text, uint64_t now_us)
{
	struct conn *c = by_id(n, peer);
	int err;

	if (c == NULL)
		return FZ_ERR_NOT_FOUND;
	err = path_remove_remote(c->path, text, now_us);
	conn_note_activity(c, now_us);
	node_touch(n, c);
	return err;
}

/* ---- turns ---- */

/* The path went silent: our relay may have forgotten us, or our NAT box the relay. */
static void doubt_relay(struct node *n, struct conn *c)
{
	if (c->relay)
		turn_alloc_refresh(c->relay->alloc, n->now_us);
}

/* What the agents of one connection decided; false: it is over. */
static bool settle_conn(struct node *n, struct conn *c)
{
	struct path_event pe;
	enum wg_event we;

	while (path_poll_event(c->path, &pe)) {
		/* Without ICE a lost path was doubted, or withdrawn, before another one is found. */
		if (pe.type == PATH_DOUBTED || pe.type == PATH_FAILED ||
		    (pe.reason == PATH_REASON_LOST && !c->iceless))
			doubt_relay(n, c);
		if (pe.type == PATH_DOUBTED)
			node_event(n, NODE_SILENT, c, "no answer on any path");
		if (pe.type == PATH_FAILED) {
			conn_fail(c, pe.reason == PATH_REASON_NO_CANDIDATES
					     ? "the peer announced no address"
					     : "the peer does not answer on any path");
		} else if (pe.type == PATH_WANT_HANDSHAKE) {
			conn_want_handshake(c, n->now_us);
		} else if (pe.type == PATH_SELECTED) {
			bool first = c->state == CONN_CONNECTING;
			c->route = pe.route;
			if (first) {
				c->state = CONN_CONNECTED;
				c->last_activity_us = n->now_us;
			}
			node_event(n, NODE_PATH, c, conn_path_kind(c));
		}
	}
	while (wg_peer_poll_event(c->wg, &we)) {
		if (we == WG_SESSION) {
			c->has_session = true;
		} else if (we == WG_EXPIRED) {
			conn_fail(c, "the tunnel expired");
		}
	}
	if (c->state == CONN_FAILED) {
		node_event(n, NODE_FAILED, c, c->failure);
		return false;
	}
	if (!c->reported_up && c->has_session && c->state != CONN_CONNECTING) {
		c->reported_up = true;
		node_event(n, NODE_UP, c, conn_path_kind(c));
	}
	return true;
}

void node_flush(struct node *n, uint64_t now_us)
{
	n->now_us = now_us;
	node_poll_relays(n, now_us);
	node_flush_relays(n, now_us);
	while (n->dirty && txq_has_room(n->txq)) {
		struct conn *c = n->dirty;
		untouch(n, c);
		if (!settle_conn(n, c)) {
			drop_conn(n, c);
			continue;
		}
		node_drain_conn(n, c, now_us);
		if (!txq_has_room(n->txq))
			node_touch(n, c); /* it may have more to say */
		if (c->signals_len > 0)
			n->signals_wait = true;
		fz_heap_set(&n->timers, &c->timer, conn_next_timeout(c));
	}
	node_flush_relays(n, now_us); /* channels that the checks asked for */
}

bool node_wants_flush(const struct node *n)
{
	return n->dirty != NULL || n->relays_wait;
}

void node_handle_timeout(struct node *n, uint64_t now_us)
{
	struct fz_heap_node *top;

	n->now_us = now_us;
	for (size_t i = 0; i < n->relays.len; i++)
		if (turn_alloc_next_timeout(n->relays.v[i]->alloc) <= now_us)
			turn_alloc_handle_timeout(n->relays.v[i]->alloc, now_us);
	while ((top = fz_heap_peek(&n->timers)) != NULL && top->at_us <= now_us) {
		struct conn *c = fz_container(top, struct conn, timer);
		conn_handle_timeout(c, now_us);
		node_touch(n, c);
		fz_heap_set(&n->timers, top, FZ_NEVER_US); /* node_flush() sets the next one */
	}
}

uint64_t node_next_timeout(const struct node *n)
{
	const struct fz_heap_node *top = fz_heap_peek(&n->timers);

	return fz_min_us(top ? top->at_us : FZ_NEVER_US, relays_next_timeout(&n->relays));
}

bool node_poll_signals(struct node *n, struct fz_uuid *ret_peer, bool *ret_gone,
		       const char *texts[CONN_SIGNALS_MAX], size_t *ret_len)
{
	if (!n->signals_wait)
		return false;
	for (size_t s = 0; s < n->slots_len; s++) {
		struct conn *c = n->slots[s];
		if (c == NULL || c->signals_len == 0)
			continue;
		*ret_peer = c->id;
		*ret_gone = c->signals[0].gone;
		*ret_len = conn_take_signals(c, *ret_gone, texts);
		return true;
	}
	n->signals_wait = false;
	return false;
}

void node_free_texts(struct node *n, const char *texts[], size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char *owned;
		memcpy(&owned, &texts[i], sizeof(owned)); /* it was ours: made by conn.c */
		fz_free(n->env, owned);
	}
}

const struct node_stats *node_stats(const struct node *n)
{
	return &n->stats;
}

const struct relays *node_relays(const struct node *n)
{
	return &n->relays;
}

size_t node_conns(const struct node *n)
{
	return n->conns;
}
