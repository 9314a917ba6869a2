/* SPDX-License-Identifier: Apache-2.0 */
/* The token: from the environment (then erased there), a file that nobody else can read, or a systemd
 * credential. */
#ifndef BIN_TOKEN_H
#define BIN_TOKEN_H

#include <stddef.h>

/* Longest token that is accepted. */
#define TOKEN_MAX 8192

struct token_source {
	const char *text; /* from an argument or elsewhere, NULL = none; wins */
	const char *path; /* file, NULL = none */
	const char *credential; /* name below $CREDENTIALS_DIRECTORY, NULL = none */
};

/* Take FIREZONE_TOKEN out of the environment and out of what /proc shows of it. NULL = not set or empty. */
char *token_from_environment(void);
/* The token, allocated; NULL after saying what is wrong and what to do. */
char *token_load(const struct token_source *src);
/* Wipe and free. */
void token_free(char *token);

#endif
