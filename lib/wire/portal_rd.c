/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/portal_rd.h"

#include <string.h>

void portal_rd_spoil(struct portal_rd *r, const char *key)
{
	if (r->bad == NULL)
		r->bad = key;
}

void *portal_rd_array(struct portal_rd *r, size_t n, size_t each)
{
	void *p = fz_arena_calloc(r->env, r->arena, n, each);

	r->nomem |= p == NULL;
	return p;
}

const char *portal_rd_copy(struct portal_rd *r, const char *text)
{
	char *copy = fz_arena_strndup(r->env, r->arena, text, strlen(text));

	r->nomem |= copy == NULL;
	return copy;
}

const struct jv *portal_rd_object(struct portal_rd *r, const struct jv *object, const char *key)
{
	const struct jv *v = jv_get(object, key);

	if (v && jv_type(v) == JV_OBJECT)
		return v;
	portal_rd_spoil(r, key);
	return NULL;
}

const char *portal_rd_str(struct portal_rd *r, const struct jv *object, const char *key)
{
	const char *s = jv_str(jv_get(object, key));

	if (s)
		return portal_rd_copy(r, s);
	portal_rd_spoil(r, key);
	return NULL;
}

void portal_rd_uuid(struct portal_rd *r, const struct jv *object, const char *key, struct fz_uuid *ret)
{
	const char *s = jv_str(jv_get(object, key));

	if (s == NULL || fz_uuid_parse(s, ret) != 0)
		portal_rd_spoil(r, key);
}

void portal_rd_key(struct portal_rd *r, const struct jv *object, const char *key, struct fz_key *ret)
{
	const char *s = jv_str(jv_get(object, key));

	if (s == NULL || fz_b64_decode(ret->b, sizeof(ret->b), s) != 0)
		portal_rd_spoil(r, key);
}

void portal_rd_ip(struct portal_rd *r, const struct jv *object, const char *key, enum fz_family family,
		  struct fz_ip *ret)
{
	const char *s = jv_str(jv_get(object, key));
	struct fz_ip ip;

	if (s == NULL || fz_ip_parse(s, &ip) != 0 || ip.family != family)
		portal_rd_spoil(r, key);
	else
		*ret = ip;
}

uint64_t portal_rd_u64(struct portal_rd *r, const struct jv *object, const char *key)
{
	uint64_t n = 0;

	if (!jv_u64(jv_get(object, key), &n))
		portal_rd_spoil(r, key);
	return n;
}

bool portal_rd_bool(struct portal_rd *r, const struct jv *object, const char *key)
{
	bool b = false;

	if (!jv_bool(jv_get(object, key), &b))
		portal_rd_spoil(r, key);
	return b;
}

const char *portal_rd_opt_str(struct portal_rd *r, const struct jv *object, const char *key)
{
	return jv_is_null(jv_get(object, key)) ? NULL : portal_rd_str(r, object, key);
}

bool portal_rd_opt_u64(struct portal_rd *r, const struct jv *object, const char *key, uint64_t *ret)
{
	if (jv_is_null(jv_get(object, key)))
		return false;
	*ret = portal_rd_u64(r, object, key);
	return true;
}

bool portal_rd_opt_uuid(struct portal_rd *r, const struct jv *object, const char *key, struct fz_uuid *ret)
{
	if (jv_is_null(jv_get(object, key)))
		return false;
	portal_rd_uuid(r, object, key, ret);
	return true;
}

const struct jv *portal_rd_need_list(struct portal_rd *r, const struct jv *object, const char *key)
{
	const struct jv *v = jv_get(object, key);

	if (v && jv_type(v) == JV_ARRAY)
		return v;
	portal_rd_spoil(r, key);
	return NULL;
}

const struct jv *portal_rd_list(struct portal_rd *r, const struct jv *object, const char *key)
{
	return jv_get(object, key) ? portal_rd_need_list(r, object, key) : NULL;
}
