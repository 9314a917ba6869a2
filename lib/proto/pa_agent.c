/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/pa_agent.h"

#include <string.h>

#include "base/mem.h"
#include "proto/pa_list.h"
#include "wire/path_probe.h"
#include "wire/wg.h"

/* How long a copy of an initiation is answered with the response that its first copy got. */
#define RESPONSE_CACHE_US FZ_SEC(10)
/* Initiations of the peer that follow each other as fast as this are no re-keys: it sends, but does not hear
 * us, though our responses take the way back. */
#define HASTY_US FZ_SEC(30)
#define HASTY_MAX 2
/* WireGuard does not re-key a session younger than this unless its data is not answered. */
#define YOUNG_US FZ_SEC(100)
/* Answers waiting for poll_transmit; the owner drains once a turn. */
#define REPLIES_MAX 32

/* Where an answer goes: the cached response, or the reply to a probe. */
struct reply {
	struct path_route route;
	bool is_response;
	uint16_t id, seq;
};

struct pa_agent {
	struct path path; /* first member */
	const struct fz_env *env;
	struct pa_list list;
	uint64_t due_us; /* earliest initiation or probe */

	bool has_session;
	uint64_t handshake_us; /* when the last handshake ended well */
	bool awaits_data; /* we answered the first handshake: the peer's first packet lets us send */

	bool has_initiation; /* one of ours is to go over all pairs with a relay */
	uint32_t serial; /* of that one */
	uint8_t initiation[WG_INITIATION_LEN];
	bool has_answered; /* the peer's last initiation, and our response to it */
	uint64_t answered_us;
	uint32_t hasty; /* initiations in a row that came soon after another */
	uint8_t answered[WG_INITIATION_LEN], response[WG_RESPONSE_LEN];
	bool has_taken; /* the peer's response that was accepted last */
	uint8_t taken[WG_RESPONSE_LEN];

	struct reply replies[REPLIES_MAX];
	size_t replies_at, n_replies;
	struct path_stats stats;
};

static struct pa_agent *agent_of(struct path *p)
{
	return (struct pa_agent *)p;
}

static const struct pa_agent *agent_of_const(const struct path *p)
{
	return (const struct pa_agent *)p;
}

/* Time never runs backwards in here. */
static void advance(struct pa_agent *a, uint64_t now_us)
{
	if (now_us > a->list.now_us)
		a->list.now_us = now_us;
}

/* A pair in use carries re-keys; the initiation that was to find one has had its time. */
static bool lacks_initiation(const struct pa_agent *a, const struct pa_pair *p)
{
	return a->has_initiation && p->initiation != a->serial && pa_pair_is_relayed(p) &&
	       !(a->has_session && a->list.pairs.primary >= 0);
}

/* When is a copy of the first initiation due on this pair? */
static uint64_t ladder_time(const struct pa_agent *a, const struct pa_pair *p)
{
	return a->has_initiation && !a->has_session ? p->ladder_us : FZ_NEVER_US;
}

/* Every change of schedules ends here. */
static void plan(struct pa_agent *a)
{
	a->due_us = FZ_NEVER_US;
	for (size_t i = 0; i < a->list.pairs.len; i++) {
		const struct pa_pair *p = &a->list.pairs.v[i];
		if (lacks_initiation(a, p))
			a->due_us = 0;
		a->due_us = fz_min_us(a->due_us, ladder_time(a, p));
		if (a->list.may_probe)
			a->due_us = fz_min_us(a->due_us, p->probe_us);
	}
}

/* ---- candidates ---- */

static bool agent_add_local(struct path *path, const struct cand *cand, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);
	struct cand c = *cand;
	bool is_new;

	advance(a, now_us);
	is_new = pa_cand_normalise(&c) && pa_list_add_local(&a->list, &c);
	plan(a);
	return is_new;
}

static bool agent_remove_local(struct path *path, const struct cand *cand, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);
	struct cand c = *cand;
	bool was_known;

	advance(a, now_us);
	was_known = pa_cand_normalise(&c) && pa_list_remove_local(&a->list, &c);
	plan(a);
	return was_known;
}

static int parse_remote(const char *text, struct cand *ret)
{
	int err = cand_parse_plain(text, ret);

	if (err == 0 && !pa_cand_normalise(ret))
		err = FZ_ERR_NOT_MINE;
	return err == FZ_ERR_UNSUPPORTED ? FZ_ERR_NOT_MINE : err;
}

static int agent_add_remote(struct path *path, const char *text, struct cand *ret, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);
	struct cand c;
	int err = parse_remote(text, &c);

	advance(a, now_us);
	if (err == 0)
		err = pa_list_add_remote(&a->list, &c);
	if (err == 0)
		*ret = c;
	plan(a);
	return err;
}

static int agent_remove_remote(struct path *path, const char *text, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);
	struct cand c;
	int err = parse_remote(text, &c);

	advance(a, now_us);
	if (err == 0 && !pa_list_remove_remote(&a->list, &c))
		err = FZ_ERR_NOT_FOUND;
	plan(a);
	return err == FZ_ERR_NOT_MINE ? FZ_ERR_NOT_FOUND : err;
}

static bool agent_next_remote(const struct path *path, size_t *at, struct cand *ret)
{
	const struct pa_cands *remotes = &agent_of_const(path)->list.remotes;

	if (*at >= remotes->len)
		return false;
	*ret = remotes->v[(*at)++].c;
	return true;
}

static int agent_cand_text(const struct path *path, const struct cand *cand, bool invalidation, char *buf,
			   size_t cap)
{
	/* RFC 8445 section 5.1.2.2, and no local preferences: the texts only have to be ordered. Announcement
	 * and invalidation are the same. */
	static const uint8_t type_prefs[CAND_KINDS] = { [CAND_HOST] = 126, [CAND_SRFLX] = 100 };
	struct cand c = *cand;

	if (!pa_cand_normalise(&c) || pa_cands_find(&agent_of_const(path)->list.locals, &c) < 0)
		return FZ_ERR_NOT_FOUND;
	c.priority = cand_priority(type_prefs[c.kind], UINT16_MAX);
	return cand_format_plain(&c, buf, cap);
}

/* ---- handshakes ---- */

static void queue_reply(struct pa_agent *a, const struct reply *r)
{
	if (a->n_replies == REPLIES_MAX)
		a->stats.full++;
	else
		a->replies[(a->replies_at + a->n_replies++) % REPLIES_MAX] = *r;
}

static bool agent_filter_handshake(struct path *path, const struct path_route *arrival, const void *data,
				   size_t len, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);
	enum wg_type type = wg_classify(data, len);

	advance(a, now_us);
	if (type == WG_RESPONSE)
		return !a->has_taken || memcmp(data, a->taken, sizeof(a->taken)) != 0;
	if (type != WG_INITIATION || !a->has_answered || memcmp(data, a->answered, sizeof(a->answered)) != 0)
		return true;
	if (a->list.now_us < a->answered_us + RESPONSE_CACHE_US)
		queue_reply(a, &(struct reply){ .route = *arrival, .is_response = true });
	return false;
}

/* From now on there is a session. */
static void establish(struct pa_agent *a, bool we_initiated)
{
	bool could_probe = a->list.may_probe;

	a->awaits_data = !we_initiated && !could_probe;
	a->has_session = true;
	a->handshake_us = a->list.now_us;
	a->has_initiation = false;
	a->list.may_probe = !a->awaits_data;
	if (!could_probe)
		pa_list_start(&a->list);
}

static void initiation_accepted(struct pa_agent *a, const struct path_route *arrival, const void *data)
{
	bool had_session = a->has_session;

	a->hasty = a->has_answered && a->list.now_us < a->answered_us + HASTY_US ? a->hasty + 1 : 0;
	memcpy(a->answered, data, sizeof(a->answered));
	a->answered_us = a->list.now_us;
	pa_list_discover(&a->list, &arrival->remote);
	establish(a, false);
	/* The first one came over a relay, so probes can only find something better. Later ones take the
	 * peer's best path, which need not work for us. */
	if (!had_session)
		pa_list_adopt(&a->list, pa_pairs_find(&a->list.pairs, arrival));
	pa_list_unheard(&a->list, &a->list.peer_rekeys);
	if (a->hasty < HASTY_MAX)
		return;
	a->hasty = 0;
	pa_list_distress(&a->list);
}

static void response_accepted(struct pa_agent *a, const struct path_route *arrival, const void *data)
{
	memcpy(a->taken, data, sizeof(a->taken));
	a->has_taken = true;
	a->list.own_rekeys = 0;
	establish(a, true);
	pa_list_adopt(&a->list, pa_pairs_find(&a->list.pairs, arrival));
}

static bool agent_handshake_done(struct path *path, const struct path_route *arrival, const void *data,
				 size_t len, bool accepted, const void *reply, size_t reply_len,
				 struct path_route *ret, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);
	enum wg_type type = wg_classify(data, len);

	advance(a, now_us);
	if (accepted && type == WG_INITIATION) {
		initiation_accepted(a, arrival, data);
		a->has_answered = reply_len == sizeof(a->response);
		if (a->has_answered)
			memcpy(a->response, reply, sizeof(a->response));
	} else if (accepted && type == WG_RESPONSE) {
		response_accepted(a, arrival, data);
	}
	plan(a);
	*ret = *arrival; /* never on the path in use: the peer may not hear us there */
	return reply_len > 0;
}

static bool agent_send_handshake(struct path *path, const void *data, size_t len, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);

	advance(a, now_us);
	if (len != sizeof(a->initiation))
		return false;
	if (a->list.pairs.primary >= 0) {
		a->list.says_doubted |= a->list.now_us < a->handshake_us + YOUNG_US;
		pa_list_unheard(&a->list, &a->list.own_rekeys);
		plan(a);
		return false;
	}
	/* No path: relays first. Before there is a session nothing else can be sent; later the session may
	 * have died with the path, and then no probe finds a new one. */
	memcpy(a->initiation, data, len);
	a->has_initiation = true;
	a->serial++;
	a->has_taken = false;
	plan(a);
	return true;
}

/* ---- inside the tunnel ---- */

static void agent_handle_data(struct path *path, const struct path_route *arrival, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);

	a->list.peer_rekeys = 0;
	if (!a->awaits_data)
		return;
	advance(a, now_us);
	a->awaits_data = false;
	a->list.may_probe = true;
	pa_list_start(&a->list);
	plan(a);
}

static void handle_probe(struct pa_agent *a, const struct path_route *arrival, const struct path_probe *probe)
{
	int at;

	queue_reply(a, &(struct reply){ .route = *arrival, .id = probe->id, .seq = probe->seq });
	pa_list_discover(&a->list, &arrival->remote);
	at = pa_pairs_find(&a->list.pairs, arrival);
	if (at >= 0 && a->list.may_probe)
		pa_pair_hurry(&a->list.pairs.v[at], a->list.now_us);
}

static void handle_probe_reply(struct pa_agent *a, const struct path_route *arrival,
			       const struct path_probe *probe)
{
	int at = pa_pairs_find(&a->list.pairs, arrival);

	if (at < 0 || !pa_pair_answered(&a->list.pairs.v[at], probe->id, probe->seq, a->list.now_us)) {
		a->stats.bad_answer++;
		return;
	}
	a->stats.checks_answered++;
	pa_list_select(&a->list);
}

static bool agent_handle_packet(struct path *path, const struct path_route *arrival, const void *data,
				size_t len, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);
	struct path_probe probe;

	if (!path_probe_parse(data, len, &probe))
		return false;
	advance(a, now_us);
	if (probe.is_reply)
		handle_probe_reply(a, arrival, &probe);
	else
		handle_probe(a, arrival, &probe);
	plan(a);
	return true;
}

/* ---- output ---- */

static int write_probe(void *buf, bool is_reply, uint16_t id, uint16_t seq)
{
	path_probe_build(buf, &(struct path_probe){ .is_reply = is_reply, .id = id, .seq = seq });
	return PATH_PROBE_LEN;
}

static int send_reply(struct pa_agent *a, void *buf, enum path_transmit_kind *ret_kind,
		      struct path_route *ret)
{
	const struct reply r = a->replies[a->replies_at];

	a->replies_at = (a->replies_at + 1) % REPLIES_MAX;
	a->n_replies--;
	*ret = r.route;
	*ret_kind = r.is_response ? PATH_TX_DATAGRAM : PATH_TX_PACKET;
	if (!r.is_response)
		return write_probe(buf, true, r.id, r.seq);
	memcpy(buf, a->response, sizeof(a->response));
	return sizeof(a->response);
}

/* The next pair that wants our initiation: those that have not had it, then those whose copy is due. */
static struct pa_pair *next_initiation(struct pa_agent *a)
{
	for (size_t i = 0; i < a->list.pairs.len; i++) {
		struct pa_pair *p = &a->list.pairs.v[i];
		if (!lacks_initiation(a, p))
			continue;
		pa_pair_initiation(p, a->serial, !a->has_session, a->list.now_us);
		return p;
	}
	for (size_t i = 0; i < a->list.pairs.len; i++) {
		struct pa_pair *p = &a->list.pairs.v[i];
		if (ladder_time(a, p) > a->list.now_us)
			continue;
		pa_pair_repeated(p, a->list.now_us);
		return p;
	}
	return NULL;
}

static int send_due(struct pa_agent *a, void *buf, enum path_transmit_kind *ret_kind, struct path_route *ret)
{
	struct pa_pair *p = next_initiation(a);

	if (p != NULL) {
		memcpy(buf, a->initiation, sizeof(a->initiation));
		*ret = p->route;
		*ret_kind = PATH_TX_DATAGRAM;
		return sizeof(a->initiation);
	}
	for (size_t i = 0; a->list.may_probe && i < a->list.pairs.len; i++) {
		p = &a->list.pairs.v[i];
		if (p->probe_us > a->list.now_us)
			continue;
		uint16_t seq = pa_pair_probe(p, a->list.pairs.primary >= 0, a->list.pairs.primary == (int)i,
					     a->list.now_us);
		a->stats.checks_sent++;
		*ret = p->route;
		*ret_kind = PATH_TX_PACKET;
		return write_probe(buf, false, p->id, seq);
	}
	return 0;
}

static int agent_poll_transmit(struct path *path, void *buf, size_t cap, enum path_transmit_kind *ret_kind,
			       struct path_route *ret, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);
	int n;

	if (a->n_replies == 0 && now_us < a->due_us)
		return 0;
	if (cap < PATH_TRANSMIT_MAX)
		return FZ_ERR_NOSPACE;
	advance(a, now_us);
	if (a->n_replies > 0)
		return send_reply(a, buf, ret_kind, ret);
	n = send_due(a, buf, ret_kind, ret);
	plan(a);
	return n;
}

static bool agent_poll_event(struct path *path, struct path_event *ret)
{
	struct pa_agent *a = agent_of(path);

	if (a->list.says_selected) {
		a->list.says_selected = false;
		*ret = (struct path_event){ .type = PATH_SELECTED,
					    .reason = a->list.reason,
					    .route = a->list.selected };
		return true;
	}
	if (a->list.says_doubted) {
		a->list.says_doubted = false;
		*ret = (struct path_event){ .type = PATH_DOUBTED };
		return true;
	}
	return false;
}

static const struct path_route *agent_selected(const struct path *path)
{
	const struct pa_agent *a = agent_of_const(path);

	return a->list.has_selected ? &a->list.selected : NULL;
}

static bool agent_settled(const struct path *path)
{
	return agent_of_const(path)->list.pairs.primary >= 0;
}

static void agent_stats(const struct path *path, struct path_stats *ret)
{
	const struct pa_agent *a = agent_of_const(path);

	*ret = a->stats;
	ret->full += a->list.full;
	ret->pairs = (uint32_t)a->list.pairs.len;
	for (size_t i = 0; i < a->list.pairs.len; i++)
		ret->pairs_working += a->list.pairs.v[i].has_rtt;
	if (a->list.pairs.primary >= 0 && a->list.pairs.v[a->list.pairs.primary].has_rtt)
		ret->rtt_us = a->list.pairs.v[a->list.pairs.primary].rtt_us;
}

/* ---- time and changes of the network ---- */

static void agent_handle_timeout(struct path *path, uint64_t now_us)
{
	advance(agent_of(path), now_us); /* what is due waits for poll_transmit */
}

static uint64_t agent_next_timeout(const struct path *path)
{
	return agent_of_const(path)->due_us;
}

static void agent_route_ready(struct path *path, const struct path_route *route, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);
	int at = pa_pairs_find(&a->list.pairs, route);
	struct pa_pair *p = at < 0 ? NULL : &a->list.pairs.v[at];

	advance(a, now_us);
	if (p != NULL && ladder_time(a, p) != FZ_NEVER_US)
		p->ladder_us = a->list.now_us;
	if (p != NULL && !p->has_rtt && p->probe_us != FZ_NEVER_US)
		p->probe_us = a->list.now_us;
	plan(a);
}

static void agent_rebuild(struct path *path, uint64_t now_us)
{
	struct pa_agent *a = agent_of(path);

	advance(a, now_us);
	pa_list_forget_locals(&a->list);
	a->n_replies = 0;
	plan(a);
}

static void agent_set_idle(struct path *path, bool idle, uint64_t now_us)
{
	advance(agent_of(path), now_us);
}

/* No STUN between peers. */
static int agent_handle_datagram(struct path *path, const struct path_route *arrival, const void *data,
				 size_t len, uint64_t now_us)
{
	advance(agent_of(path), now_us);
	return FZ_ERR_NOT_MINE;
}

/* ---- life ---- */

static void agent_free(struct path *path)
{
	struct pa_agent *a = agent_of(path);

	pa_list_clear(&a->list);
	fz_free(a->env, a);
}

static const struct path_ops pa_ops = {
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
	.handle_packet = agent_handle_packet,
	.handle_data = agent_handle_data,
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

int pa_agent_new(const struct fz_env *env, const struct path_opts *opts, struct path **ret, uint64_t now_us)
{
	struct pa_agent *a = fz_zalloc(env, sizeof(*a));

	if (a == NULL)
		return FZ_ERR_NOMEM;
	a->path.ops = &pa_ops;
	a->path.watches_data = true;
	a->env = env;
	pa_list_init(&a->list, env, now_us);
	a->due_us = FZ_NEVER_US;
	*ret = &a->path;
	return 0;
}
