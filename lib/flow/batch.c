/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fzconn/error.h"

#define HEAD "{\"flow_logs\":["
#define TAIL "]}"
/* Names that may be collected above `most` before they are sorted and cut. */
#define SLACK 512
#define NAMES_MAX 65536

void flow_batch_clear(struct flow_batch *b, const struct fz_env *env)
{
	fz_free(env, b->items);
	fz_free(env, b->texts);
	*b = (struct flow_batch){ 0 };
}

void flow_batch_reset(struct flow_batch *b, size_t most)
{
	b->len = b->texts_len = 0;
	b->most = most;
	b->is_cut = false;
}

static int compare(const void *a, const void *b)
{
	return flow_report_name_compare(&((const struct flow_batch_item *)a)->name,
					&((const struct flow_batch_item *)b)->name);
}

static bool completes(const struct flow_batch_item *start, const struct flow_batch_item *end)
{
	return end->name.is_end && !start->name.is_end && start->name.stem == end->name.stem &&
	       start->name.start_s == end->name.start_s;
}

void flow_batch_sort(struct flow_batch *b)
{
	size_t n = 0;

	if (b->len > 0)
		qsort(b->items, b->len, sizeof(*b->items), compare);
	for (size_t i = 0; i < b->len; i++) {
		if (n > 0 && completes(&b->items[n - 1], &b->items[i])) {
			b->items[n - 1] = b->items[i];
			b->items[n - 1].has_start = true;
		} else {
			b->items[n++] = b->items[i];
		}
	}
	b->is_cut |= n > b->most;
	b->len = n < b->most ? n : b->most;
}

void flow_batch_add(struct flow_batch *b, const struct fz_env *env, const struct flow_report_name *n)
{
	if (b->len >= 2 * b->most + SLACK)
		flow_batch_sort(b); /* a full folder must not fill the memory */
	if (fz_grow(env, &b->items, &b->cap, b->len, sizeof(*b->items), NAMES_MAX) != 0)
		b->is_cut = true;
	else
		b->items[b->len++] = (struct flow_batch_item){ .name = *n };
}

int flow_batch_load(struct flow_batch *b, const struct fz_env *env, struct flow_batch_item *it,
		    const char *text, size_t len)
{
	size_t need = b->texts_len + len + 1;

	if (need > b->texts_cap) {
		char *wider = fz_realloc(env, b->texts, need + need / 2);
		if (wider == NULL)
			return FZ_ERR_NOMEM;
		b->texts = wider;
		b->texts_cap = need + need / 2;
	}
	if (b->texts_len > 0)
		b->texts[b->texts_len++] = ',';
	it->at = b->texts_len;
	it->len = len;
	memcpy(b->texts + it->at, text, len);
	b->texts_len += len;
	return 0;
}

char *flow_batch_body(const struct flow_batch *b, const struct fz_env *env, size_t from, size_t to,
		      size_t *ret_len)
{
	const struct flow_batch_item *first = &b->items[from], *last = &b->items[to - 1];
	size_t len = last->at + last->len - first->at;
	char *body = fz_realloc(env, NULL, len + sizeof(HEAD) + sizeof(TAIL));

	if (body == NULL)
		return NULL;
	memcpy(body, HEAD, sizeof(HEAD) - 1);
	memcpy(body + sizeof(HEAD) - 1, b->texts + first->at, len);
	memcpy(body + sizeof(HEAD) - 1 + len, TAIL, sizeof(TAIL));
	*ret_len = len + sizeof(HEAD) + sizeof(TAIL) - 2;
	return body;
}
