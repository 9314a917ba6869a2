/* SPDX-License-Identifier: Apache-2.0 */
#include "route_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <netlink/msg.h>
#include <netlink/netlink.h>

/* A table that no rule names, and an address of documentation (RFC 5737). */
#define TABLE 0x2021fd0fu
#define NOWHERE 0xc0000201u /* 192.0.2.1 */

static int change(struct nl_sock *sock, int type, int flags)
{
	const struct rtmsg head = {
		.rtm_family = AF_INET,
		.rtm_dst_len = 32,
		.rtm_table = RT_TABLE_UNSPEC,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNREACHABLE,
	};
	struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_ACK | flags);
	uint32_t to = htonl(NOWHERE);
	struct nlmsghdr *reply = NULL;
	struct sockaddr_nl from;
	int n, err = -ENOMEM;

	if (msg && nlmsg_append(msg, (void *)(uintptr_t)&head, sizeof(head), NLMSG_ALIGNTO) == 0 &&
	    nla_put_u32(msg, RTA_DST, to) == 0 && nla_put_u32(msg, RTA_TABLE, TABLE) == 0) {
		nl_complete_msg(sock, msg);
		err = nl_send(sock, msg) < 0 ? -EIO : 0;
		n = err ? 0 : nl_recv(sock, &from, (unsigned char **)&reply, NULL);
		if (err == 0 && (n <= 0 || reply->nlmsg_type != NLMSG_ERROR))
			err = -EIO;
		else if (err == 0)
			err = ((const struct nlmsgerr *)nlmsg_data(reply))->error;
		free(reply);
	}
	nlmsg_free(msg);
	return err;
}

int route_probe(void)
{
	struct nl_sock *sock = nl_socket_alloc();
	int err = -ENOMEM;

	if (sock) {
		/* libnl tells errors of its own kind; what counts is the system's. */
		errno = 0;
		err = nl_connect(sock, NETLINK_ROUTE) == 0 ? 0 : errno ? -errno : -EIO;
		if (err == 0)
			err = change(sock, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
		if (err == 0)
			(void)change(sock, RTM_DELROUTE, 0);
	}
	nl_socket_free(sock);
	return err;
}
