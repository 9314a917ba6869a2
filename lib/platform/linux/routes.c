/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/linux/routes.h"

#include <stdlib.h>
#include <string.h>

static int compare_u32(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

int routes_compare(const struct netmsg_route *a, const struct netmsg_route *b)
{
	int c = memcmp(&a->dst.ip, &b->dst.ip, sizeof(a->dst.ip));

	if (c == 0)
		c = compare_u32(a->dst.len, b->dst.len);
	if (c == 0)
		c = compare_u32(a->table, b->table);
	if (c == 0)
		c = compare_u32(a->oif, b->oif);
	return c ? c : compare_u32(a->metric, b->metric);
}

static int compare_void(const void *a, const void *b)
{
	return routes_compare(a, b);
}

size_t routes_normalise(struct netmsg_route *set, size_t n)
{
	size_t kept = 0;

	if (n == 0)
		return 0;
	qsort(set, n, sizeof(*set), compare_void);
	for (size_t i = 1; i < n; i++)
		if (routes_compare(&set[kept], &set[i]) != 0)
			set[++kept] = set[i];
	return kept + 1;
}

void routes_minus(const struct netmsg_route *a, size_t a_n, const struct netmsg_route *b, size_t b_n,
		  void (*each)(void *ctx, const struct netmsg_route *route), void *ctx)
{
	size_t j = 0;

	for (size_t i = 0; i < a_n; i++) {
		while (j < b_n && routes_compare(&b[j], &a[i]) < 0)
			j++;
		if (j == b_n || routes_compare(&b[j], &a[i]) != 0)
			each(ctx, &a[i]);
	}
}
