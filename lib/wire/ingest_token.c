/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ingest_token.h"

#include <string.h>

#include "base/mem.h"
#include "ext/json.h"
#include "fzconn/error.h"

static const char *const texts[] = {
	"account_id",
	"initiator_device_id",
	"responder_device_id",
	"policy_authorization_id",
	"policy_id",
	"resource_id",
	"resource_name",
	"initiator_actor_id",
	"initiator_actor_name",
	"authorized_at",
	"authorization_expires_at",
};
static const char *const optional_texts[] = {
	"resource_address",
	"initiator_actor_email",
	"initiator_auth_provider_id",
	"initiator_client_version",
	"initiator_device_os_name",
	"initiator_device_os_version",
	"initiator_device_serial",
	"initiator_device_uuid",
	"initiator_device_identifier_for_vendor",
	"initiator_device_firebase_installation_id",
};

static int url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* base64url without padding (RFC 4648 section 5): length of the result, or -1. dst may be NULL. */
static long url_decode(uint8_t *dst, const char *s, size_t len)
{
	uint32_t acc = 0;
	int bits = 0;
	long n = 0;

	if (len % 4 == 1)
		return -1;
	for (size_t i = 0; i < len; i++) {
		int v = url_value(s[i]);
		if (v < 0)
			return -1;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			if (dst)
				dst[n] = (uint8_t)(acc >> bits);
			n++;
		}
	}
	return acc & ((1u << bits) - 1) ? -1 : n;
}

static int part_json(const struct fz_env *env, const char *s, size_t len, struct jv **ret)
{
	long n = url_decode(NULL, s, len);
	uint8_t *buf;
	enum jv_parsed parsed;

	if (n <= 0)
		return FZ_ERR_WIRE;
	buf = fz_realloc(env, NULL, (size_t)n);
	if (buf == NULL)
		return FZ_ERR_NOMEM;
	url_decode(buf, s, len);
	parsed = jv_parse((const char *)buf, (size_t)n, ret);
	fz_free(env, buf);
	return parsed == JV_OK ? 0 : FZ_ERR_WIRE;
}

static bool header_is_good(const struct jv *h)
{
	const char *alg = jv_str(jv_get(h, "alg"));

	return alg && strcmp(alg, "HS256") == 0;
}

static void read_authorization(const char *text, struct ingest_token *t)
{
	struct fz_uuid id;

	t->authorization[0] = '\0';
	if (fz_uuid_parse(text, &id) == 0)
		memcpy(t->authorization, text, sizeof(t->authorization));
}

static bool read_claims(const struct jv *c, struct ingest_token *t)
{
	const char *role = jv_str(jv_get(c, "role"));

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (jv_str(jv_get(c, texts[i])) == NULL)
			return false;
	for (size_t i = 0; i < sizeof(optional_texts) / sizeof(optional_texts[0]); i++) {
		const struct jv *v = jv_get(c, optional_texts[i]);
		if (!jv_is_null(v) && jv_str(v) == NULL)
			return false;
	}
	if (role == NULL || (strcmp(role, "initiator") != 0 && strcmp(role, "responder") != 0))
		return false;
	t->is_initiator = role[0] == 'i';
	read_authorization(jv_str(jv_get(c, "policy_authorization_id")), t);
	return jv_u64(jv_get(c, "iat"), &t->issued_at) && jv_u64(jv_get(c, "exp"), &t->expires_at) &&
	       jv_bool(jv_get(c, "uploads_enabled"), &t->uploads_enabled);
}

int ingest_token_read(const struct fz_env *env, const char *text, struct ingest_token *ret,
		      struct jv **ret_claims)
{
	const char *first = strchr(text, '.'), *second = first ? strchr(first + 1, '.') : NULL;
	struct jv *header = NULL, *claims = NULL;
	struct ingest_token t;
	int err;

	if (second == NULL || strchr(second + 1, '.') != NULL)
		return FZ_ERR_WIRE;
	if (url_decode(NULL, second + 1, strlen(second + 1)) <= 0)
		return FZ_ERR_WIRE;
	err = part_json(env, text, (size_t)(first - text), &header);
	if (err == 0)
		err = part_json(env, first + 1, (size_t)(second - first - 1), &claims);
	if (err == 0 && (!header_is_good(header) || !read_claims(claims, &t)))
		err = FZ_ERR_WIRE;
	if (err == 0)
		*ret = t;
	if (err == 0 && ret_claims) {
		*ret_claims = claims;
		claims = NULL;
	}
	jv_free(header);
	jv_free(claims);
	return err;
}

int ingest_token_check(const struct fz_env *env, const char *text, struct ingest_token *ret)
{
	return ingest_token_read(env, text, ret, NULL);
}
