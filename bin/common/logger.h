/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines on standard output, for people or as JSON. */
#ifndef BIN_LOGGER_H
#define BIN_LOGGER_H

#include <stdbool.h>

#include <fzconn/env.h>

/* Level from RUST_LOG, of which only the first level word counts; format "human" or "json" (NULL = human).
 * False: the format is neither. */
bool logger_init(const char *format);
/* An environment that logs here. */
struct fz_env logger_env(void);
/* A line of the program itself. */
void say(enum fz_log_level level, const char *fmt, ...) FZ_PRINTF(2, 3);

#endif
