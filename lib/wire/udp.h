/* SPDX-License-Identifier: Apache-2.0 */
/* UDP datagrams (RFC 768) that we send into a tunnel ourselves. */
#ifndef WIRE_UDP_H
#define WIRE_UDP_H

#include "wire/ip.h"

/* IP header and UDP header. */
#define UDP_HDR_MAX 48
/* Longest payload of a packet that the tunnel carries over either family. */
#define UDP_PAYLOAD_MAX (FZ_TUNNEL_MTU - UDP_HDR_MAX)

/* Write the datagram to @buf of UDP_HDR_MAX + len bytes; returns the packet's length. TTL 64, IPv4 id 0, DF
 * clear, checksum complete. Both addresses have one family; len <= UDP_PAYLOAD_MAX. */
size_t udp_build(uint8_t *buf, const struct fz_addr *from, const struct fz_addr *to, const void *payload,
		 size_t len);

#endif
