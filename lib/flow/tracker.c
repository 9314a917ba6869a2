/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/tracker.h"

#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "flow/access.h"
#include "fzconn/error.h"

/* Silence that ends a flow. Places in the list below are renewed once a second, hence the second more. */
#define IDLE_US FZ_SEC(121)
#define TOUCH_US FZ_SEC(1)
/* How long the last acknowledgement may come behind the FINs. */
#define FIN_US FZ_SEC(1)
/* How long reports wait for company. */
#define REPORT_US FZ_SEC(1)
/* Flows that are allocated together. */
#define CHUNK 64

struct flow_key {
	struct fz_uuid peer;
	struct fz_addr src, dst;
	bool is_udp;
};

struct flow_list {
	struct flow *first, *last;
};

struct flow {
	struct fz_map_link link;
	struct flow *prev, *next; /* in a list */
	struct flow *next_report; /* or in the pool */
	struct flow_list *list; /* NULL = closed */
	struct flow_key key; /* zeroed padding: compared as bytes */
	struct access *access;
	struct access_name *name;
	struct flow_outer first, *outers; /* outers: &first, or an array of FLOW_OUTERS_MAX */
	uint8_t outers_len;
	bool sent_data; /* the initiator has sent something but SYN */
	bool fin_tx, fin_rx, is_closed;
	bool for_upload, is_waiting, start_reported;
	uint64_t start_us, end_us, last_us;
	uint64_t touched_us; /* place in the list */
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
};

struct chunk {
	struct chunk *next;
	struct flow flows[CHUNK];
};

struct flow_tracker {
	const struct fz_env *env;
	struct flow_stats *stats;
	bool local, upload;
	int64_t wall_offset_us;
	struct accesses accesses;
	struct fz_map flows;
	struct flow_list live, ending; /* by touched_us */
	size_t used; /* open or waiting */
	struct chunk *chunks;
	struct flow *pool;
	struct flow *reports, **reports_end, *taken;
	uint64_t report_us; /* when they are due */
	uint64_t last_start_us;
	struct flow_outer at[FLOW_OUTERS_MAX]; /* of the report that was taken last */
};

/* ---- pool and lists ---- */

static bool refill(struct flow_tracker *t)
{
	struct chunk *c = fz_zalloc(t->env, sizeof(*c));

	if (c == NULL)
		return false;
	c->next = t->chunks;
	t->chunks = c;
	for (size_t i = 0; i < CHUNK; i++) {
		c->flows[i].next_report = t->pool;
		t->pool = &c->flows[i];
	}
	return true;
}

static struct flow *take_from_pool(struct flow_tracker *t)
{
	struct flow *f;

	if (t->used >= FLOWS_MAX || (t->pool == NULL && !refill(t)))
		return NULL;
	f = t->pool;
	t->pool = f->next_report;
	t->used++;
	memset(f, 0, sizeof(*f));
	return f;
}

static void give_back(struct flow_tracker *t, struct flow *f)
{
	if (f->outers != &f->first)
		fz_free(t->env, f->outers);
	access_release(&t->accesses, f->access);
	access_name_release(&t->accesses, f->name);
	f->next_report = t->pool;
	t->pool = f;
	t->used--;
}

static void unlink_flow(struct flow *f)
{
	*(f->prev ? &f->prev->next : &f->list->first) = f->next;
	*(f->next ? &f->next->prev : &f->list->last) = f->prev;
	f->prev = f->next = NULL;
}

static void append(struct flow *f, struct flow_list *list, uint64_t now_us)
{
	f->list = list;
	f->touched_us = now_us;
	f->prev = list->last;
	f->next = NULL;
	*(list->last ? &list->last->next : &list->first) = f;
	list->last = f;
}

static void touch(struct flow_tracker *t, struct flow *f, uint64_t now_us)
{
	f->last_us = now_us > f->start_us ? now_us : f->start_us;
	if (f->fin_rx && f->fin_tx) {
		if (f->list != &t->ending) {
			unlink_flow(f);
			append(f, &t->ending, now_us);
		}
	} else if (now_us - f->touched_us >= TOUCH_US) {
		unlink_flow(f);
		append(f, &t->live, now_us);
	}
}

/* ---- opening and closing ---- */

static void wait_for_report(struct flow_tracker *t, struct flow *f, uint64_t now_us)
{
	if (f->is_waiting)
		return;
	f->is_waiting = true;
	f->next_report = NULL;
	if (t->reports == NULL)
		t->report_us = now_us + REPORT_US;
	*t->reports_end = f;
	t->reports_end = &f->next_report;
}

static void close_flow(struct flow_tracker *t, struct flow *f, uint64_t end_us, uint64_t now_us)
{
	unlink_flow(f);
	f->list = NULL;
	fz_map_remove(&t->flows, &f->link);
	f->is_closed = true;
	f->end_us = end_us > f->start_us ? end_us : f->start_us;
	t->stats->closed++;
	wait_for_report(t, f, now_us);
}

static void push_outer(struct flow_tracker *t, struct flow *f, const struct flow_sent *s, uint64_t now_us)
{
	struct flow_outer *o;

	if (f->outers_len == 1 && f->outers == &f->first) {
		o = fz_calloc(t->env, FLOW_OUTERS_MAX, sizeof(*o));
		if (o == NULL) {
			/* The latest one is kept, or each packet would come here again. */
			t->stats->outers_lost++;
			f->outers_len = 0;
		} else {
			o[0] = f->first;
			f->outers = o;
		}
	}
	o = &f->outers[f->outers_len++];
	*o = (struct flow_outer){ .src = s->outer_src, .dst = s->outer_dst, .at_ns = now_us };
}

static void count_tx(struct flow_tracker *t, struct flow *f, const struct fz_pkt *pkt,
		     const struct ip_view *view, uint64_t now_us);

/* Report and key identify a flow by its start and its addresses: no two may have begun at the same moment. */
static uint64_t unique_start(struct flow_tracker *t, uint64_t now_us)
{
	t->last_start_us = now_us > t->last_start_us ? now_us : t->last_start_us + 1;
	return t->last_start_us;
}

static struct flow *open_flow(struct flow_tracker *t, const struct flow_key *key, uint64_t hash,
			      const struct flow_sent *s, const struct fz_pkt *pkt, const struct ip_view *view,
			      uint64_t now_us)
{
	struct access *a = access_find(&t->accesses, s->peer, s->resource);
	struct flow *f;

	if (a == NULL || !fz_addr_set(&s->outer_dst) || (!t->local && !(t->upload && a->auth.token)))
		return NULL;
	f = take_from_pool(t);
	if (f == NULL) {
		t->stats->untracked++;
		return NULL;
	}
	f->key = *key;
	f->access = access_hold(a);
	f->outers = &f->first;
	f->start_us = unique_start(t, now_us);
	f->for_upload = t->upload && a->auth.token;
	push_outer(t, f, s, f->start_us);
	append(f, &t->live, now_us);
	fz_map_insert(&t->flows, t->env, &f->link, hash);
	t->stats->opened++;
	count_tx(t, f, pkt, view, now_us);
	wait_for_report(t, f, now_us);
	return f;
}

void flow_tracker_set_domain(struct flow_tracker *t, struct flow *f, const char *domain)
{
	if (f->name == NULL)
		f->name = access_name(&t->accesses, domain);
}

/* ---- packets ---- */

static struct fz_addr key_addr(const struct fz_ip *ip, uint16_t port)
{
	struct fz_addr a;

	memset(&a, 0, sizeof(a));
	a.ip.family = ip->family;
	memcpy(a.ip.b, ip->b, fz_ip_len(ip));
	a.port = port;
	return a;
}

static void make_key(struct flow_key *k, const struct fz_uuid *peer, const struct ip_view *view, bool reverse)
{
	struct fz_addr from = key_addr(&view->src, view->sport), to = key_addr(&view->dst, view->dport);

	memset(k, 0, sizeof(*k));
	k->peer = *peer;
	k->src = reverse ? to : from;
	k->dst = reverse ? from : to;
	k->is_udp = view->kind == IP_UDP;
}

/* The newest flow of these addresses; with a resource, the one that uses it. */
static struct flow *find(struct flow_tracker *t, const struct flow_key *k, uint64_t hash,
			 const struct fz_uuid *resource)
{
	for (struct fz_map_link *l = fz_map_first(&t->flows, hash); l; l = fz_map_next(l)) {
		struct flow *f = fz_container(l, struct flow, link);
		if (memcmp(&f->key, k, sizeof(*k)) == 0 &&
		    (resource == NULL || fz_uuid_equal(&f->access->resource, resource)))
			return f;
	}
	return NULL;
}

static uint64_t packets_of(const struct fz_pkt *pkt, const struct ip_view *view)
{
	size_t payload = view->len - view->hdr_len;

	return pkt->gso && pkt->gso_size ? (payload + pkt->gso_size - 1) / pkt->gso_size : 1;
}

static void count_tx(struct flow_tracker *t, struct flow *f, const struct fz_pkt *pkt,
		     const struct ip_view *view, uint64_t now_us)
{
	f->tx_packets += packets_of(pkt, view);
	f->tx_bytes += view->len - view->hdr_len;
	f->sent_data |= !(view->tcp_flags & IP_TCP_SYN);
	touch(t, f, now_us);
}

static bool may_open(const struct ip_view *view)
{
	if (view->kind == IP_UDP)
		return true;
	if (view->tcp_flags & (IP_TCP_FIN | IP_TCP_RST))
		return false;
	return (view->tcp_flags & IP_TCP_SYN) || !(view->tcp_flags & IP_TCP_ACK) || view->len > view->hdr_len;
}

static bool took_same_way(const struct flow *f, const struct flow_sent *s)
{
	const struct flow_outer *o = &f->outers[f->outers_len - 1];

	return !fz_addr_set(&s->outer_dst) ||
	       (fz_addr_equal(&o->src, &s->outer_src) && fz_addr_equal(&o->dst, &s->outer_dst));
}

struct flow *flow_tracker_tx(struct flow_tracker *t, const struct flow_sent *s, const struct fz_pkt *pkt,
			     const struct ip_view *view, uint64_t now_us)
{
	struct flow_key key;
	struct flow *f;
	uint64_t hash;
	bool same_way;

	if (view->kind != IP_TCP && view->kind != IP_UDP)
		return NULL;
	make_key(&key, s->peer, view, false);
	hash = fz_map_hash(&t->flows, &key, sizeof(key));
	f = find(t, &key, hash, s->resource);
	if (f == NULL)
		return may_open(view) ? open_flow(t, &key, hash, s, pkt, view, now_us) : NULL;
	same_way = took_same_way(f, s);
	if ((!same_way && f->outers_len == FLOW_OUTERS_MAX) ||
	    (view->kind == IP_TCP && (view->tcp_flags & IP_TCP_SYN) && f->sent_data)) {
		close_flow(t, f, now_us, now_us);
		return open_flow(t, &key, hash, s, pkt, view, now_us);
	}
	if (!same_way)
		push_outer(t, f, s, now_us);
	f->fin_tx |= (view->tcp_flags & IP_TCP_FIN) != 0;
	count_tx(t, f, pkt, view, now_us);
	if (view->tcp_flags & IP_TCP_RST)
		close_flow(t, f, now_us, now_us);
	return NULL;
}

struct flow *flow_tracker_find(struct flow_tracker *t, const struct fz_uuid *peer, const struct ip_view *view)
{
	struct flow_key key;

	if (view->kind != IP_TCP && view->kind != IP_UDP)
		return NULL;
	make_key(&key, peer, view, true);
	return find(t, &key, fz_map_hash(&t->flows, &key, sizeof(key)), NULL);
}

void flow_tracker_rx(struct flow_tracker *t, struct flow *f, const struct fz_pkt *pkt,
		     const struct ip_view *view, uint64_t now_us)
{
	f->rx_packets += packets_of(pkt, view);
	f->rx_bytes += view->len - view->hdr_len;
	f->fin_rx |= (view->tcp_flags & IP_TCP_FIN) != 0;
	touch(t, f, now_us);
	if (view->tcp_flags & IP_TCP_RST)
		close_flow(t, f, now_us, now_us);
}

/* ---- time ---- */

void flow_tracker_handle_timeout(struct flow_tracker *t, uint64_t now_us)
{
	while (t->live.first && t->live.first->touched_us + IDLE_US <= now_us)
		close_flow(t, t->live.first, now_us, now_us);
	while (t->ending.first && t->ending.first->touched_us + FIN_US <= now_us)
		close_flow(t, t->ending.first, t->ending.first->last_us, now_us);
}

uint64_t flow_tracker_next_timeout(const struct flow_tracker *t)
{
	return fz_min_us(t->live.first ? t->live.first->touched_us + IDLE_US : FZ_NEVER_US,
			 t->ending.first ? t->ending.first->touched_us + FIN_US : FZ_NEVER_US);
}

void flow_tracker_close_all(struct flow_tracker *t, uint64_t now_us)
{
	while (t->live.first)
		close_flow(t, t->live.first, now_us, now_us);
	while (t->ending.first)
		close_flow(t, t->ending.first, now_us, now_us);
	t->report_us = now_us;
}

size_t flow_tracker_open(const struct flow_tracker *t)
{
	return t->flows.used;
}

/* ---- reports ---- */

uint64_t flow_tracker_reports_due(const struct flow_tracker *t)
{
	return t->reports ? t->report_us : FZ_NEVER_US;
}

static uint64_t wall_ns(const struct flow_tracker *t, uint64_t at_us)
{
	return (uint64_t)((int64_t)at_us + t->wall_offset_us) * 1000;
}

static void make_record(struct flow_tracker *t, const struct flow *f, struct flow_record *ret)
{
	for (size_t i = 0; i < f->outers_len; i++) {
		t->at[i] = f->outers[i];
		t->at[i].at_ns = wall_ns(t, f->outers[i].at_ns);
	}
	*ret = (struct flow_record){
		.is_udp = f->key.is_udp,
		.is_closed = f->is_closed,
		.src = f->key.src,
		.dst = f->key.dst,
		.domain = f->name ? f->name->text : NULL,
		.outers = t->at,
		.outers_len = f->outers_len,
		.start_ns = wall_ns(t, f->start_us),
		.end_ns = wall_ns(t, f->end_us),
		.last_ns = wall_ns(t, f->last_us),
		.rx_packets = f->rx_packets,
		.tx_packets = f->tx_packets,
		.rx_bytes = f->rx_bytes,
		.tx_bytes = f->tx_bytes,
	};
}

/* A flow whose beginning was not told yet begins and ends in the log. */
static void log_locally(struct flow_tracker *t, const struct flow *f, struct flow_record *r)
{
	bool is_closed = r->is_closed;

	if (!f->start_reported) {
		r->is_closed = false;
		access_log(t->env, f->access, r);
	}
	r->is_closed = is_closed;
	if (is_closed)
		access_log(t->env, f->access, r);
}

bool flow_tracker_next_report(struct flow_tracker *t, struct flow_report *ret)
{
	struct flow *f;

	for (;;) {
		if (t->taken)
			give_back(t, t->taken);
		t->taken = NULL;
		f = t->reports;
		if (f == NULL)
			return false;
		t->reports = f->next_report;
		if (t->reports == NULL)
			t->reports_end = &t->reports;
		f->is_waiting = false;
		if (f->is_closed)
			t->taken = f;
		make_record(t, f, &ret->record);
		ret->auth = &f->access->auth;
		ret->had_start = f->start_reported;
		if (t->local)
			log_locally(t, f, &ret->record);
		f->start_reported = true;
		if (f->for_upload)
			return true;
	}
}

bool flow_tracker_uses(const struct flow_tracker *t, const char *auth_id)
{
	return access_is_known(&t->accesses, auth_id);
}

/* ---- access ---- */

int flow_tracker_authorize(struct flow_tracker *t, const struct fz_uuid *peer, const struct fz_uuid *resource,
			   const char *token)
{
	return access_add(&t->accesses, peer, resource, token, t->local);
}

void flow_tracker_forget(struct flow_tracker *t, const struct fz_uuid *peer, const struct fz_uuid *resource)
{
	access_forget(&t->accesses, peer, resource);
}

/* ---- life ---- */

int flow_tracker_new(const struct fz_env *env, const struct flow_tracker_opts *opts, uint64_t now_us,
		     struct flow_tracker **ret)
{
	struct flow_tracker *t = fz_zalloc(env, sizeof(*t));

	if (t == NULL)
		return FZ_ERR_NOMEM;
	t->env = env;
	t->stats = opts->stats;
	t->local = opts->local;
	t->wall_offset_us = (int64_t)(opts->unix_ns / 1000) - (int64_t)now_us;
	t->reports_end = &t->reports;
	if (fz_map_init(&t->flows, env, 0) != 0 || accesses_init(&t->accesses, env) != 0) {
		flow_tracker_free(t);
		return FZ_ERR_NOMEM;
	}
	*ret = t;
	return 0;
}

void flow_tracker_free(struct flow_tracker *t)
{
	struct flow_report unused;
	struct chunk *next;

	if (t == NULL)
		return;
	t->local = false;
	flow_tracker_close_all(t, 0);
	while (flow_tracker_next_report(t, &unused))
		;
	for (struct chunk *c = t->chunks; c; c = next) {
		next = c->next;
		fz_free(t->env, c);
	}
	accesses_clear(&t->accesses);
	fz_map_clear(&t->flows, t->env);
	fz_free(t->env, t);
}

void flow_tracker_set_upload(struct flow_tracker *t, bool on)
{
	t->upload = on;
}

bool flow_tracker_is_idle(const struct flow_tracker *t)
{
	return !t->local && !t->upload && t->used == 0;
}
