/* SPDX-License-Identifier: Apache-2.0 */
/* The 10-byte header that a TUN device with IFF_VNET_HDR puts in front of every packet (struct
 * virtio_net_hdr, VIRTIO 1.2 section 5.1.6, host byte order here), to and from the offload facts of struct
 * fz_pkt. Pure functions. */
#ifndef PLATFORM_VNET_H
#define PLATFORM_VNET_H

#include "fzconn/packet.h"

#define VNET_LEN 10

/* Facts of the packet at data, whose header is hdr. hdr_len is only a hint of the kernel and not looked at:
 * lengths come from the packet. On success a super-packet has needs_csum set and a valid csum_start, whatever
 * the header said; one that fits a single segment becomes an ordinary packet. FZ_ERR_WIRE: no IP, or the
 * header does not fit. */
int vnet_decode(const uint8_t hdr[VNET_LEN], uint8_t *data, size_t len, struct fz_pkt *ret);
/* A packet from a device without that header. */
int vnet_decode_plain(uint8_t *data, size_t len, struct fz_pkt *ret);
/* Header for a packet that is about to be written. FZ_ERR_INVAL: the facts point outside of the packet. */
int vnet_encode(const struct fz_pkt *pkt, uint8_t hdr[VNET_LEN]);
/* Complete the checksum of an ordinary packet in place (RFC 1071), for devices that will not do it.
 * FZ_ERR_INVAL: the facts point outside of the packet. */
int vnet_complete_csum(const struct fz_pkt *pkt);

#endif
