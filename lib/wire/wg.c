/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/wg.h"

#include "fzconn/error.h"

/* TAI runs ahead of UTC: 10 s by definition and 27 leap seconds since. Nobody but the sender itself ever
 * compares these labels, so that the table of leap seconds does not matter. */
#define TAI64_EPOCH (((uint64_t)1 << 62) + 37)

int wg_initiation_decode(const uint8_t *msg, size_t len, struct wg_initiation *ret)
{
	struct fz_rd r = fz_rd_init(msg, len);

	if (wg_classify(msg, len) != WG_INITIATION)
		return FZ_ERR_WIRE;
	fz_rd_take(&r, 4);
	ret->sender = fz_rd_le32(&r);
	ret->ephemeral = fz_rd_take(&r, 32);
	ret->enc_static = fz_rd_take(&r, 32 + WG_TAG_LEN);
	ret->enc_timestamp = fz_rd_take(&r, WG_TIMESTAMP_LEN + WG_TAG_LEN);
	return 0;
}

int wg_response_decode(const uint8_t *msg, size_t len, struct wg_response *ret)
{
	struct fz_rd r = fz_rd_init(msg, len);

	if (wg_classify(msg, len) != WG_RESPONSE)
		return FZ_ERR_WIRE;
	fz_rd_take(&r, 4);
	ret->sender = fz_rd_le32(&r);
	ret->receiver = fz_rd_le32(&r);
	ret->ephemeral = fz_rd_take(&r, 32);
	ret->enc_nothing = fz_rd_take(&r, WG_TAG_LEN);
	return 0;
}

int wg_cookie_reply_decode(const uint8_t *msg, size_t len, struct wg_cookie_reply *ret)
{
	struct fz_rd r = fz_rd_init(msg, len);

	if (wg_classify(msg, len) != WG_COOKIE_REPLY)
		return FZ_ERR_WIRE;
	fz_rd_take(&r, 4);
	ret->receiver = fz_rd_le32(&r);
	ret->nonce = fz_rd_take(&r, 24);
	ret->enc_cookie = fz_rd_take(&r, 16 + WG_TAG_LEN);
	return 0;
}

void wg_initiation_encode(const struct wg_initiation *m, uint8_t msg[WG_INITIATION_LEN])
{
	struct fz_wr w = fz_wr_init(msg, WG_INITIATION_LEN);

	fz_wr_le32(&w, WG_INITIATION);
	fz_wr_le32(&w, m->sender);
	fz_wr_bytes(&w, m->ephemeral, 32);
	fz_wr_bytes(&w, m->enc_static, 32 + WG_TAG_LEN);
	fz_wr_bytes(&w, m->enc_timestamp, WG_TIMESTAMP_LEN + WG_TAG_LEN);
	fz_wr_zero(&w, WG_MACS_LEN);
}

void wg_response_encode(const struct wg_response *m, uint8_t msg[WG_RESPONSE_LEN])
{
	struct fz_wr w = fz_wr_init(msg, WG_RESPONSE_LEN);

	fz_wr_le32(&w, WG_RESPONSE);
	fz_wr_le32(&w, m->sender);
	fz_wr_le32(&w, m->receiver);
	fz_wr_bytes(&w, m->ephemeral, 32);
	fz_wr_bytes(&w, m->enc_nothing, WG_TAG_LEN);
	fz_wr_zero(&w, WG_MACS_LEN);
}

void wg_cookie_reply_encode(const struct wg_cookie_reply *m, uint8_t msg[WG_COOKIE_REPLY_LEN])
{
	struct fz_wr w = fz_wr_init(msg, WG_COOKIE_REPLY_LEN);

	fz_wr_le32(&w, WG_COOKIE_REPLY);
	fz_wr_le32(&w, m->receiver);
	fz_wr_bytes(&w, m->nonce, 24);
	fz_wr_bytes(&w, m->enc_cookie, 16 + WG_TAG_LEN);
}

void wg_timestamp(uint8_t ret[WG_TIMESTAMP_LEN], uint64_t unix_ns)
{
	fz_put_be64(ret, TAI64_EPOCH + unix_ns / 1000000000u);
	fz_put_be32(ret + 8, (uint32_t)(unix_ns % 1000000000u));
}
