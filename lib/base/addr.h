/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers on addresses that the public header does not promise. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <string.h>

#include "fzconn/addr.h"

/* Bytes of the address: 4 or 16, 0 when unset. */
static inline size_t fz_ip_len(const struct fz_ip *ip)
{
	return ip->family == FZ_FAMILY_INET ? 4 : ip->family == FZ_FAMILY_INET6 ? 16 : 0;
}

static inline struct fz_ip fz_ip_v4(const uint8_t b[4])
{
	struct fz_ip ip = { .family = FZ_FAMILY_INET };
	memcpy(ip.b, b, 4);
	return ip;
}

static inline struct fz_ip fz_ip_v6(const uint8_t b[16])
{
	struct fz_ip ip = { .family = FZ_FAMILY_INET6 };
	memcpy(ip.b, b, 16);
	return ip;
}

static inline bool fz_addr_set(const struct fz_addr *a)
{
	return a->ip.family != FZ_FAMILY_NONE;
}

/* Multicast, IPv4 224/4 or IPv6 ff00::/8. */
static inline bool fz_ip_is_multicast(const struct fz_ip *ip)
{
	return ip->family == FZ_FAMILY_INET ? (ip->b[0] & 0xf0) == 0xe0 : ip->b[0] == 0xff;
}

/* FNV-1a over the address and port, for hash tables that an attacker cannot fill before authentication. */
static inline uint32_t fz_addr_hash(const struct fz_addr *a)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < fz_ip_len(&a->ip); i++)
		h = (h ^ a->ip.b[i]) * 16777619u;
	h = (h ^ (a->port >> 8)) * 16777619u;
	return (h ^ (a->port & 0xff)) * 16777619u;
}

#endif
