/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/platform.h"

void fz_platform_free(struct fz_platform *p)
{
	if (p == NULL || p->ops == NULL)
		return;
	p->ops->free(p->ctx);
	*p = (struct fz_platform){ 0 };
}
