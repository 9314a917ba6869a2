/* SPDX-License-Identifier: Apache-2.0 */
#include "core/relays.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/time.h"
#include "fzconn/error.h"

/* Outliers are judged by the median absolute deviation, which must not fall below the jitter of a good path.
 */
#define MIN_DEVIATION_US FZ_MS(2)

void relays_init(struct relays *r, const struct fz_env *env)
{
	*r = (struct relays){ .env = env };
}

static void relay_free(const struct fz_env *env, struct relay *relay)
{
	if (relay == NULL)
		return;
	turn_alloc_free(relay->alloc);
	fz_free(env, relay->username);
	fz_free_secret(env, relay->password);
	fz_free(env, relay);
}

void relays_clear(struct relays *r)
{
	for (size_t i = 0; i < r->len; i++)
		relay_free(r->env, r->v[i]);
	r->len = 0;
}

struct relay *relays_find(const struct relays *r, const struct fz_uuid *id)
{
	for (size_t i = 0; i < r->len; i++)
		if (fz_uuid_equal(&r->v[i]->id, id))
			return r->v[i];
	return NULL;
}

struct relay *relays_by_server(const struct relays *r, const struct fz_addr *server)
{
	for (size_t i = 0; i < r->len; i++)
		if (turn_alloc_is_server(r->v[i]->alloc, server))
			return r->v[i];
	return NULL;
}

static size_t slot(const struct fz_addr *a)
{
	return a->ip.family == FZ_FAMILY_INET6;
}

struct relay *relays_by_relayed(const struct relays *r, const struct fz_addr *relayed)
{
	for (size_t i = 0; i < r->len; i++)
		if (fz_addr_equal(&r->v[i]->relayed[slot(relayed)].addr, relayed))
			return r->v[i];
	return NULL;
}

bool relays_was_server(const struct relays *r, const struct fz_ip *ip)
{
	for (size_t i = 0; i < RELAYS_GONE_MAX; i++)
		if (r->gone[i].family != FZ_FAMILY_NONE && fz_ip_equal(&r->gone[i], ip))
			return true;
	return false;
}

bool relay_matches(const struct relay *r, const struct portal_relay *info)
{
	return fz_addr_equal(&r->server4, &info->ipv4) && fz_addr_equal(&r->server6, &info->ipv6) &&
	       strcmp(r->username, info->username) == 0 && strcmp(r->password, info->password) == 0;
}

int relays_add(struct relays *r, const struct portal_relay *info, uint64_t now_us, struct relay **ret)
{
	struct turn_alloc_opts opts = {
		.username = info->username,
		.password = info->password,
		.realm = "firezone", /* the portal does not transmit it */
		.software = "fzconn",
		.server4 = info->ipv4,
		.server6 = info->ipv6,
	};
	struct relay *relay;
	int err = FZ_ERR_NOMEM;

	if (r->len == RELAYS_MAX)
		return FZ_ERR_FULL;
	relay = fz_zalloc(r->env, sizeof(*relay));
	if (relay == NULL)
		return FZ_ERR_NOMEM;
	relay->id = info->id;
	relay->server4 = info->ipv4;
	relay->server6 = info->ipv6;
	relay->username = fz_strdup(r->env, info->username);
	relay->password = fz_strdup(r->env, info->password);
	if (relay->username && relay->password)
		err = turn_alloc_new(r->env, &opts, now_us, &relay->alloc);
	if (err != 0) {
		relay_free(r->env, relay);
		return err;
	}
	r->v[r->len++] = relay;
	*ret = relay;
	return 0;
}

static void remember_gone(struct relays *r, const struct fz_ip *ip)
{
	if (ip->family == FZ_FAMILY_NONE || relays_was_server(r, ip))
		return;
	r->gone[r->gone_next++ % RELAYS_GONE_MAX] = *ip;
}

void relays_remove(struct relays *r, struct relay *relay)
{
	for (size_t i = 0; i < r->len; i++) {
		if (r->v[i] != relay)
			continue;
		remember_gone(r, &relay->server4.ip);
		remember_gone(r, &relay->server6.ip);
		relay_free(r->env, relay);
		memmove(&r->v[i], &r->v[i + 1], (--r->len - i) * sizeof(r->v[0]));
		return;
	}
}

void relays_restart(struct relays *r, uint64_t now_us)
{
	for (size_t i = 0; i < r->len; i++) {
		struct relay *relay = r->v[i];
		memset(relay->host, 0, sizeof(relay->host));
		memset(relay->mapped, 0, sizeof(relay->mapped));
		memset(relay->relayed, 0, sizeof(relay->relayed));
		relay->fresh_len = 0;
		turn_alloc_restart(relay->alloc, now_us);
	}
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* An even-sized set averages its two middle values. */
static uint64_t median(uint64_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare_u64);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

uint64_t relays_rtt_limit(const uint64_t *rtt, size_t n)
{
	uint64_t v[RELAYS_MAX], mid, mad;

	memcpy(v, rtt, n * sizeof(*v));
	if (n <= 2) {
		uint64_t least = n == 2 && v[1] < v[0] ? v[1] : v[0];
		return least + least / 2;
	}
	mid = median(v, n);
	for (size_t i = 0; i < n; i++)
		v[i] = rtt[i] > mid ? rtt[i] - mid : mid - rtt[i];
	mad = median(v, n);
	return mid + 3 * (mad > MIN_DEVIATION_US ? mad : MIN_DEVIATION_US);
}

struct relay *relays_select(const struct relays *r)
{
	struct relay *who[RELAYS_MAX], *near[RELAYS_MAX];
	uint64_t rtt[RELAYS_MAX], limit;
	size_t n = 0, m = 0;

	for (size_t i = 0; i < r->len; i++) {
		uint64_t t = turn_alloc_rtt_us(r->v[i]->alloc);
		if (t == 0 || r->v[i]->failed)
			continue;
		who[n] = r->v[i];
		rtt[n++] = t;
	}
	if (n == 0)
		return NULL;
	limit = relays_rtt_limit(rtt, n);
	for (size_t i = 0; i < n; i++)
		if (rtt[i] <= limit)
			near[m++] = who[i];
	return near[fz_rng_below(r->env, (uint32_t)m)];
}

/* A changed fact is announced as new; what it replaces stays valid for those who have it. */
static void learn(struct relay *r, struct cand *known, const struct cand *cand)
{
	if (fz_addr_equal(&known->addr, &cand->addr) && fz_addr_equal(&known->base, &cand->base))
		return;
	*known = *cand;
	r->fresh[r->fresh_len++] = *cand;
}

static void learn_mapped(struct relay *r, const struct turn_event *ev)
{
	struct cand host = { .kind = CAND_HOST, .addr = ev->local, .base = ev->local };
	struct cand mapped = { .kind = CAND_SRFLX, .addr = ev->mapped, .base = ev->local };

	if (!cand_addr_usable(&ev->local))
		return;
	learn(r, &r->host[slot(&ev->local)], &host);
	if (ev->mapped.ip.family == ev->local.ip.family && cand_addr_usable(&ev->mapped))
		learn(r, &r->mapped[slot(&ev->mapped)], &mapped);
}

bool relay_poll_change(struct relay *r, const struct fz_env *env, enum relay_change *ret,
		       struct cand *ret_cand)
{
	struct turn_event ev;

	while (r->fresh_len == 0) {
		struct cand relayed = { .kind = CAND_RELAY };
		if (!turn_alloc_poll_event(r->alloc, &ev))
			return false;
		relayed.addr = ev.relayed;
		relayed.base = ev.local;
		switch (ev.type) {
		case TURN_MAPPED:
			learn_mapped(r, &ev);
			break;
		case TURN_RELAYED:
			learn(r, &r->relayed[slot(&ev.relayed)], &relayed);
			break;
		case TURN_RELAYED_LOST:
			*ret_cand = r->relayed[slot(&ev.relayed)];
			if (!fz_addr_equal(&ret_cand->addr, &ev.relayed))
				break;
			memset(&r->relayed[slot(&ev.relayed)], 0, sizeof(*r->relayed));
			*ret = RELAY_CAND_GONE;
			return true;
		case TURN_REFUSED:
			fz_info(env, "relay", "no relayed address for now (error %u)", ev.code);
			break;
		case TURN_FAILED:
			fz_debug(env, "relay", "gave up, reason %d", ev.reason);
			*ret = RELAY_FAILED;
			return true;
		}
	}
	*ret = RELAY_CAND_NEW;
	*ret_cand = r->fresh[0];
	r->fresh[0] = r->fresh[1];
	r->fresh_len--;
	return true;
}

uint64_t relays_next_timeout(const struct relays *r)
{
	uint64_t at = FZ_NEVER_US;

	for (size_t i = 0; i < r->len; i++)
		at = fz_min_us(at, turn_alloc_next_timeout(r->v[i]->alloc));
	return at;
}
