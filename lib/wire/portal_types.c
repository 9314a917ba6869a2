/* SPDX-License-Identifier: Apache-2.0 */
/* Types that several messages of the portal share. */
#include "wire/portal_rd.h"

#include <string.h>

#include "fzconn/error.h"
#include "wire/ingest_token.h"

/* A DNS name: labels of 1 to 63 visible ASCII characters, 253 in all, a final dot allowed. */
static bool is_domain(const char *s)
{
	size_t len = strlen(s), label = 0;

	if (len && s[len - 1] == '.')
		len--;
	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (s[i] <= ' ' || s[i] > '~' || s[i] == '\\' || ++label > 63)
			return false;
	}
	return label > 0;
}

/* Scheme and a host at least; what else is in it concerns whoever dials. */
static bool is_url(const char *s, const char *scheme)
{
	size_t n = strlen(scheme);

	return strncmp(s, scheme, n) == 0 && s[n] != '\0' && strchr("/:?#@", s[n]) == NULL;
}

static void read_do53(struct portal_rd *r, const struct jv *v, struct portal_interface *ret)
{
	const struct jv *list = portal_rd_list(r, v, "upstream_do53");
	size_t n = jv_len(list);
	struct fz_ip *ips = portal_rd_array(r, n, sizeof(*ips));

	for (size_t i = 0; ips && i < n; i++) {
		const char *s = jv_str(jv_get(jv_at(list, i), "ip"));
		if (s == NULL || fz_ip_parse(s, &ips[i]) != 0)
			portal_rd_spoil(r, "upstream_do53");
	}
	ret->upstream_do53 = ips;
	ret->upstream_do53_len = n;
}

/* The list of older portals: [{"protocol":"ip_port","address":"192.0.2.53:53"}]. */
static void read_legacy_dns(struct portal_rd *r, const struct jv *v, struct portal_interface *ret)
{
	const struct jv *list = portal_rd_list(r, v, "upstream_dns");
	size_t n = jv_len(list);
	struct fz_ip *ips = portal_rd_array(r, n, sizeof(*ips));

	for (size_t i = 0; ips && i < n; i++) {
		const char *proto = jv_str(jv_get(jv_at(list, i), "protocol"));
		const char *s = jv_str(jv_get(jv_at(list, i), "address"));
		struct fz_addr a = { 0 };
		if (proto == NULL || strcmp(proto, "ip_port") != 0 || s == NULL || fz_addr_parse(s, &a) != 0)
			portal_rd_spoil(r, "upstream_dns");
		ips[i] = a.ip;
	}
	if (ret->upstream_do53_len == 0) {
		ret->upstream_do53 = ips;
		ret->upstream_do53_len = n;
	}
}

static void read_doh(struct portal_rd *r, const struct jv *v, struct portal_interface *ret)
{
	const struct jv *list = portal_rd_list(r, v, "upstream_doh");
	size_t n = jv_len(list);
	const char **urls = portal_rd_array(r, n, sizeof(*urls));

	for (size_t i = 0; urls && i < n; i++) {
		urls[i] = portal_rd_str(r, jv_at(list, i), "url");
		if (urls[i] && (!is_url(urls[i], "https://") || strchr(urls[i], '?')))
			portal_rd_spoil(r, "upstream_doh");
	}
	ret->upstream_doh = urls;
	ret->upstream_doh_len = n;
}

void portal_read_interface(struct portal_rd *r, const struct jv *v, bool addresses_only,
			   struct portal_interface *ret)
{
	portal_rd_ip(r, v, "ipv4", FZ_FAMILY_INET, &ret->ipv4);
	portal_rd_ip(r, v, "ipv6", FZ_FAMILY_INET6, &ret->ipv6);
	if (addresses_only)
		return;
	ret->search_domain = portal_rd_opt_str(r, v, "search_domain");
	if (ret->search_domain && !is_domain(ret->search_domain))
		portal_rd_spoil(r, "search_domain");
	read_do53(r, v, ret);
	read_legacy_dns(r, v, ret);
	read_doh(r, v, ret);
}

/* One entry per address family; neighbours of the same id are one relay. Returns false for an entry to
 * ignore. */
static bool read_relay(struct portal_rd *r, const struct jv *v, struct portal_relay *ret)
{
	const char *type = jv_str(jv_get(v, "type"));
	const char *addr = jv_str(jv_get(v, "addr"));
	struct fz_addr a = { 0 };

	if (type == NULL || (strcmp(type, "turn") != 0 && strcmp(type, "stun") != 0))
		portal_rd_spoil(r, "type");
	portal_rd_uuid(r, v, "id", &ret->id);
	if (addr == NULL || fz_addr_parse(addr, &a) != 0)
		portal_rd_spoil(r, "addr");
	if (!portal_rd_ok(r) || strcmp(type, "stun") == 0)
		return false;
	ret->username = portal_rd_str(r, v, "username");
	ret->password = portal_rd_str(r, v, "password");
	portal_rd_opt_u64(r, v, "expires_at", &ret->expires_at);
	if (a.ip.family == FZ_FAMILY_INET)
		ret->ipv4 = a;
	else
		ret->ipv6 = a;
	return true;
}

static void merge_relay(struct portal_relay *into, const struct portal_relay *from)
{
	struct portal_relay both = *from;

	if (!both.ipv4.ip.family)
		both.ipv4 = into->ipv4;
	if (!both.ipv6.ip.family)
		both.ipv6 = into->ipv6;
	*into = both;
}

void portal_read_relays(struct portal_rd *r, const struct jv *list, const struct portal_relay **ret,
			size_t *ret_len)
{
	size_t n = jv_len(list), used = 0;
	struct portal_relay *relays = portal_rd_array(r, n, sizeof(*relays));

	for (size_t i = 0; relays && i < n; i++) {
		struct portal_relay each = { 0 };
		if (!read_relay(r, jv_at(list, i), &each))
			continue;
		if (used && fz_uuid_equal(&relays[used - 1].id, &each.id))
			merge_relay(&relays[used - 1], &each);
		else
			relays[used++] = each;
	}
	*ret = relays;
	*ret_len = used;
}

void portal_read_relays_presence(struct portal_rd *r, const struct jv *v, struct portal_relays_presence *ret)
{
	const struct jv *gone = portal_rd_need_list(r, v, "disconnected_ids");
	size_t n = jv_len(gone);
	struct fz_uuid *ids = portal_rd_array(r, n, sizeof(*ids));

	for (size_t i = 0; ids && i < n; i++) {
		const char *s = jv_str(jv_at(gone, i));
		if (s == NULL || fz_uuid_parse(s, &ids[i]) != 0)
			portal_rd_spoil(r, "disconnected_ids");
	}
	ret->disconnected = ids;
	ret->disconnected_len = n;
	portal_read_relays(r, portal_rd_need_list(r, v, "connected"), &ret->connected, &ret->connected_len);
}

void portal_read_authorization(struct portal_rd *r, const struct jv *v, bool expiry,
			       struct portal_authorization *ret)
{
	portal_rd_uuid(r, v, "client_id", &ret->client_id);
	portal_rd_uuid(r, v, "resource_id", &ret->resource_id);
	if (expiry)
		ret->expires_at = portal_rd_u64(r, v, "expires_at");
}

void portal_read_authorizations(struct portal_rd *r, const struct jv *list, struct portal_init *ret)
{
	size_t n = jv_len(list);
	struct portal_authorization *all = portal_rd_array(r, n, sizeof(*all));

	for (size_t i = 0; all && i < n; i++)
		portal_read_authorization(r, jv_at(list, i), true, &all[i]);
	ret->authorizations = all;
	ret->authorizations_len = n;
}

void portal_read_flow_logs(struct portal_rd *r, const struct jv *v, struct portal_flow_logs *ret)
{
	ret->api_url = portal_rd_str(r, v, "api_url");
	if (ret->api_url && !is_url(ret->api_url, "https://") && !is_url(ret->api_url, "http://"))
		portal_rd_spoil(r, "api_url");
	ret->upload_interval_secs = portal_rd_u64(r, v, "upload_interval_secs");
	ret->upload_batch_size = portal_rd_u64(r, v, "upload_batch_size");
}

void portal_read_ice_cred(struct portal_rd *r, const struct jv *object, const char *key,
			  struct portal_ice_cred *ret)
{
	const struct jv *v = portal_rd_object(r, object, key);

	if (v == NULL)
		return;
	ret->username = portal_rd_str(r, v, "username");
	ret->password = portal_rd_str(r, v, "password");
}

const char *portal_read_flow_token(struct portal_rd *r, const struct jv *object)
{
	static const char key[] = "flow_logs_ingest_token";
	const char *text = portal_rd_str(r, object, key);
	struct ingest_token t;
	int err = text ? ingest_token_check(r->env, text, &t) : 0;

	if (err == FZ_ERR_NOMEM)
		r->nomem = true;
	else if (err)
		portal_rd_spoil(r, key);
	return text;
}

void portal_read_candidates(struct portal_rd *r, const struct jv *v, enum portal_peer peer,
			    struct portal_candidates *ret)
{
	const struct jv *list = portal_rd_need_list(r, v, "candidates");
	size_t n = jv_len(list), used = 0;
	const char **texts =
		portal_rd_array(r, n < PORTAL_CANDIDATES_MAX ? n : PORTAL_CANDIDATES_MAX, sizeof(*texts));

	ret->peer = peer;
	portal_rd_uuid(r, v, peer == PORTAL_PEER_GATEWAY ? "gateway_id" : "client_id", &ret->id);
	for (size_t i = 0; texts && i < n; i++) {
		const char *s = jv_str(jv_at(list, i));
		if (s == NULL || strncmp(s, "candidate:", 10) != 0 || strlen(s) > PORTAL_CANDIDATE_LEN ||
		    used == PORTAL_CANDIDATES_MAX)
			ret->skipped++;
		else
			texts[used++] = portal_rd_copy(r, s);
	}
	ret->texts = texts;
	ret->texts_len = used;
}
