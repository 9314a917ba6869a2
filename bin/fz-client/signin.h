/* SPDX-License-Identifier: Apache-2.0 */
/* The commands sign-in and sign-out: a dialogue at the terminal, and the token file. */
#ifndef BIN_SIGNIN_H
#define BIN_SIGNIN_H

#include <stdbool.h>

#include "options.h"

/* Show the address to open (NULL = the usual page, any account), read the token from the terminal, store it.
 */
enum exit_code sign_in(const char *base_url, const char *account, const char *token_path);
/* Delete the token file, after asking on standard input unless forced. */
enum exit_code sign_out(const char *token_path, bool force);

#endif
