/* SPDX-License-Identifier: Apache-2.0 */
/* MACs and checksum of STUN messages, shared by decoder and encoder; everybody else uses wire/stun.h. */
#ifndef WIRE_STUN_MAC_H
#define WIRE_STUN_MAC_H

#include <stddef.h>
#include <stdint.h>

/* Over the message in front of offset `at`, where the attribute's header begins (RFC 8489 section 14.5). */
int stun_mac_sha1(const uint8_t *msg, size_t at, const void *key, size_t key_len, uint8_t ret[20]);
/* value_len is what the attribute will say (section 14.6); ret is always 32 bytes. */
int stun_mac_sha256(const uint8_t *msg, size_t at, size_t value_len, const void *key, size_t key_len,
		    uint8_t ret[32]);
/* The value of FINGERPRINT (section 14.7). */
uint32_t stun_mac_crc(const uint8_t *msg, size_t at);

#endif
