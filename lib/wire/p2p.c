/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/p2p.h"

#include <assert.h>
#include <string.h>

#include "base/wr.h"
#include "fzconn/error.h"

#define CONTROL_HDR_LEN 8

static bool is_unspecified(const struct fz_ip *ip)
{
	static const uint8_t zero[16];

	return memcmp(ip->b, zero, sizeof(zero)) == 0;
}

bool p2p_is_control(const struct ip_view *view)
{
	return view->version == 6 && view->proto == IP_PROTO_P2P && is_unspecified(&view->src) &&
	       is_unspecified(&view->dst);
}

int p2p_parse(const uint8_t *data, const struct ip_view *view, uint8_t *ret_type, const uint8_t **ret_payload,
	      size_t *ret_len)
{
	if (!p2p_is_control(view))
		return FZ_ERR_NOT_MINE;
	if (view->len - view->l3_len < CONTROL_HDR_LEN)
		return FZ_ERR_WIRE;
	*ret_type = data[view->l3_len];
	*ret_payload = data + view->l3_len + CONTROL_HDR_LEN;
	*ret_len = view->len - view->l3_len - CONTROL_HDR_LEN;
	return 0;
}

size_t p2p_build(uint8_t *buf, enum p2p_type type, const void *payload, size_t len)
{
	assert(len <= P2P_PAYLOAD_MAX);
	memset(buf, 0, P2P_HDR_LEN); /* both addresses ::, hop limit 0 */
	buf[0] = 0x60;
	fz_put_be16(buf + 4, (uint16_t)(CONTROL_HDR_LEN + len));
	buf[6] = IP_PROTO_P2P;
	buf[40] = (uint8_t)type;
	if (len > 0)
		memcpy(buf + P2P_HDR_LEN, payload, len);
	return P2P_HDR_LEN + len;
}
