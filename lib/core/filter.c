/* SPDX-License-Identifier: Apache-2.0 */
#include "core/filter.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fzconn/error.h"

struct range {
	uint16_t start, end;
};

/* Ranges of a protocol: ascending, neither overlapping nor adjacent. */
struct ranges {
	struct range *at;
	size_t len;
};

struct filter {
	const struct fz_env *env;
	size_t refs;
	bool any, icmp;
	struct ranges tcp, udp;
	struct range store[]; /* tcp, then udp */
};

static int by_start(const void *a, const void *b)
{
	return (int)((const struct range *)a)->start - (int)((const struct range *)b)->start;
}

static void merge(struct ranges *r)
{
	size_t out = 0;

	if (r->len > 1)
		qsort(r->at, r->len, sizeof(*r->at), by_start);
	for (size_t i = 0; i < r->len; i++) {
		struct range *last = out > 0 ? &r->at[out - 1] : NULL;
		if (last != NULL && r->at[i].start <= (uint32_t)last->end + 1) {
			if (r->at[i].end > last->end)
				last->end = r->at[i].end;
		} else {
			r->at[out++] = r->at[i];
		}
	}
	r->len = out;
}

static size_t collect(struct ranges *r, const struct portal_filter *rules, size_t rules_len,
		      enum portal_proto proto)
{
	for (size_t i = 0; i < rules_len; i++)
		if (rules[i].proto == proto)
			r->at[r->len++] = (struct range){ rules[i].start, rules[i].end };
	size_t taken = r->len;
	merge(r);
	return taken;
}

int filter_new(const struct fz_env *env, const struct portal_filter *rules, size_t rules_len,
	       struct filter **ret)
{
	if (rules_len > FILTER_RANGES_MAX)
		return FZ_ERR_FULL;
	bool icmp = false;
	for (size_t i = 0; i < rules_len; i++) {
		switch (rules[i].proto) {
		case PORTAL_PROTO_ICMP:
			icmp = true;
			break;
		case PORTAL_PROTO_TCP:
		case PORTAL_PROTO_UDP:
			if (rules[i].start > rules[i].end)
				return FZ_ERR_INVAL;
			break;
		default:
			return FZ_ERR_INVAL;
		}
	}

	struct filter *f = fz_zalloc(env, sizeof(*f) + rules_len * sizeof(f->store[0]));
	if (f == NULL)
		return FZ_ERR_NOMEM;
	f->env = env;
	f->refs = 1;
	f->any = rules_len == 0;
	f->icmp = icmp;
	f->tcp.at = f->store;
	f->udp.at = f->store + collect(&f->tcp, rules, rules_len, PORTAL_PROTO_TCP);
	collect(&f->udp, rules, rules_len, PORTAL_PROTO_UDP);
	*ret = f;
	return 0;
}

struct filter *filter_ref(struct filter *f)
{
	f->refs++;
	return f;
}

void filter_unref(struct filter *f)
{
	if (f == NULL)
		return;
	assert(f->refs > 0);
	if (--f->refs == 0)
		fz_free(f->env, f);
}

static bool contains(const struct ranges *r, uint16_t port)
{
	size_t lo = 0, hi = r->len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (r->at[mid].end < port)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->len && r->at[lo].start <= port;
}

bool filter_permits(const struct filter *f, uint8_t kind, uint16_t port)
{
	if (f->any)
		return true;
	switch (kind) {
	case IP_TCP:
		return contains(&f->tcp, port);
	case IP_UDP:
		return contains(&f->udp, port);
	case IP_ICMP_ECHO:
	case IP_ICMP_OTHER:
		return f->icmp;
	default:
		return false;
	}
}

static bool ranges_equal(const struct ranges *a, const struct ranges *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++)
		if (a->at[i].start != b->at[i].start || a->at[i].end != b->at[i].end)
			return false;
	return true;
}

bool filter_equal(const struct filter *a, const struct filter *b)
{
	return a->any == b->any && a->icmp == b->icmp && ranges_equal(&a->tcp, &b->tcp) &&
	       ranges_equal(&a->udp, &b->udp);
}
