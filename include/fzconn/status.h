/* SPDX-License-Identifier: Apache-2.0 */
/** @file status.h
 *  What a client or gateway knows at this moment, as one JSON object for people and programs: how it stands
 *  with the portal, its relays, its peers and the path to each, the resources, and a counter for every reason
 *  for which something was dropped.
 *
 *  Keys are only ever added; "format" changes when one changes its meaning. Tables end after 1,024 rows,
 * their full numbers are in "totals". Addresses, names and identities are in it, keys and tokens are not. */
#ifndef FZCONN_STATUS_H
#define FZCONN_STATUS_H

#include "client.h"
#include "gateway.h"
#include "run.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Value of the key "format". */
#define FZ_STATUS_FORMAT 1

/** Snapshot of a client that the program drives itself.
 * @param now_us  as for its other functions
 * @param[out] ret  one line of JSON, to be freed with fz_status_free()
 * @retval FZ_ERR_NOMEM  nothing was allocated */
FZ_API FZ_MUST_CHECK int fz_client_status(struct fz_client *c, uint64_t now_us, char **ret);
/** Snapshot of a gateway that the program drives itself; as fz_client_status(). */
FZ_API FZ_MUST_CHECK int fz_gateway_status(struct fz_gateway *g, uint64_t now_us, char **ret);
/** Snapshot of a client or gateway bound to a platform, with what the platform knows; as fz_client_status().
 */
FZ_API FZ_MUST_CHECK int fz_run_status(struct fz_run *r, char **ret);
/** Free a snapshot. @param env  that of the object; NULL = fz_env_default() */
FZ_API void fz_status_free(const struct fz_env *env, char *text);

#ifdef __cplusplus
}
#endif
#endif
