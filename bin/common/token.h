/* SPDX-License-Identifier: Apache-2.0 */
/* The token: from the environment (then erased there), a systemd credential, or a file that nobody else can
 * read. */
#ifndef BIN_TOKEN_H
#define BIN_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

/* Longest token that the library accepts. */
#define TOKEN_MAX 8000

struct token_source {
	const char *text; /* from an argument or elsewhere, NULL = none; wins */
	const char *path; /* file, NULL = none */
	const char *credential; /* name below $CREDENTIALS_DIRECTORY, NULL = none */
	bool optional; /* it is no fault when there is none */
	bool fixed; /* it came from an argument or variable: there is nothing to read again */
};

/* Take FIREZONE_TOKEN out of the environment and out of what /proc shows of it. NULL = not set or empty. */
char *token_from_environment(void);
/* The token, allocated; NULL after saying what is wrong and what to do. An empty one counts as none. */
char *token_load(const struct token_source *src);
/* Read the credential or file again; NULL: nothing to read, or after saying what is wrong. */
char *token_reload(const struct token_source *src);
/* Wipe where it was given. */
void token_wipe(char *token);
/* Wipe and free. */
void token_free(char *token);

#endif
