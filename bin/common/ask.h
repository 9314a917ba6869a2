/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that ask or tell the running program: status, log, reload. */
#ifndef BIN_ASK_H
#define BIN_ASK_H

#include "options.h"

extern const struct option_row ask_status_options[], ask_no_options[];
#define ASK_STATUS_SYNOPSIS "[OPTIONS]"
#define ASK_STATUS_TEXT                                                                                      \
	"Shows what the running program knows: portal, relays, peers and paths, resources, drops."
#define ASK_LOG_SYNOPSIS "FILTER"
#define ASK_LOG_TEXT "Gives the running program another log filter, as in RUST_LOG, until it ends."
#define ASK_RELOAD_SYNOPSIS ""
#define ASK_RELOAD_TEXT                                                                                      \
	"Lets the running program read its token again and connect to the portal anew; peers stay "          \
	"connected."
/* Where the argument of "log" goes. */
extern char *ask_filter;

enum exit_code ask_status(const char *socket);
enum exit_code ask_log(const char *socket);
enum exit_code ask_reload(const char *socket);

#endif
