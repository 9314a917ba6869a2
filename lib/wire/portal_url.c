/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/portal_url.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ext/crypto.h"
#include "fzconn/error.h"

static const struct {
	const char *name;
	uint16_t port;
	bool tls;
} schemes[] = {
	{ "wss://", 443, true }, { "https://", 443, true }, { "ws://", 80, false }, { "http://", 80, false }
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool has_prefix(const char *s, const char *prefix)
{
	for (; *prefix; s++, prefix++)
		if (lower(*s) != *prefix)
			return false;
	return true;
}

/* Letters of names; an address literal in brackets may hold colons. */
static bool read_host(const char *s, const char *end, struct portal_url *u)
{
	size_t n = (size_t)(end - s);

	if (n >= 2 && s[0] == '[' && end[-1] == ']') {
		struct fz_ip ip;
		s++;
		n -= 2;
		if (n >= sizeof(u->host))
			return false;
		memcpy(u->host, s, n);
		u->is_ipv6 = true;
		return fz_ip_parse(u->host, &ip) == 0 && ip.family == FZ_FAMILY_INET6;
	}
	if (n == 0 || n >= sizeof(u->host))
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = lower(s[i]);
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && strchr("-._", c) == NULL)
			return false;
		u->host[i] = c;
	}
	return true;
}

static bool read_port(const char *s, const char *end, uint16_t otherwise, uint16_t *ret)
{
	unsigned long n = 0;

	if (s == end) {
		*ret = otherwise;
		return true;
	}
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return false;
		n = n * 10 + (unsigned long)(*s - '0');
		if (n > 65535)
			return false;
	}
	*ret = (uint16_t)n;
	return n > 0;
}

/* Visible ASCII up to the query; one trailing slash is an empty segment and goes. */
static bool read_path(const char *s, struct portal_url *u)
{
	size_t n = strcspn(s, "?#");

	if (n && s[n - 1] == '/')
		n--;
	if (n >= sizeof(u->path))
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~' || strchr("\"<>\\^`{|}", s[i]))
			return false;
	memcpy(u->path, s, n);
	return true;
}

int portal_url_parse(const char *text, struct portal_url *ret, const char **ret_reason)
{
	struct portal_url u = { 0 };
	const char *at = NULL, *end, *from, *colon;
	uint16_t usual = 0, port = 0;

	for (size_t i = 0; at == NULL && i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (has_prefix(text, schemes[i].name)) {
			at = text + strlen(schemes[i].name);
			u.tls = schemes[i].tls;
			usual = schemes[i].port;
		}
	*ret_reason = "the portal URL must begin with wss://, https://, ws:// or http://";
	if (at == NULL)
		return FZ_ERR_INVAL;
	end = at + strcspn(at, "/?#");
	from = at;
	for (const char *p = at; p < end; p++)
		if (*p == '@')
			from = p + 1;
	colon = end;
	for (const char *p = end; p > from && p[-1] != ']'; p--)
		if (p[-1] == ':')
			colon = p - 1;
	*ret_reason = "the portal URL has no valid host name";
	if (!read_host(from, colon, &u))
		return FZ_ERR_INVAL;
	*ret_reason = "the portal URL has no valid port";
	if (!read_port(colon < end ? colon + 1 : end, end, usual, &port))
		return FZ_ERR_INVAL;
	u.port = port == usual ? 443 : port;
	*ret_reason = "the portal URL has no valid path";
	if (!read_path(end, &u))
		return FZ_ERR_INVAL;
	*ret_reason = NULL;
	*ret = u;
	return 0;
}

/* application/x-www-form-urlencoded. dst needs 3 * strlen(s) + 1 bytes. */
static char *form_encode(char *dst, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *s; s++) {
		uint8_t c = (uint8_t)*s;
		char l = lower((char)c);
		if ((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || strchr("*-._", (char)c)) {
			*dst++ = (char)c;
		} else if (c == ' ') {
			*dst++ = '+';
		} else {
			*dst++ = '%';
			*dst++ = hex[c >> 4];
			*dst++ = hex[c & 15];
		}
	}
	*dst = '\0';
	return dst;
}

static char *param(char *dst, char sep, const char *key, const char *value)
{
	if (value == NULL)
		return dst;
	return form_encode(dst + sprintf(dst, "%c%s=", sep, key), value);
}

char *portal_target(const struct fz_env *env, const struct portal_url *url, enum portal_role role,
		    const struct portal_login *login, const struct fz_key *public_key)
{
	char key[FZ_B64_LEN(FZ_KEY_LEN) + 1];
	char *text = fz_realloc(env, NULL, sizeof(url->path) + 256 + 4 * 3 * PORTAL_PARAM_MAX), *at = text;

	if (text == NULL)
		return NULL;
	fz_b64_encode(key, public_key->b, sizeof(public_key->b));
	at += sprintf(at, "%s/%s/v2/websocket", url->path, role == PORTAL_ROLE_CLIENT ? "client" : "gateway");
	at = param(at, '?', "external_id", login->external_id);
	at = param(at, '&', "name", login->name);
	at = param(at, '&', "device_serial", login->device_serial);
	at = param(at, '&', "device_uuid", login->device_uuid);
	param(at, '&', "public_key", key);
	return text;
}

static bool is_hex(char c)
{
	char l = lower(c);

	return (c >= '0' && c <= '9') || (l >= 'a' && l <= 'f');
}

static bool is_dashed_uuid(const char *s, size_t len)
{
	if (len != 36)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? s[i] != '-' : !is_hex(s[i]))
			return false;
	}
	return true;
}

/* With dashes, without, in braces, or as a URN. */
static bool is_uuid(const char *s)
{
	size_t len = strlen(s);

	if (len == 32) {
		for (size_t i = 0; i < len; i++)
			if (!is_hex(s[i]))
				return false;
		return true;
	}
	if (len == 38 && s[0] == '{' && s[37] == '}')
		return is_dashed_uuid(s + 1, 36);
	if (len == 45 && strncmp(s, "urn:uuid:", 9) == 0)
		return is_dashed_uuid(s + 9, 36);
	return is_dashed_uuid(s, len);
}

int portal_device_id(const char *configured, char ret[PORTAL_PARAM_MAX + 1])
{
	uint8_t digest[CRYPTO_SHA256_LEN];
	int err;

	if (strlen(configured) > PORTAL_PARAM_MAX)
		return FZ_ERR_INVAL;
	if (!is_uuid(configured)) {
		strcpy(ret, configured);
		return 0;
	}
	err = crypto_sha256(configured, strlen(configured), NULL, 0, digest);
	if (err == 0)
		fz_hex_encode(ret, digest, sizeof(digest));
	return err;
}

int portal_device_id_of_machine(enum portal_role role, const void *machine_id, size_t len, char ret[65])
{
	static const char *const apps[] = {
		[PORTAL_ROLE_CLIENT] = "e1e465ce763e4759945c650ac334501f",
		[PORTAL_ROLE_GATEWAY] = "753b38f9f96947ef8083802d5909a372",
	};
	uint8_t mac[CRYPTO_SHA256_LEN];
	int err = crypto_hmac_sha256(apps[role], strlen(apps[role]), machine_id, len, NULL, 0, mac);

	if (err == 0)
		fz_hex_encode(ret, mac, sizeof(mac));
	return err;
}

int portal_user_agent(const struct portal_agent *agent, char *ret, size_t cap)
{
	const char *arch = agent->arch ? agent->arch : "", *kernel = agent->kernel ? agent->kernel : "";
	const char *between = *arch && *kernel ? "; " : "";
	bool more = *arch || *kernel;
	char *to = ret;
	int n = snprintf(ret, cap, "%s/%s %s/%s%s%s%s%s%s", agent->os, agent->os_version, agent->component,
			 agent->version, more ? " (" : "", arch, between, kernel, more ? ")" : "");

	if (n < 0 || (size_t)n >= cap)
		return FZ_ERR_NOSPACE;
	for (const char *from = ret; *from; from++)
		if (*from >= ' ' && *from <= '~')
			*to++ = *from;
	*to = '\0';
	return 0;
}
