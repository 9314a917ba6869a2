/* SPDX-License-Identifier: Apache-2.0 */
/* Public options of client and gateway -> options of the endpoint; the counters of both. */
#ifndef API_ENDPOINT_OPTS_H
#define API_ENDPOINT_OPTS_H

#include "core/endpoint.h"

/* FZ_ERR_INVAL with a line in the log when token, id or name is missing. */
int endpoint_opts_check(const struct fz_env *env, const char *token, const char *id, const char *name);
bool endpoint_counter(struct endpoint *e, size_t i, const char **ret_name, uint64_t *ret_value);

#define FZ_DEFAULT_API_URL "wss://api.firezone.dev/"

#endif
