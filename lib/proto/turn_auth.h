/* SPDX-License-Identifier: Apache-2.0 */
/* Long-term credentials of one TURN client (RFC 8489 section 9.2): what was configured, what the server's
 * challenge told, the key made of both. Owned by turn_alloc. */
#ifndef PROTO_TURN_AUTH_H
#define PROTO_TURN_AUTH_H

#include "fzconn/env.h"
#include "wire/stun.h"

#define TURN_USERNAME_MAX 513
#define TURN_PASSWORD_MAX 512
#define TURN_REALM_MAX 763 /* RFC 8489 sections 14.9 and 14.10, bytes */
#define TURN_NONCE_MAX 763

struct turn_auth {
	char *username, *password;
	char *only_realm; /* NULL = any */
	char realm[TURN_REALM_MAX + 1]; /* "" = not known yet */
	uint8_t nonce[TURN_NONCE_MAX];
	uint16_t nonce_len; /* 0 = none yet */
	uint8_t key[STUN_LONG_TERM_KEY_LEN];
};

/* Copies its arguments; realm NULL = learn it. FZ_ERR_INVAL: empty or too long; FZ_ERR_NOMEM. */
int turn_auth_init(struct turn_auth *t, const struct fz_env *env, const char *username, const char *password,
		   const char *realm);
/* Zeroed memory is fine. */
void turn_auth_clear(struct turn_auth *t, const struct fz_env *env);
/* Forget what the server told. */
void turn_auth_forget(struct turn_auth *t);

/* Can requests be authenticated? */
static inline bool turn_auth_ready(const struct turn_auth *t)
{
	return t->nonce_len != 0;
}

/* Is the nonce of this challenge the one in use? */
bool turn_auth_same_nonce(const struct turn_auth *t, const struct stun_msg *challenge);
/* Take realm and nonce from a 401 or 438; a missing realm leaves the known one. FZ_ERR_WIRE: no nonce, or no
 * realm although none is known, or unusable text; FZ_ERR_AUTH: the realm is not ours; FZ_ERR_CRYPTO. */
int turn_auth_learn(struct turn_auth *t, const struct stun_msg *challenge);

/* USERNAME, REALM, NONCE and MESSAGE-INTEGRITY behind what is there; nothing before a challenge was learnt.
 */
void turn_auth_put(const struct turn_auth *t, struct stun_enc *e);
/* As stun_check_integrity(). */
int turn_auth_check(const struct turn_auth *t, const struct stun_msg *m);

#endif
