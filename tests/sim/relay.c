/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "wire/turn.h"

#define REALM "firezone"
#define NONCE "0123456789abcdef"
#define ALLOCS_MAX SIM_HOSTS_MAX
#define CHANNELS_MAX 4096
#define FIRST_PORT 49152
#define LIFETIME_S 600
#define PERMISSION_US FZ_SEC(300)
#define CHANNEL_US FZ_SEC(600)

struct channel {
	uint16_t number; /* 0: a permission without channel */
	struct fz_addr peer;
	uint64_t permitted_until_us, bound_until_us;
};

struct alloc {
	bool is_live;
	struct fz_addr client, server;
	struct fz_addr relayed4, relayed6;
	struct stun_txid made_by;
	uint64_t until_us;
	struct channel *ch;
	unsigned n_ch, ch_cap;
};

struct relay {
	struct sim_net *net;
	int host;
	struct relay_opts opts;
	uint8_t key[STUN_LONG_TERM_KEY_LEN];
	uint16_t next_port;
	struct alloc allocs[ALLOCS_MAX];
	struct relay_stats stats;
};

struct fz_addr relay_addr(const struct relay *r, enum fz_family family)
{
	struct fz_addr a = { .ip = family == FZ_FAMILY_INET ? r->opts.ip4 : r->opts.ip6, .port = RELAY_PORT };

	if (a.ip.family == FZ_FAMILY_NONE)
		a.port = 0;
	return a;
}

static struct alloc *alloc_of(struct relay *r, const struct fz_addr *client, const struct fz_addr *server,
			      uint64_t now_us)
{
	for (unsigned i = 0; i < ALLOCS_MAX; i++) {
		struct alloc *a = &r->allocs[i];
		if (a->is_live && now_us >= a->until_us)
			a->is_live = false;
		if (a->is_live && fz_addr_equal(&a->client, client) && fz_addr_equal(&a->server, server))
			return a;
	}
	return NULL;
}

static struct alloc *owner_of(struct relay *r, const struct fz_addr *relayed, uint64_t now_us)
{
	for (unsigned i = 0; i < ALLOCS_MAX; i++) {
		struct alloc *a = &r->allocs[i];
		if (a->is_live && now_us < a->until_us &&
		    (fz_addr_equal(&a->relayed4, relayed) || fz_addr_equal(&a->relayed6, relayed)))
			return a;
	}
	return NULL;
}

static struct channel *channel_to(struct alloc *a, const struct fz_addr *peer)
{
	for (unsigned i = 0; i < a->n_ch; i++)
		if (fz_addr_equal(&a->ch[i].peer, peer))
			return &a->ch[i];
	return NULL;
}

static struct channel *channel_numbered(struct alloc *a, uint16_t number)
{
	for (unsigned i = 0; i < a->n_ch; i++)
		if (a->ch[i].number == number)
			return &a->ch[i];
	return NULL;
}

/* ---- requests ---- */

struct request {
	const struct fz_addr *client, *server;
	struct stun_msg m;
	struct turn_attrs attrs;
	uint64_t now_us;
};

static void reply_init(struct stun_enc *e, void *buf, size_t cap, const struct request *q,
		       enum stun_class cls)
{
	stun_enc_init(e, buf, cap, q->m.method, cls, &q->m.txid);
}

static void reply_end(struct relay *r, struct stun_enc *e, const struct request *q, bool sign)
{
	if (sign)
		stun_put_integrity(e, r->key, sizeof(r->key));
	int n = stun_enc_end(e);
	if (n > 0)
		sim_send(r->net, r->host, q->server, q->client, e->w.start, (size_t)n);
}

static void refuse(struct relay *r, const struct request *q, uint16_t code, bool sign)
{
	uint8_t buf[512];
	struct stun_enc e;

	reply_init(&e, buf, sizeof(buf), q, STUN_ERROR);
	stun_put_error(&e, code, "No");
	if (code == STUN_CODE_UNAUTHENTICATED || code == STUN_CODE_STALE_NONCE) {
		stun_put_text(&e, STUN_REALM, REALM);
		stun_put_text(&e, STUN_NONCE, NONCE);
	}
	reply_end(r, &e, q, sign);
}

static void accept_plain(struct relay *r, const struct request *q)
{
	uint8_t buf[128];
	struct stun_enc e;

	reply_init(&e, buf, sizeof(buf), q, STUN_SUCCESS);
	reply_end(r, &e, q, true);
}

static void binding(struct relay *r, const struct request *q)
{
	uint8_t buf[128];
	struct stun_enc e;

	reply_init(&e, buf, sizeof(buf), q, STUN_SUCCESS);
	stun_put_xor_addr(&e, STUN_XOR_MAPPED_ADDRESS, q->client);
	reply_end(r, &e, q, false);
}

static bool wants(const struct request *q, enum fz_family family)
{
	uint8_t first = q->attrs.family ? q->attrs.family : FZ_FAMILY_INET;

	return first == family || q->attrs.additional_family == family;
}

static void tell_allocation(struct relay *r, const struct request *q, const struct alloc *a)
{
	uint8_t buf[256];
	struct stun_enc e;

	reply_init(&e, buf, sizeof(buf), q, STUN_SUCCESS);
	if (a->relayed4.port)
		stun_put_xor_addr(&e, TURN_XOR_RELAYED_ADDRESS, &a->relayed4);
	if (a->relayed6.port)
		stun_put_xor_addr(&e, TURN_XOR_RELAYED_ADDRESS, &a->relayed6);
	stun_put_xor_addr(&e, STUN_XOR_MAPPED_ADDRESS, q->client);
	stun_put_u32(&e, TURN_LIFETIME, LIFETIME_S);
	reply_end(r, &e, q, true);
}

static void allocate(struct relay *r, const struct request *q)
{
	struct alloc *a = alloc_of(r, q->client, q->server, q->now_us);

	/* RFC 8656 section 7.2: a repeated request gets the same answer. */
	if (a != NULL && memcmp(&a->made_by, &q->m.txid, sizeof(a->made_by)) == 0) {
		tell_allocation(r, q, a);
		return;
	}
	if (a != NULL) {
		refuse(r, q, TURN_CODE_ALLOCATION_MISMATCH, true);
		return;
	}
	for (unsigned i = 0; i < ALLOCS_MAX && a == NULL; i++)
		if (!r->allocs[i].is_live)
			a = &r->allocs[i];
	if (a == NULL) {
		r->stats.full++;
		refuse(r, q, TURN_CODE_QUOTA_REACHED, true);
		return;
	}
	free(a->ch);
	*a = (struct alloc){ .is_live = true,
			     .client = *q->client,
			     .server = *q->server,
			     .made_by = q->m.txid,
			     .until_us = q->now_us + FZ_SEC(LIFETIME_S) };
	uint16_t port = r->next_port++;
	if (r->next_port == 0)
		r->next_port = FIRST_PORT;
	if (wants(q, FZ_FAMILY_INET) && r->opts.ip4.family)
		a->relayed4 = (struct fz_addr){ .ip = r->opts.ip4, .port = port };
	if (wants(q, FZ_FAMILY_INET6) && r->opts.ip6.family)
		a->relayed6 = (struct fz_addr){ .ip = r->opts.ip6, .port = port };
	tell_allocation(r, q, a);
}

static void refresh(struct relay *r, const struct request *q, struct alloc *a)
{
	uint32_t lifetime_s = q->attrs.has_lifetime && q->attrs.lifetime_s == 0 ? 0 : LIFETIME_S;
	uint8_t buf[128];
	struct stun_enc e;

	a->until_us = q->now_us + FZ_SEC(lifetime_s);
	a->is_live = lifetime_s > 0;
	reply_init(&e, buf, sizeof(buf), q, STUN_SUCCESS);
	stun_put_u32(&e, TURN_LIFETIME, lifetime_s);
	reply_end(r, &e, q, true);
}

static void permit(struct relay *r, const struct request *q, struct alloc *a, uint16_t number)
{
	struct channel *ch = channel_to(a, &q->attrs.peer),
		       *same = number ? channel_numbered(a, number) : NULL;

	if (!fz_addr_set(&q->attrs.peer) || (same != NULL && same != ch) ||
	    (number && ch != NULL && ch->number && ch->number != number && q->now_us < ch->bound_until_us)) {
		refuse(r, q, STUN_CODE_BAD_REQUEST, true);
		return;
	}
	if (ch == NULL && a->n_ch == CHANNELS_MAX) {
		r->stats.full++;
		refuse(r, q, TURN_CODE_NO_CAPACITY, true);
		return;
	}
	if (ch == NULL) {
		if (a->n_ch == a->ch_cap) {
			a->ch_cap = a->ch_cap ? 2 * a->ch_cap : 8;
			a->ch = realloc(a->ch, a->ch_cap * sizeof(*a->ch));
			if (a->ch == NULL)
				abort();
		}
		ch = &a->ch[a->n_ch++];
		*ch = (struct channel){ .peer = q->attrs.peer };
	}
	ch->permitted_until_us = q->now_us + PERMISSION_US;
	if (number) {
		ch->number = number;
		ch->bound_until_us = q->now_us + CHANNEL_US;
	}
	accept_plain(r, q);
}

static bool is_authentic(struct relay *r, const struct request *q)
{
	if (q->m.username.p == NULL || q->m.nonce.p == NULL || q->m.integrity_at == 0) {
		refuse(r, q, STUN_CODE_UNAUTHENTICATED, false);
		return false;
	}
	if (stun_check_integrity(&q->m, r->key, sizeof(r->key)) != 0) {
		refuse(r, q, STUN_CODE_UNAUTHENTICATED, false);
		return false;
	}
	return true;
}

static void handle_request(struct relay *r, const struct request *q)
{
	struct alloc *a;

	if (q->m.method == STUN_BINDING) {
		binding(r, q);
		return;
	}
	if (!is_authentic(r, q))
		return;
	if (q->m.method == TURN_ALLOCATE) {
		allocate(r, q);
		return;
	}
	a = alloc_of(r, q->client, q->server, q->now_us);
	if (a == NULL)
		refuse(r, q, TURN_CODE_ALLOCATION_MISMATCH, true);
	else if (q->m.method == TURN_REFRESH)
		refresh(r, q, a);
	else if (q->m.method == TURN_CHANNEL_BIND && q->attrs.channel)
		permit(r, q, a, q->attrs.channel);
	else if (q->m.method == TURN_CREATE_PERMISSION)
		permit(r, q, a, 0);
	else
		refuse(r, q, STUN_CODE_BAD_REQUEST, true);
}

/* ---- data ---- */

static void to_peer(struct relay *r, struct alloc *a, const struct fz_addr *peer, const uint8_t *data,
		    size_t len)
{
	const struct fz_addr *from = peer->ip.family == FZ_FAMILY_INET ? &a->relayed4 : &a->relayed6;

	if (from->port == 0)
		return;
	r->stats.to_peer++;
	sim_send(r->net, r->host, from, peer, data, len);
}

static void channel_data(struct relay *r, const struct fz_addr *client, const struct fz_addr *server,
			 const uint8_t *data, size_t len, uint64_t now_us)
{
	struct alloc *a = alloc_of(r, client, server, now_us);
	struct channel *ch;
	uint16_t number;
	int n = turn_channel_decode(data, len, &number);

	if (n < 0 || a == NULL) {
		r->stats.no_allocation++;
		return;
	}
	ch = channel_numbered(a, number);
	if (ch == NULL || now_us >= ch->bound_until_us) {
		r->stats.no_permission++;
		return;
	}
	to_peer(r, a, &ch->peer, data + TURN_CHANNEL_HEADER_LEN, (size_t)n);
}

/* The entry that lets this peer in, a bound channel if there is one. */
static struct channel *way_in(const struct relay *r, struct alloc *a, const struct fz_addr *peer,
			      uint64_t now_us)
{
	struct channel *exact = channel_to(a, peer);

	if (exact != NULL && exact->number && now_us < exact->bound_until_us)
		return exact;
	for (unsigned i = 0; !r->opts.channels_only && i < a->n_ch; i++)
		if (fz_ip_equal(&a->ch[i].peer.ip, &peer->ip) && now_us < a->ch[i].permitted_until_us)
			return &a->ch[i];
	return NULL;
}

static void from_peer(struct relay *r, const struct fz_addr *relayed, const struct fz_addr *peer,
		      const uint8_t *data, size_t len, uint64_t now_us)
{
	struct alloc *a = owner_of(r, relayed, now_us);
	struct channel *ch = a == NULL ? NULL : way_in(r, a, peer, now_us);
	uint8_t buf[SIM_DATAGRAM_MAX];

	if (ch == NULL) {
		r->stats.no_permission++;
		return;
	}
	r->stats.to_client++;
	if (ch->number && fz_addr_equal(&ch->peer, peer)) {
		turn_channel_encode(buf, ch->number, (uint16_t)len);
		memcpy(buf + TURN_CHANNEL_HEADER_LEN, data, len);
		sim_send(r->net, r->host, &a->server, &a->client, buf, len + TURN_CHANNEL_HEADER_LEN);
		return;
	}
	/* Data indication: clients that only know channels drop it. */
	struct stun_txid id = { { 0 } };
	struct stun_enc e;
	stun_enc_init(&e, buf, sizeof(buf), TURN_DATA_INDICATION, STUN_INDICATION, &id);
	stun_put_xor_addr(&e, TURN_XOR_PEER_ADDRESS, peer);
	stun_put(&e, TURN_DATA, data, len);
	int n = stun_enc_end(&e);
	if (n > 0)
		sim_send(r->net, r->host, &a->server, &a->client, buf, (size_t)n);
}

static void receive(void *ctx, const struct fz_addr *to, const struct fz_addr *from, const uint8_t *data,
		    size_t len, uint64_t now_us)
{
	struct relay *r = ctx;
	struct request q = { .client = from, .server = to, .now_us = now_us };

	if (to->port != RELAY_PORT) {
		from_peer(r, to, from, data, len, now_us);
		return;
	}
	if (turn_channel_looks_like(data, len)) {
		channel_data(r, from, to, data, len, now_us);
		return;
	}
	if (stun_decode(data, len, &q.m) == 0 && turn_attrs_decode(&q.m, &q.attrs) == 0 &&
	    q.m.cls == STUN_REQUEST)
		handle_request(r, &q);
}

static void timeout(void *ctx, uint64_t now_us)
{
}

static uint64_t next_timeout(const void *ctx)
{
	return FZ_NEVER_US;
}

static const struct sim_host_ops relay_ops = { receive, timeout, next_timeout };

struct relay *relay_new(struct sim_net *net, int site, const struct relay_opts *opts)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (r == NULL || stun_long_term_key(RELAY_USERNAME, REALM, RELAY_PASSWORD, r->key) != 0)
		abort();
	r->net = net;
	r->opts = *opts;
	r->next_port = FIRST_PORT;
	r->host = sim_add_host(net, site, &relay_ops, r);
	if (opts->ip4.family)
		sim_add_ip(net, r->host, &opts->ip4);
	if (opts->ip6.family)
		sim_add_ip(net, r->host, &opts->ip6);
	return r;
}

void relay_free(struct relay *r)
{
	if (r)
		relay_restart(r);
	free(r);
}

int relay_host(const struct relay *r)
{
	return r->host;
}

void relay_restart(struct relay *r)
{
	for (unsigned i = 0; i < ALLOCS_MAX; i++)
		free(r->allocs[i].ch);
	memset(r->allocs, 0, sizeof(r->allocs));
}

const struct relay_stats *relay_stats(const struct relay *r)
{
	return &r->stats;
}
