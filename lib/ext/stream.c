/* SPDX-License-Identifier: Apache-2.0 */
#include "ext/stream.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "base/mem.h"
#include "base/time.h"
#include "ext/curl_loop.h"
#include "ext/proxy.h"
#include "fzconn/error.h"

static_assert(STREAM_READ == CURL_LOOP_READ && STREAM_WRITE == CURL_LOOP_WRITE, "same bits");

struct stream_set {
	const struct fz_env *env;
	struct curl_loop loop;
	stream_prepare prepare;
	struct stream *streams;
};

struct stream {
	struct stream_set *set;
	struct stream *next;
	CURL *easy;
	struct curl_slist *resolve;
	enum stream_state state;
	int fd; /* once open */
	unsigned wanted; /* once open: what is being watched */
	uint64_t tcp_us; /* deadline, armed with the first socket */
	uint64_t tcp_wait_us;
	char detail[CURL_ERROR_SIZE], error[CURL_ERROR_SIZE + 300];
	char host[256];
};

/* Called for every socket of every attempt, before connect(). */
static int on_sockopt(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	struct stream *s = ctx;

	(void)purpose;
	if (s->tcp_us == FZ_NEVER_US)
		s->tcp_us = s->set->loop.now_us + s->tcp_wait_us;
	if (s->set->prepare && s->set->prepare(s->set->loop.ctx, fd) < 0) {
		snprintf(s->error, sizeof(s->error), "the socket could not be marked to bypass the tunnel");
		return CURL_SOCKOPT_ERROR;
	}
	return CURL_SOCKOPT_OK;
}

int stream_set_new(const struct fz_env *env, stream_watch watch, stream_prepare prepare, void *ctx,
		   struct stream_set **ret)
{
	struct stream_set *set = fz_zalloc(env, sizeof(*set));
	int err;

	if (set == NULL)
		return FZ_ERR_NOMEM;
	set->env = env;
	set->prepare = prepare;
	err = curl_loop_open(&set->loop, watch, ctx);
	if (err) {
		fz_free(env, set);
		return err;
	}
	*ret = set;
	return 0;
}

void stream_set_free(struct stream_set *set)
{
	if (set == NULL)
		return;
	while (set->streams)
		stream_close(set->streams);
	curl_loop_close(&set->loop);
	fz_free(set->env, set);
}

static void watch_open(struct stream *s, unsigned want)
{
	if (s->wanted == want)
		return;
	s->wanted = want;
	s->set->loop.watch(s->set->loop.ctx, s->fd, want);
}

static void fail(struct stream *s, const char *why)
{
	if (s->state == STREAM_OPEN)
		watch_open(s, 0);
	s->state = STREAM_FAILED;
	s->tcp_us = FZ_NEVER_US;
	if (s->error[0] == '\0')
		snprintf(s->error, sizeof(s->error), "%s: %s", s->host, why);
}

static void finish(struct stream *s, CURLcode code)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	s->tcp_us = FZ_NEVER_US;
	if (code == CURLE_OK && curl_easy_getinfo(s->easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK &&
	    fd != CURL_SOCKET_BAD) {
		s->state = STREAM_OPEN;
		s->fd = fd;
		watch_open(s, STREAM_READ);
		return;
	}
	fail(s, s->detail[0] ? s->detail : curl_easy_strerror(code));
}

static void collect(struct stream_set *set)
{
	CURL *easy;
	int code;

	while ((easy = curl_loop_done(&set->loop, &code)) != NULL) {
		char *p = NULL;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &p);
		struct stream *s = (struct stream *)(void *)p;
		if (s->state == STREAM_CONNECTING)
			finish(s, (CURLcode)code);
	}
}

static struct stream *find(struct stream_set *set, int fd)
{
	for (struct stream *s = set->streams; s; s = s->next)
		if (s->state == STREAM_OPEN && s->fd == fd)
			return s;
	return NULL;
}

void stream_set_handle_ready(struct stream_set *set, int fd, unsigned ready, uint64_t now_us)
{
	struct stream *s = find(set, fd);

	if (s) { /* ours: the reader and writer find out by trying */
		if (ready & STREAM_WRITE)
			watch_open(s, STREAM_READ);
		return;
	}
	curl_loop_ready(&set->loop, fd, ready, now_us);
	collect(set);
}

void stream_set_handle_timeout(struct stream_set *set, uint64_t now_us)
{
	curl_loop_timeout(&set->loop, now_us);
	collect(set);
	for (struct stream *s = set->streams; s; s = s->next) {
		curl_off_t connected = 0;
		if (s->state != STREAM_CONNECTING || s->tcp_us > now_us)
			continue;
		s->tcp_us = FZ_NEVER_US;
		curl_easy_getinfo(s->easy, CURLINFO_CONNECT_TIME_T, &connected);
		if (connected == 0)
			fail(s, "no answer to the TCP connection attempts");
	}
}

uint64_t stream_set_next_timeout(const struct stream_set *set)
{
	uint64_t t = set->loop.due_us;

	for (const struct stream *s = set->streams; s; s = s->next)
		t = fz_min_us(t, s->tcp_us);
	return t;
}

static int set_addrs(struct stream *s, const struct stream_opts *o, const char *host, uint16_t port)
{
	char line[CURL_LOOP_LINE];

	curl_loop_resolve(line, host, port, o->addrs, o->addrs_len);
	s->resolve = curl_slist_append(NULL, line);
	if (s->resolve == NULL)
		return FZ_ERR_NOMEM;
	curl_easy_setopt(s->easy, CURLOPT_RESOLVE, s->resolve);
	return 0;
}

static int configure(struct stream *s, const struct stream_opts *o)
{
	char url[256 + 32];
	struct proxy proxy = { .port = 0 };
	bool has_proxy = proxy_find(o->host, o->tls, &proxy);
	const char *hop = has_proxy ? proxy.host : o->host;
	bool v6 = strchr(o->host, ':') != NULL;
	long total = o->total_ms ? (long)o->total_ms : 15000;

	snprintf(url, sizeof(url), "%s://%s%s%s:%u/", o->tls ? "https" : "http", v6 ? "[" : "", o->host,
		 v6 ? "]" : "", o->port);
	snprintf(s->host, sizeof(s->host), "%s", o->host);
	s->tcp_wait_us = FZ_MS(o->connect_ms ? o->connect_ms : 5000);
	s->tcp_us = FZ_NEVER_US;
	CURL *e = s->easy;
	if (curl_easy_setopt(e, CURLOPT_URL, url) != CURLE_OK)
		return FZ_ERR_NOMEM;
	curl_easy_setopt(e, CURLOPT_PRIVATE, s);
	curl_easy_setopt(e, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* closing must not wait for a name server */
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
	/* what was found here is what counts, "" is none */
	if (curl_easy_setopt(e, CURLOPT_PROXY, proxy.url) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_NOPROXY, "") != CURLE_OK)
		return FZ_ERR_NOMEM;
	curl_easy_setopt(e, CURLOPT_HTTPPROXYTUNNEL,
			 1L); /* we bring the bytes: plain HTTP is tunnelled too */
	curl_easy_setopt(e, CURLOPT_SSL_ENABLE_ALPN, 0L);
	if (o->ca_file && curl_easy_setopt(e, CURLOPT_CAINFO, o->ca_file) != CURLE_OK)
		return FZ_ERR_NOMEM;
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, total); /* covers TLS and proxy as well */
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, s->detail);
	curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_sockopt);
	curl_easy_setopt(e, CURLOPT_SOCKOPTDATA, s);
	if (o->addrs_len == 0 || hop[0] == '\0' || strchr(hop, ':'))
		return 0;
	return set_addrs(s, o, hop, has_proxy ? proxy.port : o->port);
}

const char *stream_hop(const char *host, bool tls, char buf[256])
{
	struct proxy proxy;

	if (proxy_find(host, tls, &proxy) && proxy.host[0])
		host = proxy.host;
	snprintf(buf, 256, "%s", host);
	return buf;
}

int stream_open(struct stream_set *set, const struct stream_opts *opts, struct stream **ret, uint64_t now_us)
{
	size_t len = strlen(opts->host);
	struct stream *s;
	int err = FZ_ERR_NOMEM;

	if (len == 0 || len > 253 || strpbrk(opts->host, "/?#@[] \t\r\n") || opts->port == 0)
		return FZ_ERR_INVAL;
	s = fz_zalloc(set->env, sizeof(*s));
	if (s == NULL)
		return FZ_ERR_NOMEM;
	set->loop.now_us = now_us;
	s->set = set;
	s->fd = -1;
	s->next = set->streams;
	set->streams = s;
	s->easy = curl_easy_init();
	if (s->easy)
		err = configure(s, opts);
	if (err == 0 && curl_multi_add_handle(set->loop.multi, s->easy) != CURLM_OK)
		err = FZ_ERR_NOMEM;
	if (err) {
		stream_close(s);
		return err;
	}
	*ret = s;
	return 0;
}

enum stream_state stream_state(const struct stream *s)
{
	return s->state;
}

const char *stream_error(const struct stream *s)
{
	return s->error;
}

int stream_send(struct stream *s, const void *data, size_t len)
{
	size_t n = 0;

	if (s->state != STREAM_OPEN)
		return FZ_ERR_STATE;
	CURLcode code = curl_easy_send(s->easy, data, len, &n);
	if (code == CURLE_AGAIN || (code == CURLE_OK && n == 0 && len > 0)) {
		watch_open(s, STREAM_READ | STREAM_WRITE);
		return FZ_ERR_AGAIN;
	}
	if (code != CURLE_OK) {
		fail(s, s->detail[0] ? s->detail : curl_easy_strerror(code));
		return FZ_ERR_IO;
	}
	return (int)n;
}

int stream_recv(struct stream *s, void *buf, size_t cap)
{
	size_t n = 0;

	if (s->state != STREAM_OPEN)
		return FZ_ERR_STATE;
	CURLcode code = curl_easy_recv(s->easy, buf, cap, &n);
	if (code == CURLE_AGAIN)
		return FZ_ERR_AGAIN;
	if (code != CURLE_OK) {
		fail(s, s->detail[0] ? s->detail : curl_easy_strerror(code));
		return FZ_ERR_IO;
	}
	return (int)n;
}

void stream_close(struct stream *s)
{
	struct stream_set *set;

	if (s == NULL)
		return;
	set = s->set;
	for (struct stream **at = &set->streams; *at; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	if (s->state == STREAM_OPEN)
		watch_open(s, 0);
	if (s->easy) {
		curl_multi_remove_handle(set->loop.multi, s->easy);
		curl_easy_cleanup(s->easy);
	}
	curl_slist_free_all(s->resolve);
	fz_free(set->env, s);
}
