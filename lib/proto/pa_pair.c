/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/pa_pair.h"

#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "proto/pa_cand.h"

/* After the first probe; the last gap goes on. Short at first: the peer opens its filter a moment after our
 * first probe. */
static const uint64_t probe_gaps_us[] = { FZ_MS(200), FZ_MS(300), FZ_MS(500), FZ_SEC(1) };
#define PROBE_GAPS (sizeof(probe_gaps_us) / sizeof(probe_gaps_us[0]))

/* After the first initiation: the peer may bind the channel through which it comes a little later. */
static const uint64_t ladder_us[] = { FZ_MS(50),  FZ_MS(50),  FZ_MS(50),  FZ_MS(100),
				      FZ_MS(200), FZ_MS(400), FZ_MS(800), FZ_MS(1600) };
#define LADDER (sizeof(ladder_us) / sizeof(ladder_us[0]))

/* A round trip must be this much shorter, or a fifth of the present one if that is more. */
#define MARGIN_US FZ_MS(10)
/* Probes after which an adopted pair is not believed to work. */
#define SILENT_PROBES 3

void pa_pairs_clear(struct pa_pairs *s, const struct fz_env *env)
{
	fz_free(env, s->v);
	*s = (struct pa_pairs){ .primary = -1, .next_id = s->next_id };
}

static int compare_addr(const struct fz_addr *a, const struct fz_addr *b)
{
	int diff = (a->ip.family == FZ_FAMILY_INET6) - (b->ip.family == FZ_FAMILY_INET6);

	if (diff == 0)
		diff = memcmp(a->ip.b, b->ip.b, fz_ip_len(&a->ip));
	return diff != 0 ? diff : a->port - b->port;
}

static int compare_route(const struct path_route *a, const struct path_route *b)
{
	int diff = compare_addr(&a->local, &b->local);

	if (diff == 0)
		diff = compare_addr(&a->remote, &b->remote);
	return diff != 0 ? diff : a->local_relayed - b->local_relayed;
}

/* The first pair that does not come before the route. */
static size_t lower_bound(const struct pa_pairs *s, const struct path_route *route)
{
	size_t lo = 0, hi = s->len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (compare_route(&s->v[mid].route, route) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int pa_pairs_find(const struct pa_pairs *s, const struct path_route *route)
{
	size_t at = lower_bound(s, route);

	return at < s->len && compare_route(&s->v[at].route, route) == 0 ? (int)at : -1;
}

static void set_kinds(struct pa_pair *p, const struct cand *local, const struct cand *remote)
{
	p->local_kind = (uint8_t)local->kind;
	p->remote_kind = (uint8_t)remote->kind;
	p->crosses_family = local->kind == CAND_RELAY && local->base.ip.family != local->addr.ip.family;
	p->route.remote_relayed = remote->kind == CAND_RELAY;
}

int pa_pairs_add(struct pa_pairs *s, const struct fz_env *env, const struct cand *local,
		 const struct cand *remote, size_t *ret)
{
	struct pa_pair p = { .route = { .local = *pa_cand_sender(local),
					.remote = remote->addr,
					.local_relayed = local->kind == CAND_RELAY },
			     .probe_us = FZ_NEVER_US,
			     .ladder_us = FZ_NEVER_US };
	size_t at = lower_bound(s, &p.route);
	int err;

	*ret = at;
	if (at < s->len && compare_route(&s->v[at].route, &p.route) == 0) {
		set_kinds(&s->v[at], local, remote);
		return 0;
	}
	err = fz_grow(env, &s->v, &s->cap, s->len, sizeof(*s->v), PA_PAIRS_MAX);
	if (err != 0)
		return err;
	set_kinds(&p, local, remote);
	p.id = s->next_id++;
	memmove(&s->v[at + 1], &s->v[at], (s->len++ - at) * sizeof(*s->v));
	s->v[at] = p;
	s->primary += s->primary >= (int)at;
	return 0;
}

bool pa_pairs_remove(struct pa_pairs *s, size_t at)
{
	bool was_primary = s->primary == (int)at;

	memmove(&s->v[at], &s->v[at + 1], (--s->len - at) * sizeof(*s->v));
	if (was_primary)
		s->primary = -1;
	s->primary -= s->primary > (int)at;
	return was_primary;
}

/* ---- probes ---- */

void pa_pair_restart(struct pa_pair *p, uint64_t now_us)
{
	p->probe_us = now_us;
	p->probes = 0;
	p->has_rtt = p->was_hurried = false;
	p->open = 0;
}

uint16_t pa_pair_probe(struct pa_pair *p, bool has_primary, bool is_primary, uint64_t now_us)
{
	uint16_t seq = p->next_seq++;
	size_t gap = p->probes < PROBE_GAPS ? p->probes : PROBE_GAPS - 1;

	p->sent_us[seq % PA_PROBE_SLOTS] = (uint32_t)now_us;
	p->open |= (uint16_t)(1u << seq % PA_PROBE_SLOTS);
	p->open &= (uint16_t) ~(1u << (uint16_t)(seq - PA_PROBE_BUDGET) % PA_PROBE_SLOTS);
	p->probes += p->probes < UINT8_MAX;
	if (!has_primary || p->probes < PA_PROBE_BUDGET)
		p->probe_us = now_us + probe_gaps_us[gap];
	else
		p->probe_us = is_primary ? now_us + PA_KEEPALIVE_US : FZ_NEVER_US;
	return seq;
}

bool pa_pair_answered(struct pa_pair *p, uint16_t id, uint16_t seq, uint64_t now_us)
{
	uint16_t age = (uint16_t)(p->next_seq - seq), bit = (uint16_t)(1u << seq % PA_PROBE_SLOTS);
	uint32_t rtt_us;

	if (id != p->id || age == 0 || age > PA_PROBE_BUDGET || !(p->open & bit))
		return false;
	p->open &= (uint16_t)~bit;
	rtt_us = (uint32_t)now_us - p->sent_us[seq % PA_PROBE_SLOTS];
	p->rtt_us = p->has_rtt ? (uint32_t)(((uint64_t)p->rtt_us + rtt_us) / 2) : rtt_us;
	p->has_rtt = true;
	return true;
}

void pa_pair_hurry(struct pa_pair *p, uint64_t now_us)
{
	if (p->has_rtt || p->was_hurried)
		return;
	if (p->probe_us == FZ_NEVER_US)
		pa_pair_restart(p, now_us);
	p->probe_us = now_us;
	p->was_hurried = true;
}

/* ---- the first handshake ---- */

void pa_pair_initiation(struct pa_pair *p, uint32_t serial, bool first, uint64_t now_us)
{
	if (first && p->initiation == 0)
		p->ladder_us = now_us + ladder_us[0];
	p->initiation = serial;
}

void pa_pair_repeated(struct pa_pair *p, uint64_t now_us)
{
	p->ladder++;
	p->ladder_us = p->ladder < LADDER ? now_us + ladder_us[p->ladder] : FZ_NEVER_US;
}

/* ---- ranking ---- */

static unsigned rank(uint8_t kind)
{
	return kind == CAND_HOST ? 0 : kind == CAND_SRFLX ? 1 : 2;
}

unsigned pa_pair_class(const struct pa_pair *p)
{
	unsigned l = rank(p->local_kind), r = rank(p->remote_kind);
	unsigned worse = l > r ? l : r, better = l > r ? r : l;

	/* In this order: the worse end, the better end, our own relay before the peer's, no relay that
	 * translates between families, IPv6. */
	return worse << 5 | better << 3 | (unsigned)(p->local_kind != CAND_RELAY) << 2 |
	       (unsigned)p->crosses_family << 1 | (unsigned)(p->route.local.ip.family != FZ_FAMILY_INET6);
}

int pa_pairs_best(const struct pa_pairs *s)
{
	int best = -1;

	for (size_t i = 0; i < s->len; i++) {
		const struct pa_pair *p = &s->v[i];
		if (!p->has_rtt)
			continue;
		unsigned a = pa_pair_class(p), b = best < 0 ? UINT32_MAX : pa_pair_class(&s->v[best]);
		if (a < b || (a == b && p->rtt_us < s->v[best].rtt_us))
			best = (int)i;
	}
	return best;
}

bool pa_pair_beats(const struct pa_pair *p, const struct pa_pair *current)
{
	unsigned ours = pa_pair_class(p), theirs = pa_pair_class(current);
	uint64_t margin_us = current->rtt_us / 5 > MARGIN_US ? current->rtt_us / 5 : MARGIN_US;

	if (!current->has_rtt && current->probes >= SILENT_PROBES)
		return true;
	if (ours != theirs)
		return ours < theirs;
	return current->has_rtt && p->rtt_us + margin_us < current->rtt_us;
}
