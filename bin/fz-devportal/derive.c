/* SPDX-License-Identifier: Apache-2.0 */
#include "derive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "util.h"

static void or_exit(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "fz-devportal: libcrypto: %s failed\n", what);
	exit(1);
}

void encode_hex(char *dst, const uint8_t *src, size_t len)
{
	for (size_t i = 0; i < len; i++)
		snprintf(dst + 2 * i, 3, "%02x", src[i]);
	dst[2 * len] = '\0';
}

void encode_base64(char *dst, const uint8_t *src, size_t len, bool url, bool padded)
{
	EVP_EncodeBlock((unsigned char *)dst, src, (int)len);
	for (char *c = dst; url && *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	char *end = strchr(dst, '=');
	if (!padded && end != NULL)
		*end = '\0';
}

static int base64url_digit(char c)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *at = c == '\0' ? NULL : strchr(alphabet, c);
	return at == NULL ? -1 : (int)(at - alphabet);
}

int decode_base64url(uint8_t *dst, size_t cap, const char *src, size_t len)
{
	uint32_t bits = 0;
	int have = 0;
	size_t out = 0;
	for (size_t i = 0; i < len; i++) {
		int digit = base64url_digit(src[i]);
		if (digit < 0)
			return -1;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (out == cap)
			return -1;
		dst[out++] = (uint8_t)(bits >> have);
	}
	return len % 4 == 1 ? -1 : (int)out;
}

void encode_base32_lower(char *dst, const uint8_t *src, size_t len)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint32_t bits = 0;
	int have = 0;
	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | src[i];
		for (have += 8; have >= 5; have -= 5)
			*dst++ = alphabet[bits >> (have - 5) & 31];
	}
	if (have > 0)
		*dst++ = alphabet[bits << (5 - have) & 31];
	*dst = '\0';
}

void random_bytes(uint8_t *dst, size_t len)
{
	or_exit(RAND_bytes(dst, (int)len) == 1, "RAND_bytes");
}

void sha256(uint8_t out[32], const char *text)
{
	or_exit(EVP_Digest(text, strlen(text), out, NULL, EVP_sha256(), NULL) == 1, "SHA-256");
}

void hmac_sha256(uint8_t out[32], const void *key, size_t key_len, const char *text)
{
	unsigned int len;
	or_exit(HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out, &len) !=
			NULL,
		"HMAC-SHA-256");
}

/* Version nibble 4 and variant bits 10, the rest as it is. */
static void uuid_of(char out[UUID_LEN + 1], const uint8_t d[16])
{
	snprintf(out, UUID_LEN + 1, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 d[0], d[1], d[2], d[3], d[4], d[5], (d[6] & 0x0f) | 0x40, d[7], (d[8] & 0x3f) | 0x80, d[9],
		 d[10], d[11], d[12], d[13], d[14], d[15]);
}

void derive_uuid(char out[UUID_LEN + 1], const char *kind, const char *name)
{
	uint8_t digest[32];
	char *text = xprintf("%s:%s", kind, name);
	sha256(digest, text);
	free(text);
	uuid_of(out, digest);
}

void random_uuid(char out[UUID_LEN + 1])
{
	uint8_t bytes[16];
	random_bytes(bytes, sizeof(bytes));
	uuid_of(out, bytes);
}

void derive_relay_id(char out[UUID_LEN + 1], const char *stamp_secret)
{
	uint8_t digest[32];
	sha256(digest, stamp_secret);
	uuid_of(out, digest);
}

void derive_external_id(char out[65], const char *configured)
{
	uint8_t digest[32];
	sha256(digest, configured);
	encode_hex(out, digest, sizeof(digest));
}

void derive_turn_firezone(struct turn_credentials *out, const char *stamp_secret, const char *public_key,
			  int64_t expires_at)
{
	uint8_t digest[32];
	char salt[48];
	sha256(digest, public_key);
	encode_base64(salt, digest, sizeof(digest), false, false);
	snprintf(out->username, sizeof(out->username), "%" PRId64 ":%s", expires_at, salt);
	char *text = xprintf("%" PRId64 ":%s:%s", expires_at, stamp_secret, salt);
	sha256(digest, text);
	free(text);
	encode_base64(out->password, digest, sizeof(digest), false, false);
}

void derive_turn_coturn(struct turn_credentials *out, const char *secret, const char *name,
			int64_t expires_at)
{
	uint8_t mac[20];
	unsigned int len;
	snprintf(out->username, sizeof(out->username), "%" PRId64 ":%s", expires_at, name);
	or_exit(HMAC(EVP_sha1(), secret, (int)strlen(secret), (const unsigned char *)out->username,
		     strlen(out->username), mac, &len) != NULL,
		"HMAC-SHA-1");
	encode_base64(out->password, mac, sizeof(mac), false, true);
}

static void derive_psk(char out[KEY_TEXT_LEN + 1], const struct end *a, const struct end *b, const char *salt)
{
	uint8_t both[64], key[32];
	memcpy(both, a->psk_base, 32);
	memcpy(both + 32, b->psk_base, 32);
	or_exit(PKCS5_PBKDF2_HMAC((const char *)both, sizeof(both), (const unsigned char *)salt,
				  (int)strlen(salt), 1, EVP_sha256(), sizeof(key), key) == 1,
		"PBKDF2");
	encode_base64(out, key, sizeof(key), false, true);
}

void derive_psk_gateway(char out[KEY_TEXT_LEN + 1], const struct end *client, const struct end *gateway)
{
	char *salt = xprintf("WG_PSK|C_ID:%s|G_ID:%s|C_PK:%s|G_PK:%s", client->id, gateway->id,
			     client->public_key, gateway->public_key);
	derive_psk(out, client, gateway, salt);
	free(salt);
}

void derive_psk_clients(char out[KEY_TEXT_LEN + 1], const struct end *initiator, const struct end *target)
{
	char *salt = xprintf("WG_PSK_CC|CA_ID:%s|CB_ID:%s|CA_PK:%s|CB_PK:%s", initiator->id, target->id,
			     initiator->public_key, target->public_key);
	derive_psk(out, initiator, target, salt);
	free(salt);
}

void derive_ice(struct ice_credentials *initiator, struct ice_credentials *receiver, const struct end *from,
		const struct end *to)
{
	uint8_t digest[32];
	char h[56];
	char *text = xprintf("%s:%s:%s:%s", from->id, from->public_key, to->id, to->public_key);
	sha256(digest, text);
	free(text);
	encode_base32_lower(h, digest, sizeof(digest));
	snprintf(initiator->username, sizeof(initiator->username), "%.4s", h);
	snprintf(initiator->password, sizeof(initiator->password), "%.22s", h + 4);
	snprintf(receiver->username, sizeof(receiver->username), "%.4s", h + 26);
	snprintf(receiver->password, sizeof(receiver->password), "%.22s", h + 30);
}
