/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP and ICMPv6 errors (RFC 792, 4443): making the few that the tunnel answers with, reading those that
 * pass. */
#ifndef WIRE_ICMP_H
#define WIRE_ICMP_H

#include "wire/ip.h"

/* What to tell the sender of a packet. */
enum icmp_error {
	ICMP_PROHIBITED, /* administratively prohibited: IPv4 3/13, IPv6 1/1 */
	ICMP_NET_UNREACHABLE, /* IPv4 3/0, IPv6 1/3 (address unreachable) */
	ICMP_TOO_BIG /* IPv4 3/4, IPv6 2/0, with the MTU */
};

/* Room for any error: IPv4 at most 20 + 8 + 60 + 8, IPv6 at most FZ_TUNNEL_MTU. */
#define ICMP_ERROR_MAX FZ_TUNNEL_MTU

/* Write the error about the packet @data (of a super-packet: its first segment, so that the quoted length is
 * true) to @buf of ICMP_ERROR_MAX bytes; returns its length. From the packet's destination to its source, TTL
 * 20; quotes the IPv4 header and 8 bytes, or up to 1,232 bytes of an IPv6 packet. @mtu: ICMP_TOO_BIG only. */
size_t icmp_build_error(enum icmp_error what, uint16_t mtu, const uint8_t *data, const struct ip_view *view,
			uint8_t *buf);

/* An ICMP error and the packet that it quotes. */
struct icmp_quote {
	uint8_t type, code;
	uint32_t rest; /* rest of the header: MTU of a packet-too-big, else usually 0 */
	uint16_t offset; /* of the quoted IP header in the error packet */
	struct ip_view orig; /* of the quoted packet: TCP, UDP or ICMP echo; len and hdr_len of TCP are not
				checked */
};

/* Read the quoted packet of an error: IPv4 types 3 and 11, IPv6 types 1, 2 and 3; it must be TCP, UDP or an
 * echo request. FZ_ERR_NOT_MINE: no such error. FZ_ERR_WIRE: an error that quotes nothing usable. */
int icmp_parse_error(const uint8_t *data, const struct ip_view *view, struct icmp_quote *ret);

/* Rewrite the destination, of the same family, and the source port or echo id of the quoted packet. The
 * error's own checksum stays right; those of the quoted packet stay as they were, as peers do it: few stacks
 * have enough of it to check them, and none does. */
void icmp_quote_set(struct fz_pkt *pkt, const struct ip_view *view, const struct icmp_quote *quote,
		    const struct fz_ip *dst, uint16_t sport);

#endif
