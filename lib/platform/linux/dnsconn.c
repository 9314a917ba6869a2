/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/linux/dnsconn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 12, OUT_LOW = 65536, SLOT_BITS = 8 };

struct dnsconn {
	int fd;
	uint32_t key; /* in the epoll set: generation and slot */
	unsigned wants; /* LX_READ, LX_WRITE as they are armed */
	struct fz_addr local, peer;
	bool maybe_ready; /* a read may give something */
	bool ending; /* no further request is read; closed when all is answered */
	uint64_t due_us;
	uint8_t prefix[2];
	size_t got; /* bytes of the request that is coming, prefix included */
	uint8_t *in; /* its message */
	uint64_t open[DNSCONN_REQUESTS_MAX]; /* ids of requests without an answer */
	size_t open_len;
	uint8_t *out;
	size_t out_at, out_len, out_cap;
};

void dnsconns_init(struct dnsconns *t, struct lx *lx)
{
	t->lx = lx;
}

static void close_conn(struct dnsconns *t, unsigned slot)
{
	struct dnsconn *c = t->v[slot];

	t->v[slot] = NULL;
	t->len--;
	close(c->fd);
	fz_free(t->lx->env, c->in);
	fz_free(t->lx->env, c->out);
	fz_free(t->lx->env, c);
}

/* It broke a rule or a limit. */
static void refuse(struct dnsconns *t, unsigned slot)
{
	t->lx->stats.dns_refused++;
	close_conn(t, slot);
}

static size_t out_bytes(const struct dnsconn *c)
{
	return c->out_len - c->out_at;
}

/* No answer is owed, none is under way. */
static bool is_idle(const struct dnsconn *c)
{
	return c->open_len == 0 && out_bytes(c) == 0;
}

static void rearm(struct dnsconn *c, uint64_t now_us)
{
	c->due_us = now_us + FZ_MS(c->open_len ? DNSCONN_ANSWER_MS : DNSCONN_IDLE_MS);
}

/* After every change: what to wait for, or the end. False: it is closed. */
static bool settle(struct dnsconns *t, unsigned slot)
{
	struct dnsconn *c = t->v[slot];
	unsigned wants = 0;

	if (c->ending && is_idle(c)) {
		close_conn(t, slot);
		return false;
	}
	if (!c->ending && c->open_len < DNSCONN_REQUESTS_MAX && out_bytes(c) < OUT_LOW)
		wants |= LX_READ;
	if (out_bytes(c) > 0)
		wants |= LX_WRITE;
	if (!(wants & LX_READ))
		c->maybe_ready = false;
	if (wants != c->wants)
		lx_loop_mod_key(t->lx, c->fd, LX_TAG_DNS_CONN, c->key, wants);
	c->wants = wants;
	return true;
}

/* ---- coming and going ---- */

/* The idle one that is due first; of this peer, NULL = of any. */
static int oldest_idle(const struct dnsconns *t, const struct fz_ip *peer)
{
	int found = -1;

	for (int i = 0; i < DNSCONNS_MAX; i++) {
		const struct dnsconn *c = t->v[i];
		if (c && is_idle(c) && (peer == NULL || fz_ip_equal(&c->peer.ip, peer)) &&
		    (found < 0 || c->due_us < t->v[found]->due_us))
			found = i;
	}
	return found;
}

/* A slot for a connection of this peer, -1 = none. */
static int find_room(struct dnsconns *t, const struct fz_ip *peer)
{
	size_t of_peer = 0;
	int room = -1, victim;

	for (int i = 0; i < DNSCONNS_MAX; i++) {
		if (t->v[i] == NULL)
			room = i;
		else if (fz_ip_equal(&t->v[i]->peer.ip, peer))
			of_peer++;
	}
	if (of_peer < DNSCONNS_PEER_MAX && room >= 0)
		return room;
	victim = oldest_idle(t, of_peer < DNSCONNS_PEER_MAX ? NULL : peer);
	if (victim >= 0)
		refuse(t, (unsigned)victim);
	return victim;
}

void dnsconns_add(struct dnsconns *t, int fd, const struct fz_addr *local, const struct fz_addr *peer,
		  uint64_t now_us)
{
	int slot = find_room(t, &peer->ip), one = 1;
	struct dnsconn *c = slot >= 0 ? fz_zalloc(t->lx->env, sizeof(*c)) : NULL;

	if (c) {
		c->fd = fd;
		c->key = ++t->generation << SLOT_BITS | (uint32_t)slot;
		c->wants = LX_READ;
		c->local = *local;
		c->peer = *peer;
		rearm(c, now_us);
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (lx_loop_add_key(t->lx, fd, LX_TAG_DNS_CONN, c->key, LX_READ) == 0) {
			t->v[slot] = c;
			t->len++;
			return;
		}
	}
	t->lx->stats.dns_refused++;
	fz_free(t->lx->env, c);
	close(fd);
}

void dnsconns_close_of(struct dnsconns *t, const struct fz_addr *local)
{
	for (unsigned i = 0; i < DNSCONNS_MAX; i++)
		if (t->v[i] && fz_addr_equal(&t->v[i]->local, local))
			close_conn(t, i);
}

/* ---- requests ---- */

static size_t message_len(const struct dnsconn *c)
{
	return (size_t)c->prefix[0] << 8 | c->prefix[1];
}

/* Something that is no request: what was asked before is still answered. */
static size_t give_up(struct dnsconns *t, unsigned slot)
{
	t->lx->stats.dns_refused++;
	t->v[slot]->ending = true;
	(void)settle(t, slot);
	return 0;
}

/* One read: 1 = go on, 0 = nothing is there, -1 = the end. */
static int read_some(struct dnsconn *c)
{
	bool in_prefix = c->got < 2;
	uint8_t *to = in_prefix ? c->prefix + c->got : c->in + (c->got - 2);
	size_t room = in_prefix ? 2 - c->got : message_len(c) + 2 - c->got;
	ssize_t n;

	do
		n = recv(c->fd, to, room, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -1;
	c->got += (size_t)n;
	return 1;
}

size_t dnsconns_read(struct dnsconns *t, unsigned slot, uint64_t id, uint8_t *buf, uint64_t now_us)
{
	struct dnsconn *c = t->v[slot];
	size_t len;

	if (c == NULL || !c->maybe_ready)
		return 0;
	do {
		bool is_first = c->got == 0;
		int got = read_some(c);
		if (got > 0 && is_first)
			rearm(c, now_us);
		if (got == 0)
			c->maybe_ready = false;
		if (got < 0) { /* a peer that closed its side may wait for answers */
			c->ending = true;
			(void)settle(t, slot);
		}
		if (got <= 0)
			return 0;
		len = message_len(c);
		if (c->got == 2) {
			if (len < HEADER || len > FZ_DNS_REQUEST_MAX)
				return give_up(t, slot);
			c->in = fz_zalloc(t->lx->env, len);
			if (c->in == NULL)
				return give_up(t, slot);
		}
	} while (c->got < 2 || c->got < len + 2);
	memcpy(buf, c->in, len);
	fz_free(t->lx->env, c->in);
	c->in = NULL;
	c->got = 0;
	c->open[c->open_len++] = id;
	rearm(c, now_us);
	(void)settle(t, slot);
	return len;
}

void dnsconns_addrs(const struct dnsconns *t, unsigned slot, struct fz_addr *ret_local,
		    struct fz_addr *ret_peer)
{
	*ret_local = t->v[slot]->local;
	*ret_peer = t->v[slot]->peer;
}

/* ---- answers ---- */

static int append(struct dnsconns *t, struct dnsconn *c, const void *data, size_t len)
{
	size_t used = out_bytes(c), want = used + 2 + len;

	if (want > DNSCONN_OUT_MAX)
		return FZ_ERR_FULL;
	if (used > 0)
		memmove(c->out, c->out + c->out_at, used);
	c->out_at = 0;
	c->out_len = used;
	if (want > c->out_cap) {
		uint8_t *grown = fz_realloc(t->lx->env, c->out, want);
		if (grown == NULL)
			return FZ_ERR_NOMEM;
		c->out = grown;
		c->out_cap = want;
	}
	c->out[used] = (uint8_t)(len >> 8);
	c->out[used + 1] = (uint8_t)len;
	memcpy(c->out + used + 2, data, len);
	c->out_len = want;
	return 0;
}

/* False: the connection is broken. */
static bool flush(struct dnsconns *t, struct dnsconn *c)
{
	while (out_bytes(c) > 0) {
		ssize_t n = send(c->fd, c->out + c->out_at, out_bytes(c), MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		c->out_at += (size_t)n;
	}
	fz_free(t->lx->env, c->out); /* idle connections keep nothing */
	c->out = NULL;
	c->out_at = c->out_len = c->out_cap = 0;
	return true;
}

static bool take_open(struct dnsconn *c, uint64_t id)
{
	for (size_t i = 0; i < c->open_len; i++) {
		if (c->open[i] != id)
			continue;
		c->open[i] = c->open[--c->open_len];
		return true;
	}
	return false;
}

int dnsconns_reply(struct dnsconns *t, unsigned slot, uint64_t id, const void *data, size_t len,
		   uint64_t now_us)
{
	struct dnsconn *c = slot < DNSCONNS_MAX ? t->v[slot] : NULL;
	int err = 0;

	if (c == NULL || !take_open(c, id))
		return FZ_ERR_NOT_FOUND;
	if (len == 0)
		c->ending = true;
	else
		err = append(t, c, data, len);
	if (err) {
		refuse(t, slot);
		return err;
	}
	if (!flush(t, c)) {
		close_conn(t, slot);
		return FZ_ERR_NOT_FOUND;
	}
	rearm(c, now_us);
	(void)settle(t, slot);
	return 0;
}

/* ---- events ---- */

bool dnsconns_event(struct dnsconns *t, uint32_t key, unsigned ready, uint64_t now_us)
{
	unsigned slot = key & ((1u << SLOT_BITS) - 1);
	struct dnsconn *c = slot < DNSCONNS_MAX ? t->v[slot] : NULL;

	if (c == NULL || c->key != key)
		return false;
	if (ready & LX_WRITE && c->wants & LX_WRITE) {
		if (!flush(t, c)) {
			close_conn(t, slot);
			return false;
		}
		if (is_idle(c))
			rearm(c, now_us);
		if (!settle(t, slot))
			return false;
	}
	/* Told of although nobody waits for it: the connection is broken. */
	if (ready & LX_READ && !(c->wants & LX_READ)) {
		close_conn(t, slot);
		return false;
	}
	if (ready & LX_READ)
		c->maybe_ready = true;
	return c->maybe_ready;
}

uint64_t dnsconns_next(const struct dnsconns *t)
{
	uint64_t at = FZ_NEVER_US;

	for (int i = 0; t->len > 0 && i < DNSCONNS_MAX; i++) /* asked with every turn of the loop */
		if (t->v[i])
			at = fz_min_us(at, t->v[i]->due_us);
	return at;
}

void dnsconns_run(struct dnsconns *t, uint64_t now_us)
{
	for (unsigned i = 0; t->len > 0 && i < DNSCONNS_MAX; i++) {
		struct dnsconn *c = t->v[i];
		if (c == NULL || c->due_us > now_us)
			continue;
		if (is_idle(c) && c->got == 0)
			close_conn(t, i); /* nothing wrong with that */
		else
			refuse(t, i);
	}
}
