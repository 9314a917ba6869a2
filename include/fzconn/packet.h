/* SPDX-License-Identifier: Apache-2.0 */
/** @file packet.h
 *  The two shapes in which traffic travels through the library: IP packets, possibly super-packets that stand
 *  for many segments of one flow, and batches of equal UDP datagrams. */
#ifndef FZCONN_PACKET_H
#define FZCONN_PACKET_H

#include "addr.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Largest IP packet on the tunnel and MTU of its interface. */
#define FZ_TUNNEL_MTU 1280
/** Largest UDP payload on the wire: ChannelData (4) + WireGuard (32) + MTU. */
#define FZ_DATAGRAM_MAX 1316
/** Largest super-packet and largest batch, bytes. */
#define FZ_SUPER_MAX 65535
/** Bytes that a reader leaves free in front of fz_pkt.data (platform header, headers of the tunnel). */
#define FZ_PKT_HEADROOM 64

/** What kind of segments a super-packet stands for. */
enum fz_gso {
	FZ_GSO_NONE = 0, /**< one ordinary packet */
	FZ_GSO_TCP4 = 1,
	FZ_GSO_TCP6 = 4,
	FZ_GSO_UDP = 5 /**< UDP over either family */
};

/** An IP packet and its offload facts. The bytes belong to whoever made the struct; a consumer may change
 *  them and the FZ_PKT_HEADROOM bytes in front during the call. */
struct fz_pkt {
	uint8_t *data; /**< first byte of the IP header */
	size_t len; /**< bytes from data on */
	uint8_t gso; /**< enum fz_gso */
	uint8_t needs_csum; /**< 1: the checksum at csum_start + csum_offset holds only the folded
			       pseudo-header sum */
	uint16_t gso_size; /**< payload bytes of every segment but the last; 0 unless gso */
	uint16_t csum_start; /**< offset of the transport header from data */
	uint16_t csum_offset; /**< offset of the checksum in the transport header */
};

/** A run of UDP datagrams between the same two addresses, back to back in memory. All have seg_len bytes but
 * the last, which may be shorter. A single datagram has seg_len == len. */
struct fz_udp_batch {
	struct fz_addr local; /**< sending: source to use, family none = the system's choice;
			       *   receiving: where it arrived */
	struct fz_addr remote; /**< the other end */
	uint8_t *data; /**< the payloads */
	size_t len; /**< bytes in all */
	uint16_t seg_len; /**< bytes of each datagram but the last */
	uint8_t ecn; /**< the two ECN bits of the outer header */
};

#ifdef __cplusplus
}
#endif
#endif
