/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun_mac.h"

#include <string.h>

#include "base/crc32.h"
#include "base/secret.h"
#include "ext/crypto.h"
#include "fzconn/error.h"
#include "wire/stun.h"

#define FINGERPRINT_XOR 0x5354554eu

/* Header of the message as if it ended behind the value_len bytes of the attribute at `at`: what MACs and
 * checksum are made of (RFC 8489 sections 14.5 to 14.7). */
static void header_up_to(const uint8_t *msg, size_t at, size_t value_len, uint8_t ret[STUN_HEADER_LEN])
{
	memcpy(ret, msg, STUN_HEADER_LEN);
	fz_put_be16(ret + 2, (uint16_t)(at + 4 + value_len - STUN_HEADER_LEN));
}

int stun_mac_sha1(const uint8_t *msg, size_t at, const void *key, size_t key_len,
		  uint8_t ret[CRYPTO_SHA1_LEN])
{
	uint8_t head[STUN_HEADER_LEN];

	header_up_to(msg, at, STUN_INTEGRITY_LEN, head);
	return crypto_hmac_sha1(key, key_len, head, sizeof(head), msg + STUN_HEADER_LEN, at - STUN_HEADER_LEN,
				ret);
}

int stun_mac_sha256(const uint8_t *msg, size_t at, size_t value_len, const void *key, size_t key_len,
		    uint8_t ret[CRYPTO_SHA256_LEN])
{
	uint8_t head[STUN_HEADER_LEN];

	header_up_to(msg, at, value_len, head);
	return crypto_hmac_sha256(key, key_len, head, sizeof(head), msg + STUN_HEADER_LEN,
				  at - STUN_HEADER_LEN, ret);
}

int stun_check_integrity(const struct stun_msg *m, const void *key, size_t key_len)
{
	uint8_t mac[CRYPTO_SHA1_LEN];

	if (m->integrity_at == 0)
		return FZ_ERR_NOT_FOUND;
	int err = stun_mac_sha1(m->data, m->integrity_at, key, key_len, mac);
	if (err == 0 && !fz_secret_eq(mac, m->data + m->integrity_at + 4, sizeof(mac)))
		err = FZ_ERR_AUTH;
	return err;
}

int stun_check_integrity256(const struct stun_msg *m, const void *key, size_t key_len)
{
	uint8_t mac[CRYPTO_SHA256_LEN];

	if (m->integrity256_at == 0)
		return FZ_ERR_NOT_FOUND;
	int err = stun_mac_sha256(m->data, m->integrity256_at, m->integrity256_len, key, key_len, mac);
	if (err == 0 && !fz_secret_eq(mac, m->data + m->integrity256_at + 4, m->integrity256_len))
		err = FZ_ERR_AUTH;
	return err;
}

uint32_t stun_mac_crc(const uint8_t *msg, size_t at)
{
	uint8_t head[STUN_HEADER_LEN];

	header_up_to(msg, at, 4, head);
	uint32_t crc = fz_crc32_add(FZ_CRC32_INIT, head, sizeof(head));
	return ~fz_crc32_add(crc, msg + STUN_HEADER_LEN, at - STUN_HEADER_LEN) ^ FINGERPRINT_XOR;
}

int stun_check_fingerprint(const struct stun_msg *m)
{
	if (m->fingerprint_at == 0)
		return FZ_ERR_NOT_FOUND;
	return fz_get_be32(m->data + m->fingerprint_at + 4) == stun_mac_crc(m->data, m->fingerprint_at)
		       ? 0
		       : FZ_ERR_WIRE;
}

int stun_long_term_key(const char *username, const char *realm, const char *password,
		       uint8_t ret_key[STUN_LONG_TERM_KEY_LEN])
{
	uint8_t text[1502];
	struct fz_wr w = fz_wr_init(text, sizeof(text));
	int err = FZ_ERR_NOSPACE;

	fz_wr_bytes(&w, username, strlen(username));
	fz_wr_u8(&w, ':');
	fz_wr_bytes(&w, realm, strlen(realm));
	fz_wr_u8(&w, ':');
	fz_wr_bytes(&w, password, strlen(password));
	if (!w.bad)
		err = crypto_md5(text, fz_wr_len(&w), NULL, 0, ret_key);
	fz_wipe(text, sizeof(text));
	return err;
}
