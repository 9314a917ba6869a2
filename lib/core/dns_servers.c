/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dns_servers.h"

#include <string.h>

#include "base/mem.h"
#include "core/ranges.h"
#include "fzconn/error.h"

/* The first IPv4 sentinel is .1, the first IPv6 one is ::0. */
#define FIRST4 1
#define FIRST6 0

void dns_servers_init(struct dns_servers *s, const struct fz_env *env)
{
	*s = (struct dns_servers){ .env = env };
}

static void free_urls(struct dns_servers *s, char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fz_free(s->env, v[i]);
}

void dns_servers_clear(struct dns_servers *s)
{
	if (s->env)
		free_urls(s, s->doh, s->doh_len);
	*s = (struct dns_servers){ 0 };
}

static bool listed(const struct fz_ip *v, size_t n, const struct fz_ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (fz_ip_equal(&v[i], ip))
			return true;
	return false;
}

/* A list may name our own sentinels: it was read from a host that we have configured. */
static size_t sanitize(struct dns_servers *s, const struct fz_ip *ips, size_t n,
		       struct fz_ip ret[DNS_SERVERS_MAX])
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (ips[i].family == FZ_FAMILY_NONE || range_is_sentinel(&ips[i]) ||
		    listed(ret, len, &ips[i]) || len == DNS_SERVERS_MAX)
			s->left_out++;
		else
			ret[len++] = ips[i];
	}
	return len;
}

/* The servers that count now, without sentinels. */
static size_t effective(const struct dns_servers *s, struct dns_server ret[DNS_SERVERS_MAX])
{
	const struct fz_ip *ips = s->do53_len > 0 ? s->do53 : s->system;
	size_t n = s->do53_len;

	if (n == 0 && s->doh_len > 0) {
		for (; n < s->doh_len; n++)
			ret[n] = (struct dns_server){ .url = s->doh[n] };
		return n;
	}
	if (n == 0)
		n = s->system_len;
	for (size_t i = 0; i < n; i++)
		ret[i] = (struct dns_server){ .ip = ips[i] };
	return n;
}

static bool same_server(const struct dns_server *a, const struct dns_server *b)
{
	if (a->url || b->url)
		return a->url && b->url && strcmp(a->url, b->url) == 0;
	return fz_ip_equal(&a->ip, &b->ip);
}

static struct dns_server *find_same(struct dns_server *v, size_t n, const struct dns_server *want)
{
	for (size_t i = 0; i < n; i++)
		if (same_server(&v[i], want))
			return &v[i];
	return NULL;
}

static bool same_set(struct dns_server *a, size_t n, const struct dns_server *b, size_t m)
{
	for (size_t i = 0; i < m && n == m; i++)
		if (find_same(a, n, &b[i]) == NULL)
			return false;
	return n == m;
}

static struct fz_ip sentinel(enum range r, unsigned host)
{
	struct fz_ip ip = ranges[r].ip;

	ip.b[r == RANGE_SENTINEL4 ? 3 : 15] = (uint8_t)host;
	return ip;
}

/* The next sentinel of the server's family that the list in effect does not use; *next counts up. */
static struct fz_ip next_sentinel(const struct dns_servers *s, const struct dns_server *d, unsigned next[2])
{
	bool v6 = d->ip.family == FZ_FAMILY_INET6;
	struct fz_ip ip;

	do
		ip = sentinel(v6 ? RANGE_SENTINEL6 : RANGE_SENTINEL4, next[v6]++);
	while (dns_servers_find(s, &ip) != NULL);
	return ip;
}

static bool apply(struct dns_servers *s)
{
	struct dns_server v[DNS_SERVERS_MAX];
	size_t n = effective(s, v);
	unsigned next[2] = { FIRST4, FIRST6 };

	s->from_portal = s->do53_len > 0;
	if (same_set(s->v, s->len, v, n)) {
		for (size_t i = 0; i < n; i++) /* its URL is in memory that goes away */
			find_same(s->v, s->len, &v[i])->url = v[i].url;
		return false;
	}
	for (size_t i = 0; i < n; i++)
		v[i].sentinel = next_sentinel(s, &v[i], next);
	memcpy(s->v, v, sizeof(v[0]) * n);
	s->len = n;
	return true;
}

void dns_servers_set_system(struct dns_servers *s, const struct fz_ip *ips, size_t n, bool *ret_changed)
{
	s->system_len = sanitize(s, ips, n, s->system);
	*ret_changed = apply(s);
}

static size_t copy_urls(struct dns_servers *s, const char *const *urls, size_t n, char *ret[DNS_SERVERS_MAX])
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		bool twice = false;
		for (size_t k = 0; k < i; k++)
			twice |= strcmp(urls[k], urls[i]) == 0;
		if (twice || len == DNS_SERVERS_MAX || strlen(urls[i]) > DNS_URL_MAX) {
			s->left_out++;
			continue;
		}
		ret[len] = fz_strdup(s->env, urls[i]);
		if (ret[len] == NULL) {
			free_urls(s, ret, len);
			return SIZE_MAX;
		}
		len++;
	}
	return len;
}

int dns_servers_set_portal(struct dns_servers *s, const struct fz_ip *do53, size_t n, const char *const *doh,
			   size_t doh_n, bool *ret_changed)
{
	char *old[DNS_SERVERS_MAX], *urls[DNS_SERVERS_MAX];
	size_t old_n = s->doh_len, urls_n = copy_urls(s, doh, doh_n, urls);

	if (urls_n == SIZE_MAX)
		return FZ_ERR_NOMEM;
	memcpy(old, s->doh, sizeof(old));
	memcpy(s->doh, urls, sizeof(urls[0]) * urls_n);
	s->doh_len = urls_n;
	s->do53_len = sanitize(s, do53, n, s->do53);
	*ret_changed = apply(s);
	free_urls(s, old, old_n);
	return 0;
}

const struct dns_server *dns_servers_find(const struct dns_servers *s, const struct fz_ip *ip)
{
	for (size_t i = 0; i < s->len; i++)
		if (fz_ip_equal(&s->v[i].sentinel, ip))
			return &s->v[i];
	return NULL;
}
