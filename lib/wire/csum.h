/* SPDX-License-Identifier: Apache-2.0 */
/* The Internet checksum: RFC 1071, incremental updates of RFC 1624, pseudo-headers of RFC 9293 and 8200.
 *
 * A sum is an unfolded one's complement sum of big-endian 16-bit words in host byte order. Sums of pieces add
 * up as long as every piece but the last has an even length. */
#ifndef WIRE_CSUM_H
#define WIRE_CSUM_H

#include <stddef.h>
#include <stdint.h>

#include "fzconn/packet.h"
#include "wire/ip.h"

/* Sum of the bytes; an odd last byte counts as the high half of a word. At most 0xffff, so that 65,536 of
 * them can be added up. */
uint32_t csum_sum(const void *data, size_t len);

/* Down to 16 bits. */
static inline uint16_t csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* The field of a packet: complement of the folded sum. */
static inline uint16_t csum_finish(uint32_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

/* The field of a transport header: never 0, which in UDP means "none". */
static inline uint16_t csum_finish_l4(uint32_t sum)
{
	uint16_t field = csum_finish(sum);
	return field ? field : 0xffff;
}

/* Sum of the pseudo-header of the packet in @data. @l4_len: transport header and payload. */
uint32_t csum_pseudo(const uint8_t *data, const struct ip_view *view, size_t l4_len);

/* Write the checksum of an IPv4 header. */
void csum_ip4(uint8_t *hdr, size_t hdr_len);
/* Write the transport checksum of a TCP, UDP, ICMP or ICMPv6 packet from scratch; others stay as they are. */
void csum_l4(uint8_t *data, const struct ip_view *view);
/* Are the IPv4 header and transport checksums right? True for other protocols and for UDP over IPv4 without
 * checksum. */
bool csum_ok(const uint8_t *data, const struct ip_view *view);

/* Finish the checksum that a local sender left to the network card (needs_csum); the offsets must lie in the
 * packet, as ip_parse() has checked. Clears needs_csum. Not for super-packets: see cut.h. */
void csum_complete(struct fz_pkt *pkt);

/* Update a checksum field after data under it has changed: @removed and @added are csum_sum() of the old and
 * new bytes. A result of 0 is written as 0xffff (RFC 1624 section 5 has both as equal; UDP must not have 0).
 */
uint16_t csum_update(uint16_t field, uint32_t removed, uint32_t added);

#endif
