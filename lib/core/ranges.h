/* SPDX-License-Identifier: Apache-2.0 */
/* The address plan of the tunnel, the same in every account. */
#ifndef CORE_RANGES_H
#define CORE_RANGES_H

#include "fzconn/addr.h"

enum range {
	RANGE_TUNNEL4, /* 100.64.0.0/11: addresses of clients and gateways */
	RANGE_TUNNEL6,
	RANGE_PROXY4, /* 100.96.0.0/11: addresses that stand for DNS resources */
	RANGE_PROXY6,
	RANGE_SENTINEL4, /* 100.100.111.0/24: addresses that stand for DNS servers; inside the IPv4 proxy
			    range */
	RANGE_SENTINEL6,
	RANGES
};
extern const struct fz_prefix ranges[RANGES];

bool range_is_tunnel(const struct fz_ip *ip);
bool range_is_proxy(const struct fz_ip *ip);
bool range_is_sentinel(const struct fz_ip *ip);
/* May it be reached through the Internet resource? Not private, shared, local, multicast or reserved. */
bool range_is_internet(const struct fz_ip *ip);

#endif
