/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines through the environment. The level is tested before anything is formatted.
 * Addresses, names and domains only at debug and trace; tokens and keys never. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "fzconn/env.h"

void fz_log_write(const struct fz_env *env, enum fz_log_level level, const char *area, const char *fmt, ...)
	FZ_PRINTF(4, 5);

#define fz_log_on(env, level) ((env)->log.write != NULL && (int)(level) <= (env)->log.max_level)
#define fz_log(env, level, area, ...)                                                                        \
	do {                                                                                                 \
		if (fz_log_on(env, level))                                                                   \
			fz_log_write(env, level, area, __VA_ARGS__);                                         \
	} while (0)
#define fz_error(env, area, ...) fz_log(env, FZ_LOG_ERROR, area, __VA_ARGS__)
#define fz_warn(env, area, ...) fz_log(env, FZ_LOG_WARN, area, __VA_ARGS__)
#define fz_info(env, area, ...) fz_log(env, FZ_LOG_INFO, area, __VA_ARGS__)
#define fz_debug(env, area, ...) fz_log(env, FZ_LOG_DEBUG, area, __VA_ARGS__)
#define fz_trace(env, area, ...) fz_log(env, FZ_LOG_TRACE, area, __VA_ARGS__)

#endif
