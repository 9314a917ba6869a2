/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/pa_list.h"

#include "base/addr.h"

void pa_list_init(struct pa_list *l, const struct fz_env *env, uint64_t now_us)
{
	*l = (struct pa_list){ .env = env, .pairs.primary = -1, .now_us = now_us };
}

void pa_list_clear(struct pa_list *l)
{
	pa_cands_clear(&l->locals, l->env);
	pa_cands_clear(&l->remotes, l->env);
	pa_pairs_clear(&l->pairs, l->env);
}

/* ---- choice ---- */

static void set_primary(struct pa_list *l, size_t at)
{
	const struct path_route *route = &l->pairs.v[at].route;

	l->pairs.primary = (int)at;
	l->own_rekeys = l->peer_rekeys = 0;
	if (!l->has_selected || !path_route_equal(route, &l->selected)) {
		l->reason = !l->has_selected ? PATH_REASON_FIRST
			    : l->is_lost     ? PATH_REASON_LOST
					     : PATH_REASON_BETTER;
		l->has_selected = l->says_selected = true;
	}
	l->selected = *route;
	l->is_lost = false;
}

void pa_list_adopt(struct pa_list *l, int at)
{
	const struct pa_pair *v = l->pairs.v;

	/* A handshake says nothing about round trips. */
	if (at >= 0 && (l->pairs.primary < 0 || pa_pair_class(&v[at]) < pa_pair_class(&v[l->pairs.primary])))
		set_primary(l, (size_t)at);
}

void pa_list_select(struct pa_list *l)
{
	int best = pa_pairs_best(&l->pairs);

	if (best < 0 || best == l->pairs.primary)
		return;
	if (l->pairs.primary < 0 || pa_pair_beats(&l->pairs.v[best], &l->pairs.v[l->pairs.primary]))
		set_primary(l, (size_t)best);
}

void pa_list_start(struct pa_list *l)
{
	for (size_t i = 0; l->may_probe && i < l->pairs.len; i++)
		pa_pair_restart(&l->pairs.v[i], l->now_us);
}

void pa_list_probe_again(struct pa_list *l)
{
	int former = l->pairs.primary;

	l->pairs.primary = -1;
	for (size_t i = 0; l->may_probe && i < l->pairs.len; i++)
		if ((int)i == former || !pa_pair_is_searching(&l->pairs.v[i]))
			pa_pair_restart(&l->pairs.v[i], l->now_us);
}

void pa_list_distress(struct pa_list *l)
{
	if (l->pairs.primary < 0)
		return;
	l->is_lost = l->says_doubted = true;
	pa_list_probe_again(l);
}

void pa_list_unheard(struct pa_list *l, uint32_t *count)
{
	*count += *count < UINT32_MAX;
	if (*count == PA_DISTRESS) /* once, on the crossing */
		pa_list_distress(l);
}

/* ---- pairs ---- */

static void pair_up(struct pa_list *l, const struct cand *local, const struct cand *remote)
{
	size_t before = l->pairs.len, at;

	if (pa_cand_sender(local)->ip.family != remote->addr.ip.family)
		return;
	if (pa_pairs_add(&l->pairs, l->env, local, remote, &at) != 0)
		l->full++;
	else if (l->pairs.len > before && l->may_probe)
		pa_pair_restart(&l->pairs.v[at], l->now_us);
}

static void pair_remote(struct pa_list *l, const struct cand *remote)
{
	for (size_t i = 0; i < l->locals.len; i++)
		pair_up(l, &l->locals.v[i].c, remote);
}

static bool has_sender(const struct pa_list *l, const struct path_route *route)
{
	for (size_t i = 0; i < l->locals.len; i++)
		if (fz_addr_equal(pa_cand_sender(&l->locals.v[i].c), &route->local) &&
		    (l->locals.v[i].c.kind == CAND_RELAY) == route->local_relayed)
			return true;
	return false;
}

/* Pairs of candidates that are gone. */
static void drop_orphans(struct pa_list *l)
{
	bool lost_primary = false;

	for (size_t i = l->pairs.len; i-- > 0;) {
		const struct path_route *r = &l->pairs.v[i].route;
		if (!has_sender(l, r) || pa_cands_find_addr(&l->remotes, &r->remote) < 0)
			lost_primary |= pa_pairs_remove(&l->pairs, i);
	}
	if (!lost_primary)
		return;
	l->is_lost = true;
	pa_list_probe_again(l);
}

/* ---- candidates ---- */

static int insert(struct pa_list *l, struct pa_cands *side, const struct cand *c, bool is_discovered)
{
	int old = pa_cands_surplus(side, c->kind);
	int err;

	if (old >= 0) {
		pa_cands_remove(side, (size_t)old);
		drop_orphans(l);
	}
	err = pa_cands_add(side, l->env, c, is_discovered);
	l->full += err != 0;
	return err;
}

bool pa_list_add_local(struct pa_list *l, const struct cand *c)
{
	if (pa_cands_find(&l->locals, c) >= 0 || insert(l, &l->locals, c, false) != 0)
		return false;
	for (size_t i = 0; i < l->remotes.len; i++)
		pair_up(l, c, &l->remotes.v[i].c);
	pa_list_probe_again(l);
	return true;
}

static bool take_out(struct pa_list *l, struct pa_cands *side, const struct cand *c)
{
	int at = pa_cands_find(side, c);

	if (at < 0)
		return false;
	pa_cands_remove(side, (size_t)at);
	drop_orphans(l);
	return true;
}

bool pa_list_remove_local(struct pa_list *l, const struct cand *c)
{
	return take_out(l, &l->locals, c);
}

bool pa_list_remove_remote(struct pa_list *l, const struct cand *c)
{
	return take_out(l, &l->remotes, c);
}

static int insert_remote(struct pa_list *l, const struct cand *c, bool is_discovered)
{
	int err = insert(l, &l->remotes, c, is_discovered);

	if (err != 0)
		return err;
	pair_remote(l, c);
	pa_list_probe_again(l);
	return 0;
}

/* The peer announces an address at which we have seen it: what was measured there stays. */
static bool announce_discovered(struct pa_list *l, const struct cand *c)
{
	int at = pa_cands_find_addr(&l->remotes, &c->addr);

	if (at < 0 || !l->remotes.v[at].is_discovered)
		return false;
	l->remotes.v[at] = (struct pa_cand){ .c = *c };
	pair_remote(l, c);
	return true;
}

int pa_list_add_remote(struct pa_list *l, const struct cand *c)
{
	struct cand inferred;
	int err = 0;

	if (!announce_discovered(l, c) && pa_cands_find(&l->remotes, c) < 0)
		err = insert_remote(l, c, false);
	for (int i = 0; err == 0 && i < PA_INFER_MAX && pa_cands_infer(&l->remotes, &inferred); i++)
		(void)insert_remote(l, &inferred, false);
	return err;
}

void pa_list_discover(struct pa_list *l, const struct fz_addr *addr)
{
	const struct cand c = { .kind = CAND_SRFLX, .addr = *addr, .base = *addr };

	if (pa_cands_find_addr(&l->remotes, addr) < 0 && cand_addr_usable(addr) &&
	    pa_cands_discovered(&l->remotes) < PA_PRFLX_MAX)
		(void)insert_remote(l, &c, true);
}

void pa_list_forget_locals(struct pa_list *l)
{
	pa_cands_clear(&l->locals, l->env);
	pa_pairs_clear(&l->pairs, l->env);
	l->own_rekeys = l->peer_rekeys = 0;
	l->is_lost = true;
}
