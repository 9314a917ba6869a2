/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of its stub resolver: packets to the sentinels and back, exchanges with servers around
 * and through the tunnel and at sites, names that were looked up. UDP is answered from packet to packet. TCP
 * is turned around to a listener of the host on our own tunnel address, whose peer seems to be the sentinel:
 *
 *     ourtun:p -> sentinel:53   becomes   sentinel:p -> ourtun:PORT
 *     ourtun:PORT -> sentinel:p  becomes  sentinel:53 -> ourtun:p */
#ifndef CORE_CLIENT_DNS_H
#define CORE_CLIENT_DNS_H

#include "core/endpoint.h"

struct client;

/* Where the listener is; the next one is tried when it is taken. */
#define CLIENT_DNS_PORT 53530
#define CLIENT_DNS_PORTS 8

/* A packet to an address of the sentinels. */
void client_dns_packet(struct client *c, struct fz_pkt *pkt, const struct ip_view *view, uint64_t now_us);
/* Whatever the stub has to say. Due after each call of it. */
void client_dns_drain(struct client *c, uint64_t now_us);
/* Our tunnel addresses are others now; none of the old ones is listened on any more. */
void client_dns_move(struct client *c, const struct fz_ip *ipv4, const struct fz_ip *ipv6);

/* For endpoint_ops. */
void client_dns_answer(void *role, const struct fz_dns_answer *a, uint64_t now_us);
void client_dns_request(void *role, const struct fz_dns_request *r, uint64_t now_us);
void client_dns_listen_failed(void *role, const struct fz_addr *addr, int err, uint64_t now_us);
void client_dns_system(void *role, const struct fz_ip *servers, size_t len, uint64_t now_us);

#endif
