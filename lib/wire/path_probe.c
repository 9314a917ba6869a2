/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/path_probe.h"

#include <string.h>

#include "base/wr.h"
#include "wire/csum.h"

#define ICMP_AT 40
#define ICMP_LEN 8

enum { ECHO_REQUEST = 128, ECHO_REPLY = 129 };

/* 100::dead:1ce:1 and 100::dead:1ce:2. */
static const uint8_t ends[32] = {
	0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xde, 0xad, 0x01, 0xce, 0, 1,
	0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xde, 0xad, 0x01, 0xce, 0, 2,
};

bool path_probe_parse(const uint8_t *packet, size_t len, struct path_probe *ret)
{
	uint8_t type;

	if (!path_probe_maybe(packet, len) || memcmp(packet + 8, ends, sizeof(ends)) != 0)
		return false;
	type = packet[ICMP_AT];
	if (type != ECHO_REQUEST && type != ECHO_REPLY)
		return false;
	*ret = (struct path_probe){ .is_reply = type == ECHO_REPLY,
				    .id = fz_get_be16(packet + ICMP_AT + 4),
				    .seq = fz_get_be16(packet + ICMP_AT + 6) };
	return true;
}

void path_probe_build(uint8_t packet[PATH_PROBE_LEN], const struct path_probe *p)
{
	uint32_t sum;

	memset(packet, 0, PATH_PROBE_LEN);
	packet[0] = 0x60;
	packet[5] = ICMP_LEN;
	packet[6] = IP_PROTO_ICMP6;
	packet[7] = 64;
	memcpy(packet + 8, ends, sizeof(ends));
	packet[ICMP_AT] = p->is_reply ? ECHO_REPLY : ECHO_REQUEST;
	fz_put_be16(packet + ICMP_AT + 4, p->id);
	fz_put_be16(packet + ICMP_AT + 6, p->seq);
	/* RFC 8200 section 8.1: both addresses, length, protocol. */
	sum = csum_sum(packet + 8, sizeof(ends) + ICMP_LEN) + ICMP_LEN + IP_PROTO_ICMP6;
	fz_put_be16(packet + ICMP_AT + 2, csum_finish(sum));
}
