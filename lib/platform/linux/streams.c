/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: a name is resolved with ext/dnsres.h, then the set of ext/stream.h connects; both in our epoll set
 * and through marked sockets. Until its inner stream exists, a stream is connecting, or failed to. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/opts.h"
#include "ext/dnsres.h"
#include "ext/stream.h"
#include "platform/linux/lx.h"

static_assert((int)FZ_STREAM_CONNECTING == (int)STREAM_CONNECTING, "same states");
static_assert((int)FZ_STREAM_OPEN == (int)STREAM_OPEN, "same states");
static_assert((int)FZ_STREAM_FAILED == (int)STREAM_FAILED, "same states");
static_assert(STREAM_READ == LX_READ && STREAM_WRITE == LX_WRITE, "same bits");
static_assert(DNSRES_READ == LX_READ && DNSRES_WRITE == LX_WRITE, "same bits");

enum { TOTAL_MS = 15000 };

struct fz_stream {
	struct fz_stream *next;
	struct stream *inner; /* NULL = still resolving, or that failed */
	struct dnsres_lookup *lookup; /* NULL = over */
	uint64_t until_us; /* to be open by then; none once there is the inner stream */
	uint16_t port;
	bool tls;
	uint32_t connect_ms;
	char host[256];
	char error[400];
};

struct lx_streams {
	struct stream_set *set;
	struct dnsres *names;
	struct fz_stream *all;
};

static void watch_stream(void *ctx, int fd, unsigned want)
{
	lx_loop_watch(ctx, fd, want, LX_TAG_STREAM);
}

static void watch_names(void *ctx, int fd, unsigned want)
{
	lx_loop_watch(ctx, fd, want, LX_TAG_STREAM_NAMES);
}

static int open_streams(struct lx *lx)
{
	struct lx_streams *t;
	int err;

	if (lx->streams)
		return 0;
	t = fz_zalloc(lx->env, sizeof(*t));
	if (t == NULL)
		return FZ_ERR_NOMEM;
	lx->streams = t;
	err = stream_set_new(lx->env, watch_stream, lx_mark, lx, &t->set);
	if (err == 0)
		err = dnsres_new(lx->env, watch_names, lx_mark, lx, &t->names);
	if (err)
		lx_streams_close(lx);
	return err;
}

static int connect_now(struct lx *lx, struct fz_stream *s, const struct fz_ip *addrs, size_t len,
		       uint64_t now_us)
{
	struct stream_opts o = { .host = s->host,
				 .port = s->port,
				 .tls = s->tls,
				 .connect_ms = s->connect_ms,
				 .total_ms = (uint32_t)((s->until_us - now_us + 999) / 1000),
				 .addrs = addrs,
				 .addrs_len = len };
	int err = stream_open(lx->streams->set, &o, &s->inner, now_us);

	if (err == 0)
		s->until_us = FZ_NEVER_US;
	return err;
}

static void fail(struct fz_stream *s, const char *why)
{
	dnsres_close(s->lookup);
	s->lookup = NULL;
	s->until_us = FZ_NEVER_US;
	snprintf(s->error, sizeof(s->error), "%s: %s", s->host, why);
}

/* Has the lookup come to its end, or the time? */
static bool advance(struct lx *lx, struct fz_stream *s, uint64_t now_us)
{
	const struct fz_ip *addrs;
	char why[128];

	if (s->lookup == NULL)
		return false;
	if (s->until_us <= now_us) {
		fail(s, "no time left after the search for its address");
		return true;
	}
	switch (dnsres_state(s->lookup)) {
	case DNSRES_PENDING:
		return false;
	case DNSRES_FAILED:
		snprintf(why, sizeof(why), "no address found: %s", dnsres_error(s->lookup));
		fail(s, why);
		return true;
	case DNSRES_DONE:
		break;
	}
	size_t len = dnsres_addrs(s->lookup, &addrs);
	if (connect_now(lx, s, addrs, len, now_us) < 0) {
		fail(s, "out of memory");
		return true;
	}
	dnsres_close(s->lookup);
	s->lookup = NULL;
	return true;
}

static bool advance_all(struct lx *lx, uint64_t now_us)
{
	bool any = false;

	for (struct fz_stream *s = lx->streams->all; s; s = s->next)
		any |= advance(lx, s, now_us);
	return any;
}

/* Connect, or find the address first. A proxy gets the host's name whatever addresses the caller knows. */
static int begin(struct lx *lx, struct fz_stream *s, const struct fz_stream_opts *o, uint64_t now_us)
{
	char hop[256];
	struct fz_ip literal;
	int err;

	stream_hop(s->host, s->tls, hop);
	if (o->addrs_len && strcmp(hop, s->host) == 0)
		return connect_now(lx, s, o->addrs, o->addrs_len, now_us);
	if (fz_ip_parse(hop, &literal) == 0)
		return connect_now(lx, s, NULL, 0, now_us);
	lx_dns_guide(lx, lx->streams->names);
	err = dnsres_start(lx->streams->names, hop, &s->lookup, now_us);
	if (err == 0)
		(void)advance(lx, s, now_us);
	return err;
}

int lx_stream_open(void *p, const struct fz_stream_opts *opts, struct fz_stream **ret)
{
	struct lx *lx = p;
	struct fz_stream_opts o;
	struct fz_stream *s;
	uint64_t now_us = lx_now_us(lx);
	int err = fz_opts_import(&o, sizeof(o), opts, opts->size);

	if (err)
		return err;
	if (o.host == NULL || o.port == 0 || strlen(o.host) >= sizeof(s->host))
		return FZ_ERR_INVAL;
	err = open_streams(lx);
	if (err)
		return err;
	s = fz_zalloc(lx->env, sizeof(*s));
	if (s == NULL)
		return FZ_ERR_NOMEM;
	s->port = o.port;
	s->tls = o.tls;
	s->connect_ms = o.connect_ms;
	s->until_us = now_us + FZ_MS(o.handshake_ms ? o.handshake_ms : TOTAL_MS);
	strcpy(s->host, o.host);
	s->next = lx->streams->all;
	lx->streams->all = s;
	err = begin(lx, s, &o, now_us);
	if (err) {
		lx_stream_close(lx, s);
		return err;
	}
	*ret = s;
	return 0;
}

enum fz_stream_state lx_stream_state(void *p, const struct fz_stream *s)
{
	(void)p;
	if (s->inner)
		return (enum fz_stream_state)stream_state(s->inner);
	return s->lookup ? FZ_STREAM_CONNECTING : FZ_STREAM_FAILED;
}

const char *lx_stream_error(void *p, const struct fz_stream *s)
{
	(void)p;
	return s->inner ? stream_error(s->inner) : s->error;
}

int lx_stream_send(void *p, struct fz_stream *s, const void *data, size_t len)
{
	(void)p;
	return s->inner ? stream_send(s->inner, data, len) : FZ_ERR_STATE;
}

int lx_stream_recv(void *p, struct fz_stream *s, void *buf, size_t cap)
{
	(void)p;
	return s->inner ? stream_recv(s->inner, buf, cap) : FZ_ERR_STATE;
}

void lx_stream_close(void *p, struct fz_stream *s)
{
	struct lx *lx = p;

	for (struct fz_stream **at = &lx->streams->all; *at; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	dnsres_close(s->lookup);
	stream_close(s->inner);
	fz_free(lx->env, s);
}

void lx_streams_close(struct lx *lx)
{
	if (lx->streams == NULL)
		return;
	while (lx->streams->all)
		lx_stream_close(lx, lx->streams->all);
	dnsres_free(lx->streams->names);
	stream_set_free(lx->streams->set);
	fz_free(lx->env, lx->streams);
	lx->streams = NULL;
}

uint64_t lx_streams_next(struct lx *lx)
{
	uint64_t t;

	if (lx->streams == NULL)
		return FZ_NEVER_US;
	t = fz_min_us(stream_set_next_timeout(lx->streams->set), dnsres_next_timeout(lx->streams->names));
	for (const struct fz_stream *s = lx->streams->all; s; s = s->next)
		t = fz_min_us(t, s->until_us);
	return t;
}

bool lx_streams_event(struct lx *lx, int fd, unsigned ready)
{
	if (lx->streams == NULL)
		return false;
	stream_set_handle_ready(lx->streams->set, fd, ready, lx_now_us(lx));
	return true;
}

bool lx_stream_names_event(struct lx *lx, int fd, unsigned ready)
{
	uint64_t now_us = lx_now_us(lx);

	if (lx->streams == NULL)
		return false;
	dnsres_handle_ready(lx->streams->names, fd, ready, now_us);
	return advance_all(lx, now_us);
}

bool lx_streams_run(struct lx *lx, uint64_t now_us)
{
	if (lx_streams_next(lx) > now_us)
		return false;
	stream_set_handle_timeout(lx->streams->set, now_us);
	dnsres_handle_timeout(lx->streams->names, now_us);
	(void)advance_all(lx, now_us);
	return true;
}
