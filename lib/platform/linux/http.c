/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP around the tunnel, for others and for DNS over HTTPS. The addresses of a server are looked up once for
 * all requests that wait for them, and remembered: while they work no name server is asked. */
#include <string.h>

#include "base/opts.h"
#include "ext/dnsres.h"
#include "ext/https.h"
#include "platform/linux/lx.h"

enum { REQUESTS_MAX = 32, SERVERS_MAX = 8, TIMEOUT_MS = 30000 };
#define FRESH_US FZ_SEC(300) /* how long addresses are used without a look */

/* A server, or proxy, that requests go to. */
struct server {
	char host[256]; /* empty = free */
	struct dnsres_lookup *lookup; /* NULL = none under way */
	struct fz_ip addrs[DNSRES_ADDRS_MAX];
	size_t len; /* 0 = not known, or a literal */
	uint64_t fresh_until_us;
	size_t users;
	uint64_t used_us;
};

struct lx_fetch {
	struct lx_fetch *next;
	struct lx *lx;
	struct server *server; /* NULL = over */
	struct https_txn *txn;
	uint64_t until_us;
	bool waits; /* for the server's addresses */
	int err; /* before HTTP had a say */
	uint64_t id;
	struct lx_query *query; /* NULL = a request of others */
};

struct lx_http {
	struct https *https;
	struct dnsres *names;
	struct server servers[SERVERS_MAX];
	struct lx_fetch *all; /* under way */
	size_t waiting; /* for addresses, of all */
	size_t requests; /* of others, of all and done */
	struct lx_fetch *done, **done_tail; /* of others */
	struct lx_fetch *shown; /* the result that was polled last */
};

static void watch_http(void *ctx, int fd, unsigned want)
{
	lx_loop_watch(ctx, fd, want, LX_TAG_HTTP);
}

static void watch_names(void *ctx, int fd, unsigned want)
{
	lx_loop_watch(ctx, fd, want, LX_TAG_HTTP_NAMES);
}

static int open_http(struct lx *lx)
{
	struct lx_http *t;
	int err;

	if (lx->http)
		return 0;
	t = fz_zalloc(lx->env, sizeof(*t));
	if (t == NULL)
		return FZ_ERR_NOMEM;
	t->done_tail = &t->done;
	lx->http = t;
	err = https_new(lx->env, watch_http, lx_mark, lx, &t->https);
	if (err == 0)
		err = dnsres_new(lx->env, watch_names, lx_mark, lx, &t->names);
	if (err)
		lx_http_close(lx);
	return err;
}

/* ---- servers ---- */

static struct server *find_server(struct lx_http *t, const char *host, uint64_t now_us)
{
	struct server *free = NULL;

	for (int i = 0; i < SERVERS_MAX; i++) {
		struct server *s = &t->servers[i];
		if (strcmp(s->host, host) == 0)
			return s;
		if (s->users == 0 && (free == NULL || s->used_us < free->used_us))
			free = s;
	}
	if (free == NULL)
		return NULL;
	dnsres_close(free->lookup);
	*free = (struct server){ .used_us = now_us };
	strcpy(free->host, host);
	return free;
}

/* 0 = its addresses are known, or none are needed; FZ_ERR_AGAIN = they are being looked up. */
static int find_addrs(struct lx_http *t, struct server *s, uint64_t now_us)
{
	struct fz_ip literal;
	int err;

	if (fz_ip_parse(s->host, &literal) == 0 || (s->len > 0 && s->fresh_until_us > now_us))
		return 0;
	if (s->lookup)
		return FZ_ERR_AGAIN;
	err = dnsres_start(t->names, s->host, &s->lookup, now_us);
	return err ? err : FZ_ERR_AGAIN;
}

/* A lookup that has come to its end: 0, or why there is no address. Old ones are better than none. */
static int take_addrs(struct server *s, uint64_t now_us)
{
	const struct fz_ip *addrs;
	int err = 0;

	if (dnsres_state(s->lookup) == DNSRES_DONE) {
		s->len = dnsres_addrs(s->lookup, &addrs);
		memcpy(s->addrs, addrs, s->len * sizeof(*addrs));
		s->fresh_until_us = now_us + FRESH_US;
	} else if (s->len == 0) {
		err = dnsres_err(s->lookup);
	}
	dnsres_close(s->lookup);
	s->lookup = NULL;
	return err;
}

/* ---- requests ---- */

static void destroy(struct lx_fetch *f)
{
	if (f == NULL)
		return;
	https_close(f->txn);
	if (f->server)
		f->server->users--;
	fz_free(f->lx->env, f);
}

static void unlink_fetch(struct lx_http *t, struct lx_fetch *f)
{
	for (struct lx_fetch **at = &t->all; *at; at = &(*at)->next)
		if (*at == f) {
			*at = f->next;
			break;
		}
	if (f->waits)
		t->waiting--;
	f->waits = false;
	f->next = NULL;
}

static void result_of(const struct lx_fetch *f, struct fz_http_result *ret)
{
	if (f->err == 0)
		https_result(f->txn, ret);
	else
		*ret = (struct fz_http_result){
			.err = f->err, .content_type = "", .location = "", .error = fz_strerror(f->err)
		};
	ret->id = f->id;
}

/* err: why HTTP never came to it; 0 = it tells itself. */
static void finish(struct lx_http *t, struct lx_fetch *f, int err)
{
	struct fz_http_result r;

	unlink_fetch(t, f);
	f->err = err;
	if (err) { /* its connection goes now, and not when somebody asks for the result */
		https_close(f->txn);
		f->txn = NULL;
	}
	result_of(f, &r);
	if (r.err == FZ_ERR_IO || r.err == FZ_ERR_TIMEOUT)
		f->server->fresh_until_us = 0; /* perhaps it lives elsewhere now */
	f->server->users--;
	f->server = NULL;
	if (f->query) {
		lx_dns_query_fetched(f->query, &r);
		destroy(f);
		return;
	}
	if (r.err)
		f->lx->stats.http_failed++;
	*t->done_tail = f;
	t->done_tail = &f->next;
}

static void go(struct lx_http *t, struct lx_fetch *f, uint64_t now_us)
{
	uint64_t left_ms = f->until_us > now_us ? (f->until_us - now_us + 999) / 1000 : 1;
	int err = https_go(f->txn, f->server->addrs, f->server->len, (uint32_t)left_ms, now_us);

	if (f->waits)
		t->waiting--;
	f->waits = false;
	if (err)
		finish(t, f, err);
}

int lx_fetch_start(struct lx *lx, const struct fz_http_request *req, struct lx_query *query,
		   struct lx_fetch **ret, uint64_t now_us)
{
	char hop[256];
	struct lx_http *t;
	int err = open_http(lx);

	if (err == 0)
		err = req->url ? https_hop(req->url, hop) : FZ_ERR_INVAL;
	if (err)
		return err;
	t = lx->http;
	struct lx_fetch *f = fz_zalloc(lx->env, sizeof(*f));
	if (f == NULL)
		return FZ_ERR_NOMEM;
	f->lx = lx;
	f->id = req->id;
	f->query = query;
	f->until_us = now_us + FZ_MS(req->timeout_ms ? req->timeout_ms : TIMEOUT_MS);
	err = https_open(t->https, req, f, &f->txn);
	struct server *s = err ? NULL : find_server(t, hop, now_us);
	if (err == 0)
		err = s ? find_addrs(t, s, now_us) : FZ_ERR_FULL;
	if (err == 0)
		err = https_go(f->txn, s->addrs, s->len,
			       (uint32_t)(req->timeout_ms ? req->timeout_ms : TIMEOUT_MS), now_us);
	else if (err == FZ_ERR_AGAIN) {
		err = 0;
		f->waits = true;
		t->waiting++;
	}
	if (err) {
		destroy(f);
		return err;
	}
	f->server = s;
	s->users++;
	s->used_us = now_us;
	f->next = t->all;
	t->all = f;
	*ret = f;
	return 0;
}

void lx_fetch_cancel(struct lx_fetch *f)
{
	if (f == NULL)
		return;
	unlink_fetch(f->lx->http, f);
	destroy(f);
}

int lx_http_start(void *p, const struct fz_http_request *request)
{
	struct lx *lx = p;
	struct fz_http_request req;
	struct lx_fetch *f;
	int err = fz_opts_import(&req, sizeof(req), request, request->size);

	if (err == 0 && lx->http && lx->http->requests >= REQUESTS_MAX)
		err = FZ_ERR_FULL;
	if (err == 0)
		err = lx_fetch_start(lx, &req, NULL, &f, lx_now_us(lx));
	if (err)
		return err;
	lx->http->requests++;
	lx->stats.http_requests++;
	return 0;
}

bool lx_http_result(void *p, struct fz_http_result *ret)
{
	struct lx *lx = p;
	struct lx_http *t = lx->http;

	if (t == NULL)
		return false;
	destroy(t->shown);
	t->shown = t->done;
	if (t->done == NULL)
		return false;
	t->done = t->shown->next;
	if (t->done == NULL)
		t->done_tail = &t->done;
	t->requests--;
	result_of(t->shown, ret);
	return true;
}

static struct lx_fetch *find_request(struct lx_fetch *list, uint64_t id)
{
	while (list && (list->query || list->id != id))
		list = list->next;
	return list;
}

void lx_http_cancel(void *p, uint64_t id)
{
	struct lx *lx = p;
	struct lx_http *t = lx->http;
	struct lx_fetch *f;

	while (t && (f = find_request(t->all, id)) != NULL) {
		lx_fetch_cancel(f);
		t->requests--;
	}
	while (t && (f = find_request(t->done, id)) != NULL) {
		struct lx_fetch **at = &t->done;
		while (*at != f)
			at = &(*at)->next;
		*at = f->next;
		if (f->next == NULL)
			t->done_tail = at;
		destroy(f);
		t->requests--;
	}
}

/* ---- events ---- */

static void server_answered(struct lx_http *t, struct server *s, uint64_t now_us)
{
	int err = take_addrs(s, now_us);
	struct lx_fetch *next;

	for (struct lx_fetch *f = t->all; f; f = next) {
		next = f->next;
		if (!f->waits || f->server != s)
			continue;
		if (err)
			finish(t, f, err);
		else
			go(t, f, now_us);
	}
}

static void collect(struct lx_http *t, uint64_t now_us)
{
	struct lx_fetch *f, *next;

	for (int i = 0; i < SERVERS_MAX; i++)
		if (t->servers[i].lookup && dnsres_state(t->servers[i].lookup) != DNSRES_PENDING)
			server_answered(t, &t->servers[i], now_us);
	while ((f = https_poll(t->https)) != NULL)
		finish(t, f, 0);
	for (f = t->waiting ? t->all : NULL; f; f = next) {
		next = f->next;
		if (f->waits && f->until_us <= now_us)
			finish(t, f, FZ_ERR_TIMEOUT);
	}
}

void lx_http_event(struct lx *lx, enum lx_tag tag, int fd, unsigned ready)
{
	uint64_t now_us = lx_now_us(lx);
	struct lx_http *t = lx->http;

	if (t == NULL)
		return;
	if (tag == LX_TAG_HTTP)
		https_handle_ready(t->https, fd, ready, now_us);
	else
		dnsres_handle_ready(t->names, fd, ready, now_us);
	collect(t, now_us);
}

uint64_t lx_http_next(const struct lx *lx)
{
	const struct lx_http *t = lx->http;
	uint64_t at;

	if (t == NULL)
		return FZ_NEVER_US;
	if (t->done)
		return 0; /* told until it is taken */
	at = fz_min_us(https_next_timeout(t->https), dnsres_next_timeout(t->names));
	for (const struct lx_fetch *f = t->waiting ? t->all : NULL; f; f = f->next) {
		if (!f->waits)
			continue;
		at = fz_min_us(at, f->until_us);
		if (f->server->lookup && dnsres_state(f->server->lookup) != DNSRES_PENDING)
			at = 0; /* it needed no server */
	}
	return at;
}

bool lx_http_run(struct lx *lx, uint64_t now_us)
{
	struct lx_http *t = lx->http;

	if (t == NULL)
		return false;
	if (lx_http_next(lx) <= now_us) {
		https_handle_timeout(t->https, now_us);
		dnsres_handle_timeout(t->names, now_us);
		collect(t, now_us);
	}
	return t->done != NULL;
}

void lx_http_reset(struct lx *lx)
{
	struct lx_http *t = lx->http;

	if (t == NULL)
		return;
	while (t->all)
		finish(t, t->all, FZ_ERR_IO);
	https_renew(t->https);
	for (int i = 0; i < SERVERS_MAX; i++) {
		dnsres_close(t->servers[i].lookup);
		t->servers[i].lookup = NULL;
		t->servers[i].fresh_until_us = 0;
	}
}

void lx_http_close(struct lx *lx)
{
	struct lx_http *t = lx->http;

	if (t == NULL)
		return;
	while (t->all)
		lx_fetch_cancel(t->all);
	while (t->done) {
		struct lx_fetch *f = t->done;
		t->done = f->next;
		destroy(f);
	}
	destroy(t->shown);
	for (int i = 0; i < SERVERS_MAX; i++)
		dnsres_close(t->servers[i].lookup);
	dnsres_free(t->names);
	https_free(t->https);
	fz_free(lx->env, t);
	lx->http = NULL;
}
