/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for linux/ where that is not built. */
#include "fzconn/error.h"
#include "fzconn/platform.h"

int fz_platform_linux_new(const struct fz_env *env, const struct fz_platform_linux_opts *opts,
			  struct fz_platform *ret)
{
	(void)env;
	(void)opts;
	(void)ret;
	return FZ_ERR_UNSUPPORTED;
}
