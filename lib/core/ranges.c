/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ranges.h"

const struct fz_prefix ranges[RANGES] = {
	[RANGE_TUNNEL4] = { { FZ_FAMILY_INET, { 100, 64 } }, 11 },
	[RANGE_TUNNEL6] = { { FZ_FAMILY_INET6, { 0xfd, 0x00, 0x20, 0x21, 0x11, 0x11 } }, 107 },
	[RANGE_PROXY4] = { { FZ_FAMILY_INET, { 100, 96 } }, 11 },
	[RANGE_PROXY6] = { { FZ_FAMILY_INET6, { 0xfd, 0x00, 0x20, 0x21, 0x11, 0x11, 0x80, 0x00 } }, 107 },
	[RANGE_SENTINEL4] = { { FZ_FAMILY_INET, { 100, 100, 111 } }, 24 },
	[RANGE_SENTINEL6] = { { FZ_FAMILY_INET6,
				{ 0xfd, 0x00, 0x20, 0x21, 0x11, 0x11, 0x80, 0x00, 0x01, 0x00, 0x01, 0x00,
				  0x01, 0x11 } },
			      120 },
};

bool range_is_tunnel(const struct fz_ip *ip)
{
	return fz_prefix_contains(&ranges[RANGE_TUNNEL4], ip) ||
	       fz_prefix_contains(&ranges[RANGE_TUNNEL6], ip);
}

bool range_is_proxy(const struct fz_ip *ip)
{
	return fz_prefix_contains(&ranges[RANGE_PROXY4], ip) || fz_prefix_contains(&ranges[RANGE_PROXY6], ip);
}

bool range_is_sentinel(const struct fz_ip *ip)
{
	return fz_prefix_contains(&ranges[RANGE_SENTINEL4], ip) ||
	       fz_prefix_contains(&ranges[RANGE_SENTINEL6], ip);
}

bool range_is_internet(const struct fz_ip *ip)
{
	static const struct fz_prefix not_there[] = {
		{ { FZ_FAMILY_INET, { 10 } }, 8 },
		{ { FZ_FAMILY_INET, { 100, 64 } }, 10 },
		{ { FZ_FAMILY_INET, { 127 } }, 8 },
		{ { FZ_FAMILY_INET, { 169, 254 } }, 16 },
		{ { FZ_FAMILY_INET, { 172, 16 } }, 12 },
		{ { FZ_FAMILY_INET, { 192, 168 } }, 16 },
		{ { FZ_FAMILY_INET, { 224 } }, 3 }, /* multicast and reserved */
		{ { FZ_FAMILY_INET6, { [15] = 1 } }, 128 },
		{ { FZ_FAMILY_INET6, { [10] = 0xff, [11] = 0xff } }, 96 },
		{ { FZ_FAMILY_INET6, { 0xfc } }, 7 },
		{ { FZ_FAMILY_INET6, { 0xfe, 0x80 } }, 10 },
		{ { FZ_FAMILY_INET6, { 0xff } }, 8 },
	};

	for (size_t i = 0; i < sizeof(not_there) / sizeof(not_there[0]); i++)
		if (fz_prefix_contains(&not_there[i], ip))
			return false;
	return true;
}
