/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun.h"

#include <string.h>

#include "fzconn/error.h"

/* ---- values ---- */

bool stun_read_addr(struct fz_rd value, const struct stun_txid *txid, struct fz_addr *ret)
{
	struct fz_addr got = { 0 };
	uint8_t mask[16] = { 0 };
	size_t ip_len;

	if (txid) {
		fz_put_be32(mask, STUN_COOKIE);
		memcpy(mask + 4, txid->b, STUN_TXID_LEN);
	}
	fz_rd_u8(&value); /* reserved: sent as zero, ignored on receipt */
	uint8_t family = fz_rd_u8(&value);
	got.port = fz_rd_be16(&value) ^ fz_get_be16(mask);
	ip_len = fz_rd_left(&value);
	if (family == STUN_FAMILY_IPV4 && ip_len == 4)
		got.ip.family = FZ_FAMILY_INET;
	else if (family == STUN_FAMILY_IPV6 && ip_len == 16)
		got.ip.family = FZ_FAMILY_INET6;
	else
		return false;
	const uint8_t *ip = fz_rd_take(&value, ip_len);
	for (size_t i = 0; i < ip_len; i++)
		got.ip.b[i] = ip[i] ^ mask[i];
	*ret = got;
	return true;
}

static bool read_mapped(struct fz_rd *v, struct stun_msg *m)
{
	struct fz_addr addr;

	if (!stun_read_addr(*v, NULL, &addr))
		return false;
	if (!fz_addr_set(&m->mapped)) /* the XOR form knows better: middleboxes rewrite this one */
		m->mapped = addr;
	return true;
}

static bool read_xor_mapped(struct fz_rd *v, struct stun_msg *m)
{
	return stun_read_addr(*v, &m->txid, &m->mapped);
}

static bool read_alternate(struct fz_rd *v, struct stun_msg *m)
{
	return stun_read_addr(*v, NULL, &m->alternate);
}

static struct stun_bytes view(struct fz_rd *v)
{
	return (struct stun_bytes){ v->at, (uint16_t)fz_rd_left(v) };
}

static bool read_username(struct fz_rd *v, struct stun_msg *m)
{
	m->username = view(v);
	return true;
}

static bool read_userhash(struct fz_rd *v, struct stun_msg *m)
{
	m->userhash = view(v);
	return true;
}

static bool read_realm(struct fz_rd *v, struct stun_msg *m)
{
	m->realm = view(v);
	return true;
}

static bool read_nonce(struct fz_rd *v, struct stun_msg *m)
{
	m->nonce = view(v);
	return true;
}

static bool read_software(struct fz_rd *v, struct stun_msg *m)
{
	m->software = view(v);
	return true;
}

static bool read_error(struct fz_rd *v, struct stun_msg *m)
{
	fz_rd_be16(v); /* reserved */
	uint8_t hundreds = fz_rd_u8(v) & 7, rest = fz_rd_u8(v);

	if (hundreds < 3 || hundreds > 6 || rest > 99)
		return false;
	m->error_code = (uint16_t)(hundreds * 100 + rest);
	m->reason = view(v);
	return true;
}

static bool read_priority(struct fz_rd *v, struct stun_msg *m)
{
	m->priority = fz_rd_be32(v);
	m->has_priority = true;
	return true;
}

static bool read_use_candidate(struct fz_rd *v, struct stun_msg *m)
{
	(void)v;
	m->use_candidate = true;
	return true;
}

static bool read_controlled(struct fz_rd *v, struct stun_msg *m)
{
	m->tie_breaker = fz_rd_be64(v);
	m->controlled = true;
	return true;
}

static bool read_controlling(struct fz_rd *v, struct stun_msg *m)
{
	m->tie_breaker = fz_rd_be64(v);
	m->controlling = true;
	return true;
}

static bool read_nothing(struct fz_rd *v, struct stun_msg *m)
{
	(void)v;
	(void)m;
	return true;
}

/* Known attributes: allowed lengths and reader. Lengths: RFC 8489 section 14 limits text to 763 bytes and the
 * user name to 513 ("fewer than 509 bytes" of characters, three bytes each at most, are limits on the
 * sender). */
static const struct attr_rule {
	uint16_t type, min, max;
	bool (*read)(struct fz_rd *value, struct stun_msg *m);
} rules[] = {
	{ STUN_MAPPED_ADDRESS, 8, 20, read_mapped },
	{ STUN_USERNAME, 0, 763, read_username },
	{ STUN_MESSAGE_INTEGRITY, STUN_INTEGRITY_LEN, STUN_INTEGRITY_LEN, read_nothing },
	{ STUN_ERROR_CODE, 4, 4 + 763, read_error },
	{ STUN_UNKNOWN_ATTRIBUTES, 0, STUN_MSG_MAX, read_nothing },
	{ STUN_REALM, 0, 763, read_realm },
	{ STUN_NONCE, 0, 763, read_nonce },
	{ STUN_MESSAGE_INTEGRITY_SHA256, 16, STUN_INTEGRITY256_LEN, read_nothing },
	{ STUN_PASSWORD_ALGORITHM, 4, STUN_MSG_MAX, read_nothing },
	{ STUN_USERHASH, STUN_INTEGRITY256_LEN, STUN_INTEGRITY256_LEN, read_userhash },
	{ STUN_XOR_MAPPED_ADDRESS, 8, 20, read_xor_mapped },
	{ STUN_PRIORITY, 4, 4, read_priority },
	{ STUN_USE_CANDIDATE, 0, 0, read_use_candidate },
	{ STUN_PASSWORD_ALGORITHMS, 0, STUN_MSG_MAX, read_nothing },
	{ STUN_ALTERNATE_DOMAIN, 0, STUN_MSG_MAX, read_nothing },
	{ STUN_SOFTWARE, 0, 763, read_software },
	{ STUN_ALTERNATE_SERVER, 8, 20, read_alternate },
	{ STUN_FINGERPRINT, 4, 4, read_nothing },
	{ STUN_ICE_CONTROLLED, 8, 8, read_controlled },
	{ STUN_ICE_CONTROLLING, 8, 8, read_controlling },
};
#define N_RULES (sizeof(rules) / sizeof(rules[0]))

static const struct attr_rule *rule_find(uint16_t type, size_t *ret_index)
{
	for (size_t i = 0; i < N_RULES; i++)
		if (rules[i].type == type) {
			*ret_index = i;
			return &rules[i];
		}
	return NULL;
}

/* Comprehension-required attributes of TURN (RFC 8656 section 18): wire/turn.c reads them. */
static bool is_turn(uint16_t type)
{
	static const uint16_t known[] = { 0x000c, 0x000d, 0x0012, 0x0013, 0x0016,
					  0x0017, 0x0018, 0x0019, 0x001a, 0x0022 };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i] == type)
			return true;
	return false;
}

/* ---- decoder ---- */

bool stun_looks_like(const void *data, size_t len)
{
	const uint8_t *p = data;

	return len >= STUN_HEADER_LEN && len <= STUN_MSG_MAX && p[0] < 0x40 &&
	       fz_get_be32(p + 4) == STUN_COOKIE && fz_get_be16(p + 2) % 4 == 0 &&
	       fz_get_be16(p + 2) == len - STUN_HEADER_LEN;
}

/* Type and value of the next attribute, padding skipped: false at the end or when it does not fit (body.bad).
 */
static bool take_attr(struct fz_rd *body, struct stun_attr *ret)
{
	if (fz_rd_left(body) == 0)
		return false;
	ret->type = fz_rd_be16(body);
	size_t len = fz_rd_be16(body);
	ret->value = fz_rd_sub(body, len);
	fz_rd_take(body, (4u - len % 4u) % 4u); /* RFC 8489 section 14: padded to 4, with any bytes */
	return !body->bad;
}

/* What a decoder has to know of the way so far. */
struct progress {
	uint32_t seen; /* bit per rule */
	bool closed; /* behind MESSAGE-INTEGRITY: only its successors count */
	bool closed256;
};

static void note_unknown(struct stun_msg *m, uint16_t type)
{
	if (type < 0x8000 && !is_turn(type) && m->n_unknown < STUN_UNKNOWN_MAX)
		m->unknown[m->n_unknown++] = type;
}

static bool handle_attr(struct stun_msg *m, struct progress *p, struct stun_attr *a, uint16_t at)
{
	size_t index, len = fz_rd_left(&a->value);
	const struct attr_rule *rule = rule_find(a->type, &index);

	if ((p->closed256 || (p->closed && a->type != STUN_MESSAGE_INTEGRITY_SHA256)) &&
	    a->type != STUN_FINGERPRINT)
		return true;
	if (rule == NULL) {
		note_unknown(m, a->type);
		return true;
	}
	if (p->seen & 1u << index)
		return true;
	p->seen |= 1u << index;
	if (len < rule->min || len > rule->max || !rule->read(&a->value, m))
		return false;
	switch (a->type) {
	case STUN_MESSAGE_INTEGRITY:
		m->integrity_at = at;
		p->closed = true;
		break;
	case STUN_MESSAGE_INTEGRITY_SHA256:
		if (len % 4 != 0)
			return false;
		m->integrity256_at = at;
		m->integrity256_len = (uint16_t)len;
		p->closed256 = true;
		break;
	case STUN_FINGERPRINT:
		m->fingerprint_at = at;
		break;
	default:
		break;
	}
	return true;
}

int stun_decode(const void *data, size_t len, struct stun_msg *ret)
{
	struct stun_msg m = { .data = data, .len = (uint16_t)len };
	struct progress p = { 0 };
	struct stun_attr attr;

	if (data == NULL || !stun_looks_like(data, len))
		return FZ_ERR_WIRE;
	uint16_t type = fz_get_be16(m.data);
	m.cls = (uint8_t)((type >> 7 & 2) | (type >> 4 & 1));
	m.method = (uint16_t)((type & 0x000f) | (type >> 1 & 0x0070) | (type >> 2 & 0x0f80));
	memcpy(m.txid.b, m.data + 8, STUN_TXID_LEN);

	struct fz_rd body = fz_rd_init(m.data + STUN_HEADER_LEN, len - STUN_HEADER_LEN);
	for (;;) {
		uint16_t at = (uint16_t)(body.at - m.data);
		if (!take_attr(&body, &attr))
			break;
		if (m.fingerprint_at != 0) /* must be the last one: RFC 8489 section 14.7 */
			return FZ_ERR_WIRE;
		if (!handle_attr(&m, &p, &attr, at))
			return FZ_ERR_WIRE;
	}
	if (body.bad)
		return FZ_ERR_WIRE;
	*ret = m;
	return 0;
}

struct stun_iter stun_attrs(const struct stun_msg *m)
{
	uint16_t end = m->len;

	if (m->fingerprint_at)
		end = m->fingerprint_at;
	if (m->integrity256_at)
		end = m->integrity256_at;
	if (m->integrity_at)
		end = m->integrity_at;
	return (struct stun_iter){ fz_rd_init(m->data + STUN_HEADER_LEN, end - (size_t)STUN_HEADER_LEN) };
}

bool stun_next_attr(struct stun_iter *it, struct stun_attr *ret)
{
	return take_attr(&it->body, ret);
}
