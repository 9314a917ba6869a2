/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ice_list.h"

#include <string.h>

#include "base/log.h"

/* Gap below which a further request of the peer does not hurry our own check: its answer is probably under
 * way. */
#define TRIGGER_GAP_US FZ_MS(50)
/* The peer left the selected pair for another one: that many requests there, and that long without one here.
 */
#define RIVAL_REQUESTS 4
#define RIVAL_US FZ_SEC(5)
/* A check without USE-CANDIDATE takes a nomination back, unless it was just overtaken by one that has it. */
#define UNNOMINATED_US FZ_SEC(1)
/* Peer-reflexive candidates at one time, and how long each is sure of its place. */
#define PRFLX_MAX 6
#define PRFLX_TEST_US FZ_SEC(10)

void ice_list_init(struct ice_list *s, const struct fz_env *env, bool controlling)
{
	*s = (struct ice_list){ .env = env, .selected = -1, .is_controlling = controlling };
}

void ice_list_clear(struct ice_list *s)
{
	ice_cands_clear(&s->locals, s->env);
	ice_cands_clear(&s->remotes, s->env);
	ice_pairs_clear(&s->pairs, s->env);
}

/* How fit a pair is for payload; what the peer nominated comes first within a level. */
enum {
	TIER_UNFIT = 0,
	TIER_SUSPECT = 1, /* and nominated: one more */
	TIER_WORKS = 3 /* and nominated: one more */
};

/* A controlled agent follows nominations, but what answered it works as well. A nomination alone counts for
 * nothing (RFC 8445 section 7.3.1.5): whoever saw the request can send copies of it from anywhere, and the
 * answer to our own check comes within the same round trip. */
static int tier(const struct ice_list *s, const struct ice_pair *p)
{
	if (!p->has_succeeded)
		return TIER_UNFIT;
	bool is_suspect = ice_pair_is_suspect(p, s->is_controlling, s->now_us);
	return (is_suspect ? TIER_SUSPECT : TIER_WORKS) + (!s->is_controlling && p->is_nominated);
}

static int best_pair(const struct ice_list *s)
{
	int best = -1, best_tier = 0;

	for (size_t i = 0; i < s->pairs.len; i++) {
		const struct ice_pair *p = &s->pairs.v[i];
		int t = tier(s, p);
		if (t > best_tier || (t > 0 && t == best_tier && p->priority > s->pairs.v[best].priority)) {
			best = (int)i;
			best_tier = t;
		}
	}
	return best;
}

bool ice_list_works(const struct ice_list *s, const struct ice_pair *p)
{
	return tier(s, p) >= TIER_WORKS;
}

static enum path_reason change_reason(const struct ice_list *s, int best)
{
	if (!s->had_selected)
		return PATH_REASON_FIRST;
	if (s->selected < 0 || s->pairs.v[best].priority < s->pairs.v[s->selected].priority)
		return PATH_REASON_LOST;
	return PATH_REASON_BETTER;
}

static void nominate(struct ice_list *s, struct ice_pair *p)
{
	if (!p->is_nominated)
		p->next_check_us = s->now_us; /* tells the peer by USE-CANDIDATE */
	p->is_nominated = true;
	s->says_handshake = true;
}

static void doubt(struct ice_list *s)
{
	bool has_doubt = s->selected >= 0 && !ice_list_works(s, &s->pairs.v[s->selected]);

	s->says_doubted |= has_doubt && !s->has_doubt;
	s->has_doubt = has_doubt;
}

void ice_list_select(struct ice_list *s)
{
	int best = best_pair(s);

	if (best < 0) {
		s->selected = -1;
		return;
	}
	if (best == s->selected) {
		doubt(s);
		return;
	}
	s->reason = change_reason(s, best);
	/* Tell the peer as well, by checks without USE-CANDIDATE: it may hear us on that pair, though we do
	 * not hear it. */
	if (s->is_controlling && s->reason == PATH_REASON_LOST && s->selected >= 0)
		s->pairs.v[s->selected].is_nominated = false;
	s->says_selected = s->had_selected = true;
	s->selected = best;
	for (size_t i = 0; i < s->pairs.len; i++)
		s->pairs.v[i].rivals = 0;
	if (s->is_controlling)
		nominate(s, &s->pairs.v[best]);
	doubt(s);
}

static uint64_t priority_of(const struct ice_list *s, size_t local, size_t remote)
{
	uint32_t l = s->locals.v[local].c.priority, r = s->remotes.v[remote].c.priority;

	return s->is_controlling ? ice_pair_priority(l, r) : ice_pair_priority(r, l);
}

void ice_list_drop(struct ice_list *s, size_t at)
{
	struct ice_pair *p = &s->pairs.v[at];

	s->locals.v[p->local].pairs--;
	s->remotes.v[p->remote].pairs--;
	ice_pairs_remove(&s->pairs, at);
	if (s->selected == (int)at)
		s->selected = -1;
	else if (s->selected == (int)s->pairs.len)
		s->selected = (int)at;
}

static void use_entries(struct ice_list *s, struct ice_pair *p, size_t local, size_t remote)
{
	s->locals.v[local].pairs++;
	s->remotes.v[remote].pairs++;
	p->local = (uint16_t)local;
	p->remote = (uint16_t)remote;
	p->priority = priority_of(s, local, remote);
	p->route.remote_relayed = s->remotes.v[remote].c.kind == CAND_RELAY;
}

void ice_list_refresh(struct ice_list *s)
{
	for (size_t i = 0; i < s->pairs.len; i++) {
		struct ice_pair *p = &s->pairs.v[i];
		p->priority = priority_of(s, p->local, p->remote);
		p->route.remote_relayed = s->remotes.v[p->remote].c.kind == CAND_RELAY;
	}
}

int ice_list_pair(struct ice_list *s, size_t local, size_t remote)
{
	const struct cand *l = &s->locals.v[local].c, *r = &s->remotes.v[remote].c;
	struct ice_pair fresh = { .next_check_us = s->now_us };
	int at, evict;

	/* What a server-reflexive candidate would send comes from the host candidate at its base. */
	if (l->kind == CAND_SRFLX || l->addr.ip.family != r->addr.ip.family)
		return -1;
	fresh.route = (struct path_route){ .local = l->addr,
					   .remote = r->addr,
					   .local_relayed = l->kind == CAND_RELAY };
	at = ice_pairs_find(&s->pairs, &fresh.route);
	if (at >= 0) {
		struct ice_pair *p = &s->pairs.v[at];
		if (priority_of(s, local, remote) > p->priority) {
			s->locals.v[p->local].pairs--;
			s->remotes.v[p->remote].pairs--;
			use_entries(s, p, local, remote);
		}
		return at;
	}
	fresh.priority = priority_of(s, local, remote);
	int err = ice_pairs_add(&s->pairs, s->env, &fresh, &evict);
	s->n_full += err == FZ_ERR_FULL;
	if (err == FZ_ERR_FULL && evict >= 0 && evict != s->selected) {
		ice_list_drop(s, (size_t)evict);
		err = ice_pairs_add(&s->pairs, s->env, &fresh, &evict);
	}
	if (err != 0)
		return -1;
	at = (int)s->pairs.len - 1;
	use_entries(s, &s->pairs.v[at], local, remote);
	return at;
}

void ice_list_prune(struct ice_list *s)
{
	for (size_t i = s->pairs.len; i-- > 0;) {
		struct ice_pair *p = &s->pairs.v[i];
		int heir = ice_remote_find(&s->remotes, &p->route.remote);
		if (!s->locals.v[p->local].is_valid || heir < 0) {
			ice_list_drop(s, i);
		} else if (!s->remotes.v[p->remote].is_valid) {
			s->remotes.v[p->remote].pairs--;
			s->locals.v[p->local].pairs--;
			use_entries(s, p, p->local, (size_t)heir);
		}
	}
}

void ice_list_pair_local(struct ice_list *s, size_t local)
{
	for (size_t i = 0; i < s->remotes.len; i++)
		if (s->remotes.v[i].is_valid)
			ice_list_pair(s, local, i);
}

void ice_list_pair_remote(struct ice_list *s, size_t remote)
{
	for (size_t i = 0; i < s->locals.len; i++)
		if (s->locals.v[i].is_valid)
			ice_list_pair(s, i, remote);
}

void ice_list_infer(struct ice_list *s)
{
	struct cand c;
	size_t at;

	for (int i = 0; i < ICE_OPTIMISTIC_MAX && ice_remote_infer(&s->remotes, &c); i++) {
		if (ice_remote_add(&s->remotes, s->env, &c, true, &at) < 0) {
			s->n_full++;
			return;
		}
		ice_list_pair_remote(s, at);
	}
}

void ice_list_switch_role(struct ice_list *s)
{
	s->is_controlling = !s->is_controlling;
	/* The peer can do this with every check: once is enough for the log. */
	fz_log(s->env, s->has_switched ? FZ_LOG_DEBUG : FZ_LOG_WARN, "ice", "role conflict, now %s",
	       s->is_controlling ? "controlling" : "controlled");
	s->has_switched = true;
	for (size_t i = 0; i < s->pairs.len; i++)
		s->pairs.v[i].is_nominated = s->pairs.v[i].is_peer_silent = false;
	ice_list_refresh(s);
	ice_list_select(s);
	if (s->is_controlling && s->selected >= 0)
		nominate(s, &s->pairs.v[s->selected]);
}

int ice_list_local_of(const struct ice_list *s, const struct path_route *arrival)
{
	for (size_t i = 0; i < s->locals.len; i++) {
		const struct ice_cand *e = &s->locals.v[i];
		if (e->is_valid && (e->c.kind == CAND_HOST || e->c.kind == CAND_RELAY) &&
		    (e->c.kind == CAND_RELAY) == arrival->local_relayed &&
		    fz_addr_equal(&e->c.addr, &arrival->local))
			return (int)i;
	}
	return -1;
}

static bool has_worked(const struct ice_list *s, size_t remote)
{
	for (size_t i = 0; i < s->pairs.len; i++)
		if (s->pairs.v[i].remote == remote && s->pairs.v[i].has_succeeded)
			return true;
	return false;
}

static void forget_remote(struct ice_list *s, size_t remote)
{
	for (size_t i = s->pairs.len; i-- > 0;)
		if (s->pairs.v[i].remote == remote)
			ice_list_drop(s, i);
	s->remotes.v[remote].is_valid = false;
	memset(&s->remotes.v[remote].c.addr, 0,
	       sizeof(s->remotes.v[remote].c.addr)); /* not withdrawn, just unknown */
}

/* Between two symmetric NAT boxes every check of an address just discovered comes out of a new port, which
 * the other side discovers in turn, and so on without end. So only a few may be under test at a time. */
static bool make_room_for_prflx(struct ice_list *s)
{
	int oldest = -1;
	unsigned n = 0;

	for (size_t i = 0; i < s->remotes.len; i++) {
		const struct ice_cand *e = &s->remotes.v[i];
		if (!e->is_valid || e->c.kind != CAND_PRFLX)
			continue;
		n++;
		if (s->now_us - e->added_us >= PRFLX_TEST_US &&
		    (oldest < 0 || e->age < s->remotes.v[oldest].age) && !has_worked(s, i))
			oldest = (int)i;
	}
	if (n < PRFLX_MAX)
		return true;
	if (oldest < 0)
		return false;
	forget_remote(s, (size_t)oldest);
	return true;
}

int ice_list_remote_of(struct ice_list *s, const struct fz_addr *from, uint32_t priority)
{
	const struct cand c = { .kind = CAND_PRFLX, .priority = priority, .addr = *from };
	int at = ice_remote_find(&s->remotes, from);
	size_t fresh;

	if (at >= 0)
		return at;
	if (!cand_addr_usable(from) || ice_remote_is_withdrawn(&s->remotes, from))
		return ICE_REMOTE_IGNORE;
	if (!make_room_for_prflx(s) || ice_remote_add(&s->remotes, s->env, &c, false, &fresh) < 0) {
		s->n_full++;
		return ICE_REMOTE_FULL;
	}
	s->remotes.v[fresh].added_us = s->now_us;
	return (int)fresh;
}

/* The peer compares pairs as well: when it goes on elsewhere, the selected pair no longer reaches us. */
static void watch_rivals(struct ice_list *s, int at)
{
	struct ice_pair *p = &s->pairs.v[at], *selected = s->selected < 0 ? NULL : &s->pairs.v[s->selected];

	if (at == s->selected) {
		for (size_t i = 0; i < s->pairs.len; i++)
			s->pairs.v[i].rivals = 0;
		return;
	}
	if (selected == NULL || s->is_controlling || !p->is_nominated || !p->has_succeeded)
		return;
	if (p->rivals < UINT8_MAX)
		p->rivals++;
	if (p->rivals >= RIVAL_REQUESTS && selected->last_request_us != 0 &&
	    s->now_us - selected->last_request_us >= RIVAL_US)
		selected->is_peer_silent = true;
}

void ice_list_requested(struct ice_list *s, int at, bool use_candidate)
{
	struct ice_pair *p = &s->pairs.v[at];

	ice_pair_requested(p, s->is_controlling, s->now_us);
	if (use_candidate) {
		p->is_nominated = true;
		p->last_nominated_us = s->now_us;
	} else if (!s->is_controlling && s->now_us - p->last_nominated_us >= UNNOMINATED_US) {
		p->is_nominated = false;
	}
	watch_rivals(s, at);
	/* RFC 8445 section 7.3.1.4: the path is open towards us, so it is now that our own check has the best
	 * chance. The first such request counts at once: a check that was sent before it was probably lost at
	 * the peer's NAT, which has opened only with this request. */
	if (!p->has_succeeded) {
		uint64_t soon_us = p->was_hurried ? p->last_sent_us + TRIGGER_GAP_US : s->now_us;
		p->was_hurried = true;
		if (soon_us < s->now_us)
			soon_us = s->now_us;
		p->next_check_us = fz_min_us(p->next_check_us, soon_us);
	}
}
