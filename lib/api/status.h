/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a snapshot: what the platform knows, and the text. */
#ifndef API_STATUS_H
#define API_STATUS_H

#include "core/status.h"
#include "fzconn/platform.h"
#include "fzconn/status.h"

/* Takes root, which may be NULL (no memory); platform NULL = there is none. */
int status_text(const struct fz_env *env, struct jv *root, const struct fz_platform *platform, char **ret);

#endif
