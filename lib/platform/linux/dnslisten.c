/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/linux/lx.h"

int lx_dns_listen(void *p, const struct fz_addr *addr, bool udp, bool tcp)
{
	(void)p, (void)addr, (void)udp, (void)tcp;
	return FZ_ERR_UNSUPPORTED;
}

void lx_dns_unlisten(void *p, const struct fz_addr *addr)
{
	(void)p, (void)addr;
}

bool lx_dns_request(void *p, struct fz_dns_request *ret)
{
	(void)p, (void)ret;
	return false;
}

int lx_dns_reply(void *p, uint64_t request, const void *data, size_t len)
{
	(void)p, (void)request, (void)data, (void)len;
	return FZ_ERR_NOT_FOUND;
}
