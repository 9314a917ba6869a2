/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/p2p_payload.h"

#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "ext/json.h"
#include "fzconn/error.h"

static struct jv *parse(const uint8_t *payload, size_t len)
{
	struct jv *v = NULL;

	if (jv_parse((const char *)payload, len, &v) != JV_OK)
		return NULL;
	if (jv_type(v) == JV_OBJECT)
		return v;
	jv_free(v);
	return NULL;
}

/* Is the dot at the end of the name, or is it part of its last label? */
static bool ends_with_root(const char *name, size_t len)
{
	size_t slashes = 0;

	if (len < 2 || name[len - 1] != '.')
		return false;
	while (slashes < len - 1 && name[len - 2 - slashes] == '\\')
		slashes++;
	return slashes % 2 == 0;
}

static bool read_name(const struct jv *v, struct fz_uuid *resource, char domain[P2P_DOMAIN_MAX + 1])
{
	const char *id = jv_str(jv_get(v, "resource")), *name = jv_str(jv_get(v, "domain"));
	size_t len;

	if (id == NULL || name == NULL || fz_uuid_parse(id, resource) != 0)
		return false;
	len = strlen(name);
	if (ends_with_root(name, len))
		len--;
	if (len == 0 || len > P2P_DOMAIN_MAX)
		return false;
	memcpy(domain, name, len);
	domain[len] = '\0';
	return true;
}

static bool read_ips(const struct jv *list, struct p2p_assigned_ips *ret)
{
	if (list == NULL || jv_type(list) != JV_ARRAY || jv_len(list) > P2P_PROXIES_MAX)
		return false;
	ret->ips_len = jv_len(list);
	for (size_t i = 0; i < ret->ips_len; i++) {
		const char *s = jv_str(jv_at(list, i));
		if (s == NULL || fz_ip_parse(s, &ret->ips[i]) != 0)
			return false;
	}
	return true;
}

int p2p_parse_assigned_ips(const uint8_t *payload, size_t len, struct p2p_assigned_ips *ret)
{
	struct jv *v = parse(payload, len);
	struct p2p_assigned_ips got = { 0 };
	bool ok = v && read_name(v, &got.resource, got.domain) && read_ips(jv_get(v, "proxy_ips"), &got);

	jv_free(v);
	if (!ok)
		return FZ_ERR_WIRE;
	*ret = got;
	return 0;
}

int p2p_parse_domain_status(const uint8_t *payload, size_t len, struct p2p_domain_status *ret)
{
	struct jv *v = parse(payload, len);
	struct p2p_domain_status got = { 0 };
	const char *word = jv_str(jv_get(v, "status"));
	bool ok = word && read_name(v, &got.resource, got.domain);

	got.active = word && strcmp(word, "Active") == 0;
	jv_free(v);
	if (!ok)
		return FZ_ERR_WIRE;
	*ret = got;
	return 0;
}

static struct jv *name_object(const struct fz_uuid *resource, const char *domain)
{
	char id[FZ_UUID_STRLEN];
	struct jv *o = jv_object();

	if (jv_set_str(o, "resource", fz_uuid_format(resource, id)) && jv_set_str(o, "domain", domain))
		return o;
	jv_free(o);
	return NULL;
}

static struct jv *ip_list(const struct fz_ip *ips, size_t len)
{
	struct jv *list = jv_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < len; i++) {
		char text[FZ_IP_STRLEN];
		ok = jv_push_str(list, fz_ip_format(&ips[i], text));
	}
	if (ok)
		return list;
	jv_free(list);
	return NULL;
}

static int finish(const struct fz_env *env, struct jv *o, bool ok, uint8_t *buf)
{
	size_t len = 0;
	char *text = ok ? jv_dump(env, o, &len) : NULL;
	int ret = text ? FZ_ERR_NOSPACE : FZ_ERR_NOMEM;

	if (text && len <= P2P_PAYLOAD_MAX) {
		memcpy(buf, text, len);
		ret = (int)len;
	}
	fz_free(env, text);
	jv_free(o);
	return ret;
}

int p2p_build_assigned_ips(const struct fz_env *env, const struct p2p_assigned_ips *m, uint8_t *buf)
{
	struct jv *o = name_object(&m->resource, m->domain);

	return finish(env, o, jv_set(o, "proxy_ips", ip_list(m->ips, m->ips_len)), buf);
}

int p2p_build_domain_status(const struct fz_env *env, const struct p2p_domain_status *m, uint8_t *buf)
{
	struct jv *o = name_object(&m->resource, m->domain);

	return finish(env, o, jv_set_str(o, "status", m->active ? "Active" : "Inactive"), buf);
}
