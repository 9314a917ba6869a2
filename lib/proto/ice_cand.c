/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ice_cand.h"

#include "base/addr.h"
#include "base/mem.h"
#include "fzconn/error.h"

/* RFC 8445 section 5.1.2.1; relay above the recommended 0, as all peers of this protocol do. */
static const uint8_t type_prefs[CAND_KINDS] = {
	[CAND_HOST] = 126, [CAND_PRFLX] = 110, [CAND_SRFLX] = 100, [CAND_RELAY] = 2
};
/* IPv6 before IPv4, own addresses before reflected before relayed ones. */
static const uint16_t first_local_prefs[CAND_KINDS] = {
	[CAND_HOST] = 65535, [CAND_PRFLX] = 49151, [CAND_SRFLX] = 32767, [CAND_RELAY] = 16383
};
/* A relay that we talk to over the other family costs a translation. */
#define CROSS_FAMILY_PENALTY 1000
/* An inferred candidate is tried before the announced one, whose address it often shares. */
#define OPTIMISTIC_LOCAL_PREF 65534

void ice_cands_clear(struct ice_cands *s, const struct fz_env *env)
{
	fz_free(env, s->v);
	*s = (struct ice_cands){ 0 };
}

const struct fz_addr *ice_cand_base(const struct cand *c)
{
	return c->kind == CAND_SRFLX ? &c->base : &c->addr;
}

int ice_cands_find(const struct ice_cands *s, const struct cand *c)
{
	for (size_t i = 0; i < s->len; i++)
		if (s->v[i].c.kind == c->kind && fz_addr_equal(&s->v[i].c.addr, &c->addr) &&
		    fz_addr_equal(&s->v[i].c.base, &c->base))
			return (int)i;
	return -1;
}

/* The oldest entry that no pair uses, withdrawn ones first. */
static int evictable(const struct ice_cands *s)
{
	int best = -1;

	for (size_t i = 0; i < s->len; i++) {
		const struct ice_cand *e = &s->v[i];
		if (e->pairs > 0)
			continue;
		if (best < 0 || e->is_valid < s->v[best].is_valid ||
		    (e->is_valid == s->v[best].is_valid && e->age < s->v[best].age))
			best = (int)i;
	}
	return best;
}

static int insert(struct ice_cands *s, const struct fz_env *env, const struct ice_cand *e, size_t *ret_index)
{
	size_t at = s->len;
	int err = fz_grow(env, &s->v, &s->cap, s->len, sizeof(*s->v), ICE_CANDS_MAX);

	if (err == FZ_ERR_FULL) {
		int old = evictable(s);
		if (old < 0)
			return FZ_ERR_FULL;
		at = (size_t)old;
	} else if (err != 0) {
		return err;
	} else {
		s->len++;
	}
	s->v[at] = *e;
	s->v[at].age = s->next_age++;
	s->v[at].pairs = 0;
	s->v[at].is_valid = true;
	*ret_index = at;
	return 1;
}

static uint16_t local_pref(const struct ice_cands *s, const struct cand *c)
{
	uint32_t pref = first_local_prefs[c->kind], lower = 0;

	if (c->addr.ip.family == FZ_FAMILY_INET)
		lower = 1;
	for (size_t i = 0; i < s->len; i++)
		if (s->v[i].c.kind == c->kind && s->v[i].c.addr.ip.family == c->addr.ip.family)
			lower += 2;
	if (c->kind == CAND_RELAY && c->base.ip.family != c->addr.ip.family)
		lower += CROSS_FAMILY_PENALTY;
	return (uint16_t)(lower < pref ? pref - lower : 0);
}

int ice_local_add(struct ice_cands *s, const struct fz_env *env, const struct cand *c, size_t *ret_index)
{
	struct ice_cand e = { .c = *c };
	int known;

	if (!cand_addr_usable(&c->addr) || c->kind == CAND_PRFLX ||
	    (c->kind == CAND_SRFLX && c->base.ip.family != c->addr.ip.family))
		return FZ_ERR_INVAL;
	if (c->kind == CAND_HOST)
		e.c.base = c->addr;
	known = ice_cands_find(s, &e.c);
	if (known >= 0 && s->v[known].is_valid)
		return 0;
	for (size_t i = 0; i < s->len; i++) {
		struct ice_cand *o = &s->v[i];
		if (!o->is_valid || !fz_addr_equal(&o->c.addr, &e.c.addr) ||
		    !fz_addr_equal(ice_cand_base(&o->c), ice_cand_base(&e.c)))
			continue;
		if (type_prefs[o->c.kind] >= type_prefs[e.c.kind] && o->c.kind != e.c.kind)
			return 0;
		o->is_valid = false;
	}
	if (known >= 0) {
		s->v[known].is_valid = true;
		*ret_index = (size_t)known;
		return 1;
	}
	e.local_pref = local_pref(s, &e.c);
	e.c.priority = cand_priority(type_prefs[e.c.kind], e.local_pref);
	return insert(s, env, &e, ret_index);
}

uint32_t ice_local_check_priority(const struct ice_cand *c)
{
	return cand_priority(type_prefs[CAND_PRFLX], c->local_pref);
}

static int find_prflx(const struct ice_cands *s, const struct fz_addr *addr)
{
	for (size_t i = 0; i < s->len; i++)
		if (s->v[i].is_valid && s->v[i].c.kind == CAND_PRFLX && fz_addr_equal(&s->v[i].c.addr, addr))
			return (int)i;
	return -1;
}

int ice_remote_add(struct ice_cands *s, const struct fz_env *env, const struct cand *c, bool is_optimistic,
		   size_t *ret_index)
{
	const struct ice_cand e = { .c = *c, .is_optimistic = is_optimistic };
	int known = ice_cands_find(s, c), prflx;

	if (known >= 0) {
		bool was_valid = s->v[known].is_valid;
		s->v[known].is_valid = true;
		s->v[known].is_optimistic &= is_optimistic;
		*ret_index = (size_t)known;
		return !was_valid;
	}
	prflx = c->kind == CAND_PRFLX ? -1 : find_prflx(s, &c->addr);
	if (prflx >= 0) {
		uint32_t priority = s->v[prflx].c.priority;
		s->v[prflx].c = *c;
		/* Its pair may be in use: a lower priority now would send traffic back to an older one. But
		 * the checks of relays are announced far above what relays are worth. */
		if (c->kind != CAND_RELAY && priority > c->priority)
			s->v[prflx].c.priority = priority;
		s->v[prflx].is_optimistic = is_optimistic;
		*ret_index = (size_t)prflx;
		return 1;
	}
	return insert(s, env, &e, ret_index);
}

int ice_remote_find(const struct ice_cands *s, const struct fz_addr *addr)
{
	int best = -1;

	for (size_t i = 0; i < s->len; i++)
		if (s->v[i].is_valid && fz_addr_equal(&s->v[i].c.addr, addr) &&
		    (best < 0 || s->v[i].c.priority > s->v[best].c.priority))
			best = (int)i;
	return best;
}

bool ice_remote_is_withdrawn(const struct ice_cands *s, const struct fz_addr *addr)
{
	bool withdrawn = false;

	for (size_t i = 0; i < s->len; i++) {
		if (!fz_addr_equal(&s->v[i].c.addr, addr))
			continue;
		if (s->v[i].is_valid)
			return false;
		withdrawn = true;
	}
	return withdrawn;
}

static bool is_announced_v4(const struct ice_cand *e, enum cand_kind kind)
{
	return e->is_valid && !e->is_optimistic && e->c.kind == kind && e->c.addr.ip.family == FZ_FAMILY_INET;
}

bool ice_remote_infer(const struct ice_cands *s, struct cand *ret)
{
	for (size_t i = 0; i < s->len; i++) {
		if (!is_announced_v4(&s->v[i], CAND_SRFLX))
			continue;
		for (size_t j = 0; j < s->len; j++) {
			struct cand c = { .kind = CAND_SRFLX,
					  .priority = cand_priority(type_prefs[CAND_SRFLX],
								    OPTIMISTIC_LOCAL_PREF) };
			if (!is_announced_v4(&s->v[j], CAND_HOST))
				continue;
			c.addr.ip = s->v[i].c.addr.ip;
			c.addr.port = s->v[j].c.addr.port;
			c.base = s->v[j].c.addr;
			int known = ice_cands_find(s, &c);
			if (known >= 0 && s->v[known].is_valid)
				continue;
			*ret = c;
			return true;
		}
	}
	return false;
}

void ice_remote_drop_orphans(struct ice_cands *s)
{
	for (size_t i = 0; i < s->len; i++) {
		bool has_host = false, has_srflx = false;
		struct ice_cand *e = &s->v[i];
		if (!e->is_optimistic || !e->is_valid)
			continue;
		for (size_t j = 0; j < s->len; j++) {
			has_host |= is_announced_v4(&s->v[j], CAND_HOST) &&
				    fz_addr_equal(&s->v[j].c.addr, &e->c.base);
			has_srflx |= is_announced_v4(&s->v[j], CAND_SRFLX) &&
				     fz_ip_equal(&s->v[j].c.addr.ip, &e->c.addr.ip);
		}
		e->is_valid = has_host && has_srflx;
	}
}
