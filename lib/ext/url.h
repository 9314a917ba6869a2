/* SPDX-License-Identifier: Apache-2.0 */
/* URLs (RFC 3986), as libcurl reads them: what is asked for is what would be connected to. */
#ifndef EXT_URL_H
#define EXT_URL_H

#include "fzconn/env.h"

/* Resolve an absolute or relative reference against a base; free with fz_free(). FZ_ERR_INVAL: one of them
 * does not parse; FZ_ERR_NOMEM. */
int url_join(const struct fz_env *env, const char *base, const char *reference, char **ret);

struct url_facts {
	bool is_https, is_http;
	bool has_user; /* user or password */
	uint16_t port; /* that of the scheme when none is written */
};
/* FZ_ERR_INVAL: no URL with a host; FZ_ERR_NOMEM. */
int url_look(const char *url, struct url_facts *ret);

#endif
