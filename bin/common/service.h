/* SPDX-License-Identifier: Apache-2.0 */
/* The running part of both programs: signals, the loop, what is logged about events, the end. */
#ifndef BIN_SERVICE_H
#define BIN_SERVICE_H

#include <stdbool.h>

#include <fzconn/fzconn.h>

#include "options.h"
#include "settings.h"
#include "token.h"

struct service {
	const struct program_facts *facts;
	const struct settings *settings;
	struct fz_client *client; /* one of both */
	struct fz_gateway *gateway;
	const struct token_source *token; /* read again by "reload" and SIGHUP */
	const char *token_home; /* where a new token belongs, for the sentence about a refused one */
	bool exit_when_ready; /* leave as soon as the tunnel is configured */
	bool no_forward; /* gateway: the administrator sees to it */
	enum fz_dns_control dns_control;
};

/* Run until a signal or the end. SIGINT and SIGTERM end it in order, the second one at once. On SIGHUP the
 * token is read again, then a client starts over and a gateway connects to the portal anew. */
enum exit_code service_run(const struct service *s);

#endif
