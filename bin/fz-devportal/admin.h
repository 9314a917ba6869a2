/* SPDX-License-Identifier: Apache-2.0 */
/* The admin socket: one JSON request per line, one JSON answer per line; and the signals that end the
 * program. Request {"command": text, "args": [text...], "options": {...}}; answer {"ok": true, "result": any}
 * or
 * {"ok": false, "error": text}. */
#ifndef DEVPORTAL_ADMIN_H
#define DEVPORTAL_ADMIN_H

#include "portal.h"

/* A listening socket, or -1 and the fault. A stale socket file is replaced, a live one is not. */
int admin_open(const char *path, char **ret_fault);

int admin_on_listener(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);
int admin_on_connection(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);
int admin_on_signal(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);

/* True once SIGINT, SIGTERM or `ctl stop` arrived. */
bool admin_stop_asked(void);
void admin_ask_stop(void);

/* commands.c: the answer, owned by the caller. */
json_t *command_run(struct portal *p, const json_t *request);
/* ctl.c: the client of this socket. */
int ctl_main(int argc, char **argv);

#endif
