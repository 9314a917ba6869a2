/* SPDX-License-Identifier: Apache-2.0 */
/* The network side over libwebsockets: listeners, upgrade, frames, the few plain HTTP answers. */
#ifndef DEVPORTAL_SERVER_H
#define DEVPORTAL_SERVER_H

#include "config.h"
#include "portal.h"

/* False: no context (TLS files?). The caller prints why. */
bool server_start(struct portal *p, const struct config *c);
/* Listen; prints the readiness line with the port in use. False: *ret_fault. */
bool server_listen(struct portal *p, const char *address, char **ret_fault);
/* Hand a descriptor to the loop: `protocol` is the name of one in server.c. */
bool server_watch(struct portal *p, int fd, const char *protocol, void *opaque);
/* Connections that were held back go on. */
void server_release(struct portal *p);
/* Say goodbye as the portal does on a restart (1012); 200 ms at most. */
void server_drain(struct portal *p);
void server_stop(struct portal *p);

#endif
