/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libsystemd cannot reach systemd-resolved. */
#include "base/time.h"
#include "fzconn/error.h"
#include "platform/linux/resolved.h"

int resolved_new(const struct fz_env *env, struct resolved **ret)
{
	(void)env;
	(void)ret;
	return FZ_ERR_UNSUPPORTED;
}

void resolved_free(struct resolved *r)
{
	(void)r;
}

int resolved_set(struct resolved *r, uint32_t ifindex, const struct fz_ip *dns, size_t dns_len,
		 const char *search)
{
	(void)r;
	(void)ifindex;
	(void)dns;
	(void)dns_len;
	(void)search;
	return FZ_ERR_UNSUPPORTED;
}

int resolved_flush(struct resolved *r)
{
	(void)r;
	return FZ_ERR_UNSUPPORTED;
}

int resolved_fd(const struct resolved *r, unsigned *ret_want)
{
	(void)r;
	(void)ret_want;
	return -1;
}

uint64_t resolved_next_us(const struct resolved *r)
{
	(void)r;
	return FZ_NEVER_US;
}

int resolved_work(struct resolved *r)
{
	(void)r;
	return 0;
}
