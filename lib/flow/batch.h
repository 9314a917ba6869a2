/* SPDX-License-Identifier: Apache-2.0 */
/* The reports of one request: the oldest of a folder, by name; their texts; and which part of them is sent.
 */
#ifndef FLOW_BATCH_H
#define FLOW_BATCH_H

#include "flow/report.h"

struct flow_batch_item {
	struct flow_report_name name;
	bool has_start; /* next to its end */
	size_t at, len; /* of its text */
};

/* Zeroed = empty. */
struct flow_batch {
	struct flow_batch_item *items;
	size_t len, cap;
	size_t most; /* older ones win */
	bool is_cut; /* there were more */
	char *texts; /* with commas between */
	size_t texts_len, texts_cap;
};

void flow_batch_clear(struct flow_batch *b, const struct fz_env *env);
/* For the next folder; the memory stays. */
void flow_batch_reset(struct flow_batch *b, size_t most);
/* A name in the folder. Without memory it is left for another time (is_cut). */
void flow_batch_add(struct flow_batch *b, const struct fz_env *env, const struct flow_report_name *n);
/* That was all: sort. Of a beginning next to its end only the end stays. */
void flow_batch_sort(struct flow_batch *b);
/* Keep an item and its text; call in the order of the items. FZ_ERR_NOMEM. */
int flow_batch_load(struct flow_batch *b, const struct fz_env *env, struct flow_batch_item *it,
		    const char *text, size_t len);
/* The JSON of the items [from, to), at least one; free with fz_free(). NULL without memory. */
char *flow_batch_body(const struct flow_batch *b, const struct fz_env *env, size_t from, size_t to,
		      size_t *ret_len);

#endif
