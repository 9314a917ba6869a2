/* SPDX-License-Identifier: Apache-2.0 */
/* Queries, names, HTTP and DNS listeners together, for the loop. */
#include "platform/linux/lx.h"

uint64_t lx_ask_next(const struct lx *lx)
{
	return fz_min_us(lx_dns_query_next(lx), lx_name_next(lx));
}

uint32_t lx_ask_run(struct lx *lx, uint64_t now_us)
{
	bool queries = lx_dns_query_run(lx, now_us), names = lx_name_run(lx, now_us);

	return queries || names ? FZ_READY_DNS : 0;
}

void lx_ask_reset(void *p)
{
	lx_dns_query_reset(p);
	lx_name_reset(p);
}

void lx_ask_close(void *p)
{
	lx_dns_query_close(p);
	lx_name_close(p);
}
