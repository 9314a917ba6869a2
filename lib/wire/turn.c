/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/turn.h"

static bool read_channel(struct fz_rd *v, const struct stun_msg *m, struct turn_attrs *got)
{
	if (got->channel == 0)
		got->channel = fz_rd_be16(v);
	return true;
}

static bool read_lifetime(struct fz_rd *v, const struct stun_msg *m, struct turn_attrs *got)
{
	if (!got->has_lifetime)
		got->lifetime_s = fz_rd_be32(v);
	got->has_lifetime = true;
	return true;
}

static bool read_peer(struct fz_rd *v, const struct stun_msg *m, struct turn_attrs *got)
{
	struct fz_addr addr;

	if (!stun_read_addr(*v, &m->txid, &addr))
		return false;
	if (!fz_addr_set(&got->peer))
		got->peer = addr;
	return true;
}

static bool read_data(struct fz_rd *v, const struct stun_msg *m, struct turn_attrs *got)
{
	if (got->data.p == NULL)
		got->data = (struct stun_bytes){ v->at, (uint16_t)fz_rd_left(v) };
	return true;
}

static bool read_relayed(struct fz_rd *v, const struct stun_msg *m, struct turn_attrs *got)
{
	struct fz_addr addr, *slot;

	if (!stun_read_addr(*v, &m->txid, &addr))
		return false;
	slot = addr.ip.family == FZ_FAMILY_INET ? &got->relayed4 : &got->relayed6;
	if (!fz_addr_set(slot))
		*slot = addr;
	return true;
}

static uint8_t family_of(uint8_t wire)
{
	return wire == STUN_FAMILY_IPV4 ? FZ_FAMILY_INET : wire == STUN_FAMILY_IPV6 ? FZ_FAMILY_INET6 : 255;
}

static bool read_family(struct fz_rd *v, const struct stun_msg *m, struct turn_attrs *got)
{
	if (got->family == 0)
		got->family = family_of(fz_rd_u8(v));
	return true;
}

static bool read_additional(struct fz_rd *v, const struct stun_msg *m, struct turn_attrs *got)
{
	if (got->additional_family == 0)
		got->additional_family = family_of(fz_rd_u8(v));
	return true;
}

static bool read_transport(struct fz_rd *v, const struct stun_msg *m, struct turn_attrs *got)
{
	if (got->transport == 0)
		got->transport = fz_rd_u8(v);
	return true;
}

static bool read_refused(struct fz_rd *v, const struct stun_msg *m, struct turn_attrs *got)
{
	uint8_t family = family_of(fz_rd_u8(v));

	fz_rd_u8(v); /* reserved */
	uint16_t code = (uint16_t)((fz_rd_u8(v) & 7) * 100);
	code = (uint16_t)(code + fz_rd_u8(v) % 100);
	if (got->refused_code == 0) {
		got->refused_family = family;
		got->refused_code = code;
	}
	return true;
}

static const struct attr_rule {
	uint16_t type, min, max;
	bool (*read)(struct fz_rd *value, const struct stun_msg *m, struct turn_attrs *got);
} rules[] = {
	{ TURN_CHANNEL_NUMBER, 4, 4, read_channel },
	{ TURN_LIFETIME, 4, 4, read_lifetime },
	{ TURN_XOR_PEER_ADDRESS, 8, 20, read_peer },
	{ TURN_DATA, 0, STUN_MSG_MAX, read_data },
	{ TURN_XOR_RELAYED_ADDRESS, 8, 20, read_relayed },
	{ TURN_REQUESTED_ADDRESS_FAMILY, 4, 4, read_family },
	{ TURN_REQUESTED_TRANSPORT, 4, 4, read_transport },
	{ TURN_ADDITIONAL_ADDRESS_FAMILY, 4, 4, read_additional },
	{ TURN_ADDRESS_ERROR_CODE, 4, 4 + 763, read_refused },
};

int turn_attrs_decode(const struct stun_msg *m, struct turn_attrs *ret)
{
	struct turn_attrs got = { 0 };
	struct stun_iter it = stun_attrs(m);
	struct stun_attr a;

	while (stun_next_attr(&it, &a)) {
		size_t len = fz_rd_left(&a.value), i = 0;

		while (i < sizeof(rules) / sizeof(rules[0]) && rules[i].type != a.type)
			i++;
		if (i == sizeof(rules) / sizeof(rules[0]))
			continue;
		if (len < rules[i].min || len > rules[i].max || !rules[i].read(&a.value, m, &got))
			return FZ_ERR_WIRE;
	}
	*ret = got;
	return 0;
}

void turn_put_channel(struct stun_enc *e, uint16_t number)
{
	stun_put_u32(e, TURN_CHANNEL_NUMBER, (uint32_t)number << 16);
}

void turn_put_transport(struct stun_enc *e)
{
	stun_put_u32(e, TURN_REQUESTED_TRANSPORT, (uint32_t)TURN_TRANSPORT_UDP << 24);
}

void turn_put_family(struct stun_enc *e, uint16_t type, enum fz_family family)
{
	uint32_t wire = family == FZ_FAMILY_INET6 ? STUN_FAMILY_IPV6 : STUN_FAMILY_IPV4;

	stun_put_u32(e, type, wire << 24);
}
