/* SPDX-License-Identifier: Apache-2.0 */
/* Ingest token of flow logs: a compact JWT (RFC 7519) that the portal signs with HS256. A device has no key
 * for it and checks only the form: every claim that an upload or a local flow log needs is there and of the
 * right type. */
#ifndef WIRE_INGEST_TOKEN_H
#define WIRE_INGEST_TOKEN_H

#include "base/text.h"
#include "fzconn/env.h"

struct jv;

struct ingest_token {
	bool uploads_enabled;
	bool is_initiator; /* role claim */
	uint64_t issued_at, expires_at; /* unix s */
	char authorization[FZ_UUID_STRLEN]; /* id of the policy authorization; "" = it is no UUID */
};

/* FZ_ERR_WIRE: not of the documented form. FZ_ERR_NOMEM. */
int ingest_token_read(const struct fz_env *env, const char *text, struct ingest_token *ret,
		      struct jv **ret_claims); /* owned by the caller; may be NULL */
int ingest_token_check(const struct fz_env *env, const char *text, struct ingest_token *ret);

#endif
