/* SPDX-License-Identifier: Apache-2.0 */
/* Path agent without ICE behind the path interface. WireGuard authenticates and keeps the connection alive;
 * the agent only chooses the pair to send on:
 *
 *   - before there is a session the initiator's handshake goes over every pair with a relay in it, several
 *     times, and is answered where it arrives: relays work behind every NAT;
 *   - from then on all pairs are probed inside the tunnel, and the best one that answers is taken. Probes
 *     promote and never demote: a path is doubted when handshakes get no answer or when candidates come and
 *     go, and then all pairs are probed again while payload goes on as before.
 *
 * It never declares failure; WireGuard's own patience does that. */
#ifndef PROTO_PA_AGENT_H
#define PROTO_PA_AGENT_H

#include "proto/path.h"

/* As path_new(). */
int pa_agent_new(const struct fz_env *env, const struct path_opts *opts, struct path **ret, uint64_t now_us);

#endif
