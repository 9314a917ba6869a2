/* SPDX-License-Identifier: Apache-2.0 */
/* Command line and environment of both programs, from one table. The command line wins over the variable, the
 * variable over the default. The rules are those of the programs that these replace: flags take no value, a
 * variable of a flag is "true" or "false", an option is given once; only the empty text is more lenient: it
 * counts as not given. */
#ifndef BIN_OPTIONS_H
#define BIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Exit codes of both programs; --help and the man pages list them. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* anything else */
	EXIT_USAGE = 2, /* wrong option or value */
	EXIT_TOKEN = 3, /* token missing, unreadable or refused */
	EXIT_PRIVILEGE = 4, /* a privilege is missing */
	EXIT_NO_TUN = 5, /* no TUN device on this system */
	EXIT_RUNNING = 6, /* the tunnel interface exists: another instance runs */
	EXIT_PORTAL = 7, /* the portal cannot be reached or refuses this device */
	EXIT_DOUBTS = 8 /* doctor: it works, but something should be mended */
};

enum option_kind {
	OPTION_TEXT, /* these are const char **; an empty text counts as not given */
	OPTION_PATH,
	OPTION_CHOICE, /* one of the words of `value` */
	OPTION_URL,
	OPTION_DURATION,
	OPTION_ADDRESS,
	OPTION_FLAG /* bool * */
};

struct option_row {
	const char *name; /* without the dashes; NULL ends the table; "" = a variable that is shown only */
	char letter; /* 0 = none */
	const char *env; /* NULL = none */
	enum option_kind kind;
	void *into;
	const char *value; /* name of the value in the help text */
	const char *help;
	const char *idle; /* NULL = works; else it is accepted, and this says in a warning that it has no
			   * effect yet */
	const char *works_with; /* a value that needs no such warning */
};

/* A word after the options, which may have options of its own behind it. */
struct command_row {
	const char *name; /* NULL ends the table */
	const char *help;
	const struct program *sub; /* NULL = nothing may follow */
	enum exit_code (*run)(void); /* NULL = what the program does anyway */
};

struct program {
	const char *name; /* "fz-client"; that of a command is "fz-client sign-in" */
	bool is_command; /* has no version */
	const char *synopsis; /* behind the name in the usage line */
	const char *description; /* one paragraph */
	const struct option_row *options; /* at most 64 */
	const struct command_row *commands; /* NULL = none */
	char **positional; /* where the one argument goes, NULL = none is taken; with commands, only what is
			    * none of them is the argument, or what stands behind "--" */
};

/* Parse all; handles --help and --version, and wrong usage, by leaving the program. The command that was
 * given, NULL = none. */
const struct command_row *options_parse(const struct program *p, int argc, char **argv);
/* Warn of options that have no effect yet. */
void options_warn(const struct program *p);

#endif
