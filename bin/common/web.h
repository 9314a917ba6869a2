/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP for those who watch the program: /healthz, /readyz, and /metrics where that was asked for. */
#ifndef BIN_WEB_H
#define BIN_WEB_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

/* Connections at once, and how long one may be silent. */
#define WEB_CONNS_MAX 64
#define WEB_SILENCE_S 10

struct web;

struct web_ops {
	bool (*is_ready)(void *ctx);
	char *(*metrics)(void *ctx); /* allocated text, NULL = no memory */
};

/* Listen on "ADDRESS:PORT". NULL after a warning: the program works without. `loop` and `ops` are borrowed.
 */
struct web *web_open(struct loop *loop, const char *address, bool with_metrics, const struct web_ops *ops,
		     void *ctx);
/* NULL is fine, here and below. */
void web_close(struct web *w);
/* Deadlines: UINT64_MAX = there is none. */
uint64_t web_next_us(const struct web *w);
void web_handle_timeout(struct web *w, uint64_t now_us);

#endif
