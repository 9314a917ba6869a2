/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines on standard output, for people or as JSON, one write each; and the one sentence on standard error
 * that says why a program ends. */
#ifndef BIN_LOGGER_H
#define BIN_LOGGER_H

#include <stdbool.h>
#include <stdint.h>

#include <fzconn/env.h>

/* `filter` as in RUST_LOG: levels and area=level, separated by commas; of several that fit an area the
 * longest counts, an area that none fits logs errors only. Areas that do not exist here are fine. NULL or
 * empty: "info". False: it does not parse. */
bool logger_init(const char *program, bool as_json, const char *filter);
/* Another filter from now on; false: it does not parse, the old one stays. */
bool logger_set_filter(const char *filter);
const char *logger_filter(void);
/* The environment that logs here; it follows the filter. */
const struct fz_env *logger_env(void);
/* Of an area, LOGGER_BURST warnings of the library at once and LOGGER_PER_S a second after that; the next one
 * that is shown says how many were not. */
#define LOGGER_BURST 20u
#define LOGGER_PER_S 2u
/* Warnings that were not shown so far. */
uint64_t logger_suppressed(void);
/* A line of the program itself. */
void say(enum fz_log_level level, const char *fmt, ...) FZ_PRINTF(2, 3);
/* Why the program ends: "NAME: TEXT" on standard error, and among JSON lines also there. Works before
 * logger_init() with the name that logger_name() was given. */
void complain(const char *fmt, ...) FZ_PRINTF(1, 2);
void logger_name(const char *program);

#endif
