/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/access.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "fzconn/error.h"
#include "wire/ingest_token.h"

int accesses_init(struct accesses *a, const struct fz_env *env)
{
	a->env = env;
	return fz_map_init(&a->by_grant, env, 0) == 0 && fz_map_init(&a->by_id, env, 0) == 0 &&
			       fz_map_init(&a->names, env, 0) == 0
		       ? 0
		       : FZ_ERR_NOMEM;
}

/* ---- grants ---- */

static uint64_t grant_hash(const struct accesses *a, const struct fz_uuid *peer,
			   const struct fz_uuid *resource)
{
	struct fz_uuid key[2] = { *peer, *resource };

	return fz_map_hash(&a->by_grant, key, sizeof(key));
}

static uint64_t id_hash(const struct accesses *a, const char *id)
{
	return fz_map_hash(&a->by_id, id, strlen(id));
}

struct access *access_find(const struct accesses *a, const struct fz_uuid *peer,
			   const struct fz_uuid *resource)
{
	struct fz_map_link *l = fz_map_first(&a->by_grant, grant_hash(a, peer, resource));

	for (; l; l = fz_map_next(l)) {
		struct access *x = fz_container(l, struct access, by_grant);
		if (fz_uuid_equal(&x->peer, peer) && fz_uuid_equal(&x->resource, resource))
			return x;
	}
	return NULL;
}

bool access_is_known(const struct accesses *a, const char *auth_id)
{
	struct fz_map_link *l = fz_map_first(&a->by_id, id_hash(a, auth_id));

	for (; l; l = fz_map_next(l))
		if (strcmp(fz_container(l, struct access, by_id)->auth.id, auth_id) == 0)
			return true;
	return false;
}

struct access *access_hold(struct access *x)
{
	x->refs++;
	return x;
}

void access_release(struct accesses *a, struct access *x)
{
	if (x == NULL || --x->refs > 0)
		return;
	fz_map_remove(&a->by_id, &x->by_id);
	fz_free_secret(a->env, x->token);
	jv_free(x->claims);
	fz_free(a->env, x);
}

static void unlist(struct accesses *a, struct access *x)
{
	fz_map_remove(&a->by_grant, &x->by_grant);
	access_release(a, x);
}

int access_add(struct accesses *a, const struct fz_uuid *peer, const struct fz_uuid *resource,
	       const char *token, bool keep_claims)
{
	struct access *x = access_find(a, peer, resource);
	struct ingest_token t;
	struct jv *claims = NULL;
	int err;

	if (x)
		unlist(a, x);
	if (a->by_grant.used >= FLOW_AUTHS_MAX)
		return FZ_ERR_FULL;
	err = ingest_token_read(a->env, token, &t, &claims);
	if (err == 0 && t.authorization[0] == '\0')
		err = FZ_ERR_WIRE; /* it would name a folder */
	x = err == 0 ? fz_zalloc(a->env, sizeof(*x)) : NULL;
	if (x && t.uploads_enabled && (x->token = fz_strdup(a->env, token)) == NULL) {
		fz_free(a->env, x);
		x = NULL;
	}
	if (x == NULL || !keep_claims) {
		jv_free(claims);
		claims = NULL;
	}
	if (x == NULL)
		return err ? err : FZ_ERR_NOMEM;
	memcpy(x->auth.id, t.authorization, sizeof(x->auth.id));
	x->auth.is_initiator = t.is_initiator;
	x->auth.token = x->token;
	x->claims = claims;
	x->peer = *peer;
	x->resource = *resource;
	x->refs = 1;
	fz_map_insert(&a->by_grant, a->env, &x->by_grant, grant_hash(a, peer, resource));
	fz_map_insert(&a->by_id, a->env, &x->by_id, id_hash(a, x->auth.id));
	return 0;
}

static void forget_all(struct accesses *a, const struct fz_uuid *peer)
{
	for (size_t i = 0; i <= a->by_grant.mask; i++) {
		struct fz_map_link *next;
		for (struct fz_map_link *l = a->by_grant.buckets[i]; l; l = next) {
			struct access *x = fz_container(l, struct access, by_grant);
			next = l->next;
			if (peer == NULL || fz_uuid_equal(&x->peer, peer))
				unlist(a, x);
		}
	}
}

void access_forget(struct accesses *a, const struct fz_uuid *peer, const struct fz_uuid *resource)
{
	struct access *x;

	if (resource == NULL)
		forget_all(a, peer);
	else if ((x = access_find(a, peer, resource)) != NULL)
		unlist(a, x);
}

void accesses_clear(struct accesses *a)
{
	if (a->by_grant.buckets)
		forget_all(a, NULL);
	fz_map_clear(&a->by_grant, a->env);
	fz_map_clear(&a->by_id, a->env);
	fz_map_clear(&a->names, a->env);
}

/* ---- domains ---- */

struct access_name *access_name(struct accesses *a, const char *text)
{
	size_t len = strlen(text);
	uint64_t hash = fz_map_hash(&a->names, text, len);
	struct fz_map_link *l = fz_map_first(&a->names, hash);
	struct access_name *n;

	for (; l; l = fz_map_next(l)) {
		n = fz_container(l, struct access_name, link);
		if (strcmp(n->text, text) == 0) {
			n->refs++;
			return n;
		}
	}
	n = fz_zalloc(a->env, sizeof(*n) + len + 1);
	if (n == NULL)
		return NULL;
	n->refs = 1;
	memcpy(n->text, text, len);
	fz_map_insert(&a->names, a->env, &n->link, hash);
	return n;
}

void access_name_release(struct accesses *a, struct access_name *n)
{
	if (n == NULL || --n->refs > 0)
		return;
	fz_map_remove(&a->names, &n->link);
	fz_free(a->env, n);
}

/* ---- local log ---- */

/* Who used what: from the claims, in this order. */
static const char *const attribution[] = {
	"role",
	"account_id",
	"policy_authorization_id",
	"policy_id",
	"resource_id",
	"resource_name",
	"resource_address",
	"initiator_device_id",
	"responder_device_id",
	"initiator_actor_id",
	"initiator_actor_name",
	"initiator_actor_email",
	"initiator_client_version",
	"initiator_device_os_name",
	"initiator_device_os_version",
};

static const char *const messages[2][2] = {
	{ "TCP flow started", "TCP flow completed" },
	{ "UDP flow started", "UDP flow completed" },
};

void access_log(const struct fz_env *env, const struct access *x, const struct flow_record *r)
{
	struct jv *line, *record;
	bool good;
	char *text = NULL;

	if (!fz_log_on(env, FZ_LOG_TRACE))
		return;
	line = jv_object();
	good = line && jv_set_str(line, "message", messages[r->is_udp][r->is_closed]);
	for (size_t i = 0; good && i < sizeof(attribution) / sizeof(attribution[0]); i++) {
		const struct jv *v = jv_get(x->claims, attribution[i]);
		if (!jv_is_null(v))
			good = jv_set(line, attribution[i], jv_share(v));
	}
	record = good ? flow_record_json(r) : NULL;
	good = record && jv_merge(line, record);
	if (good)
		text = jv_dump(env, line, NULL);
	if (text)
		env->log.write(env->log.ctx, FZ_LOG_TRACE, FLOW_LOG_AREA, text);
	fz_free(env, text);
	jv_free(record);
	jv_free(line);
}
