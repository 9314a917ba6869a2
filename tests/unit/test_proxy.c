/* SPDX-License-Identifier: Apache-2.0 */
/* Proxies from the environment. */
#include "unit.h"

#include "ext/proxy.h"
#include "ext/stream.h"

static const char *const variables[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY",
					 "all_proxy",  "ALL_PROXY",   "no_proxy",    "NO_PROXY" };

static void clean(void)
{
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
}

START_TEST(which_variable)
{
	static const struct {
		const char *name;
		bool plain, secure;
	} rows[] = {
		{ "http_proxy", true, false },  { "https_proxy", false, true },
		{ "HTTPS_PROXY", false, true }, { "HTTP_PROXY", false, false },
		{ "all_proxy", true, true },    { "ALL_PROXY", true, true },
	};
	struct proxy p;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		clean();
		setenv(rows[i].name, "http://gate.test:3128", 1);
		ck_assert_msg(proxy_find("portal.test", false, &p) == rows[i].plain, "%s", rows[i].name);
		ck_assert_msg(proxy_find("portal.test", true, &p) == rows[i].secure, "%s", rows[i].name);
	}
	clean();
	setenv("http_proxy", "", 1);
	ck_assert(!proxy_find("portal.test", false, &p));
}
END_TEST

START_TEST(what_it_says)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
		const char *scheme;
	} rows[] = {
		{ "http://gate.test:3128", "gate.test", 3128, "http://" },
		{ "http://gate.test:3128/", "gate.test", 3128, "http://" },
		{ "gate.test:8080", "gate.test", 8080, "http://" },
		{ "gate.test", "gate.test", 1080, "http://" },
		{ "https://gate.test", "gate.test", 443, "https://" },
		{ "socks5://gate.test:9", "gate.test", 9, "socks5h://" },
		{ "socks5h://gate.test", "gate.test", 1080, "socks5h://" },
		{ "socks4://10.0.0.1", "10.0.0.1", 1080, "socks4a://" },
		{ "http://user:pass@gate.test:80", "gate.test", 80, "http://user:pass@" },
		{ "http://[2001:db8::1]:3128", "2001:db8::1", 3128, "http://[" },
		{ "http://gate.test:x", "", 0, "" }, /* libcurl will complain */
		{ "http://", "", 0, "" },
	};
	char hop[256];
	struct proxy p;

	clean();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setenv("all_proxy", rows[i].text, 1);
		ck_assert(proxy_find("portal.test", false, &p));
		ck_assert_msg(strcmp(p.host, rows[i].host) == 0, "%s: host %s", rows[i].text, p.host);
		ck_assert_msg(p.port == rows[i].port, "%s: port %u", rows[i].text, p.port);
		ck_assert_msg(strncmp(p.url, rows[i].scheme, strlen(rows[i].scheme)) == 0, "%s: %s",
			      rows[i].text, p.url);
		stream_hop("portal.test", false, hop);
		ck_assert_str_eq(hop, rows[i].host[0] ? rows[i].host : "portal.test");
	}
	char *big = malloc(3000);
	memset(big, 'a', 2999);
	big[2999] = '\0';
	setenv("all_proxy", big, 1);
	ck_assert(proxy_find("portal.test", false, &p));
	ck_assert_str_eq(p.host, "");
	free(big);
}
END_TEST

START_TEST(exceptions)
{
	static const struct {
		const char *list, *host;
		bool direct;
	} rows[] = {
		{ "*", "portal.test", true },
		{ "portal.test", "portal.test", true },
		{ "PORTAL.test", "portal.TEST.", true },
		{ "test", "portal.test", true },
		{ ".test", "portal.test", true },
		{ "test.", "portal.test", true },
		{ "tal.test", "portal.test", false },
		{ "a, b  portal.test", "portal.test", true },
		{ "a,b,,c", "portal.test", false },
		{ ", ", "portal.test", false },
		{ "a.portal.test", "portal.test", false },
		{ "10.0.0.1", "10.0.0.1", true },
		{ "10.0.0.0/8,x", "10.9.0.1", true },
		{ "10.0.0.0/8", "11.9.0.1", false },
		{ "0.0.1", "10.0.0.1", false },
		{ "2001:db8::/32", "2001:db8::7", true },
	};
	struct proxy p;

	clean();
	setenv("all_proxy", "gate.test", 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setenv(i % 2 ? "NO_PROXY" : "no_proxy", rows[i].list, 1);
		ck_assert_msg(proxy_find(rows[i].host, true, &p) != rows[i].direct, "%s for %s", rows[i].list,
			      rows[i].host);
		unsetenv("no_proxy"), unsetenv("NO_PROXY");
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("proxy");

	unit_case(s, "proxy", which_variable, what_it_says, exceptions);
	return s;
}
