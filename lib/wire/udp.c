/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/udp.h"

#include <assert.h>
#include <string.h>

#include "base/wr.h"
#include "wire/csum.h"

#define HOPS 64

size_t udp_build(uint8_t *buf, const struct fz_addr *from, const struct fz_addr *to, const void *payload,
		 size_t len)
{
	bool is_v4 = from->ip.family == FZ_FAMILY_INET;
	size_t l3_len = is_v4 ? 20 : 40, total = l3_len + 8 + len;
	struct ip_view made = { .version = is_v4 ? 4 : 6,
				.kind = IP_UDP,
				.proto = IP_PROTO_UDP,
				.l3_len = (uint16_t)l3_len,
				.len = (uint32_t)total };

	assert(len <= UDP_PAYLOAD_MAX && from->ip.family == to->ip.family);
	memset(buf, 0, l3_len + 8);
	if (is_v4) {
		buf[0] = 0x45;
		fz_put_be16(buf + 2, (uint16_t)total);
		buf[8] = HOPS;
		buf[9] = IP_PROTO_UDP;
		memcpy(buf + 12, from->ip.b, 4);
		memcpy(buf + 16, to->ip.b, 4);
		csum_ip4(buf, l3_len);
	} else {
		buf[0] = 0x60;
		fz_put_be16(buf + 4, (uint16_t)(8 + len));
		buf[6] = IP_PROTO_UDP;
		buf[7] = HOPS;
		memcpy(buf + 8, from->ip.b, 16);
		memcpy(buf + 24, to->ip.b, 16);
	}
	fz_put_be16(buf + l3_len, from->port);
	fz_put_be16(buf + l3_len + 2, to->port);
	fz_put_be16(buf + l3_len + 4, (uint16_t)(8 + len));
	memcpy(buf + l3_len + 8, payload, len);
	csum_l4(buf, &made);
	return total;
}
