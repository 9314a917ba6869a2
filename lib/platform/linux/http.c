/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/linux/lx.h"

int lx_http_start(void *p, const struct fz_http_request *request)
{
	(void)p, (void)request;
	return FZ_ERR_UNSUPPORTED;
}

bool lx_http_result(void *p, struct fz_http_result *ret)
{
	(void)p, (void)ret;
	return false;
}

void lx_http_cancel(void *p, uint64_t id)
{
	(void)p, (void)id;
}
