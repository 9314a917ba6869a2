/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <assert.h>

#include "base/mem.h"
#include "fzconn/error.h"

void fz_heap_clear(struct fz_heap *h, const struct fz_env *env)
{
	fz_free(env, h->v);
	*h = (struct fz_heap){ 0 };
}

int fz_heap_reserve(struct fz_heap *h, const struct fz_env *env, size_t count)
{
	size_t cap = h->cap ? h->cap : 8;
	void *p;

	if (count <= h->cap)
		return 0;
	while (cap < count)
		cap *= 2;
	p = fz_realloc(env, h->v, cap * sizeof(*h->v));
	if (p == NULL)
		return FZ_ERR_NOMEM;
	h->v = p;
	h->cap = cap;
	return 0;
}

static void place(struct fz_heap *h, size_t i, struct fz_heap_node *n)
{
	h->v[i] = n;
	n->pos = i + 1;
}

static void sift(struct fz_heap *h, size_t i, struct fz_heap_node *n)
{
	while (i > 0 && h->v[(i - 1) / 2]->at_us > n->at_us) {
		place(h, i, h->v[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * i + 1;
		if (child + 1 < h->len && h->v[child + 1]->at_us < h->v[child]->at_us)
			child++;
		if (child >= h->len || h->v[child]->at_us >= n->at_us)
			break;
		place(h, i, h->v[child]);
		i = child;
	}
	place(h, i, n);
}

void fz_heap_set(struct fz_heap *h, struct fz_heap_node *n, uint64_t at_us)
{
	if (n->pos && n->at_us == at_us)
		return;
	n->at_us = at_us;
	if (at_us == FZ_NEVER_US) {
		if (n->pos) {
			size_t i = n->pos - 1;
			struct fz_heap_node *last = h->v[--h->len];
			n->pos = 0;
			if (last != n)
				sift(h, i, last);
		}
		return;
	}
	if (n->pos) {
		sift(h, n->pos - 1, n);
		return;
	}
	assert(h->len < h->cap);
	h->len++;
	sift(h, h->len - 1, n);
}

struct fz_heap_node *fz_heap_peek(const struct fz_heap *h)
{
	return h->len ? h->v[0] : NULL;
}
