/* SPDX-License-Identifier: Apache-2.0 */
/* TURN (RFC 8656): its methods, attributes and the ChannelData header, on top of wire/stun.h. */
#ifndef WIRE_TURN_H
#define WIRE_TURN_H

#include "fzconn/error.h"
#include "wire/stun.h"

enum turn_method {
	TURN_ALLOCATE = 0x003,
	TURN_REFRESH = 0x004,
	TURN_SEND = 0x006,
	TURN_DATA_INDICATION = 0x007,
	TURN_CREATE_PERMISSION = 0x008,
	TURN_CHANNEL_BIND = 0x009
};

enum turn_attr_type {
	TURN_CHANNEL_NUMBER = 0x000c,
	TURN_LIFETIME = 0x000d,
	TURN_XOR_PEER_ADDRESS = 0x0012,
	TURN_DATA = 0x0013,
	TURN_XOR_RELAYED_ADDRESS = 0x0016,
	TURN_REQUESTED_ADDRESS_FAMILY = 0x0017,
	TURN_EVEN_PORT = 0x0018,
	TURN_REQUESTED_TRANSPORT = 0x0019,
	TURN_DONT_FRAGMENT = 0x001a,
	TURN_RESERVATION_TOKEN = 0x0022,
	TURN_ADDITIONAL_ADDRESS_FAMILY = 0x8000,
	TURN_ADDRESS_ERROR_CODE = 0x8001,
	TURN_ICMP = 0x8004
};

enum turn_code {
	TURN_CODE_FORBIDDEN = 403,
	TURN_CODE_ALLOCATION_MISMATCH = 437,
	TURN_CODE_FAMILY_UNSUPPORTED = 440,
	TURN_CODE_WRONG_CREDENTIALS = 441,
	TURN_CODE_TRANSPORT_UNSUPPORTED = 442,
	TURN_CODE_FAMILY_MISMATCH = 443,
	TURN_CODE_QUOTA_REACHED = 486,
	TURN_CODE_NO_CAPACITY = 508
};

#define TURN_TRANSPORT_UDP 17

/* TURN's attributes of a message that passed stun_decode(); views live as long as its bytes. */
struct turn_attrs {
	bool has_lifetime;
	uint8_t transport; /* REQUESTED-TRANSPORT, 0 = absent */
	uint8_t family; /* REQUESTED-ADDRESS-FAMILY as enum fz_family, 0 = absent; other families: 255 */
	uint8_t additional_family;
	uint8_t refused_family; /* ADDRESS-ERROR-CODE */
	uint16_t refused_code; /* ... and its code, 0 = absent */
	uint16_t channel; /* 0 = absent */
	uint32_t lifetime_s;
	struct fz_addr relayed4, relayed6; /* the first of each family */
	struct fz_addr peer; /* the first XOR-PEER-ADDRESS */
	struct stun_bytes data;
};

/* FZ_ERR_WIRE: a known attribute is malformed; *ret untouched. */
int turn_attrs_decode(const struct stun_msg *m, struct turn_attrs *ret);

void turn_put_channel(struct stun_enc *e, uint16_t number);
/* REQUESTED-TRANSPORT: UDP */
void turn_put_transport(struct stun_enc *e);
/* type: TURN_REQUESTED_ADDRESS_FAMILY or TURN_ADDITIONAL_ADDRESS_FAMILY */
void turn_put_family(struct stun_enc *e, uint16_t type, enum fz_family family);

/* ---- ChannelData (RFC 8656 section 12.4) ---- */

#define TURN_CHANNEL_HEADER_LEN 4
/* What servers assign; RFC 8656 section 12 reserves the rest. */
#define TURN_CHANNEL_MIN 0x4000
#define TURN_CHANNEL_MAX 0x4fff

/* Could this datagram be ChannelData? By the first byte only. */
static inline bool turn_channel_looks_like(const void *data, size_t len)
{
	return len >= TURN_CHANNEL_HEADER_LEN && (*(const uint8_t *)data & 0xf0) == 0x40;
}

/* A whole datagram: returns the payload's length, the payload begins TURN_CHANNEL_HEADER_LEN bytes on. Over
 * UDP at most three bytes of padding may follow. FZ_ERR_WIRE otherwise. */
static inline int turn_channel_decode(const void *data, size_t len, uint16_t *ret_number)
{
	const uint8_t *p = data;

	if (!turn_channel_looks_like(data, len))
		return FZ_ERR_WIRE;
	size_t payload = fz_get_be16(p + 2), rest = len - TURN_CHANNEL_HEADER_LEN;
	if (payload > rest || (payload < rest && rest != (payload + 3) / 4 * 4))
		return FZ_ERR_WIRE;
	*ret_number = fz_get_be16(p);
	return (int)payload;
}

/* The header in front of len bytes of payload; no padding over UDP. */
static inline void turn_channel_encode(uint8_t dst[TURN_CHANNEL_HEADER_LEN], uint16_t number, uint16_t len)
{
	fz_put_be16(dst, number);
	fz_put_be16(dst + 2, len);
}

#endif
