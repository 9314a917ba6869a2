/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the library looks up around the tunnel. The resolver takes few at a time, since each costs it a
 * lot of memory; the others wait for their turn, and their time runs. */
#include <string.h>

#include "ext/dnsres.h"
#include "platform/linux/lx.h"

enum { NAMES_MAX = 1000, TIMEOUT_MS = 10000 };

struct name {
	struct name *next;
	struct dnsres_lookup *lookup; /* NULL = waits for its turn, or is over */
	uint64_t id, until_us;
	int err; /* result */
	struct fz_ip addrs[DNSRES_ADDRS_MAX];
	size_t len;
	char host[256];
};

struct list {
	struct name *first, **tail;
	size_t len;
};

struct lx_names {
	struct dnsres *res;
	struct list waiting, running, done;
	struct name *shown; /* the result that was polled last */
};

static void push(struct list *l, struct name *n)
{
	n->next = NULL;
	*l->tail = n;
	l->tail = &n->next;
	l->len++;
}

/* Take out the one that *at points to. */
static struct name *cut(struct list *l, struct name **at)
{
	struct name *n = *at;

	*at = n->next;
	if (n->next == NULL)
		l->tail = at;
	l->len--;
	return n;
}

static void watch(void *ctx, int fd, unsigned want)
{
	lx_loop_watch(ctx, fd, want, LX_TAG_RESOLVE);
}

static int open_names(struct lx *lx)
{
	struct lx_names *t;
	int err;

	if (lx->names)
		return 0;
	t = fz_zalloc(lx->env, sizeof(*t));
	if (t == NULL)
		return FZ_ERR_NOMEM;
	t->waiting.tail = &t->waiting.first;
	t->running.tail = &t->running.first;
	t->done.tail = &t->done.first;
	err = dnsres_new(lx->env, watch, lx_mark, lx, &t->res);
	if (err) {
		fz_free(lx->env, t);
		return err;
	}
	lx->names = t;
	return 0;
}

static void finish(struct lx_names *t, struct name *n, int err)
{
	const struct fz_ip *addrs;

	n->err = err;
	if (err == 0) {
		n->len = dnsres_addrs(n->lookup, &addrs);
		memcpy(n->addrs, addrs, n->len * sizeof(*addrs));
	}
	dnsres_close(n->lookup);
	n->lookup = NULL;
	push(&t->done, n);
}

/* What has come to its end? */
static void collect(struct lx_names *t, uint64_t now_us)
{
	struct name **at = &t->running.first;

	while (*at) {
		enum dnsres_state state = dnsres_state((*at)->lookup);
		if (state == DNSRES_PENDING && (*at)->until_us > now_us) {
			at = &(*at)->next;
			continue;
		}
		struct name *n = cut(&t->running, at);
		finish(t, n,
		       state == DNSRES_DONE     ? 0
		       : state == DNSRES_FAILED ? dnsres_err(n->lookup)
						: FZ_ERR_TIMEOUT);
	}
	while (t->waiting.first && t->waiting.first->until_us <= now_us)
		finish(t, cut(&t->waiting, &t->waiting.first), FZ_ERR_TIMEOUT);
}

/* Who may begin? */
static void start(struct lx *lx, uint64_t now_us)
{
	struct lx_names *t = lx->names;

	while (t->waiting.first && t->running.len < DNSRES_LOOKUPS_MAX) {
		struct name *n = cut(&t->waiting, &t->waiting.first);
		lx_dns_guide(lx, t->res);
		int err = dnsres_start(t->res, n->host, &n->lookup, now_us);
		if (err)
			finish(t, n, err);
		else
			push(&t->running, n);
	}
}

static void advance(struct lx *lx, uint64_t now_us)
{
	collect(lx->names, now_us);
	start(lx, now_us);
	collect(lx->names, now_us); /* some need no server */
}

int lx_resolve(void *p, uint64_t id, const char *name)
{
	struct lx *lx = p;
	uint64_t now_us = lx_now_us(lx);
	struct name *n;
	int err;

	if (name[0] == '\0' || strlen(name) > 254 || strpbrk(name, "/?#@[] \t\r\n"))
		return FZ_ERR_INVAL;
	err = open_names(lx);
	if (err)
		return err;
	struct lx_names *t = lx->names;
	if (t->waiting.len + t->running.len >= NAMES_MAX)
		return FZ_ERR_FULL;
	n = fz_zalloc(lx->env, sizeof(*n));
	if (n == NULL)
		return FZ_ERR_NOMEM;
	n->id = id;
	n->until_us = now_us + FZ_MS(TIMEOUT_MS);
	strcpy(n->host, name);
	push(&t->waiting, n);
	advance(lx, now_us);
	return 0;
}

bool lx_resolved(void *p, struct fz_resolved *ret)
{
	struct lx *lx = p;
	struct lx_names *t = lx->names;

	if (t == NULL)
		return false;
	fz_free(lx->env, t->shown);
	t->shown = t->done.first ? cut(&t->done, &t->done.first) : NULL;
	if (t->shown == NULL)
		return false;
	*ret = (struct fz_resolved){
		.id = t->shown->id, .err = t->shown->err, .addrs = t->shown->addrs, .len = t->shown->len
	};
	return true;
}

void lx_name_event(struct lx *lx, int fd, unsigned ready)
{
	uint64_t now_us = lx_now_us(lx);

	if (lx->names == NULL)
		return;
	dnsres_handle_ready(lx->names->res, fd, ready, now_us);
	advance(lx, now_us);
}

uint64_t lx_name_next(const struct lx *lx)
{
	const struct lx_names *t = lx->names;
	uint64_t at = FZ_NEVER_US;

	if (t && t->done.first)
		return 0; /* told until it is taken */
	if (t == NULL || t->waiting.len + t->running.len == 0)
		return at;
	if (t->waiting.first)
		at = t->waiting.first->until_us;
	for (const struct name *n = t->running.first; n; n = n->next)
		at = fz_min_us(at, n->until_us);
	return fz_min_us(at, dnsres_next_timeout(t->res));
}

bool lx_name_run(struct lx *lx, uint64_t now_us)
{
	if (lx->names == NULL)
		return false;
	if (lx_name_next(lx) <= now_us) {
		dnsres_handle_timeout(lx->names->res, now_us);
		advance(lx, now_us);
	}
	return lx->names->done.first != NULL;
}

void lx_name_reset(struct lx *lx)
{
	struct lx_names *t = lx->names;

	if (t == NULL)
		return;
	while (t->running.first)
		finish(t, cut(&t->running, &t->running.first), FZ_ERR_IO);
	while (t->waiting.first)
		finish(t, cut(&t->waiting, &t->waiting.first), FZ_ERR_IO);
}

void lx_name_close(struct lx *lx)
{
	struct lx_names *t = lx->names;

	if (t == NULL)
		return;
	lx_name_reset(lx);
	while (t->done.first)
		fz_free(lx->env, cut(&t->done, &t->done.first));
	fz_free(lx->env, t->shown);
	dnsres_free(t->res);
	fz_free(lx->env, t);
	lx->names = NULL;
}
