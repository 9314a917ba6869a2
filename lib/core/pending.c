/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pending.h"

#include <string.h>

#include "base/mem.h"
#include "base/wr.h"
#include "core/cut.h"
#include "fzconn/error.h"

struct pending_packet {
	uint32_t hash; /* of all bytes, compared first */
	uint32_t len;
	uint16_t l3_len;
	bool is_syn;
	uint8_t buf[]; /* headroom, packet */
};

int pending_init(struct pending *p, const struct fz_env *env, size_t cap)
{
	struct pending_packet **slots = cap > 0 ? fz_calloc(env, cap, sizeof(*slots)) : NULL;

	if (cap == 0)
		return FZ_ERR_INVAL;
	if (slots == NULL)
		return FZ_ERR_NOMEM;
	*p = (struct pending){ .env = env, .slots = slots, .cap = cap };
	return 0;
}

static struct pending_packet **slot(const struct pending *p, size_t i)
{
	return &p->slots[(p->first + i) % p->cap];
}

void pending_clear(struct pending *p)
{
	if (p->slots == NULL)
		return;
	for (size_t i = 0; i < p->used; i++)
		fz_free(p->env, *slot(p, i));
	fz_free(p->env, p->taken);
	fz_free(p->env, p->slots);
	*p = (struct pending){ 0 };
}

static uint32_t hash_bytes(const uint8_t *p, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

static uint8_t *bytes_of(struct pending_packet *k)
{
	return k->buf + FZ_PKT_HEADROOM;
}

/* Two SYNs of one attempt; their options (timestamps) may differ. */
static bool same_syn(struct pending_packet *a, struct pending_packet *b)
{
	const uint8_t *x = bytes_of(a), *y = bytes_of(b);

	if (!a->is_syn || !b->is_syn || x[0] >> 4 != y[0] >> 4)
		return false;
	/* Ports and sequence number. */
	if (memcmp(x + a->l3_len, y + b->l3_len, 8) != 0)
		return false;
	return x[0] >> 4 == 4 ? memcmp(x + 12, y + 12, 8) == 0 : memcmp(x + 8, y + 8, 32) == 0;
}

static bool same_bytes(struct pending_packet *a, struct pending_packet *b)
{
	return a->hash == b->hash && a->len == b->len && memcmp(bytes_of(a), bytes_of(b), a->len) == 0;
}

static void insert(struct pending *p, struct pending_packet *k)
{
	for (size_t i = 0; i < p->used; i++) {
		struct pending_packet **have = slot(p, i);
		if (same_bytes(*have, k)) {
			fz_free(p->env, k);
			return;
		}
		if (same_syn(*have, k)) {
			fz_free(p->env, *have);
			*have = k;
			return;
		}
	}
	if (p->used == p->cap) {
		fz_free(p->env, *slot(p, 0));
		p->first = (p->first + 1) % p->cap;
		p->used--;
		p->dropped++;
	}
	*slot(p, p->used++) = k;
}

void pending_push(struct pending *p, struct fz_pkt *pkt, const struct ip_view *view)
{
	struct cut c;
	const uint8_t *seg;
	size_t len;

	cut_init(&c, pkt, view);
	while (cut_next(&c, &seg, &len)) {
		struct pending_packet *k =
			p->env->mem.alloc(p->env->mem.ctx, sizeof(*k) + FZ_PKT_HEADROOM + len);
		if (k == NULL) {
			p->dropped++;
			continue;
		}
		k->hash = hash_bytes(seg, len);
		k->len = (uint32_t)len;
		k->l3_len = view->l3_len;
		k->is_syn =
			view->kind == IP_TCP && (view->tcp_flags & (IP_TCP_SYN | IP_TCP_ACK)) == IP_TCP_SYN;
		memcpy(bytes_of(k), seg, len);
		insert(p, k);
	}
}

bool pending_take(struct pending *p, struct fz_pkt *ret)
{
	if (p->used == 0)
		return false;
	fz_free(p->env, p->taken);
	p->taken = *slot(p, 0);
	p->first = (p->first + 1) % p->cap;
	p->used--;
	*ret = ip_pkt(bytes_of(p->taken), p->taken->len);
	return true;
}
