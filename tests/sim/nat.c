/* SPDX-License-Identifier: Apache-2.0 */
#include "nat.h"

#define RELAY_PORT 3478

void nat_init(struct nat *n, const struct nat_opts *opts, uint64_t seed)
{
	*n = (struct nat){ .opts = *opts, .state = seed };
}

static bool is_alive(const struct nat *n, const struct nat_session *s, uint64_t now_us)
{
	return now_us - s->last_us < n->opts.expiry_us;
}

static void expire(struct nat *n, uint64_t now_us)
{
	for (unsigned i = n->len; i-- > 0;)
		if (!is_alive(n, &n->v[i], now_us))
			n->v[i] = n->v[--n->len];
}

static bool is_taken(const struct nat *n, uint16_t port)
{
	if (port == n->opts.forwarded_port)
		return true;
	for (unsigned i = 0; i < n->len; i++)
		if (n->v[i].port == port)
			return true;
	return false;
}

static uint16_t free_port(struct nat *n, uint16_t wish)
{
	if (n->opts.keeps_port && !is_taken(n, wish))
		return wish;
	for (;;) {
		n->state = n->state * 6364136223846793005u + 1442695040888963407u;
		uint16_t port = (uint16_t)(1024 + (n->state >> 40) % 60000);
		if (!is_taken(n, port))
			return port;
	}
}

static uint16_t port_for(struct nat *n, const struct fz_addr *inside)
{
	if (n->opts.mapping == NAT_OPEN)
		return inside->port;
	if (n->opts.mapping == NAT_EIM) {
		if (n->opts.forwarded_port != 0 && fz_addr_equal(inside, &n->opts.forwarded_to))
			return n->opts.forwarded_port;
		for (unsigned i = 0; i < n->len; i++)
			if (fz_addr_equal(&n->v[i].inside, inside))
				return n->v[i].port;
	}
	return free_port(n, inside->port);
}

static struct nat_session *session_of(struct nat *n, const struct fz_addr *inside,
				      const struct fz_addr *remote)
{
	for (unsigned i = 0; i < n->len; i++)
		if (fz_addr_equal(&n->v[i].inside, inside) && fz_addr_equal(&n->v[i].remote, remote))
			return &n->v[i];
	return NULL;
}

static struct nat_session *new_slot(struct nat *n)
{
	unsigned oldest = 0;

	if (n->len < NAT_SESSIONS_MAX)
		return &n->v[n->len++];
	for (unsigned i = 1; i < n->len; i++)
		if (n->v[i].last_us < n->v[oldest].last_us)
			oldest = i;
	n->n_evicted++;
	return &n->v[oldest];
}

bool nat_out(struct nat *n, const struct fz_addr *inside, const struct fz_addr *remote, struct fz_addr *ret,
	     uint64_t now_us)
{
	struct nat_session *s;

	if (n->opts.drops_all || (n->opts.drops_to_peers && remote->port != RELAY_PORT)) {
		n->n_dropped_out++;
		return false;
	}
	*ret = *inside;
	if (n->opts.mapping == NAT_OPEN && n->opts.filter == NAT_FILTER_NONE)
		return true;
	expire(n, now_us);
	s = session_of(n, inside, remote);
	if (s == NULL) {
		uint16_t port = port_for(n, inside);
		s = new_slot(n);
		*s = (struct nat_session){ .inside = *inside, .remote = *remote, .port = port };
	}
	s->last_us = now_us;
	if (n->opts.mapping != NAT_OPEN) {
		ret->ip = n->opts.public_ip;
		ret->port = s->port;
	}
	return true;
}

static bool lets_in(const struct nat *n, const struct nat_session *s, const struct fz_addr *remote)
{
	switch (n->opts.filter) {
	case NAT_FILTER_NONE:
		return true;
	case NAT_FILTER_ADDRESS:
		return fz_ip_equal(&s->remote.ip, &remote->ip);
	case NAT_FILTER_PORT:
		return fz_addr_equal(&s->remote, remote);
	}
	return false;
}

static bool is_for(const struct nat *n, const struct nat_session *s, const struct fz_addr *public_addr)
{
	if (n->opts.mapping == NAT_OPEN)
		return fz_addr_equal(&s->inside, public_addr);
	return s->port == public_addr->port;
}

/* As Linux does it: answers leave from the forwarded port, unless the inside host spoke first and has another
 * one for this peer; then the two clash. */
static bool forward(struct nat *n, const struct fz_addr *remote, uint64_t now_us)
{
	struct nat_session *s = session_of(n, &n->opts.forwarded_to, remote);

	if (s == NULL) {
		s = new_slot(n);
		*s = (struct nat_session){ .inside = n->opts.forwarded_to,
					   .remote = *remote,
					   .port = n->opts.forwarded_port };
	}
	s->last_us = now_us;
	return s->port == n->opts.forwarded_port;
}

bool nat_in(struct nat *n, const struct fz_addr *public_addr, const struct fz_addr *remote,
	    struct fz_addr *ret, uint64_t now_us)
{
	if (n->opts.drops_all || (n->opts.drops_from_peers && remote->port != RELAY_PORT))
		goto dropped;
	if (n->opts.mapping == NAT_OPEN && n->opts.filter == NAT_FILTER_NONE) {
		*ret = *public_addr;
		return true;
	}
	expire(n, now_us);
	if (n->opts.forwarded_port != 0 && public_addr->port == n->opts.forwarded_port) {
		if (!forward(n, remote, now_us))
			goto dropped;
		*ret = n->opts.forwarded_to;
		return true;
	}
	for (unsigned i = 0; i < n->len; i++) {
		struct nat_session *s = &n->v[i];
		if (!is_for(n, s, public_addr) || !lets_in(n, s, remote))
			continue;
		if (n->opts.inbound_refreshes)
			s->last_us = now_us;
		*ret = s->inside;
		return true;
	}
dropped:
	n->n_dropped_in++;
	return false;
}

void nat_flush(struct nat *n)
{
	n->len = 0;
}
