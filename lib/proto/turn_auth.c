/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/turn_auth.h"

#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "fzconn/error.h"

int turn_auth_init(struct turn_auth *t, const struct fz_env *env, const char *username, const char *password,
		   const char *realm)
{
	struct turn_auth got = { 0 };

	if (username == NULL || password == NULL || *username == '\0' ||
	    strlen(username) > TURN_USERNAME_MAX || strlen(password) > TURN_PASSWORD_MAX ||
	    (realm && (*realm == '\0' || strlen(realm) > TURN_REALM_MAX)))
		return FZ_ERR_INVAL;
	got.username = fz_strdup(env, username);
	got.password = fz_strdup(env, password);
	got.only_realm = realm ? fz_strdup(env, realm) : NULL;
	if (got.username == NULL || got.password == NULL || (realm && got.only_realm == NULL)) {
		turn_auth_clear(&got, env);
		return FZ_ERR_NOMEM;
	}
	*t = got;
	return 0;
}

void turn_auth_clear(struct turn_auth *t, const struct fz_env *env)
{
	fz_free_secret(env, t->username);
	fz_free_secret(env, t->password);
	fz_free(env, t->only_realm);
	fz_wipe(t, sizeof(*t));
}

void turn_auth_forget(struct turn_auth *t)
{
	t->realm[0] = '\0';
	t->nonce_len = 0;
	fz_wipe(t->key, sizeof(t->key));
}

bool turn_auth_same_nonce(const struct turn_auth *t, const struct stun_msg *challenge)
{
	return challenge->nonce.p != NULL && challenge->nonce.len == t->nonce_len &&
	       memcmp(challenge->nonce.p, t->nonce, t->nonce_len) == 0;
}

/* Copy as a string. False: empty, too long, or with a NUL inside. */
static bool copy_realm(const struct stun_bytes *from, char to[TURN_REALM_MAX + 1])
{
	if (from->len == 0 || from->len > TURN_REALM_MAX || memchr(from->p, 0, from->len) != NULL)
		return false;
	memcpy(to, from->p, from->len);
	to[from->len] = '\0';
	return true;
}

int turn_auth_learn(struct turn_auth *t, const struct stun_msg *challenge)
{
	char realm[TURN_REALM_MAX + 1];
	const struct stun_bytes *nonce = &challenge->nonce;

	if (nonce->p == NULL || nonce->len == 0 || nonce->len > TURN_NONCE_MAX)
		return FZ_ERR_WIRE;
	if (challenge->realm.p == NULL && t->realm[0] != '\0')
		memcpy(realm, t->realm, sizeof(realm));
	else if (challenge->realm.p == NULL || !copy_realm(&challenge->realm, realm))
		return FZ_ERR_WIRE;
	if (t->only_realm != NULL && strcmp(realm, t->only_realm) != 0)
		return FZ_ERR_AUTH;
	if (strcmp(realm, t->realm) != 0) {
		uint8_t key[STUN_LONG_TERM_KEY_LEN];
		int err = stun_long_term_key(t->username, realm, t->password, key);
		if (err)
			return err == FZ_ERR_NOSPACE ? FZ_ERR_WIRE : err;
		memcpy(t->realm, realm, sizeof(realm));
		memcpy(t->key, key, sizeof(key));
		fz_wipe(key, sizeof(key));
	}
	memcpy(t->nonce, nonce->p, nonce->len);
	t->nonce_len = nonce->len;
	return 0;
}

void turn_auth_put(const struct turn_auth *t, struct stun_enc *e)
{
	if (!turn_auth_ready(t))
		return;
	stun_put_text(e, STUN_USERNAME, t->username);
	stun_put_text(e, STUN_REALM, t->realm);
	stun_put(e, STUN_NONCE, t->nonce, t->nonce_len);
	stun_put_integrity(e, t->key, sizeof(t->key));
}

int turn_auth_check(const struct turn_auth *t, const struct stun_msg *m)
{
	return stun_check_integrity(m, t->key, sizeof(t->key));
}
