/* SPDX-License-Identifier: Apache-2.0 */
/* A pool is a multi handle with its connections. New requests use the newest; an older one lives until its
 * last request has ended. */
#include "ext/https.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "base/mem.h"
#include "base/time.h"
#include "ext/curl_loop.h"
#include "ext/proxy.h"
#include "fzconn/error.h"

static_assert(HTTPS_READ == CURL_LOOP_READ && HTTPS_WRITE == CURL_LOOP_WRITE, "same bits");

/* Connections that are kept, and at most to one server that cannot share them. */
enum { KEPT_MAX = 8, SERVER_MAX = 6, ANSWER_MAX = 65536 };

struct pool {
	struct pool *next; /* older */
	struct https *https;
	struct curl_loop loop;
	size_t txns;
};

struct https {
	const struct fz_env *env;
	https_watch watch;
	https_prepare prepare;
	void *ctx;
	char *ca_file;
	struct pool *pools; /* the newest first; NULL = to be made */
	bool stale; /* of the newest pool: not for new requests */
	struct https_txn *txns;
	struct https_txn *ended, **ended_tail; /* not yet polled */
};

struct https_txn {
	struct https *https;
	struct pool *pool; /* NULL = not begun */
	struct https_txn *next, *next_ended;
	void *user;
	CURL *easy;
	struct curl_slist *headers, *resolve;
	bool is_over, is_polled, too_long, not_marked;
	int err;
	char hop[256];
	uint16_t hop_port;
	size_t answer_max;
	void *body; /* of the request */
	uint8_t *answer;
	size_t answer_len, answer_cap;
	const char *content_type, *location; /* libcurl's */
	long status;
	uint32_t retry_after_s;
	uint64_t date_s;
	char error[CURL_ERROR_SIZE];
};

int https_new(const struct fz_env *env, https_watch watch, https_prepare prepare, void *ctx,
	      struct https **ret)
{
	struct https *h = fz_zalloc(env, sizeof(*h));

	if (h == NULL)
		return FZ_ERR_NOMEM;
	*h = (struct https){ .env = env, .watch = watch, .prepare = prepare, .ctx = ctx };
	h->ended_tail = &h->ended;
	/* Now, so that an unusable libcurl is found out at once. */
	struct curl_loop probe;
	int err = curl_loop_open(&probe, watch, ctx);
	curl_loop_close(&probe);
	if (err) {
		fz_free(env, h);
		return err;
	}
	*ret = h;
	return 0;
}

static void close_pool(struct pool *p)
{
	struct https *h = p->https;

	for (struct pool **at = &h->pools; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
	curl_loop_close(&p->loop);
	fz_free(h->env, p);
}

void https_free(struct https *h)
{
	if (h == NULL)
		return;
	while (h->txns)
		https_close(h->txns);
	while (h->pools)
		close_pool(h->pools);
	fz_free(h->env, h->ca_file);
	fz_free(h->env, h);
}

int https_set_roots(struct https *h, const char *ca_file)
{
	char *copy = ca_file ? fz_strdup(h->env, ca_file) : NULL;

	if (ca_file && copy == NULL)
		return FZ_ERR_NOMEM;
	fz_free(h->env, h->ca_file);
	h->ca_file = copy;
	return 0;
}

/* The pool for new requests. */
static struct pool *current_pool(struct https *h)
{
	struct pool *p;

	if (h->pools && !h->stale)
		return h->pools;
	p = fz_zalloc(h->env, sizeof(*p));
	if (p == NULL)
		return NULL;
	if (curl_loop_open(&p->loop, h->watch, h->ctx) < 0) {
		fz_free(h->env, p);
		return NULL;
	}
	curl_multi_setopt(p->loop.multi, CURLMOPT_MAXCONNECTS, (long)KEPT_MAX);
	curl_multi_setopt(p->loop.multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)SERVER_MAX);
	p->https = h;
	p->next = h->pools;
	h->pools = p;
	h->stale = false;
	if (p->next && p->next->txns == 0)
		close_pool(p->next);
	return p;
}

void https_renew(struct https *h)
{
	if (h->pools && h->pools->txns == 0)
		close_pool(h->pools);
	else if (h->pools)
		h->stale = true;
}

/* ---- the end of a request ---- */

static int error_of(const struct https_txn *t, CURLcode code)
{
	if (t->too_long)
		return FZ_ERR_NOSPACE;
	if (t->not_marked)
		return FZ_ERR_PERM;
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
		return FZ_ERR_TIMEOUT;
	case CURLE_OUT_OF_MEMORY:
		return FZ_ERR_NOMEM;
	default:
		return FZ_ERR_IO;
	}
}

/* The clock of the server, unix seconds; 0 = it does not tell. */
static uint64_t date_of(CURL *easy)
{
	struct curl_header *h;
	time_t at = curl_easy_header(easy, "date", 0, CURLH_HEADER, -1, &h) == CURLHE_OK
			    ? curl_getdate(h->value, NULL)
			    : -1;

	return at > 0 ? (uint64_t)at : 0;
}

static void finish(struct https_txn *t, CURLcode code)
{
	struct https *h = t->https;
	curl_off_t retry = 0;
	char *type = NULL, *location = NULL;

	t->is_over = true;
	t->err = error_of(t, code);
	if (t->err == 0) {
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
		curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry);
		curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
		curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &location);
		t->retry_after_s = retry < 0 ? 0 : retry > UINT32_MAX ? UINT32_MAX : (uint32_t)retry;
		t->date_s = date_of(t->easy);
		t->content_type = type;
		t->location = location;
	} else if (t->error[0] == '\0') {
		snprintf(t->error, sizeof(t->error), "%s",
			 t->too_long     ? "the answer is longer than allowed"
			 : t->not_marked ? "the socket could not be marked to bypass the tunnel"
					 : curl_easy_strerror(code));
	}
	if (t->err == FZ_ERR_TIMEOUT && t->pool == h->pools)
		h->stale = true;
	*h->ended_tail = t;
	h->ended_tail = &t->next_ended;
}

static void collect(struct pool *p)
{
	CURL *easy;
	int code;

	while ((easy = curl_loop_done(&p->loop, &code)) != NULL) {
		char *text = NULL;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &text);
		finish((struct https_txn *)(void *)text, (CURLcode)code);
	}
}

void https_handle_ready(struct https *h, int fd, unsigned ready, uint64_t now_us)
{
	for (struct pool *p = h->pools; p; p = p->next) { /* those that do not know it do nothing */
		curl_loop_ready(&p->loop, fd, ready, now_us);
		collect(p);
	}
}

void https_handle_timeout(struct https *h, uint64_t now_us)
{
	for (struct pool *p = h->pools; p; p = p->next) {
		curl_loop_timeout(&p->loop, now_us);
		collect(p);
	}
}

uint64_t https_next_timeout(const struct https *h)
{
	uint64_t t = FZ_NEVER_US;

	for (const struct pool *p = h->pools; p; p = p->next)
		t = p->txns ? fz_min_us(t, p->loop.due_us) : t;
	return t;
}

void *https_poll(struct https *h)
{
	struct https_txn *t = h->ended;

	if (t == NULL)
		return NULL;
	h->ended = t->next_ended;
	if (h->ended == NULL)
		h->ended_tail = &h->ended;
	t->is_polled = true;
	return t->user;
}

void https_result(const struct https_txn *t, struct fz_http_result *ret)
{
	*ret = (struct fz_http_result){
		.err = t->err,
		.status = (uint16_t)t->status,
		.retry_after_s = t->retry_after_s,
		.date_s = t->date_s,
		.content_type = t->content_type ? t->content_type : "",
		.location = t->location ? t->location : "",
		.error = t->err ? t->error : "",
		.body = t->err ? NULL : t->answer,
		.body_len = t->err ? 0 : t->answer_len,
	};
}

/* ---- the request ---- */

static size_t on_body(char *data, size_t one, size_t len, void *ctx)
{
	struct https_txn *t = ctx;

	(void)one;
	if (len > t->answer_max - t->answer_len) {
		t->too_long = true;
		return 0;
	}
	if (t->answer_len + len > t->answer_cap) {
		size_t cap = t->answer_cap ? 2 * t->answer_cap : 1024;
		while (cap < t->answer_len + len)
			cap *= 2;
		uint8_t *grown = fz_realloc(t->https->env, t->answer, cap);
		if (grown == NULL)
			return 0;
		t->answer = grown;
		t->answer_cap = cap;
	}
	memcpy(t->answer + t->answer_len, data, len);
	t->answer_len += len;
	return len;
}

static int on_sockopt(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	struct https_txn *t = ctx;

	(void)purpose;
	if (t->https->prepare == NULL || t->https->prepare(t->https->ctx, fd) == 0)
		return CURL_SOCKOPT_OK;
	t->not_marked = true;
	return CURL_SOCKOPT_ERROR;
}

static bool part(CURLU *u, CURLUPart which, unsigned flags, char *buf, size_t cap)
{
	char *text = NULL;
	bool ok = curl_url_get(u, which, &text, flags) == CURLUE_OK && strlen(text) < cap;

	if (ok)
		strcpy(buf, text);
	curl_free(text);
	return ok;
}

static bool dissect(const char *url, bool *ret_tls, char host[256], uint16_t *ret_port)
{
	CURLU *u = curl_url();
	char scheme[8], port[8];
	unsigned n = 0;
	bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		  part(u, CURLUPART_SCHEME, 0, scheme, sizeof(scheme)) &&
		  part(u, CURLUPART_HOST, 0, host, 256) &&
		  part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof(port)) &&
		  sscanf(port, "%u", &n) == 1 && n > 0 && n <= UINT16_MAX && host[0] != '\0';

	curl_url_cleanup(u);
	if (!ok || (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
		return false;
	size_t len = strlen(host);
	if (host[0] == '[') { /* a literal */
		memmove(host, host + 1, len);
		host[len - 2] = '\0';
	}
	*ret_tls = scheme[4] == 's';
	*ret_port = (uint16_t)n;
	return true;
}

int https_hop(const char *url, char buf[256])
{
	struct proxy proxy;
	uint16_t port;
	bool tls;

	if (!dissect(url, &tls, buf, &port))
		return FZ_ERR_INVAL;
	if (proxy_find(buf, tls, &proxy) && proxy.host[0])
		strcpy(buf, proxy.host);
	return 0;
}

/* RFC 9110 section 5: a token, and no line ends. */
static bool is_token(const char *text)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (const char *at = text; *at; at++)
		if (!((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') ||
		      (*at >= 'A' && *at <= 'Z') || strchr(marks, *at)))
			return false;
	return text[0] != '\0';
}

static bool is_value(const char *text)
{
	for (const char *at = text; *at; at++)
		if (*at < ' ' || *at > '~')
			return false;
	return true;
}

static int append(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer == NULL)
		return FZ_ERR_NOMEM;
	*list = longer;
	return 0;
}

/* libcurl's own additions are switched off first; a header given later wins. */
static int set_headers(struct https_txn *t, const struct fz_http_request *req)
{
	static const char *const off[] = { "Accept:", "Expect:", "Content-Type:" };
	int err = 0;

	if (req->headers_len > HTTPS_HEADERS_MAX)
		return FZ_ERR_INVAL;
	for (size_t i = 0; err == 0 && i < sizeof(off) / sizeof(off[0]); i++) {
		bool given = false;
		for (size_t k = 0; k < req->headers_len; k++)
			given |= strlen(req->headers[k].name) + 1 == strlen(off[i]) &&
				 curl_strnequal(req->headers[k].name, off[i], strlen(off[i]) - 1);
		if (!given)
			err = append(&t->headers, off[i]);
	}
	for (size_t i = 0; err == 0 && i < req->headers_len; i++) {
		const char *name = req->headers[i].name, *value = req->headers[i].value;
		if (!is_token(name) || !is_value(value))
			return FZ_ERR_INVAL;
		size_t len = strlen(name) + strlen(value) + 3;
		char *line = fz_zalloc(t->https->env, len);
		if (line == NULL)
			return FZ_ERR_NOMEM;
		snprintf(line, len, value[0] ? "%s: %s" : "%s;", name, value);
		err = append(&t->headers, line);
		fz_free_secret(t->https->env, line);
	}
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	return err;
}

static int set_body(struct https_txn *t, const struct fz_http_request *req)
{
	if (req->body_len > 0) {
		t->body = fz_memdup(t->https->env, req->body, req->body_len);
		if (t->body == NULL)
			return FZ_ERR_NOMEM;
	}
	if (req->body_len > 0 || strcmp(req->method, "POST") == 0) {
		curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->body ? t->body : "");
		curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
	} else if (strcmp(req->method, "HEAD") == 0) {
		curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
	}
	return curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, req->method) == CURLE_OK ? 0 : FZ_ERR_NOMEM;
}

static int configure(struct https_txn *t, const struct fz_http_request *req)
{
	struct proxy proxy = { .port = 0 };
	CURL *e = t->easy;
	bool tls;
	int err;

	if (req->method == NULL || req->url == NULL || !is_token(req->method) ||
	    !dissect(req->url, &tls, t->hop, &t->hop_port))
		return FZ_ERR_INVAL;
	bool has_proxy = proxy_find(t->hop, tls, &proxy);
	if (has_proxy) {
		strcpy(t->hop, proxy.host);
		t->hop_port = proxy.port;
	}
	t->answer_max = req->answer_max ? req->answer_max : ANSWER_MAX;
	err = set_headers(t, req);
	if (err == 0)
		err = set_body(t, req);
	if (err)
		return err;
	if (curl_easy_setopt(e, CURLOPT_URL, req->url) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_PROXY, proxy.url) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_NOPROXY, "") != CURLE_OK ||
	    (t->https->ca_file && curl_easy_setopt(e, CURLOPT_CAINFO, t->https->ca_file) != CURLE_OK))
		return FZ_ERR_NOMEM;
	curl_easy_setopt(e, CURLOPT_PRIVATE, t);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(e, CURLOPT_PIPEWAIT, 1L); /* rather share a connection than open one more */
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_sockopt);
	curl_easy_setopt(e, CURLOPT_SOCKOPTDATA, t);
	return 0;
}

int https_open(struct https *h, const struct fz_http_request *req, void *user, struct https_txn **ret)
{
	struct https_txn *t = fz_zalloc(h->env, sizeof(*t));
	int err = FZ_ERR_NOMEM;

	if (t == NULL)
		return FZ_ERR_NOMEM;
	t->https = h;
	t->user = user;
	t->next = h->txns;
	h->txns = t;
	t->easy = curl_easy_init();
	if (t->easy)
		err = configure(t, req);
	if (err) {
		https_close(t);
		return err;
	}
	*ret = t;
	return 0;
}

int https_go(struct https_txn *t, const struct fz_ip *addrs, size_t len, uint32_t timeout_ms, uint64_t now_us)
{
	char line[CURL_LOOP_LINE];
	struct pool *p = current_pool(t->https);

	if (p == NULL)
		return FZ_ERR_NOMEM;
	if (len > 0 && strchr(t->hop, ':') == NULL) {
		curl_loop_resolve(line, t->hop, t->hop_port, addrs, len);
		if (append(&t->resolve, line) < 0)
			return FZ_ERR_NOMEM;
		curl_easy_setopt(t->easy, CURLOPT_RESOLVE, t->resolve);
	}
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)(timeout_ms ? timeout_ms : 1));
	curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms ? timeout_ms : 1));
	p->loop.now_us = now_us;
	if (curl_multi_add_handle(p->loop.multi, t->easy) != CURLM_OK)
		return FZ_ERR_NOMEM;
	t->pool = p;
	p->txns++;
	return 0;
}

static void forget_ended(struct https_txn *t)
{
	struct https *h = t->https;

	for (struct https_txn **at = &h->ended; *at; at = &(*at)->next_ended)
		if (*at == t) {
			*at = t->next_ended;
			if (*at == NULL)
				h->ended_tail = at;
			return;
		}
}

void https_close(struct https_txn *t)
{
	struct https *h;

	if (t == NULL)
		return;
	h = t->https;
	for (struct https_txn **at = &h->txns; *at; at = &(*at)->next)
		if (*at == t) {
			*at = t->next;
			break;
		}
	if (t->is_over && !t->is_polled)
		forget_ended(t);
	if (t->pool) {
		curl_multi_remove_handle(t->pool->loop.multi, t->easy);
		if (--t->pool->txns == 0 && (t->pool != h->pools || h->stale)) {
			if (t->pool == h->pools)
				h->stale = false;
			close_pool(t->pool);
		}
	}
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->resolve);
	fz_free(h->env, t->body);
	fz_free(h->env, t->answer);
	fz_free(h->env, t);
}
