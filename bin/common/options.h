/* SPDX-License-Identifier: Apache-2.0 */
/* Command line and environment of both programs, from one table: an option on the command line wins over its
 * variable, an empty variable counts as not set. */
#ifndef BIN_OPTIONS_H
#define BIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Exit codes of both programs; the man pages list them. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* anything else: portal unreachable, device failed */
	EXIT_USAGE = 2, /* wrong option or value */
	EXIT_TOKEN = 3, /* token missing, unreadable or refused */
	EXIT_PRIVILEGE = 4, /* a privilege is missing */
	EXIT_NO_TUN = 5, /* no TUN device on this system */
	EXIT_RUNNING = 6 /* the tunnel interface exists: another instance runs */
};

enum option_kind {
	OPTION_TEXT, /* const char ** */
	OPTION_FLAG /* bool * */
};

struct option_row {
	const char *name; /* without the dashes; NULL ends the table; "" = variable only */
	char letter; /* 0 = none */
	const char *env; /* NULL = none */
	enum option_kind kind;
	void *into;
	const char *value; /* name of the value in the help text */
	const char *help; /* NULL = accepted but not shown */
};

struct program {
	const char *name; /* "fz-client" */
	const char *synopsis; /* behind the name in the usage line */
	const char *description; /* one paragraph */
	const struct option_row *options;
	const char **positional; /* where the one argument goes, NULL = none is taken */
};

/* Parse all; handles --help and --version, and wrong usage, by leaving the program. */
void options_parse(const struct program *p, int argc, char **argv);
/* Duration such as "30s", "1h 30m", "24h", "2 days"; a plain number is seconds. False: not one. */
bool options_duration(const char *text, unsigned long long *ret_seconds);

#endif
