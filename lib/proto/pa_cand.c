/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/pa_cand.h"

#include <string.h>

#include "base/addr.h"
#include "base/mem.h"

void pa_cands_clear(struct pa_cands *s, const struct fz_env *env)
{
	fz_free(env, s->v);
	*s = (struct pa_cands){ 0 };
}

bool pa_cand_normalise(struct cand *c)
{
	if (c->kind == CAND_PRFLX || !cand_addr_usable(&c->addr))
		return false;
	if (c->kind == CAND_HOST)
		c->base = c->addr;
	return c->kind != CAND_SRFLX || c->base.ip.family == c->addr.ip.family;
}

const struct fz_addr *pa_cand_sender(const struct cand *c)
{
	return c->kind == CAND_SRFLX ? &c->base : &c->addr;
}

int pa_cands_find(const struct pa_cands *s, const struct cand *c)
{
	for (size_t i = 0; i < s->len; i++)
		if (s->v[i].c.kind == c->kind && fz_addr_equal(&s->v[i].c.addr, &c->addr) &&
		    fz_addr_equal(&s->v[i].c.base, &c->base))
			return (int)i;
	return -1;
}

int pa_cands_find_addr(const struct pa_cands *s, const struct fz_addr *addr)
{
	for (size_t i = 0; i < s->len; i++)
		if (fz_addr_equal(&s->v[i].c.addr, addr))
			return (int)i;
	return -1;
}

int pa_cands_surplus(const struct pa_cands *s, enum cand_kind kind)
{
	size_t n = 0;
	int oldest = -1;

	for (size_t i = 0; i < s->len; i++) {
		if (s->v[i].c.kind != kind)
			continue;
		n++;
		if (oldest < 0)
			oldest = (int)i;
	}
	return n >= PA_CANDS_PER_KIND ? oldest : -1;
}

size_t pa_cands_discovered(const struct pa_cands *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->len; i++)
		n += s->v[i].is_discovered;
	return n;
}

int pa_cands_add(struct pa_cands *s, const struct fz_env *env, const struct cand *c, bool is_discovered)
{
	int err = fz_grow(env, &s->v, &s->cap, s->len, sizeof(*s->v), CAND_KINDS * PA_CANDS_PER_KIND);

	if (err != 0)
		return err;
	s->v[s->len++] = (struct pa_cand){ .c = *c, .is_discovered = is_discovered };
	return 0;
}

void pa_cands_remove(struct pa_cands *s, size_t at)
{
	memmove(&s->v[at], &s->v[at + 1], (--s->len - at) * sizeof(*s->v));
}

bool pa_cands_infer(const struct pa_cands *s, struct cand *ret)
{
	for (size_t i = 0; i < s->len; i++) {
		const struct cand *seen = &s->v[i].c;
		if (seen->kind != CAND_SRFLX || seen->addr.ip.family != FZ_FAMILY_INET)
			continue;
		for (size_t k = 0; k < s->len; k++) {
			const struct cand *host = &s->v[k].c;
			struct cand c = { .kind = CAND_SRFLX,
					  .addr = { .ip = seen->addr.ip, .port = host->addr.port },
					  .base = host->addr };
			if (host->kind != CAND_HOST || host->addr.ip.family != FZ_FAMILY_INET ||
			    pa_cands_find(s, &c) >= 0)
				continue;
			*ret = c;
			return true;
		}
	}
	return false;
}
