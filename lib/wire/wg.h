/* SPDX-License-Identifier: Apache-2.0 */
/* The four WireGuard messages as bytes (https://www.wireguard.com/papers/wireguard.pdf, section 5.4). All
 * numbers are little-endian. Views borrow the datagram. */
#ifndef WIRE_WG_H
#define WIRE_WG_H

#include "base/rd.h"
#include "base/wr.h"

#define WG_INITIATION_LEN 148
#define WG_RESPONSE_LEN 92
#define WG_COOKIE_REPLY_LEN 64
#define WG_HEADER_LEN 16 /* of a data message */
#define WG_TAG_LEN 16 /* behind it */
#define WG_OVERHEAD 32 /* both; also the length of a keepalive */
#define WG_MACS_LEN 32 /* mac1 and mac2, at the end of initiation and response */
#define WG_HANDSHAKE_MAX WG_INITIATION_LEN /* longest message that is not data */
#define WG_TIMESTAMP_LEN 12

/* The first byte of a message. */
enum wg_type { WG_NONE = 0, WG_INITIATION = 1, WG_RESPONSE = 2, WG_COOKIE_REPLY = 3, WG_DATA = 4 };

/* By type word and size; WG_NONE for anything else. */
static inline enum wg_type wg_classify(const uint8_t *data, size_t len)
{
	if (len < WG_OVERHEAD)
		return WG_NONE;
	switch (fz_get_le32(data)) {
	case WG_DATA:
		return WG_DATA;
	case WG_INITIATION:
		return len == WG_INITIATION_LEN ? WG_INITIATION : WG_NONE;
	case WG_RESPONSE:
		return len == WG_RESPONSE_LEN ? WG_RESPONSE : WG_NONE;
	case WG_COOKIE_REPLY:
		return len == WG_COOKIE_REPLY_LEN ? WG_COOKIE_REPLY : WG_NONE;
	default:
		return WG_NONE;
	}
}

/* Index by which the receiver finds its state: responses, cookie replies and data have one. The upper 24 bits
 * name the peer object, the lower 8 its session. */
static inline uint32_t wg_receiver(const uint8_t *msg)
{
	return fz_get_le32(msg + (msg[0] == WG_RESPONSE ? 8 : 4));
}
static inline uint32_t wg_index24(uint32_t index)
{
	return index >> 8;
}

static inline uint64_t wg_data_counter(const uint8_t *msg)
{
	return fz_get_le64(msg + 8);
}

static inline void wg_put_data_header(uint8_t *dst, uint32_t receiver, uint64_t counter)
{
	fz_put_le32(dst, WG_DATA);
	fz_put_le32(dst + 4, receiver);
	fz_put_le64(dst + 8, counter);
}

struct wg_initiation {
	uint32_t sender;
	const uint8_t *ephemeral; /* 32 */
	const uint8_t *enc_static; /* 32 + tag */
	const uint8_t *enc_timestamp; /* WG_TIMESTAMP_LEN + tag */
};
struct wg_response {
	uint32_t sender, receiver;
	const uint8_t *ephemeral; /* 32 */
	const uint8_t *enc_nothing; /* tag */
};
struct wg_cookie_reply {
	uint32_t receiver;
	const uint8_t *nonce; /* 24 */
	const uint8_t *enc_cookie; /* 16 + tag */
};

/* FZ_ERR_WIRE unless the message has the type and size; *ret is untouched then. */
int wg_initiation_decode(const uint8_t *msg, size_t len, struct wg_initiation *ret);
int wg_response_decode(const uint8_t *msg, size_t len, struct wg_response *ret);
int wg_cookie_reply_decode(const uint8_t *msg, size_t len, struct wg_cookie_reply *ret);

/* The writers leave the MACs zero. */
void wg_initiation_encode(const struct wg_initiation *m, uint8_t msg[WG_INITIATION_LEN]);
void wg_response_encode(const struct wg_response *m, uint8_t msg[WG_RESPONSE_LEN]);
void wg_cookie_reply_encode(const struct wg_cookie_reply *m, uint8_t msg[WG_COOKIE_REPLY_LEN]);

/* TAI64N label of a wall clock: 2^62 + 37 + seconds, then nanoseconds, big-endian. */
void wg_timestamp(uint8_t ret[WG_TIMESTAMP_LEN], uint64_t unix_ns);

#endif
