/* SPDX-License-Identifier: Apache-2.0 */
/* Questions of the hosts of the in-memory network: the program takes them and answers by hand. */
#include "base/opts.h"
#include "base/time.h"
#include "platform/mem/mem.h"

enum { QUERIES_MAX = 1000, NAMES_MAX = 1000, HTTP_MAX = 32, REQUESTS_MAX = 1024 };
enum { QUERY_MS = 5000, TUNNEL_QUERY_MS = 10000, NAME_MS = 10000, HTTP_MS = 30000 };

enum kind { QUERY, NAME, HTTP, REQUEST, REPLY, KINDS };
enum state {
	ASKED, /* by the host; a request: by the program */
	TAKEN, /* the other side has seen it */
	DONE /* there is a result for the one who asked */
};

/* What it points to is in block and, of results, in answer. */
struct mem_ask {
	struct mem_ask *next;
	enum kind kind;
	enum state state;
	uint64_t id, due_us;
	uint8_t *block, *answer;
	union {
		struct fz_dns_query query;
		struct fz_dns_request request;
		struct fz_http_request http;
		const char *name;
	} q;
	union {
		struct fz_dns_answer answer;
		struct fz_resolved resolved;
		struct fz_http_result http;
		struct {
			const uint8_t *data;
			size_t len;
		} reply;
	} r;
};

static void destroy(struct mem_host *h, struct mem_ask *a)
{
	if (a == NULL)
		return;
	fz_free(h->net->env, a->block);
	fz_free(h->net->env, a->answer);
	fz_free(h->net->env, a);
}

static struct mem_ask *find(struct mem_host *h, enum kind kind, enum state state, const uint64_t *id)
{
	for (struct mem_ask *a = h->asks; a != NULL; a = a->next)
		if (a->kind == kind && a->state == state && (id == NULL || a->id == *id))
			return a;
	return NULL;
}

static size_t count(const struct mem_host *h, enum kind kind)
{
	size_t n = 0;

	for (const struct mem_ask *a = h->asks; a != NULL; a = a->next)
		n += a->kind == kind;
	return n;
}

/* Append one with room for what it points to; NULL without memory. */
static struct mem_ask *add(struct mem_host *h, enum kind kind, uint64_t id, size_t room)
{
	struct mem_ask *a = fz_zalloc(h->net->env, sizeof(*a)), **at = &h->asks;

	if (a == NULL)
		return NULL;
	a->kind = kind;
	a->id = id;
	a->due_us = FZ_NEVER_US;
	a->block = fz_zalloc(h->net->env, room + 1);
	if (a->block == NULL) {
		fz_free(h->net->env, a);
		return NULL;
	}
	while (*at != NULL)
		at = &(*at)->next;
	*at = a;
	return a;
}

static void take_out(struct mem_host *h, struct mem_ask *a)
{
	struct mem_ask **at = &h->asks;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
}

/* The result that is shown; it lives until the next of its kind. */
static struct mem_ask *show(struct mem_host *h, enum kind kind)
{
	struct mem_ask *a = find(h, kind, DONE, NULL);

	destroy(h, h->shown[kind]);
	h->shown[kind] = a;
	if (a != NULL)
		take_out(h, a);
	return a;
}

static void *keep(uint8_t **at, const void *data, size_t len)
{
	uint8_t *to = *at;

	if (len > 0)
		memcpy(to, data, len);
	*at += len;
	return to;
}

static const char *keep_text(uint8_t **at, const char *text)
{
	return keep(at, text, strlen(text) + 1);
}

static void fail(struct mem_host *h, struct mem_ask *a, int err)
{
	a->state = DONE;
	switch (a->kind) {
	case QUERY:
		a->r.answer = (struct fz_dns_answer){ .id = a->id, .err = err };
		h->stats.dns_failed++;
		break;
	case NAME:
		a->r.resolved = (struct fz_resolved){ .id = a->id, .err = err };
		break;
	case HTTP:
		a->r.http = (struct fz_http_result){
			.id = a->id, .err = err, .content_type = "", .location = "", .error = fz_strerror(err)
		};
		h->stats.http_failed++;
		break;
	default:
		break;
	}
}

static void expire(struct mem_host *h)
{
	for (struct mem_ask *a = h->asks; a != NULL; a = a->next)
		if (a->state != DONE && a->due_us <= h->net->now_us)
			fail(h, a, FZ_ERR_TIMEOUT);
}

uint64_t mem_ask_next(const struct mem_host *h)
{
	uint64_t t = FZ_NEVER_US;

	for (const struct mem_ask *a = h->asks; a != NULL; a = a->next)
		t = fz_min_us(t, a->state != DONE ? a->due_us : a->kind != REPLY ? 0 : FZ_NEVER_US);
	return t;
}

uint32_t mem_ask_ready(struct mem_host *h)
{
	uint32_t ready = 0;

	expire(h);
	for (const struct mem_ask *a = h->asks; a != NULL; a = a->next) {
		if (a->state == DONE && a->kind != REPLY)
			ready |= a->kind == HTTP ? FZ_READY_HTTP : FZ_READY_DNS;
		if (a->state == ASKED && a->kind == REQUEST)
			ready |= FZ_READY_DNS;
	}
	return ready;
}

/* ---- the host's side ---- */

static bool is_valid_query(const struct fz_dns_query *q)
{
	if (q->len < 12 || q->len > FZ_DNS_MESSAGE_MAX || q->transport > FZ_DNS_HTTPS)
		return false;
	if (q->transport == FZ_DNS_HTTPS)
		return q->url != NULL && q->bind.family == FZ_FAMILY_NONE;
	return fz_addr_set(&q->server) &&
	       (q->bind.family == FZ_FAMILY_NONE || q->bind.family == q->server.ip.family);
}

int mem_dns_query(void *p, const struct fz_dns_query *query)
{
	struct mem_host *h = p;
	struct fz_dns_query q;
	struct mem_ask *a;
	int err = fz_opts_import(&q, sizeof(q), query, query->size);

	if (err)
		return err;
	if (!is_valid_query(&q))
		return FZ_ERR_INVAL;
	if (count(h, QUERY) >= QUERIES_MAX)
		return FZ_ERR_FULL;
	a = add(h, QUERY, q.id, q.len + (q.url ? strlen(q.url) + 1 : 0));
	if (a == NULL)
		return FZ_ERR_NOMEM;
	uint8_t *at = a->block;
	a->q.query = q;
	a->q.query.data = keep(&at, q.data, q.len);
	if (q.url)
		a->q.query.url = keep_text(&at, q.url);
	uint32_t ms = q.bind.family == FZ_FAMILY_NONE ? QUERY_MS : TUNNEL_QUERY_MS;
	a->due_us = h->net->now_us + FZ_MS(q.timeout_ms ? q.timeout_ms : ms);
	h->stats.dns_queries++;
	return 0;
}

bool mem_dns_answer(void *p, struct fz_dns_answer *ret)
{
	struct mem_ask *a;

	expire(p);
	a = show(p, QUERY);
	if (a != NULL)
		*ret = a->r.answer;
	return a != NULL;
}

static struct mem_listen *listen_at(struct mem_host *h, const struct fz_addr *addr)
{
	for (size_t i = 0; i < MEM_LISTENS_MAX; i++)
		if (fz_addr_equal(&h->listens[i].addr, addr))
			return &h->listens[i];
	return NULL;
}

int mem_dns_listen(void *p, const struct fz_addr *addr, bool udp, bool tcp)
{
	static const struct fz_addr none;
	struct mem_listen *l;

	if (!fz_addr_set(addr) || (!udp && !tcp))
		return FZ_ERR_INVAL;
	l = listen_at(p, addr);
	if (l == NULL)
		l = listen_at(p, &none);
	if (l == NULL)
		return FZ_ERR_FULL;
	*l = (struct mem_listen){ *addr, udp, tcp };
	return 0;
}

void mem_dns_unlisten(void *p, const struct fz_addr *addr)
{
	struct mem_listen *l = fz_addr_set(addr) ? listen_at(p, addr) : NULL;

	if (l != NULL)
		*l = (struct mem_listen){ .udp = false };
}

bool mem_dns_request(void *p, struct fz_dns_request *ret)
{
	struct mem_ask *a = find(p, REQUEST, ASKED, NULL);

	if (a == NULL)
		return false;
	a->state = TAKEN;
	*ret = a->q.request;
	return true;
}

int mem_dns_reply(void *p, uint64_t request, const void *data, size_t len)
{
	struct mem_host *h = p;
	struct mem_ask *a = find(h, REQUEST, TAKEN, &request);

	if (a == NULL)
		return FZ_ERR_NOT_FOUND;
	take_out(h, a);
	destroy(h, a);
	a = add(h, REPLY, request, len);
	if (a == NULL)
		return FZ_ERR_NOMEM;
	uint8_t *at = a->block;
	a->r.reply.data = keep(&at, data, len);
	a->r.reply.len = len;
	a->state = DONE;
	return 0;
}

int mem_resolve(void *p, uint64_t id, const char *name)
{
	struct mem_host *h = p;
	struct mem_ask *a;

	if (name[0] == '\0' || strlen(name) > 254)
		return FZ_ERR_INVAL;
	if (count(h, NAME) >= NAMES_MAX)
		return FZ_ERR_FULL;
	a = add(h, NAME, id, strlen(name) + 1);
	if (a == NULL)
		return FZ_ERR_NOMEM;
	uint8_t *at = a->block;
	a->q.name = keep_text(&at, name);
	a->due_us = h->net->now_us + FZ_MS(NAME_MS);
	return 0;
}

bool mem_resolved(void *p, struct fz_resolved *ret)
{
	struct mem_ask *a;

	expire(p);
	a = show(p, NAME);
	if (a != NULL)
		*ret = a->r.resolved;
	return a != NULL;
}

int mem_http_start(void *p, const struct fz_http_request *request)
{
	struct mem_host *h = p;
	struct fz_http_request q;
	struct fz_http_header *headers;
	struct mem_ask *a;
	int err = fz_opts_import(&q, sizeof(q), request, request->size);

	if (err)
		return err;
	if (q.method == NULL || q.url == NULL || q.headers_len > 16)
		return FZ_ERR_INVAL;
	if (count(h, HTTP) >= HTTP_MAX)
		return FZ_ERR_FULL;
	size_t room = q.headers_len * sizeof(*headers) + strlen(q.method) + strlen(q.url) + 2 + q.body_len;
	for (size_t i = 0; i < q.headers_len; i++)
		room += strlen(q.headers[i].name) + strlen(q.headers[i].value) + 2;
	a = add(h, HTTP, q.id, room);
	if (a == NULL)
		return FZ_ERR_NOMEM;
	uint8_t *at = a->block;
	headers = keep(&at, q.headers, q.headers_len * sizeof(*headers)); /* aligned: first */
	for (size_t i = 0; i < q.headers_len; i++) {
		headers[i].name = keep_text(&at, q.headers[i].name);
		headers[i].value = keep_text(&at, q.headers[i].value);
	}
	q.headers = headers;
	q.method = keep_text(&at, q.method);
	q.url = keep_text(&at, q.url);
	q.body = keep(&at, q.body, q.body_len);
	a->q.http = q;
	a->due_us = h->net->now_us + FZ_MS(q.timeout_ms ? q.timeout_ms : HTTP_MS);
	h->stats.http_requests++;
	return 0;
}

bool mem_http_result(void *p, struct fz_http_result *ret)
{
	struct mem_ask *a;

	expire(p);
	a = show(p, HTTP);
	if (a != NULL)
		*ret = a->r.http;
	return a != NULL;
}

void mem_http_cancel(void *p, uint64_t id)
{
	for (enum state s = ASKED; s <= DONE; s++) {
		struct mem_ask *a = find(p, HTTP, s, &id);
		if (a == NULL)
			continue;
		take_out(p, a);
		destroy(p, a);
	}
}

void mem_ask_reset(void *p)
{
	struct mem_host *h = p;

	for (struct mem_ask *a = h->asks; a != NULL; a = a->next)
		if (a->state != DONE && (a->kind == NAME || a->kind == HTTP ||
					 (a->kind == QUERY && a->q.query.bind.family == FZ_FAMILY_NONE)))
			fail(h, a, FZ_ERR_IO);
}

void mem_ask_close(void *p)
{
	struct mem_host *h = p;
	struct mem_ask *a;

	while ((a = h->asks) != NULL) {
		h->asks = a->next;
		destroy(h, a);
	}
	for (int i = 0; i < MEM_SHOWN; i++) {
		destroy(h, h->shown[i]);
		h->shown[i] = NULL;
	}
	memset(h->listens, 0, sizeof(h->listens));
}

/* ---- the program's side ---- */

static_assert((int)KINDS == (int)MEM_SHOWN, "a shown result of each kind");

static struct mem_ask *take(struct mem_host *h, enum kind kind)
{
	struct mem_ask *a;

	expire(h);
	a = find(h, kind, ASKED, NULL);
	if (a != NULL)
		a->state = TAKEN;
	return a;
}

/* The one that is answered now, with room for what its result points to. */
static int answer(struct mem_host *h, enum kind kind, uint64_t id, size_t room, struct mem_ask **ret)
{
	struct mem_ask *a;

	expire(h);
	a = find(h, kind, TAKEN, &id);
	if (a == NULL)
		return FZ_ERR_NOT_FOUND;
	a->answer = fz_zalloc(h->net->env, room + 1);
	if (a->answer == NULL)
		return FZ_ERR_NOMEM;
	*ret = a;
	return 0;
}

bool fz_memnet_query_take(struct fz_platform *host, struct fz_dns_query *ret)
{
	struct mem_ask *a = take(host->ctx, QUERY);

	if (a != NULL)
		*ret = a->q.query;
	return a != NULL;
}

int fz_memnet_answer_put(struct fz_platform *host, const struct fz_dns_answer *r)
{
	struct mem_ask *a = NULL;
	int err = answer(host->ctx, QUERY, r->id, r->len, &a);

	if (err)
		return err;
	if (r->err != 0) {
		fail(host->ctx, a, r->err);
		return 0;
	}
	uint8_t *at = a->answer;
	a->r.answer = *r;
	a->r.answer.data = keep(&at, r->data, r->len);
	if (r->len >= 2)
		memcpy(a->answer, a->q.query.data, 2);
	a->state = DONE;
	return 0;
}

int fz_memnet_request_put(struct fz_platform *host, const struct fz_dns_request *request, uint64_t *ret_id)
{
	struct mem_host *h = host->ctx;
	struct mem_listen *l = listen_at(h, &request->local);
	struct mem_ask *a;

	if (l == NULL || !(request->tcp ? l->tcp : l->udp))
		return FZ_ERR_NOT_FOUND;
	if (count(h, REQUEST) >= REQUESTS_MAX)
		return FZ_ERR_FULL;
	a = add(h, REQUEST, ++h->next_request, request->len);
	if (a == NULL)
		return FZ_ERR_NOMEM;
	uint8_t *at = a->block;
	a->q.request = *request;
	a->q.request.id = a->id;
	a->q.request.data = keep(&at, request->data, request->len);
	h->stats.dns_requests++;
	*ret_id = a->id;
	return 0;
}

bool fz_memnet_reply_take(struct fz_platform *host, uint64_t *ret_id, const uint8_t **ret_data,
			  size_t *ret_len)
{
	struct mem_ask *a = show(host->ctx, REPLY);

	if (a == NULL)
		return false;
	*ret_id = a->id;
	*ret_data = a->r.reply.data;
	*ret_len = a->r.reply.len;
	return true;
}

bool fz_memnet_resolve_take(struct fz_platform *host, uint64_t *ret_id, const char **ret_name)
{
	struct mem_ask *a = take(host->ctx, NAME);

	if (a == NULL)
		return false;
	*ret_id = a->id;
	*ret_name = a->q.name;
	return true;
}

int fz_memnet_resolved_put(struct fz_platform *host, const struct fz_resolved *r)
{
	struct mem_ask *a = NULL;
	int err = answer(host->ctx, NAME, r->id, r->len * sizeof(*r->addrs), &a);

	if (err)
		return err;
	if (r->err != 0) {
		fail(host->ctx, a, r->err);
		return 0;
	}
	uint8_t *at = a->answer;
	a->r.resolved = *r;
	a->r.resolved.addrs = keep(&at, r->addrs, r->len * sizeof(*r->addrs));
	a->state = DONE;
	return 0;
}

bool fz_memnet_http_take(struct fz_platform *host, struct fz_http_request *ret)
{
	struct mem_ask *a = take(host->ctx, HTTP);

	if (a != NULL)
		*ret = a->q.http;
	return a != NULL;
}

int fz_memnet_http_put(struct fz_platform *host, const struct fz_http_result *r)
{
	const char *type = r->content_type ? r->content_type : "", *location = r->location ? r->location : "";
	struct mem_ask *a = NULL;
	int err = answer(host->ctx, HTTP, r->id, strlen(type) + strlen(location) + 2 + r->body_len, &a);

	if (err)
		return err;
	if (r->err != 0) {
		fail(host->ctx, a, r->err);
		return 0;
	}
	uint8_t *at = a->answer;
	a->r.http = *r;
	a->r.http.error = "";
	a->r.http.content_type = keep_text(&at, type);
	a->r.http.location = keep_text(&at, location);
	a->r.http.body = keep(&at, r->body, r->body_len);
	a->state = DONE;
	return 0;
}
