/* SPDX-License-Identifier: Apache-2.0 */
/* Queries, names, HTTP and DNS listeners together, for the loop. */
#include "platform/linux/lx.h"

uint64_t lx_ask_next(const struct lx *lx)
{
	return fz_min_us(fz_min_us(lx_dns_query_next(lx), lx_name_next(lx)),
			 fz_min_us(lx_dns_listen_next(lx), lx_http_next(lx)));
}

uint32_t lx_ask_run(struct lx *lx, uint64_t now_us)
{
	uint32_t ready = lx_http_run(lx, now_us) ? FZ_READY_HTTP : 0;

	lx_dns_listen_run(lx, now_us);
	if (lx_dns_query_run(lx, now_us)) /* after HTTP, which answers some */
		ready |= FZ_READY_DNS;
	if (lx_name_run(lx, now_us))
		ready |= FZ_READY_DNS;
	return ready;
}

void lx_ask_reset(void *p)
{
	lx_dns_query_reset(p);
	lx_name_reset(p);
	lx_http_reset(p);
}

void lx_ask_close(void *p)
{
	lx_dns_query_close(p); /* before HTTP, which serves some */
	lx_name_close(p);
	lx_http_close(p);
	lx_dns_listen_close(p);
}
