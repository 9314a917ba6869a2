/* SPDX-License-Identifier: Apache-2.0 */
#include "base/opts.h"

#include <string.h>

#include "fzconn/error.h"

bool fz_all_zero(const uint8_t *p, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= p[i];
	return any == 0;
}

int fz_opts_import(void *dst, size_t dst_len, const void *src, size_t src_len)
{
	if (src_len < sizeof(size_t) || src_len > FZ_OPTS_MAX)
		return FZ_ERR_ABI;
	if (src_len > dst_len && !fz_all_zero((const uint8_t *)src + dst_len, src_len - dst_len))
		return FZ_ERR_ABI;
	memset(dst, 0, dst_len);
	memcpy(dst, src, src_len < dst_len ? src_len : dst_len);
	return 0;
}
