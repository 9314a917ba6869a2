/* SPDX-License-Identifier: Apache-2.0 */
/* The life of both programs: checks before the start, signals, the loop, what is logged about events, the
 * end. */
#ifndef BIN_SERVICE_H
#define BIN_SERVICE_H

#include <stdbool.h>

#include <fzconn/fzconn.h>

#include "options.h"

struct service {
	const char *name; /* of the program */
	const struct fz_env *env;
	struct fz_client *client; /* one of both */
	struct fz_gateway *gateway;
	bool exit_when_ready; /* leave as soon as the tunnel is configured */
	bool no_watch;
};

/* Root or CAP_NET_ADMIN, /dev/net/tun usable: says what is missing and what mends it. EXIT_OK = go on. */
enum exit_code service_check(const struct service *s);
/* Allow big socket buffers on this machine; never lowers a limit. */
void service_raise_buffers(void);
/* Run until a signal or the end. */
enum exit_code service_run(const struct service *s);

#endif
