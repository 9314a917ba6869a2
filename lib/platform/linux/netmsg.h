/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the kernel's routing tables as libnl messages, and the socket that carries them. */
#ifndef PLATFORM_LINUX_NETMSG_H
#define PLATFORM_LINUX_NETMSG_H

#include <stdint.h>

#include "fzconn/addr.h"

struct nl_msg;
struct nl_sock;
struct nlmsghdr;

/* What to do with the thing that a message describes. */
enum netmsg_verb { NETMSG_ADD, NETMSG_DEL };

/* One route over an interface, without gateway. */
struct netmsg_route {
	struct fz_prefix dst;
	struct fz_ip src; /* preferred source; family none = none */
	uint32_t table, oif, metric; /* metric 0 = the kernel's default */
	bool scope_link;
};

/* All return NULL without memory. */

/* "not fwmark `mark` lookup `table`". A rule is removed whoever claims to have added it. */
struct nl_msg *netmsg_rule(enum netmsg_verb verb, uint8_t family, uint32_t mark, uint32_t table,
			   uint32_t priority);
struct nl_msg *netmsg_route(enum netmsg_verb verb, const struct netmsg_route *route);
/* Host address (/32, /128) of an interface. */
struct nl_msg *netmsg_addr(enum netmsg_verb verb, const struct fz_ip *ip, uint32_t ifindex);
/* MTU and queue length; 0 = leave. */
struct nl_msg *netmsg_link_sizes(uint32_t ifindex, uint32_t mtu, uint32_t queue);
/* The most segments that the local stack puts into one super-packet for this device. */
struct nl_msg *netmsg_link_gso_segs(uint32_t ifindex, uint32_t segs);
struct nl_msg *netmsg_link_up(uint32_t ifindex, bool up);
/* No link-local address is made by the kernel. */
struct nl_msg *netmsg_link_no_autoconf(uint32_t ifindex);
/* Queries; the first two are answered by dumps. */
struct nl_msg *netmsg_addrs(void);
struct nl_msg *netmsg_routes(uint8_t family, uint32_t table);
struct nl_msg *netmsg_link(uint32_t ifindex, const char *name); /* by index, or by name when it is 0 */
struct nl_msg *netmsg_lookup(const struct fz_ip *dst, uint32_t mark);

/* The message's bytes, for tests and dumps. */
const struct nlmsghdr *netmsg_bytes(struct nl_msg *msg);

/* A request socket of the calling thread's network namespace. enum fz_err. */
int netsock_open(struct nl_sock **ret);
void netsock_close(struct nl_sock *sk);
/* Send, wait for the answer, free the message (NULL gives FZ_ERR_NOMEM). The error is an enum fz_err:
 * FZ_ERR_STATE = exists already, FZ_ERR_NOT_FOUND = no such thing, FZ_ERR_UNSUPPORTED = the kernel cannot. */
int netsock_do(struct nl_sock *sk, struct nl_msg *msg);
/* Send a query, call `each` for every message of the answer, free the query. */
typedef void (*netsock_each)(void *ctx, struct nlmsghdr *msg);
int netsock_ask(struct nl_sock *sk, struct nl_msg *query, netsock_each each, void *ctx);
/* A non-blocking socket subscribed to changes of links, addresses and routes. */
int netsock_watch(struct nl_sock **ret);
int netsock_fd(const struct nl_sock *sk);
/* Hand all waiting notifications to `each`; false = some were lost. */
bool netsock_drain(struct nl_sock *sk, netsock_each each, void *ctx);

/* What a message says about a link, an address or a route; absent parts are zero. False: another kind of
 * message. */
struct netmsg_info {
	uint16_t type; /* RTM_ */
	uint8_t family; /* AF_ */
	uint32_t ifindex; /* of link and address; output interface of a route */
	uint32_t flags; /* of links IFF_, of addresses IFA_F_, of routes RTM_F_ */
	uint8_t scope, operstate, route_type;
	struct fz_prefix dst; /* address, or destination of a route */
	struct fz_ip gateway, src;
	uint32_t table, metric;
	bool indirect; /* a route with gateway or several next hops */
};
bool netmsg_parse(struct nlmsghdr *msg, struct netmsg_info *ret);

#endif
