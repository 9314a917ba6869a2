/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_turn.h"

static struct fz_addr addr_of(const char *text)
{
	struct fz_addr a;

	ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

void fake_turn_init(struct fake_turn *f)
{
	*f = (struct fake_turn){
		.addr4 = addr_of("203.0.113.101:3478"),
		.addr6 = addr_of("[2001:db8::101]:3478"),
		.relayed4 = addr_of("203.0.113.101:50000"),
		.relayed6 = addr_of("[2001:db8::101]:50000"),
		.mapped4 = addr_of("198.51.100.7:52625"),
		.mapped6 = addr_of("[2001:db8:7::7]:52625"),
		.username = "1798761600:salt",
		.password = "secret",
		.realm = "firezone",
		.nonce = "nonce-1",
		.lifetime_s = 600,
	};
}

struct call {
	struct fake_turn *f;
	const struct stun_msg *m;
	struct turn_attrs attrs;
	struct stun_enc e;
	uint8_t *answer;
	size_t cap;
	uint8_t key[STUN_LONG_TERM_KEY_LEN];
	bool is_signed;
};

static void sign(struct call *c)
{
	if (c->f->bad_mac)
		c->key[0] ^= 1;
	stun_put_integrity(&c->e, c->key, sizeof(c->key));
}

static int error(struct call *c, uint16_t code, bool is_signed)
{
	stun_enc_init(&c->e, c->answer, c->cap, c->m->method, STUN_ERROR, &c->m->txid);
	stun_put_text(&c->e, STUN_SOFTWARE, "fake");
	stun_put_error(&c->e, code, "because");
	if (code == 401 || code == 438) {
		stun_put_text(&c->e, STUN_REALM, c->f->realm);
		stun_put_text(&c->e, STUN_NONCE, c->f->nonce);
	}
	if (code == 300)
		stun_put_addr(&c->e, STUN_ALTERNATE_SERVER, &c->f->alternate);
	if (is_signed)
		sign(c);
	return stun_enc_end(&c->e);
}

static void success(struct call *c)
{
	stun_enc_init(&c->e, c->answer, c->cap, c->m->method, STUN_SUCCESS, &c->m->txid);
}

static int success_end(struct call *c)
{
	if (!c->f->unsigned_success)
		sign(c);
	return stun_enc_end(&c->e);
}

static bool should_fail(struct fake_turn *f, uint16_t code)
{
	if (code == 0 || f->fail_count == 0)
		return false;
	if (f->fail_count > 0)
		f->fail_count--;
	return true;
}

static int allocate(struct call *c, bool both, bool v6)
{
	struct fake_turn *f = c->f;

	ck_assert_uint_eq(c->attrs.transport, TURN_TRANSPORT_UDP);
	if (f->allocated && memcmp(&f->alloc_txid, &c->m->txid, sizeof(f->alloc_txid)) != 0)
		return error(c, 437, true);
	if (should_fail(f, f->fail_allocate))
		return error(c, f->fail_allocate, true);
	if (!f->allocated && f->allocations++ > 0) { /* a repetition gets what it had */
		f->relayed4.port += fz_addr_set(&f->relayed4);
		f->relayed6.port += fz_addr_set(&f->relayed6);
	}
	f->allocated = true;
	f->alloc_txid = c->m->txid;
	f->n_channels = 0;
	success(c);
	if (fz_addr_set(&f->relayed4) && !v6)
		stun_put_xor_addr(&c->e, TURN_XOR_RELAYED_ADDRESS, &f->relayed4);
	if (fz_addr_set(&f->relayed6) && (both || v6))
		stun_put_xor_addr(&c->e, TURN_XOR_RELAYED_ADDRESS, &f->relayed6);
	stun_put_u32(&c->e, TURN_LIFETIME, f->lifetime_s);
	return success_end(c);
}

static int refresh(struct call *c)
{
	struct fake_turn *f = c->f;
	uint32_t lifetime = c->attrs.has_lifetime ? c->attrs.lifetime_s : f->lifetime_s;

	ck_assert_uint_eq(c->attrs.transport, 0); /* a server that knows only RFC 8656 would answer 420 */
	if (should_fail(f, f->fail_refresh))
		return error(c, f->fail_refresh, true);
	if (f->wrong_owner)
		return error(c, 441, !f->mismatch_first);
	if (!f->allocated)
		return error(c, 437, true);
	f->allocated = lifetime != 0;
	success(c);
	stun_put_u32(&c->e, TURN_LIFETIME, lifetime);
	return success_end(c);
}

static int bind_channel(struct call *c)
{
	struct fake_turn *f = c->f;

	ck_assert_uint_ge(c->attrs.channel, TURN_CHANNEL_MIN);
	ck_assert_uint_le(c->attrs.channel, TURN_CHANNEL_MAX);
	ck_assert(fz_addr_set(&c->attrs.peer));
	if (should_fail(f, f->fail_bind))
		return error(c, f->fail_bind, true);
	if (!f->allocated)
		return error(c, f->plain_400_bind ? 400 : 437, true);
	for (size_t i = 0; i < f->n_channels; i++) {
		bool same_number = f->channel[i] == c->attrs.channel;
		bool same_peer = fz_addr_equal(&f->peer[i], &c->attrs.peer);
		if (same_number != same_peer)
			return error(c, 400, true);
		if (same_number) {
			success(c);
			return success_end(c);
		}
	}
	ck_assert_uint_lt(f->n_channels, FAKE_LOG);
	f->channel[f->n_channels] = c->attrs.channel;
	f->peer[f->n_channels++] = c->attrs.peer;
	success(c);
	return success_end(c);
}

static int handle_binding(struct call *c, bool over_v6)
{
	struct fake_turn *f = c->f;

	if (should_fail(f, f->fail_binding))
		return error(c, f->fail_binding, false);
	success(c);
	stun_put_xor_addr(&c->e, STUN_XOR_MAPPED_ADDRESS, over_v6 ? &f->mapped6 : &f->mapped4);
	return stun_enc_end(&c->e);
}

static bool text_is(const struct stun_bytes *b, const char *text)
{
	return b->p != NULL && b->len == strlen(text) && memcmp(b->p, text, b->len) == 0;
}

static int dispatch(struct call *c, bool both, bool v6)
{
	struct fake_turn *f = c->f;
	bool sign_it = f->signs_challenges && c->m->username.p != NULL;

	if (f->mismatch_first && c->m->method == TURN_ALLOCATE && (f->allocated || f->linger > 0)) {
		if (!f->allocated)
			f->linger--;
		return error(c, 437, false);
	}
	if (c->m->integrity_at == 0 || !text_is(&c->m->username, f->username) ||
	    !text_is(&c->m->realm, f->realm))
		return error(c, 401, sign_it);
	if (c->m->nonce.p == NULL)
		return error(c, 401, sign_it);
	if (!text_is(&c->m->nonce, f->nonce))
		return error(c, 438, sign_it);
	if (stun_check_integrity(c->m, c->key, sizeof(c->key)) != 0)
		return error(c, 401, sign_it);
	switch (c->m->method) {
	case TURN_ALLOCATE:
		return allocate(c, both, v6);
	case TURN_REFRESH:
		return refresh(c);
	case TURN_CHANNEL_BIND:
		return bind_channel(c);
	default:
		ck_abort_msg("method %u", c->m->method);
		return 0;
	}
}

int fake_turn_handle(struct fake_turn *f, const struct fz_addr *to, const uint8_t *data, size_t len,
		     uint8_t *answer, size_t cap, uint64_t now_us)
{
	struct stun_msg m;
	struct call c = { .f = f, .m = &m, .answer = answer, .cap = cap };
	struct fake_request *r = &f->log[f->n++];
	struct stun_attr a;

	ck_assert_uint_lt(f->n, FAKE_LOG);
	ck_assert_int_eq(stun_decode(data, len, &m), 0);
	ck_assert_uint_eq(m.n_unknown, 0);
	ck_assert_uint_eq(m.cls, STUN_REQUEST);
	ck_assert_int_eq(turn_attrs_decode(&m, &c.attrs), 0);
	ck_assert_int_eq(stun_long_term_key(f->username, f->realm, f->password, c.key), 0);
	bool draft = false;
	for (struct stun_iter it = stun_attrs(&m); stun_next_attr(&it, &a);)
		draft |= a.type == 0x8032;
	*r = (struct fake_request){
		.at_us = now_us,
		.method = m.method,
		.channel = c.attrs.channel,
		.to = *to,
		.txid = m.txid,
		.has_auth = m.integrity_at != 0,
		.has_nonce = m.nonce.p != NULL,
		.has_both = c.attrs.additional_family == FZ_FAMILY_INET6,
		.has_v6 = c.attrs.family == FZ_FAMILY_INET6,
		.releases = c.attrs.has_lifetime && c.attrs.lifetime_s == 0,
	};
	if (f->free_over_v6 && m.method == TURN_ALLOCATE && to->ip.family == FZ_FAMILY_INET6)
		f->allocated = f->wrong_owner = false;
	if (f->silent || (f->silent_bind && m.method == TURN_CHANNEL_BIND))
		return 0;
	if (m.method == STUN_BINDING)
		return handle_binding(&c, to->ip.family == FZ_FAMILY_INET6);
	return dispatch(&c, f->draft_only ? draft : r->has_both, r->has_v6);
}

size_t fake_turn_count(const struct fake_turn *f, uint16_t method, size_t from)
{
	size_t n = 0;

	for (size_t i = from; i < f->n; i++)
		n += f->log[i].method == method;
	return n;
}

const struct fake_request *fake_turn_last(const struct fake_turn *f, uint16_t method)
{
	for (size_t i = f->n; i-- > 0;)
		if (f->log[i].method == method)
			return &f->log[i];
	ck_abort_msg("no request of method %u", method);
	return NULL;
}
