/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as the kernel wants them, and back. */
#ifndef PLATFORM_LINUX_SOCKADDR_H
#define PLATFORM_LINUX_SOCKADDR_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "fzconn/addr.h"

union sockaddr_any {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static inline socklen_t to_sockaddr(const struct fz_ip *ip, uint16_t port, union sockaddr_any *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (ip->family == FZ_FAMILY_INET) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(port);
		memcpy(&ret->in.sin_addr, ip->b, 4);
		return sizeof(ret->in);
	}
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = htons(port);
	memcpy(&ret->in6.sin6_addr, ip->b, 16);
	return sizeof(ret->in6);
}

static inline struct fz_addr from_sockaddr(const union sockaddr_any *a)
{
	struct fz_addr ret = { .port = 0 };

	if (a->sa.sa_family == AF_INET) {
		ret.ip.family = FZ_FAMILY_INET;
		memcpy(ret.ip.b, &a->in.sin_addr, 4);
		ret.port = ntohs(a->in.sin_port);
	} else if (a->sa.sa_family == AF_INET6) {
		ret.ip.family = FZ_FAMILY_INET6;
		memcpy(ret.ip.b, &a->in6.sin6_addr, 16);
		ret.port = ntohs(a->in6.sin6_port);
	}
	return ret;
}

#endif
