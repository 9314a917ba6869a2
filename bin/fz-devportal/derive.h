/* SPDX-License-Identifier: Apache-2.0 */
/* Values that the portal derives for devices: ids, keys, credentials. Pure functions over text and bytes. */
#ifndef DEVPORTAL_DERIVE_H
#define DEVPORTAL_DERIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_LEN 36
#define KEY_TEXT_LEN 44 /* base64 of 32 bytes */

void encode_hex(char *dst, const uint8_t *src, size_t len);
/* `url`: the alphabet of RFC 4648 section 5. dst needs 4 * (len + 2) / 3 + 1 bytes. */
void encode_base64(char *dst, const uint8_t *src, size_t len, bool url, bool padded);
/* Of the unpadded URL alphabet; returns the length or -1. */
int decode_base64url(uint8_t *dst, size_t cap, const char *src, size_t len);
void encode_base32_lower(char *dst, const uint8_t *src, size_t len); /* RFC 4648 section 6, no padding */

void random_bytes(uint8_t *dst, size_t len);
void sha256(uint8_t out[32], const char *text);
void hmac_sha256(uint8_t out[32], const void *key, size_t key_len, const char *text);

/* An id made from what it names, equal in every run; shaped as a version 4 UUID. */
void derive_uuid(char out[UUID_LEN + 1], const char *kind, const char *name);
void random_uuid(char out[UUID_LEN + 1]);
/* The id of a relay, from the secret that it joined with. */
void derive_relay_id(char out[UUID_LEN + 1], const char *stamp_secret);
/* How a device reports a configured id: UUID-shaped ones as the hex SHA-256 of their text. */
void derive_external_id(char out[65], const char *configured);

struct turn_credentials {
	char username[96], password[48];
};
void derive_turn_firezone(struct turn_credentials *out, const char *stamp_secret, const char *public_key,
			  int64_t expires_at);
/* coturn's use-auth-secret. */
void derive_turn_coturn(struct turn_credentials *out, const char *secret, const char *name,
			int64_t expires_at);

/* One end of a connection; `initiator` first in every function below. */
struct end {
	const char *id, *public_key; /* base64 text as the device sent it */
	const uint8_t *psk_base; /* 32 bytes */
};
void derive_psk_gateway(char out[KEY_TEXT_LEN + 1], const struct end *client, const struct end *gateway);
void derive_psk_clients(char out[KEY_TEXT_LEN + 1], const struct end *initiator, const struct end *target);

struct ice_credentials {
	char username[5], password[23];
};
void derive_ice(struct ice_credentials *initiator, struct ice_credentials *receiver, const struct end *from,
		const struct end *to);

#endif
