/* SPDX-License-Identifier: Apache-2.0 */
/* DNS queries of ours. Each has a connected socket of its own: the kernel picks a random port, drops what
 * others send, and tells of ICMP errors. Together with an id of ours that is what a forger has to guess. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/opts.h"
#include "base/rng.h"
#include "base/text.h"
#include "platform/linux/lx.h"
#include "platform/linux/sockaddr.h"

enum { QUERIES_MAX = 1000, TIMEOUT_MS = 5000, TUNNEL_TIMEOUT_MS = 10000 };
enum { HEADER = 12, READS = 16 };

struct lx_query {
	struct lx_query *next; /* in the list of finished ones */
	struct fz_heap_node due;
	struct lx *lx;
	uint64_t id;
	size_t slot;
	int fd; /* -1 = none */
	struct lx_fetch *fetch; /* by HTTPS, which has the time-out then */
	bool tcp, tunnel, wants_out;
	uint8_t own_id[2]; /* of the asker's message */
	size_t sent; /* TCP: bytes written */
	uint8_t prefix[2]; /* TCP: of the answer */
	size_t got; /* TCP: bytes read, prefix included */
	int err; /* result */
	uint8_t *answer;
	size_t answer_len;
	size_t len;
	uint8_t data[]; /* TCP length prefix, then the message of len bytes */
};

struct lx_queries {
	struct lx_query *slots[QUERIES_MAX]; /* under way */
	uint16_t free[QUERIES_MAX];
	size_t free_len;
	struct fz_heap due;
	struct lx_query *done, **done_tail;
	struct lx_query *shown; /* the result that was polled last */
	uint8_t buf[FZ_DNS_MESSAGE_MAX + 1];
};

static int open_queries(struct lx *lx)
{
	struct lx_queries *t;

	if (lx->queries)
		return 0;
	t = fz_zalloc(lx->env, sizeof(*t));
	if (t == NULL)
		return FZ_ERR_NOMEM;
	t->done_tail = &t->done;
	for (size_t i = QUERIES_MAX; i-- > 0;)
		t->free[t->free_len++] = (uint16_t)i;
	lx->queries = t;
	return 0;
}

/* ---- is it an answer? ---- */

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Length of the only question of a message, 0 = there is none, or not one alone. */
static size_t question_len(const uint8_t *m, size_t len)
{
	size_t at = HEADER;

	if (be16(m + 4) != 1)
		return 0;
	while (at < len && m[at] != 0 && m[at] < 64)
		at += 1u + m[at];
	return at + 5 <= len && m[at] == 0 ? at + 5 - HEADER : 0;
}

/* Question, id and direction fit. A server that understood nothing may leave the question out. */
static bool is_answer(const struct lx_query *q, const uint8_t *m, size_t len)
{
	const uint8_t *asked = q->data + 2;
	size_t n = question_len(asked, q->len);

	if (len < HEADER || memcmp(m, asked, 2) != 0 || !(m[2] & 0x80))
		return false;
	if (n == 0 || (be16(m + 4) == 0 && (m[3] & 0x0f) != 0))
		return true;
	if (question_len(m, len) != n)
		return false;
	for (size_t i = HEADER; i < HEADER + n - 4; i++)
		if (lower(m[i]) != lower(asked[i]))
			return false;
	return memcmp(m + HEADER + n - 4, asked + HEADER + n - 4, 4) == 0;
}

/* ---- life ---- */

static void destroy(struct lx_query *q)
{
	struct lx *lx;

	if (q == NULL)
		return;
	lx = q->lx;
	if (q->fd >= 0)
		close(q->fd); /* leaves the epoll set by itself */
	lx_fetch_cancel(q->fetch);
	fz_free(lx->env, q->answer);
	fz_free(lx->env, q);
}

/* It is over: with the answer, which is in q->answer, or an error. */
static void finish(struct lx_query *q, int err)
{
	struct lx_queries *t = q->lx->queries;

	if (q->fd >= 0)
		close(q->fd);
	q->fd = -1;
	lx_fetch_cancel(q->fetch);
	q->fetch = NULL;
	q->err = err;
	if (err != 0)
		q->lx->stats.dns_failed++;
	t->slots[q->slot] = NULL;
	t->free[t->free_len++] = (uint16_t)q->slot;
	fz_heap_set(&t->due, &q->due, FZ_NEVER_US);
	*t->done_tail = q;
	t->done_tail = &q->next;
}

static void finish_with(struct lx_query *q, const uint8_t *m, size_t len)
{
	q->answer = fz_memdup(q->lx->env, m, len);
	q->answer_len = len;
	if (q->answer)
		memcpy(q->answer, q->own_id, 2);
	finish(q, q->answer ? 0 : FZ_ERR_NOMEM);
}

static int error_of(int e)
{
	switch (e) {
	case ETIMEDOUT:
		return FZ_ERR_TIMEOUT;
	case ENOMEM:
	case ENOBUFS:
		return FZ_ERR_NOMEM;
	case EMFILE:
	case ENFILE:
		return FZ_ERR_FULL;
	case EPERM:
	case EACCES:
		return FZ_ERR_PERM;
	default:
		return FZ_ERR_IO;
	}
}

static int prepare(struct lx_query *q, const struct fz_dns_query *o)
{
	struct lx *lx = q->lx;
	union sockaddr_any sa;
	socklen_t len;

	if (!q->tunnel)
		return lx_mark(lx, q->fd);
	len = to_sockaddr(&o->bind, 0, &sa);
	if (bind(q->fd, &sa.sa, len) < 0)
		return error_of(errno);
	return 0;
}

/* All that ICMP says is heard: a name server that cannot be reached fails at once. */
static void hear_errors(struct lx_query *q, uint8_t family)
{
	int on = 1;

	if (family == FZ_FAMILY_INET)
		(void)setsockopt(q->fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	else
		(void)setsockopt(q->fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
}

static int connect_query(struct lx_query *q, const struct fz_dns_query *o)
{
	union sockaddr_any sa;
	socklen_t len = to_sockaddr(&o->server.ip, o->server.port, &sa);
	int err;

	q->fd = socket(sa.sa.sa_family, (q->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
		       0);
	if (q->fd < 0)
		return error_of(errno);
	err = prepare(q, o);
	if (err)
		return err;
	if (!q->tcp)
		hear_errors(q, o->server.ip.family);
	if (connect(q->fd, &sa.sa, len) < 0 && errno != EINPROGRESS)
		return error_of(errno);
	if (!q->tcp && send(q->fd, q->data + 2, q->len, MSG_NOSIGNAL) < 0)
		return error_of(errno);
	q->wants_out = q->tcp;
	return lx_loop_add_key(q->lx, q->fd, LX_TAG_DNS_QUERY, (uint32_t)q->slot,
			       q->wants_out ? LX_READ | LX_WRITE : LX_READ);
}

/* ---- by HTTPS ---- */

/* "https://host/path?dns=AAABAAAB..." */
static char *url_of(const struct lx_query *q, const char *url)
{
	size_t len = strlen(url), cap = len + 5 + FZ_B64_LEN(q->len) + 1;
	char *text = fz_zalloc(q->lx->env, cap), *at;

	if (text == NULL)
		return NULL;
	at = text + snprintf(text, cap, "%s%cdns=", url, strchr(url, '?') ? '&' : '?');
	fz_b64_encode_nopad(at, q->data + 2, q->len);
	for (; *at; at++) /* RFC 4648 section 5 */
		*at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
	return text;
}

static int fetch_query(struct lx_query *q, const struct fz_dns_query *o, uint64_t now_us)
{
	static const struct fz_http_header accept = { "accept", "application/dns-message" };
	struct fz_http_request req = { .size = sizeof(req),
				       .method = "GET",
				       .headers = &accept,
				       .headers_len = 1,
				       .answer_max = FZ_DNS_MESSAGE_MAX,
				       .timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS };
	char *url = url_of(q, o->url);
	int err;

	if (url == NULL)
		return FZ_ERR_NOMEM;
	req.url = url;
	err = lx_fetch_start(q->lx, &req, q, &q->fetch, now_us);
	fz_free(q->lx->env, url);
	return err;
}

void lx_dns_query_fetched(struct lx_query *q, const struct fz_http_result *r)
{
	static const char type[] = "application/dns-message";
	size_t len = sizeof(type) - 1;

	q->fetch = NULL;
	if (r->err != 0)
		finish(q, r->err == FZ_ERR_NOSPACE ? FZ_ERR_WIRE : r->err);
	else if (r->status != 200)
		finish(q, FZ_ERR_IO);
	else if (strncasecmp(r->content_type, type, len) != 0 || strchr("; ", r->content_type[len]) == NULL ||
		 !is_answer(q, r->body, r->body_len))
		finish(q, FZ_ERR_WIRE);
	else
		finish_with(q, r->body, r->body_len);
}

/* ---- asking ---- */

static bool is_valid(const struct fz_dns_query *o)
{
	if (o->len < HEADER || o->len > FZ_DNS_MESSAGE_MAX || o->transport > FZ_DNS_HTTPS)
		return false;
	if (o->transport == FZ_DNS_HTTPS)
		return o->url != NULL && o->bind.family == FZ_FAMILY_NONE;
	return fz_addr_set(&o->server) &&
	       (o->bind.family == FZ_FAMILY_NONE || o->bind.family == o->server.ip.family);
}

static struct lx_query *query_new(struct lx *lx, const struct fz_dns_query *o)
{
	struct lx_query *q = fz_zalloc(lx->env, sizeof(*q) + 2 + o->len);

	if (q == NULL)
		return NULL;
	q->lx = lx;
	q->fd = -1;
	q->id = o->id;
	q->tcp = o->transport == FZ_DNS_TCP;
	q->tunnel = o->bind.family != FZ_FAMILY_NONE;
	q->len = o->len;
	q->data[0] = (uint8_t)(o->len >> 8);
	q->data[1] = (uint8_t)o->len;
	memcpy(q->data + 2, o->data, o->len);
	memcpy(q->own_id, o->data, 2);
	if (o->transport == FZ_DNS_HTTPS)
		memset(q->data + 2, 0, 2); /* RFC 8484 section 4.1: so that caches know it again */
	else
		fz_rng_fill(lx->env, q->data + 2, 2);
	return q;
}

int lx_dns_query(void *p, const struct fz_dns_query *query)
{
	struct lx *lx = p;
	struct lx_queries *t;
	struct fz_dns_query o;
	int err = fz_opts_import(&o, sizeof(o), query, query->size);

	if (err == 0 && !is_valid(&o))
		err = FZ_ERR_INVAL;
	if (err == 0)
		err = open_queries(lx);
	if (err)
		return err;
	t = lx->queries;
	if (t->free_len == 0)
		return FZ_ERR_FULL;
	if (fz_heap_reserve(&t->due, lx->env, QUERIES_MAX - t->free_len + 1) < 0)
		return FZ_ERR_NOMEM;
	struct lx_query *q = query_new(lx, &o);
	if (q == NULL)
		return FZ_ERR_NOMEM;
	q->slot = t->free[t->free_len - 1];
	uint64_t now_us = lx_now_us(lx);
	bool by_http = o.transport == FZ_DNS_HTTPS;
	err = by_http ? fetch_query(q, &o, now_us) : connect_query(q, &o);
	if (err) {
		destroy(q);
		return err;
	}
	t->free_len--;
	t->slots[q->slot] = q;
	lx->stats.dns_queries++;
	if (by_http)
		return 0;
	uint32_t ms = o.timeout_ms ? o.timeout_ms : q->tunnel ? TUNNEL_TIMEOUT_MS : TIMEOUT_MS;
	fz_heap_set(&t->due, &q->due, now_us + FZ_MS(ms));
	return 0;
}

bool lx_dns_answer(void *p, struct fz_dns_answer *ret)
{
	struct lx *lx = p;
	struct lx_queries *t = lx->queries;
	struct lx_query *q;

	if (t == NULL)
		return false;
	destroy(t->shown);
	t->shown = q = t->done;
	if (q == NULL)
		return false;
	t->done = q->next;
	if (t->done == NULL)
		t->done_tail = &t->done;
	*ret = (struct fz_dns_answer){ .id = q->id, .err = q->err };
	if (q->err == 0) {
		ret->data = q->answer;
		ret->len = q->answer_len;
	}
	return true;
}

/* ---- events ---- */

/* A router wants smaller packets: the kernel has learnt that and cuts the query now. */
static void repeat(struct lx_query *q)
{
	struct lx_queries *t = q->lx->queries;

	while (recv(q->fd, t->buf, sizeof(t->buf), MSG_ERRQUEUE) >= 0)
		; /* else we are told again and again */
	(void)!send(q->fd, q->data + 2, q->len, MSG_NOSIGNAL);
}

static void read_udp(struct lx_query *q)
{
	struct lx_queries *t = q->lx->queries;

	for (int i = 0; i < READS; i++) {
		ssize_t n = recv(q->fd, t->buf, sizeof(t->buf), 0);
		if (n < 0 && errno == EMSGSIZE)
			repeat(q);
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		else if (n < 0) {
			finish(q, error_of(errno));
			return;
		} else if (is_answer(q, t->buf, (size_t)n)) {
			finish_with(q, t->buf, (size_t)n);
			return;
		} else {
			q->lx->stats.dns_strange++;
		}
	}
}

/* False: it is over. */
static bool write_tcp(struct lx_query *q)
{
	ssize_t n = send(q->fd, q->data + q->sent, q->len + 2 - q->sent, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		finish(q, error_of(errno));
		return false;
	}
	if (n > 0)
		q->sent += (size_t)n;
	if (q->sent == q->len + 2) {
		q->wants_out = false;
		lx_loop_mod_key(q->lx, q->fd, LX_TAG_DNS_QUERY, (uint32_t)q->slot, LX_READ);
	}
	return true;
}

/* Where the next bytes of the answer go, and how many. */
static size_t room_of(struct lx_query *q, uint8_t **ret)
{
	if (q->got < 2) {
		*ret = q->prefix + q->got;
		return 2 - q->got;
	}
	*ret = q->answer + q->got - 2;
	return q->answer_len + 2 - q->got;
}

/* The prefix is complete: 0, or the error that ends the query. */
static int read_prefix(struct lx_query *q)
{
	q->answer_len = be16(q->prefix);
	if (q->answer_len < HEADER)
		return FZ_ERR_WIRE;
	q->answer = fz_zalloc(q->lx->env, q->answer_len);
	return q->answer ? 0 : FZ_ERR_NOMEM;
}

static void end_tcp(struct lx_query *q)
{
	if (!is_answer(q, q->answer, q->answer_len)) {
		q->lx->stats.dns_strange++;
		finish(q, FZ_ERR_WIRE);
		return;
	}
	memcpy(q->answer, q->own_id, 2);
	finish(q, 0);
}

static void read_tcp(struct lx_query *q)
{
	for (int i = 0; i < READS; i++) {
		uint8_t *at;
		size_t room = room_of(q, &at);
		ssize_t n = recv(q->fd, at, room, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			finish(q, n == 0 ? FZ_ERR_IO : error_of(errno));
			return;
		}
		q->got += (size_t)n;
		int err = q->got == 2 ? read_prefix(q) : 0;
		if (err) {
			finish(q, err);
			return;
		}
		if (q->answer && q->got == q->answer_len + 2) {
			end_tcp(q);
			return;
		}
	}
}

bool lx_dns_query_event(struct lx *lx, uint32_t slot, uint32_t events)
{
	struct lx_query *q = lx->queries && slot < QUERIES_MAX ? lx->queries->slots[slot] : NULL;

	if (q == NULL)
		return false;
	if (q->tcp) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && q->wants_out && !write_tcp(q))
			return true;
		if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
			read_tcp(q);
	} else {
		read_udp(q);
	}
	return lx->queries->done != NULL;
}

uint64_t lx_dns_query_next(const struct lx *lx)
{
	const struct lx_queries *t = lx->queries;
	const struct fz_heap_node *n = t ? fz_heap_peek(&t->due) : NULL;

	if (t && t->done)
		return 0; /* told until it is taken */
	return n ? n->at_us : FZ_NEVER_US;
}

bool lx_dns_query_run(struct lx *lx, uint64_t now_us)
{
	struct lx_queries *t = lx->queries;
	struct fz_heap_node *n;

	while (t && (n = fz_heap_peek(&t->due)) != NULL && n->at_us <= now_us)
		finish(fz_container(n, struct lx_query, due), FZ_ERR_TIMEOUT);
	return t && t->done;
}

void lx_dns_query_reset(struct lx *lx)
{
	for (size_t i = 0; lx->queries && i < QUERIES_MAX; i++)
		if (lx->queries->slots[i] && !lx->queries->slots[i]->tunnel)
			finish(lx->queries->slots[i], FZ_ERR_IO);
}

void lx_dns_query_close(struct lx *lx)
{
	struct lx_queries *t = lx->queries;

	if (t == NULL)
		return;
	for (size_t i = 0; i < QUERIES_MAX; i++)
		destroy(t->slots[i]);
	while (t->done) {
		struct lx_query *q = t->done;
		t->done = q->next;
		destroy(q);
	}
	destroy(t->shown);
	fz_heap_clear(&t->due, lx->env);
	fz_free(lx->env, t);
	lx->queries = NULL;
}
