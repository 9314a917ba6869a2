/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages between Firezone nodes: IPv6 packets inside the tunnel, from :: to ::, protocol 255, an
 * 8-byte header of which only the first byte is used, then JSON or nothing. They never reach a TUN device. */
#ifndef WIRE_P2P_H
#define WIRE_P2P_H

#include "wire/ip.h"

enum p2p_type { P2P_ASSIGNED_IPS = 0, P2P_DOMAIN_STATUS = 1, P2P_GOODBYE = 2 };

#define P2P_HDR_LEN 48 /* IPv6 and control header; a goodbye is just that */
#define P2P_PAYLOAD_MAX (FZ_TUNNEL_MTU - P2P_HDR_LEN)

/* Is it a control packet (perhaps a broken one)? Such a packet is never forwarded. */
bool p2p_is_control(const struct ip_view *view);

/* @ret_type: enum p2p_type or an unknown value, which is to be ignored. @ret_payload points into @data.
 * FZ_ERR_NOT_MINE: no control packet. FZ_ERR_WIRE: shorter than its header. */
int p2p_parse(const uint8_t *data, const struct ip_view *view, uint8_t *ret_type, const uint8_t **ret_payload,
	      size_t *ret_len);

/* Write a control packet of P2P_HDR_LEN + len bytes to @buf; returns its length. len <= P2P_PAYLOAD_MAX;
 * @payload may be NULL when it is 0. */
size_t p2p_build(uint8_t *buf, enum p2p_type type, const void *payload, size_t len);

#endif
