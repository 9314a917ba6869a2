/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of the in-memory network: two byte queues between a host and the program. */
#include "base/opts.h"
#include "platform/mem/mem.h"

struct pipe {
	uint8_t *data;
	size_t cap, at, len; /* unread bytes are [at, at + len) */
};

struct fz_stream {
	struct fz_memnet *net;
	struct fz_stream *next;
	struct mem_host *host; /* NULL: closed by the host */
	enum fz_stream_state state;
	bool has_news; /* the state changed, not yet told */
	bool send_blocked;
	bool hung_up; /* by the program */
	struct pipe in, out; /* as the host sees it */
};

static int pipe_put(struct fz_memnet *net, struct pipe *p, const void *data, size_t len)
{
	if (p->at > 0) {
		memmove(p->data, p->data + p->at, p->len);
		p->at = 0;
	}
	if (p->len + len > p->cap) {
		size_t cap = p->cap ? p->cap : 4096;
		while (cap < p->len + len)
			cap *= 2;
		uint8_t *grown = fz_realloc(net->env, p->data, cap);
		if (grown == NULL)
			return FZ_ERR_NOMEM;
		p->data = grown;
		p->cap = cap;
	}
	memcpy(p->data + p->len, data, len);
	p->len += len;
	return 0;
}

static size_t pipe_take(struct pipe *p, void *buf, size_t cap)
{
	size_t n = p->len < cap ? p->len : cap;

	if (n > 0)
		memcpy(buf, p->data + p->at, n);
	p->at += n;
	p->len -= n;
	return n;
}

static void destroy(struct fz_stream *s)
{
	struct fz_stream **at = &s->net->streams;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	fz_free(s->net->env, s->in.data);
	fz_free(s->net->env, s->out.data);
	fz_free(s->net->env, s);
}

int mem_stream_open(void *p, const struct fz_stream_opts *opts, struct fz_stream **ret)
{
	struct mem_host *h = p;
	struct fz_stream_opts o;
	int err = fz_opts_import(&o, sizeof(o), opts, opts->size);

	if (err)
		return err;
	struct fz_stream *s = fz_zalloc(h->net->env, sizeof(*s));
	if (s == NULL)
		return FZ_ERR_NOMEM;
	s->net = h->net;
	s->host = h;
	s->next = h->net->streams;
	h->net->streams = s;
	s->has_news = true;
	s->state = FZ_STREAM_OPEN;
	if (h->net->accept == NULL || !h->net->accept(h->net->accept_ctx, s, &o))
		s->state = FZ_STREAM_FAILED;
	*ret = s;
	return 0;
}

enum fz_stream_state mem_stream_state(void *p, const struct fz_stream *s)
{
	(void)p;
	return s->state;
}

const char *mem_stream_error(void *p, const struct fz_stream *s)
{
	(void)p;
	return s->state == FZ_STREAM_FAILED ? "connection refused" : "";
}

int mem_stream_send(void *p, struct fz_stream *s, const void *data, size_t len)
{
	size_t room = MEM_STREAM_MAX - s->out.len;
	int err;

	(void)p;
	if (s->state != FZ_STREAM_OPEN)
		return FZ_ERR_STATE;
	if (s->hung_up)
		return FZ_ERR_IO;
	if (room == 0) {
		s->send_blocked = true;
		return FZ_ERR_AGAIN;
	}
	if (len > room)
		len = room;
	err = pipe_put(s->net, &s->out, data, len);
	return err ? err : (int)len;
}

int mem_stream_recv(void *p, struct fz_stream *s, void *buf, size_t cap)
{
	(void)p;
	if (s->state != FZ_STREAM_OPEN)
		return FZ_ERR_STATE;
	if (s->in.len == 0)
		return s->hung_up ? 0 : FZ_ERR_AGAIN;
	return (int)pipe_take(&s->in, buf, cap);
}

void mem_stream_close(void *p, struct fz_stream *s)
{
	(void)p;
	if (s == NULL)
		return;
	s->host = NULL;
	if (s->state == FZ_STREAM_FAILED) /* the program never got it */
		destroy(s);
}

bool mem_streams_ready(struct mem_host *h)
{
	bool ready = false;

	for (struct fz_stream *s = h->net->streams; s != NULL; s = s->next) {
		if (s->host != h)
			continue;
		if (s->has_news || s->in.len > 0 || s->hung_up ||
		    (s->send_blocked && s->out.len < MEM_STREAM_MAX))
			ready = true;
		if (s->out.len < MEM_STREAM_MAX)
			s->send_blocked = false;
		s->has_news = false;
	}
	return ready;
}

void mem_streams_close_of(struct mem_host *h)
{
	struct fz_stream *next;

	for (struct fz_stream *s = h->net->streams; s != NULL; s = next) {
		next = s->next;
		if (s->host == h)
			mem_stream_close(h, s);
	}
}

void mem_streams_free_all(struct fz_memnet *net)
{
	while (net->streams != NULL)
		destroy(net->streams);
}

int fz_memnet_stream_put(struct fz_stream *s, const void *data, size_t len)
{
	if (s->host == NULL)
		return FZ_ERR_STATE;
	if (s->in.len + len > MEM_STREAM_MAX)
		return FZ_ERR_FULL;
	return pipe_put(s->net, &s->in, data, len);
}

int fz_memnet_stream_take(struct fz_stream *s, void *buf, size_t cap)
{
	size_t n = pipe_take(&s->out, buf, cap);

	if (n > 0 || s->host != NULL)
		return (int)n;
	destroy(s);
	return FZ_ERR_DEAD;
}

void fz_memnet_stream_hangup(struct fz_stream *s)
{
	s->hung_up = true;
}
