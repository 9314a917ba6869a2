/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of connections without ICE: ICMPv6 echo messages inside the tunnel, between two reserved addresses
 * (discard prefix, RFC 6666). Request and reply have the same source and destination: both ends compare them
 * with the same constants, and neither is ever routed. */
#ifndef WIRE_PATH_PROBE_H
#define WIRE_PATH_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What we write; one with a payload is understood too. */
#define PATH_PROBE_LEN 48

struct path_probe {
	bool is_reply;
	uint16_t id; /* of the asker's pair */
	uint16_t seq;
};

/* Worth a call of path_probe_parse()? Three bytes, so that it may be asked of every packet. */
static inline bool path_probe_maybe(const uint8_t *packet, size_t len)
{
	return len >= PATH_PROBE_LEN && packet[0] >> 4 == 6 && packet[6] == 58 && packet[8] == 0x01;
}

/* False: no probe, an ordinary packet. The checksum is not looked at: the tunnel has authenticated it. */
bool path_probe_parse(const uint8_t *packet, size_t len, struct path_probe *ret);
void path_probe_build(uint8_t packet[PATH_PROBE_LEN], const struct path_probe *p);

#endif
