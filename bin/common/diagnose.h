/* SPDX-License-Identifier: Apache-2.0 */
/* The command "doctor": what the network lets through, as a table or JSON. */
#ifndef BIN_DIAGNOSE_H
#define BIN_DIAGNOSE_H

#include "options.h"
#include "settings.h"
#include "token.h"

extern const struct option_row diagnose_options[];
#define DIAGNOSE_SYNOPSIS "[OPTIONS]"
#define DIAGNOSE_TEXT                                                                                        \
	"Tries what the program needs of the network, and says what is missing and what mends it. Signs in " \
	"for a "                                                                                             \
	"moment where there is a token and the program does not run."

/* `is_client`: the role; the token is optional. */
enum exit_code diagnose(bool is_client, const struct settings *s, const struct program_facts *facts,
			const struct token_source *source);

#endif
