/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fzconn/error.h"
#include "wire/stun.h"
#include "wire/stun_mac.h"

void stun_enc_init(struct stun_enc *e, void *buf, size_t cap, uint16_t method, enum stun_class cls,
		   const struct stun_txid *txid)
{
	unsigned c = (unsigned)cls;

	*e = (struct stun_enc){ .w = fz_wr_init(buf, cap < STUN_MSG_MAX ? cap : STUN_MSG_MAX),
				.txid = *txid };
	fz_wr_be16(&e->w, (uint16_t)((method & 0x0f) | (method & 0x70) << 1 | (method & 0xf80) << 2 |
				     (c & 1) << 4 | (c & 2) << 7));
	fz_wr_be16(&e->w, 0);
	fz_wr_be32(&e->w, STUN_COOKIE);
	fz_wr_bytes(&e->w, txid->b, STUN_TXID_LEN);
}

/* Failures other than lack of room surface at the end. */
static void note_err(struct stun_enc *e, int err)
{
	if (e->err == 0)
		e->err = err;
}

/* Header and room for the value, zero-padded; NULL when there is none. */
static uint8_t *reserve(struct stun_enc *e, uint16_t type, size_t len)
{
	if (len > STUN_MSG_MAX)
		e->w.bad = true;
	fz_wr_be16(&e->w, type);
	fz_wr_be16(&e->w, (uint16_t)len);
	uint8_t *value = fz_wr_take(&e->w, len);
	fz_wr_zero(&e->w, (4u - len % 4u) % 4u);
	return e->w.bad ? NULL : value;
}

void stun_put(struct stun_enc *e, uint16_t type, const void *value, size_t len)
{
	uint8_t *p = reserve(e, type, len);

	if (p && len)
		memcpy(p, value, len);
}

void stun_put_text(struct stun_enc *e, uint16_t type, const char *text)
{
	stun_put(e, type, text, strlen(text));
}

void stun_put_u32(struct stun_enc *e, uint16_t type, uint32_t value)
{
	uint8_t *p = reserve(e, type, 4);

	if (p)
		fz_put_be32(p, value);
}

void stun_put_u64(struct stun_enc *e, uint16_t type, uint64_t value)
{
	uint8_t *p = reserve(e, type, 8);

	if (p)
		fz_put_be64(p, value);
}

static void put_masked_addr(struct stun_enc *e, uint16_t type, const struct fz_addr *addr,
			    const uint8_t mask[16])
{
	size_t ip_len = fz_ip_len(&addr->ip);
	uint8_t *p;

	if (ip_len == 0) {
		note_err(e, FZ_ERR_INVAL);
		return;
	}
	p = reserve(e, type, 4 + ip_len);
	if (p == NULL)
		return;
	p[0] = 0;
	p[1] = ip_len == 16 ? STUN_FAMILY_IPV6 : STUN_FAMILY_IPV4;
	fz_put_be16(p + 2, addr->port ^ fz_get_be16(mask));
	for (size_t i = 0; i < ip_len; i++)
		p[4 + i] = addr->ip.b[i] ^ mask[i];
}

void stun_put_addr(struct stun_enc *e, uint16_t type, const struct fz_addr *addr)
{
	static const uint8_t none[16] = { 0 };

	put_masked_addr(e, type, addr, none);
}

void stun_put_xor_addr(struct stun_enc *e, uint16_t type, const struct fz_addr *addr)
{
	uint8_t mask[16];

	fz_put_be32(mask, STUN_COOKIE);
	memcpy(mask + 4, e->txid.b, STUN_TXID_LEN);
	put_masked_addr(e, type, addr, mask);
}

void stun_put_error(struct stun_enc *e, uint16_t code, const char *reason)
{
	size_t len = strlen(reason);
	uint8_t *p = reserve(e, STUN_ERROR_CODE, 4 + len);

	if (p == NULL)
		return;
	fz_put_be32(p, (uint32_t)(code / 100) << 8 | code % 100);
	memcpy(p + 4, reason, len);
}

void stun_put_unknown(struct stun_enc *e, const uint16_t *types, size_t n)
{
	uint8_t *p = reserve(e, STUN_UNKNOWN_ATTRIBUTES, 2 * n);

	for (size_t i = 0; p && i < n; i++)
		fz_put_be16(p + 2 * i, types[i]);
}

void stun_put_integrity(struct stun_enc *e, const void *key, size_t key_len)
{
	size_t at = fz_wr_len(&e->w);
	uint8_t *p = reserve(e, STUN_MESSAGE_INTEGRITY, STUN_INTEGRITY_LEN);

	if (p)
		note_err(e, stun_mac_sha1(e->w.start, at, key, key_len, p));
}

void stun_put_integrity256(struct stun_enc *e, const void *key, size_t key_len)
{
	size_t at = fz_wr_len(&e->w);
	uint8_t *p = reserve(e, STUN_MESSAGE_INTEGRITY_SHA256, STUN_INTEGRITY256_LEN);

	if (p)
		note_err(e, stun_mac_sha256(e->w.start, at, STUN_INTEGRITY256_LEN, key, key_len, p));
}

void stun_put_fingerprint(struct stun_enc *e)
{
	size_t at = fz_wr_len(&e->w);
	uint8_t *p = reserve(e, STUN_FINGERPRINT, 4);

	if (p)
		fz_put_be32(p, stun_mac_crc(e->w.start, at));
}

int stun_enc_end(struct stun_enc *e)
{
	if (e->w.bad)
		return FZ_ERR_NOSPACE;
	if (e->err)
		return e->err;
	fz_put_be16(e->w.start + 2, (uint16_t)(fz_wr_len(&e->w) - STUN_HEADER_LEN));
	return (int)fz_wr_len(&e->w);
}
