/* SPDX-License-Identifier: Apache-2.0 */
/* ICE agent (RFC 8445, trickled after RFC 8838) behind the path interface: full, one component, no pacing, no
 * restart. Every pair is checked for as long as it lives; the controlling side nominates the best pair that
 * works whenever that changes, so traffic starts on the first path and moves to better ones. */
#ifndef PROTO_ICE_AGENT_H
#define PROTO_ICE_AGENT_H

#include "proto/path.h"

/* As path_new(). */
int ice_agent_new(const struct fz_env *env, const struct path_opts *opts, struct path **ret, uint64_t now_us);

#endif
