/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ice_agent.h"

#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "proto/ice_check.h"
#include "proto/ice_list.h"

/* Time for the peer's first candidate, and for a dead agent to be given a new one. */
#define CANDIDATES_US FZ_SEC(10)
#define DISCONNECTED_US FZ_SEC(2)
/* Answers waiting for poll_transmit; the owner drains after every datagram, so this is generous. */
#define REPLIES_MAX 16

struct reply {
	struct path_route route;
	struct stun_txid txid;
	bool is_conflict;
};

struct ice_agent {
	struct path path; /* first member */
	const struct fz_env *env;
	struct ice_creds creds;
	char local_ufrag[ICE_UFRAG_MAX + 1], remote_ufrag[ICE_UFRAG_MAX + 1];
	bool is_idle, has_paired, has_failed;
	enum path_profile profile, idle_profile;
	uint64_t tie_breaker;
	uint32_t tag;
	struct ice_list list;
	struct reply replies[REPLIES_MAX];
	size_t replies_at, n_replies;
	uint64_t created_us;
	uint64_t candidates_deadline_us; /* FZ_NEVER_US once the peer announced one */
	uint64_t dead_us; /* FZ_NEVER_US while there is a pair to hope for */
	uint64_t due_us; /* earliest check */
	bool says_failed;
	enum path_reason fail_reason;
	struct path_stats stats;
};

static struct ice_agent *agent_of(struct path *p)
{
	return (struct ice_agent *)p;
}

static const struct ice_agent *agent_of_const(const struct path *p)
{
	return (const struct ice_agent *)p;
}

static const struct ice_timing *timing(const struct ice_agent *a)
{
	return ice_timing_of(a->is_idle ? a->idle_profile : a->profile);
}

/* Time never runs backwards in here. */
static void advance(struct ice_agent *a, uint64_t now_us)
{
	if (now_us > a->list.now_us)
		a->list.now_us = now_us;
}

static void count_pairs(struct ice_agent *a)
{
	a->due_us = ice_pairs_next(&a->list.pairs);
	a->stats.pairs = (uint32_t)a->list.pairs.len;
	if (a->list.pairs.len > 0) {
		a->has_paired = true;
		a->dead_us = FZ_NEVER_US;
	} else if (a->dead_us == FZ_NEVER_US &&
		   (a->has_paired || (a->list.locals.len > 0 && a->list.remotes.len > 0))) {
		/* One side may just be slow to find out which family the other has. */
		a->dead_us = a->list.now_us + DISCONNECTED_US;
		if (!a->has_paired && a->dead_us < a->created_us + CANDIDATES_US)
			a->dead_us = a->created_us + CANDIDATES_US;
	}
}

/* Every change of pairs ends here. */
static void settle(struct ice_agent *a)
{
	ice_list_select(&a->list);
	count_pairs(a);
}

static void fail(struct ice_agent *a, enum path_reason reason)
{
	a->has_failed = a->says_failed = true;
	a->fail_reason = reason;
	a->list.says_selected = a->list.says_handshake = a->list.says_doubted = false;
	a->n_replies = 0;
}

/* ---- candidates ---- */

static bool agent_add_local(struct path *path, const struct cand *c, uint64_t now_us)
{
	struct ice_agent *a = agent_of(path);
	size_t at;
	int got;

	advance(a, now_us);
	got = ice_local_add(&a->list.locals, a->env, c, &at);
	if (got == FZ_ERR_FULL)
		a->stats.full++;
	if (got <= 0)
		return false;
	ice_list_prune(&a->list);
	ice_list_pair_local(&a->list, at);
	settle(a);
	return true;
}

static int find_local(const struct ice_agent *a, const struct cand *c)
{
	struct cand key = *c;

	if (key.kind == CAND_HOST)
		key.base = key.addr;
	return ice_cands_find(&a->list.locals, &key);
}

static bool agent_remove_local(struct path *path, const struct cand *c, uint64_t now_us)
{
	struct ice_agent *a = agent_of(path);
	int at = find_local(a, c);

	advance(a, now_us);
	if (at < 0 || !a->list.locals.v[at].is_valid)
		return false;
	a->list.locals.v[at].is_valid = false;
	ice_list_prune(&a->list);
	settle(a);
	return true;
}

static int parse_remote(struct ice_agent *a, const char *text, struct cand *ret)
{
	struct cand_extra extra;
	int err = cand_parse_ice(text, ret, &extra);

	if (err != 0)
		return err;
	a->candidates_deadline_us = FZ_NEVER_US;
	if (extra.component != 1 || !extra.is_udp || !cand_addr_usable(&ret->addr) ||
	    (extra.ufrag[0] != '\0' && strcmp(extra.ufrag, a->remote_ufrag) != 0))
		return FZ_ERR_NOT_MINE;
	return 0;
}

static int agent_add_remote(struct path *path, const char *text, struct cand *ret, uint64_t now_us)
{
	struct ice_agent *a = agent_of(path);
	struct cand c;
	size_t at;
	int got;

	advance(a, now_us);
	got = parse_remote(a, text, &c);
	if (got != 0)
		return got;
	got = ice_remote_add(&a->list.remotes, a->env, &c, false, &at);
	if (got < 0) {
		a->stats.full += got == FZ_ERR_FULL;
		return got;
	}
	ice_list_refresh(&a->list); /* a peer-reflexive candidate may have become this one */
	ice_list_pair_remote(&a->list, at);
	ice_list_infer(&a->list);
	settle(a);
	*ret = c;
	return 0;
}

static int agent_remove_remote(struct path *path, const char *text, uint64_t now_us)
{
	struct ice_agent *a = agent_of(path);
	struct cand_extra extra;
	struct cand c;
	int at;

	advance(a, now_us);
	/* Priority, foundation and ufrag of an invalidation differ from those of the announcement. */
	if (cand_parse_ice(text, &c, &extra) != 0)
		return FZ_ERR_WIRE;
	at = ice_cands_find(&a->list.remotes, &c);
	if (at < 0 || !a->list.remotes.v[at].is_valid)
		return FZ_ERR_NOT_FOUND;
	a->list.remotes.v[at].is_valid = false;
	ice_remote_drop_orphans(&a->list.remotes);
	ice_list_prune(&a->list);
	settle(a);
	return 0;
}

static bool agent_next_remote(const struct path *path, size_t *at, struct cand *ret)
{
	const struct ice_cands *remotes = &agent_of_const(path)->list.remotes;

	while (*at < remotes->len) {
		const struct ice_cand *e = &remotes->v[(*at)++];
		if (!e->is_valid || e->is_optimistic)
			continue;
		*ret = e->c;
		return true;
	}
	return false;
}

static int agent_cand_text(const struct path *path, const struct cand *c, bool invalidation, char *buf,
			   size_t cap)
{
	const struct ice_agent *a = agent_of_const(path);
	int at = find_local(a, c);

	if (at < 0)
		return FZ_ERR_NOT_FOUND;
	return cand_format_ice(&a->list.locals.v[at].c, invalidation ? NULL : a->local_ufrag, buf, cap);
}

/* ---- datagrams ---- */

static void queue_reply(struct ice_agent *a, const struct path_route *route, const struct stun_txid *txid,
			bool is_conflict)
{
	if (a->n_replies == REPLIES_MAX) {
		a->stats.full++;
		return;
	}
	a->replies[(a->replies_at + a->n_replies++) % REPLIES_MAX] =
		(struct reply){ .route = *route, .txid = *txid, .is_conflict = is_conflict };
}

/* RFC 8445 section 7.3.1.1: the larger tie-breaker controls. True: we yield to nobody, the peer has to
 * switch. */
static bool peer_must_switch(struct ice_agent *a, const struct ice_request *r)
{
	if (!r->has_role || r->is_controlling != a->list.is_controlling)
		return false;
	if ((a->tie_breaker >= r->tie_breaker) == a->list.is_controlling)
		return true;
	ice_list_switch_role(&a->list);
	return false;
}

static int handle_request(struct ice_agent *a, const struct path_route *arrival, const struct ice_request *r)
{
	int local = ice_list_local_of(&a->list, arrival), remote, at;

	if (local < 0) {
		a->stats.bad_local++;
		return 0;
	}
	if (peer_must_switch(a, r)) {
		queue_reply(a, arrival, &r->txid, true);
		return 0;
	}
	if (r->use_candidate && a->list.is_controlling) {
		a->stats.bad_request++;
		return 0;
	}
	remote = ice_list_remote_of(&a->list, &arrival->remote, r->priority);
	if (remote == ICE_REMOTE_IGNORE) {
		a->stats.bad_request++;
		return 0;
	}
	at = remote < 0 ? -1 : ice_list_pair(&a->list, (size_t)local, (size_t)remote);
	if (at >= 0)
		ice_list_requested(&a->list, at, r->use_candidate);
	settle(a);
	queue_reply(a, arrival, &r->txid, false);
	return 0;
}

static struct ice_pair *pair_of_answer(struct ice_agent *a, const struct path_route *arrival,
				       const struct stun_txid *id, struct ice_txn **ret)
{
	/* Only where the request went may the answer come from: RFC 8445 section 7.2.5.2.1. */
	int at = ice_pairs_find(&a->list.pairs, arrival);
	struct ice_pair *p = at < 0 ? NULL : &a->list.pairs.v[at];

	*ret = p == NULL ? NULL : ice_pair_txn(p, ice_txid_random(id), a->list.now_us);
	return *ret == NULL ? NULL : p;
}

static int handle_answer(struct ice_agent *a, const struct path_route *arrival, const struct ice_msg *m)
{
	struct ice_txn *txn;
	struct ice_pair *p = pair_of_answer(a, arrival, &m->txid, &txn);

	if (p == NULL) {
		a->stats.bad_answer++;
		return 0;
	}
	if (m->type == ICE_SUCCESS) {
		a->stats.checks_answered++;
		ice_pair_answered(p, timing(a), txn, a->list.now_us);
		settle(a);
		return 0;
	}
	txn->is_open = false;
	if (m->error_code != STUN_CODE_ROLE_CONFLICT) {
		a->stats.bad_answer++;
		return 0;
	}
	/* RFC 8445 section 7.2.5.1: switch unless we did since, draw a new tie-breaker, check again. */
	if (txn->as_controlling == a->list.is_controlling) {
		ice_list_switch_role(&a->list);
		a->tie_breaker = fz_rng_u64(a->env);
	}
	p->next_check_us = a->list.now_us;
	count_pairs(a);
	return 0;
}

static int agent_handle_datagram(struct path *path, const struct path_route *arrival, const void *data,
				 size_t len, uint64_t now_us)
{
	struct ice_agent *a = agent_of(path);
	struct ice_msg m;
	int err;

	advance(a, now_us);
	if (a->has_failed)
		return 0;
	err = ice_decode(&a->creds, data, len, &m);
	if (err == FZ_ERR_AUTH)
		a->stats.bad_auth++;
	if (err != 0)
		return err;
	return m.type == ICE_REQUEST ? handle_request(a, arrival, &m.request) : handle_answer(a, arrival, &m);
}

/* ---- output ---- */

static int send_reply(struct ice_agent *a, void *buf, size_t cap, struct path_route *ret)
{
	const struct reply r = a->replies[a->replies_at];

	a->replies_at = (a->replies_at + 1) % REPLIES_MAX;
	a->n_replies--;
	*ret = r.route;
	if (r.is_conflict)
		return ice_encode_role_conflict(&a->creds, &r.txid, buf, cap);
	return ice_encode_success(&a->creds, &r.txid, &r.route.remote, buf, cap);
}

static int send_check(struct ice_agent *a, struct ice_pair *p, void *buf, size_t cap, struct path_route *ret)
{
	uint64_t id = fz_rng_u64(a->env);
	const struct ice_request r = {
		.txid = ice_txid(a->tag, id),
		.is_controlling = a->list.is_controlling,
		.use_candidate = a->list.is_controlling && p->is_nominated,
		.tie_breaker = a->tie_breaker,
		.priority = ice_local_check_priority(&a->list.locals.v[p->local]),
	};

	ice_pair_sent(p, timing(a), id, a->list.is_controlling, a->list.now_us);
	a->stats.checks_sent++;
	*ret = p->route;
	return ice_encode_request(&a->creds, &r, buf, cap);
}

static int agent_poll_transmit(struct path *path, void *buf, size_t cap, enum path_transmit_kind *ret_kind,
			       struct path_route *ret, uint64_t now_us)
{
	struct ice_agent *a = agent_of(path);
	int n = 0, at;

	if (a->n_replies == 0 && (now_us < a->due_us || a->has_failed))
		return 0;
	if (cap < PATH_TRANSMIT_MAX)
		return FZ_ERR_NOSPACE;
	advance(a, now_us);
	*ret_kind = PATH_TX_DATAGRAM;
	/* A message that cannot be made (no memory inside the crypto library) is lost like one on the wire.
	 */
	while (n <= 0 && a->n_replies > 0)
		n = send_reply(a, buf, cap, ret);
	while (n <= 0 && (at = ice_pairs_due(&a->list.pairs, a->list.now_us)) >= 0)
		n = send_check(a, &a->list.pairs.v[at], buf, cap, ret);
	a->due_us = ice_pairs_next(&a->list.pairs);
	return n > 0 ? n : 0;
}

static bool agent_poll_event(struct path *path, struct path_event *ret)
{
	struct ice_agent *a = agent_of(path);

	if (a->says_failed) {
		a->says_failed = false;
		*ret = (struct path_event){ .type = PATH_FAILED, .reason = a->fail_reason };
		return true;
	}
	if (a->list.says_selected) {
		a->list.says_selected = false;
		if (a->list.selected >= 0) {
			*ret = (struct path_event){ .type = PATH_SELECTED,
						    .reason = a->list.reason,
						    .route = a->list.pairs.v[a->list.selected].route };
			return true;
		}
	}
	if (a->list.says_doubted) {
		a->list.says_doubted = false;
		*ret = (struct path_event){ .type = PATH_DOUBTED };
		return true;
	}
	if (a->list.says_handshake) {
		a->list.says_handshake = false;
		*ret = (struct path_event){ .type = PATH_WANT_HANDSHAKE };
		return true;
	}
	return false;
}

static const struct path_route *agent_selected(const struct path *path)
{
	const struct ice_agent *a = agent_of_const(path);

	return a->list.selected >= 0 && !a->has_failed ? &a->list.pairs.v[a->list.selected].route : NULL;
}

static bool agent_settled(const struct path *path)
{
	return agent_selected(path) != NULL;
}

static void agent_stats(const struct path *path, struct path_stats *ret)
{
	const struct ice_agent *a = agent_of_const(path);

	*ret = a->stats;
	ret->full += a->list.n_full;
	ret->pairs_working = 0;
	for (size_t i = 0; i < a->list.pairs.len; i++)
		ret->pairs_working += ice_list_works(&a->list, &a->list.pairs.v[i]);
	ret->rtt_us = a->list.selected >= 0 ? a->list.pairs.v[a->list.selected].rtt_us : 0;
}

/* ---- time ---- */

static void agent_handle_timeout(struct path *path, uint64_t now_us)
{
	struct ice_agent *a = agent_of(path);

	advance(a, now_us);
	if (a->has_failed)
		return;
	for (size_t i = a->list.pairs.len; i-- > 0;)
		if (ice_pair_is_lost(&a->list.pairs.v[i], timing(a), a->list.now_us))
			ice_list_drop(&a->list, i);
	settle(a);
	if (a->list.now_us >= a->candidates_deadline_us)
		fail(a, PATH_REASON_NO_CANDIDATES);
	else if (a->list.now_us >= a->dead_us)
		fail(a, PATH_REASON_NO_ANSWER);
}

static uint64_t agent_next_timeout(const struct path *path)
{
	const struct ice_agent *a = agent_of_const(path);

	if (a->has_failed)
		return FZ_NEVER_US;
	return fz_min_us(a->due_us, fz_min_us(a->candidates_deadline_us, a->dead_us));
}

static void agent_set_idle(struct path *path, bool idle, uint64_t now_us)
{
	struct ice_agent *a = agent_of(path);

	advance(a, now_us);
	if (a->is_idle == idle)
		return;
	a->is_idle = idle;
	for (size_t i = 0; i < a->list.pairs.len; i++)
		ice_pair_schedule(&a->list.pairs.v[i], timing(a), a->list.now_us);
	count_pairs(a);
}

static void agent_route_ready(struct path *path, const struct path_route *route, uint64_t now_us)
{
	struct ice_agent *a = agent_of(path);
	int at = ice_pairs_find(&a->list.pairs, route);

	advance(a, now_us);
	if (at >= 0 && !a->list.pairs.v[at].has_succeeded)
		a->list.pairs.v[at].next_check_us = a->list.now_us;
	count_pairs(a);
}

static void agent_rebuild(struct path *path, uint64_t now_us)
{
	struct ice_agent *a = agent_of(path);

	advance(a, now_us);
	for (size_t i = 0; i < a->list.locals.len; i++)
		a->list.locals.v[i].is_valid = false;
	ice_list_prune(&a->list);
	settle(a);
	if (a->dead_us != FZ_NEVER_US)
		a->dead_us = a->list.now_us + CANDIDATES_US; /* ours take a while, too */
}

/* ---- handshakes: ICE finds its paths alone; only the direction of a reply is ours to say ---- */

static bool agent_filter_handshake(struct path *path, const struct path_route *arrival, const void *data,
				   size_t len, uint64_t now_us)
{
	return true;
}

static bool agent_handshake_done(struct path *path, const struct path_route *arrival, const void *data,
				 size_t len, bool accepted, const void *reply, size_t reply_len,
				 struct path_route *ret, uint64_t now_us)
{
	if (reply == NULL || reply_len == 0)
		return false;
	/* The peer had an answer on this path before it used it, and we may not have selected one yet. */
	*ret = *arrival;
	return true;
}

static bool agent_send_handshake(struct path *path, const void *data, size_t len, uint64_t now_us)
{
	return false;
}

/* ---- life ---- */

static void agent_free(struct path *path)
{
	struct ice_agent *a = agent_of(path);

	ice_list_clear(&a->list);
	ice_creds_clear(&a->creds);
	fz_free(a->env, a);
}

static const struct path_ops ice_ops = {
	.free = agent_free,
	.add_local = agent_add_local,
	.remove_local = agent_remove_local,
	.add_remote = agent_add_remote,
	.remove_remote = agent_remove_remote,
	.next_remote = agent_next_remote,
	.cand_text = agent_cand_text,
	.handle_datagram = agent_handle_datagram,
	.filter_handshake = agent_filter_handshake,
	.handshake_done = agent_handshake_done,
	.send_handshake = agent_send_handshake,
	.route_ready = agent_route_ready,
	.rebuild = agent_rebuild,
	.handle_timeout = agent_handle_timeout,
	.next_timeout = agent_next_timeout,
	.poll_transmit = agent_poll_transmit,
	.poll_event = agent_poll_event,
	.set_idle = agent_set_idle,
	.settled = agent_settled,
	.selected = agent_selected,
	.stats = agent_stats,
};

int ice_agent_new(const struct fz_env *env, const struct path_opts *opts, struct path **ret, uint64_t now_us)
{
	struct ice_agent *a = fz_zalloc(env, sizeof(*a));
	int err;

	if (a == NULL)
		return FZ_ERR_NOMEM;
	err = ice_creds_init(&a->creds, opts->local_ufrag, opts->local_pwd, opts->remote_ufrag,
			     opts->remote_pwd);
	if (err != 0) {
		fz_free(env, a);
		return err;
	}
	snprintf(a->local_ufrag, sizeof(a->local_ufrag), "%s", opts->local_ufrag);
	snprintf(a->remote_ufrag, sizeof(a->remote_ufrag), "%s", opts->remote_ufrag);
	a->path.ops = &ice_ops;
	a->env = env;
	ice_list_init(&a->list, env, opts->controlling);
	a->profile = opts->profile;
	a->idle_profile = opts->idle_profile;
	a->tie_breaker = fz_rng_u64(env);
	a->tag = opts->tag;
	a->list.now_us = a->created_us = now_us;
	a->candidates_deadline_us = now_us + CANDIDATES_US;
	a->dead_us = a->due_us = FZ_NEVER_US;
	*ret = &a->path;
	return 0;
}
