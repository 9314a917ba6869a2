/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the host wait here until it polls them; results go straight to the role. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "core/endpoint_priv.h"

/* The event as it will be told; what it points to follows in the same block. */
struct ask {
	struct ask *next;
	struct fz_event ev;
	size_t used; /* bytes of room[] */
	uint8_t room[];
};

static struct ask *ask_new(struct endpoint *e, enum fz_event_type type, size_t room)
{
	struct ask *a = e->asks_len < ENDPOINT_ASKS_MAX ? fz_zalloc(e->env, sizeof(*a) + room) : NULL;

	if (a == NULL) {
		endpoint_drop(e, DROP_ASK);
		return NULL;
	}
	a->ev.type = type;
	*e->asks_tail = a;
	e->asks_tail = &a->next;
	e->asks_len++;
	return a;
}

/* Why there was none. */
static int ask_error(const struct endpoint *e)
{
	return e->asks_len < ENDPOINT_ASKS_MAX ? FZ_ERR_NOMEM : FZ_ERR_FULL;
}

static void *keep(struct ask *a, const void *data, size_t len)
{
	uint8_t *to = a->room + a->used;

	if (len > 0)
		memcpy(to, data, len);
	a->used += len;
	return to;
}

static const char *keep_text(struct ask *a, const char *text)
{
	return keep(a, text, strlen(text) + 1);
}

int endpoint_dns_query(struct endpoint *e, const struct fz_dns_query *q)
{
	struct ask *a = ask_new(e, FZ_EVENT_DNS_QUERY, q->len + (q->url ? strlen(q->url) + 1 : 0));

	if (a == NULL)
		return ask_error(e);
	a->ev.u.dns_query = *q;
	a->ev.u.dns_query.size = sizeof(*q);
	a->ev.u.dns_query.data = keep(a, q->data, q->len);
	if (q->url)
		a->ev.u.dns_query.url = keep_text(a, q->url);
	return 0;
}

int endpoint_resolve(struct endpoint *e, uint64_t id, const char *name)
{
	struct ask *a = ask_new(e, FZ_EVENT_RESOLVE, strlen(name) + 1);

	if (a == NULL)
		return ask_error(e);
	a->ev.u.resolve.id = id;
	a->ev.u.resolve.name = keep_text(a, name);
	return 0;
}

int endpoint_http(struct endpoint *e, const struct fz_http_request *r)
{
	size_t room =
		r->headers_len * sizeof(*r->headers) + strlen(r->method) + strlen(r->url) + 2 + r->body_len;
	struct fz_http_header *headers;
	struct ask *a;

	for (size_t i = 0; i < r->headers_len; i++)
		room += strlen(r->headers[i].name) + strlen(r->headers[i].value) + 2;
	a = ask_new(e, FZ_EVENT_HTTP, room);
	if (a == NULL)
		return ask_error(e);
	struct fz_http_request *copy = &a->ev.u.http;
	*copy = *r;
	copy->size = sizeof(*copy);
	copy->headers = headers = keep(a, r->headers, r->headers_len * sizeof(*headers)); /* aligned: first */
	for (size_t i = 0; i < r->headers_len; i++) {
		headers[i].name = keep_text(a, r->headers[i].name);
		headers[i].value = keep_text(a, r->headers[i].value);
	}
	copy->method = keep_text(a, r->method);
	copy->url = keep_text(a, r->url);
	copy->body = keep(a, r->body, r->body_len);
	return 0;
}

void endpoint_dns_reply(struct endpoint *e, uint64_t request, const void *data, size_t len)
{
	struct ask *a = ask_new(e, FZ_EVENT_DNS_REPLY, len);

	if (a == NULL)
		return;
	a->ev.u.dns_reply.request = request;
	a->ev.u.dns_reply.data = keep(a, data, len);
	a->ev.u.dns_reply.len = len;
}

void endpoint_dns_flush(struct endpoint *e)
{
	(void)ask_new(e, FZ_EVENT_DNS_FLUSH, 0);
}

/* ---- listeners ---- */

static struct endpoint_listen *find_listen(struct endpoint *e, const struct fz_addr *addr)
{
	for (size_t i = 0; i < e->listens_len; i++)
		if (fz_addr_equal(&e->listens[i].addr, addr))
			return &e->listens[i];
	return NULL;
}

/* Without memory it looks like one that failed. */
static void tell_listen(struct endpoint *e, struct endpoint_listen *l, uint64_t now_us)
{
	struct ask *a = ask_new(e, FZ_EVENT_DNS_LISTEN, 0);

	l->retry_us = a ? FZ_NEVER_US : now_us + ENDPOINT_LISTEN_RETRY_US;
	if (a == NULL)
		return;
	a->ev.u.dns_listen.addr = l->addr;
	a->ev.u.dns_listen.udp = l->udp;
	a->ev.u.dns_listen.tcp = l->tcp;
}

int endpoint_dns_listen(struct endpoint *e, const struct fz_addr *addr, bool udp, bool tcp)
{
	struct endpoint_listen *l = find_listen(e, addr);

	if (l == NULL) {
		if (!udp && !tcp)
			return 0;
		if (e->listens_len == ENDPOINT_LISTENS_MAX)
			return FZ_ERR_FULL;
		l = &e->listens[e->listens_len++];
		l->addr = *addr;
	}
	l->udp = udp;
	l->tcp = tcp;
	tell_listen(e, l, e->now_us);
	return 0;
}

/* The end of a listener is kept until the host was told. */
static void forget_closed(struct endpoint *e)
{
	for (size_t i = e->listens_len; i-- > 0;)
		if (!e->listens[i].udp && !e->listens[i].tcp && e->listens[i].retry_us == FZ_NEVER_US)
			e->listens[i] = e->listens[--e->listens_len];
}

void endpoint_dns_listen_failed(struct endpoint *e, const struct fz_addr *addr, int err, uint64_t now_us)
{
	struct endpoint_listen *l = find_listen(e, addr);

	now_us = endpoint_begin_turn(e, now_us);
	if (l == NULL)
		return;
	fz_warn(e->env, "endpoint", "no place for DNS requests (port %u): %s; tried again in %u s",
		addr->port, fz_strerror(err), ENDPOINT_LISTEN_RETRY_US / 1000000);
	l->retry_us = now_us + ENDPOINT_LISTEN_RETRY_US;
	if (e->ops->dns_listen_failed)
		e->ops->dns_listen_failed(e->role, addr, err, now_us);
}

void endpoint_listens_retry(struct endpoint *e, uint64_t now_us)
{
	for (size_t i = 0; i < e->listens_len; i++)
		if (e->listens[i].retry_us <= now_us)
			tell_listen(e, &e->listens[i], now_us);
}

uint64_t endpoint_listens_next(const struct endpoint *e)
{
	uint64_t t = FZ_NEVER_US;

	for (size_t i = 0; i < e->listens_len; i++)
		t = fz_min_us(t, e->listens[i].retry_us);
	return t;
}

/* ---- to and from the host ---- */

bool endpoint_poll_ask(struct endpoint *e, struct fz_event *ret)
{
	struct ask *a = e->asks;

	fz_free(e->env, e->told);
	e->told = a;
	if (a == NULL)
		return false;
	e->asks = a->next;
	if (e->asks == NULL)
		e->asks_tail = &e->asks;
	e->asks_len--;
	if (a->ev.type == FZ_EVENT_DNS_LISTEN)
		forget_closed(e);
	*ret = a->ev;
	return true;
}

void endpoint_asks_clear(struct endpoint *e)
{
	struct fz_event ev;

	while (endpoint_poll_ask(e, &ev))
		;
}

void endpoint_dns_answer(struct endpoint *e, const struct fz_dns_answer *a, uint64_t now_us)
{
	now_us = endpoint_begin_turn(e, now_us);
	if (e->ops->dns_answer)
		e->ops->dns_answer(e->role, a, now_us);
}

void endpoint_dns_request(struct endpoint *e, const struct fz_dns_request *r, uint64_t now_us)
{
	now_us = endpoint_begin_turn(e, now_us);
	if (e->ops->dns_request)
		e->ops->dns_request(e->role, r, now_us);
	else
		endpoint_dns_reply(e, r->id, NULL, 0);
}

void endpoint_resolved(struct endpoint *e, const struct fz_resolved *r, uint64_t now_us)
{
	now_us = endpoint_begin_turn(e, now_us);
	if (e->ops->resolved)
		e->ops->resolved(e->role, r, now_us);
}

void endpoint_http_result(struct endpoint *e, const struct fz_http_result *r, uint64_t now_us)
{
	now_us = endpoint_begin_turn(e, now_us);
	if (e->ops->http_result)
		e->ops->http_result(e->role, r, now_us);
}

void endpoint_system_dns(struct endpoint *e, const struct fz_ip *servers, size_t len, uint64_t now_us)
{
	now_us = endpoint_begin_turn(e, now_us);
	if (e->ops->system_dns)
		e->ops->system_dns(e->role, servers, len, now_us);
}
