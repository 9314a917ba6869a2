/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

void fz_log_write(const struct fz_env *env, enum fz_log_level level, const char *area, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fz_text_printable(line);
	env->log.write(env->log.ctx, level, area, line);
}
