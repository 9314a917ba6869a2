/* SPDX-License-Identifier: Apache-2.0 */
#include "ext/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "fzconn/addr.h"

/* The first that is set and not empty. */
static const char *variable(const char *const *names)
{
	for (; *names; names++) {
		const char *value = getenv(*names);
		if (value && *value)
			return value;
	}
	return NULL;
}

static bool covers_ip(const char *entry, const struct fz_ip *ip)
{
	struct fz_prefix net;
	struct fz_ip one;

	if (fz_prefix_parse(entry, &net) == 0)
		return fz_prefix_contains(&net, ip);
	return fz_ip_parse(entry, &one) == 0 && fz_ip_equal(&one, ip);
}

/* Is host this domain, or below it? Neither has a dot at its end. */
static bool covers_name(const char *entry, const char *host, size_t host_len)
{
	size_t len = strlen(entry);

	if (len == 0 || len > host_len || strncasecmp(entry, host + host_len - len, len) != 0)
		return false;
	return len == host_len || host[host_len - len - 1] == '.';
}

static bool is_exception(const char *list, const char *host)
{
	static const char between[] = ", \t";
	size_t host_len = strlen(host), n;
	struct fz_ip ip;
	bool is_ip = fz_ip_parse(host, &ip) == 0;

	if (strcmp(list, "*") == 0)
		return true;
	if (host_len && host[host_len - 1] == '.')
		host_len--;
	for (list += strspn(list, between); *list; list += n + strspn(list + n, between)) {
		char entry[256];
		const char *at = list;
		n = strcspn(list, between);
		size_t len = n;
		if (*at == '.')
			at++, len--;
		if (len && at[len - 1] == '.')
			len--;
		if (len >= sizeof(entry))
			continue;
		memcpy(entry, at, len);
		entry[len] = '\0';
		if (is_ip ? covers_ip(entry, &ip) : covers_name(entry, host, host_len))
			return true;
	}
	return false;
}

/* One part of the URL as text; false when there is none, or it is too long. */
static bool part(CURLU *u, CURLUPart which, char *buf, size_t cap)
{
	char *text = NULL;
	bool ok = curl_url_get(u, which, &text, 0) == CURLUE_OK && strlen(text) < cap;

	if (ok)
		memcpy(buf, text, strlen(text) + 1);
	curl_free(text);
	return ok;
}

static bool dissect(CURLU *u, const char *text, struct proxy *p)
{
	char scheme[16], port[8], host[sizeof(p->host)];
	const unsigned flags = CURLU_NON_SUPPORT_SCHEME;
	size_t len;

	snprintf(p->url, sizeof(p->url), "%s%s", strstr(text, "://") ? "" : "http://", text);
	if (u == NULL || strlen(text) + 8 > sizeof(p->url) ||
	    curl_url_set(u, CURLUPART_URL, p->url, flags) != CURLUE_OK ||
	    !part(u, CURLUPART_SCHEME, scheme, sizeof(scheme)) ||
	    !part(u, CURLUPART_HOST, host, sizeof(host)))
		return false;
	if (!part(u, CURLUPART_PORT, port, sizeof(port))) /* curl's own defaults */
		strcpy(port, strcmp(scheme, "https") == 0 ? "443" : "1080");
	const char *better = strcmp(scheme, "socks5") == 0   ? "socks5h"
			     : strcmp(scheme, "socks4") == 0 ? "socks4a"
							     : scheme;
	if (curl_url_set(u, CURLUPART_SCHEME, better, flags) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_PORT, port, 0) != CURLUE_OK ||
	    !part(u, CURLUPART_URL, p->url, sizeof(p->url)))
		return false;
	len = strlen(host);
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		memmove(host, host + 1, len - 1);
	}
	strcpy(p->host, host);
	p->port = (uint16_t)atoi(port);
	return true;
}

bool proxy_find(const char *host, bool tls, struct proxy *ret)
{
	static const char *const plain[] = { "http_proxy", "all_proxy", "ALL_PROXY", NULL };
	static const char *const secure[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL };
	static const char *const none[] = { "no_proxy", "NO_PROXY", NULL };
	const char *text = variable(tls ? secure : plain), *exceptions = variable(none);
	struct proxy p = { .port = 0 };
	CURLU *u;

	if (text == NULL || (exceptions && is_exception(exceptions, host)))
		return false;
	u = curl_url();
	if (!dissect(u, text, &p))
		p.host[0] = '\0';
	curl_url_cleanup(u);
	*ret = p;
	return true;
}
