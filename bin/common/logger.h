/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines on standard output, for people or as JSON, one write each; and the one sentence on standard error
 * that says why a program ends. */
#ifndef BIN_LOGGER_H
#define BIN_LOGGER_H

#include <stdbool.h>

#include <fzconn/env.h>

/* `filter` as in RUST_LOG: levels and area=level, separated by commas; of several that fit an area the
 * longest counts, an area that none fits logs errors only. Areas that do not exist here are fine. NULL or
 * empty: "info". False: it does not parse. */
bool logger_init(const char *program, bool as_json, const char *filter);
/* An environment that logs here. */
struct fz_env logger_env(void);
/* A line of the program itself. */
void say(enum fz_log_level level, const char *fmt, ...) FZ_PRINTF(2, 3);
/* Why the program ends: "NAME: TEXT" on standard error, and among JSON lines also there. Works before
 * logger_init() with the name that logger_name() was given. */
void complain(const char *fmt, ...) FZ_PRINTF(1, 2);
void logger_name(const char *program);

#endif
