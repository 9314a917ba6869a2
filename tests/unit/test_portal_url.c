/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/mem.h"
#include "wire/portal_url.h"

static const struct {
	const char *url; /* host NULL: refused */
	const char *host;
	unsigned port;
	bool tls;
	const char *path;
} urls[] = {
	{ "wss://api.firezone.dev/", "api.firezone.dev", 443, true, "" },
	{ "https://API.firezone.dev", "api.firezone.dev", 443, true, "" },
	{ "ws://203.0.113.10:8081", "203.0.113.10", 8081, false, "" },
	{ "http://h:8081/x/", "h", 8081, false, "/x" },
	{ "wss://h/x", "h", 443, true, "/x" },
	{ "wss://h/x/", "h", 443, true, "/x" },
	{ "wss://h/x//", "h", 443, true, "/x/" },
	{ "ws://h", "h", 443, false, "" }, /* plain text on 443, as it is */
	{ "ws://h:80", "h", 443, false, "" },
	{ "http://h:80/", "h", 443, false, "" },
	{ "ws://h:443", "h", 443, false, "" },
	{ "wss://h:80", "h", 80, true, "" },
	{ "wss://h:", "h", 443, true, "" },
	{ "wss://user:secret@h:8443/x?a=b#c", "h", 8443, true, "/x" },
	{ "wss://h?a=b", "h", 443, true, "" },
	{ "WSS://h", "h", 443, true, "" },
	{ "ws://[2001:db8::1]:8081/", "2001:db8::1", 8081, false, "" },
	{ "ws://[2001:db8::1]", "2001:db8::1", 443, false, "" },
	{ "ws://[2001:db8::1", NULL, 0, false, NULL },
	{ "ws://[1.2.3.4]", NULL, 0, false, NULL },
	{ "ws://2001:db8::1/", NULL, 0, false, NULL },
	{ "ftp://h", NULL, 0, false, NULL },
	{ "h", NULL, 0, false, NULL },
	{ "", NULL, 0, false, NULL },
	{ "wss://", NULL, 0, false, NULL },
	{ "wss:///x", NULL, 0, false, NULL },
	{ "wss://h:0", NULL, 0, false, NULL },
	{ "wss://h:65536", NULL, 0, false, NULL },
	{ "wss://h:8x", NULL, 0, false, NULL },
	{ "wss://h/a b", NULL, 0, false, NULL },
	{ "wss://h/a\r\nX: y", NULL, 0, false, NULL },
	{ "wss://h\r\nX", NULL, 0, false, NULL },
};

START_TEST(url_table)
{
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct portal_url u;
		const char *reason = NULL;
		int err = portal_url_parse(urls[i].url, &u, &reason);
		ck_assert_msg(err == (urls[i].host ? 0 : FZ_ERR_INVAL), "%s", urls[i].url);
		ck_assert_msg((reason == NULL) == (err == 0), "%s", urls[i].url);
		if (err)
			continue;
		ck_assert_str_eq(u.host, urls[i].host);
		ck_assert_msg(u.port == urls[i].port, "%s: %u", urls[i].url, u.port);
		ck_assert_msg(u.tls == urls[i].tls, "%s", urls[i].url);
		ck_assert_str_eq(u.path, urls[i].path);
	}
}
END_TEST

static struct fz_key key_from(uint8_t first, uint8_t step)
{
	struct fz_key k;

	for (size_t i = 0; i < sizeof(k.b); i++)
		k.b[i] = (uint8_t)(first + i * step);
	return k;
}

static void check_target(const char *url, enum portal_role role, const struct portal_login *login,
			 struct fz_key key, const char *want)
{
	struct unit_env u;
	struct portal_url parsed;
	const char *reason;

	unit_env_init(&u, 1);
	ck_assert_int_eq(portal_url_parse(url, &parsed, &reason), 0);
	char *got = portal_target(&u.env, &parsed, role, login, &key);
	ck_assert_str_eq(got, want);
	fz_free(&u.env, got);
	u.fail_at = u.allocs + 1;
	ck_assert_ptr_null(portal_target(&u.env, &parsed, role, login, &key));
	unit_env_check(&u);
}

/* control-plane 14.2 and 14.3; recorded gateway (direct.json) */
START_TEST(a8_21_targets)
{
	char id[PORTAL_PARAM_MAX + 1];
	struct portal_login full = { id, "Ada's laptop", "PF3ABC12", "4c4c4544-0042-3510-8052-b4c04f4d3332" };
	struct portal_login gw = { "gw-1", "gw1", NULL, NULL }, empty = { "", "", "", NULL };
	struct fz_key recorded;

	ck_assert_int_eq(portal_device_id("3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d11", id), 0);
	check_target(
		"wss://api.firezone.dev/", PORTAL_ROLE_CLIENT, &full, key_from(0, 1),
		"/client/v2/"
		"websocket?external_id=e60b3d650541f9547c3a4b1edd613723a0bef9a61ef042739ce9fc16c6401f75"
		"&name=Ada%27s+laptop&device_serial=PF3ABC12&device_uuid=4c4c4544-0042-3510-8052-b4c04f4d3332"
		"&public_key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8%3D");
	ck_assert_int_eq(fz_b64_decode(recorded.b, 32, "eWJ2KOJ0ohOYHHbw1/DfEtCmTXs5nz3/hHkFhdHvwRU="), 0);
	check_target("ws://203.0.113.10:8081", PORTAL_ROLE_GATEWAY, &gw, recorded,
		     "/gateway/v2/websocket?external_id=gw-1&name=gw1"
		     "&public_key=eWJ2KOJ0ohOYHHbw1%2FDfEtCmTXs5nz3%2FhHkFhdHvwRU%3D");
	check_target(
		"wss://h/x//", PORTAL_ROLE_CLIENT, &empty, key_from(0xfb, 0),
		"/x//client/v2/"
		"websocket?external_id=&name=&device_serial=&public_key=%2B%2Fv7%2B%2Fv7%2B%2Fv7%2B%2Fv7%2B"
		"%2Fv7%2B%2Fv7%2B%2Fv7%2B%2Fv7%2B%2Fv7%2B%2Fv7%2B%2Fs%3D");
}
END_TEST

START_TEST(longest_target_fits)
{
	char big[PORTAL_PARAM_MAX + 1];
	struct unit_env u;
	struct portal_url parsed;
	const char *reason;
	struct fz_key key = key_from(0xfb, 0);

	memset(big, '\xff', PORTAL_PARAM_MAX);
	big[PORTAL_PARAM_MAX] = '\0';
	struct portal_login login = { big, big, big, big };
	unit_env_init(&u, 1);
	ck_assert_int_eq(portal_url_parse("wss://h", &parsed, &reason), 0);
	memset(parsed.path, 'p', sizeof(parsed.path) - 1);
	char *got = portal_target(&u.env, &parsed, PORTAL_ROLE_CLIENT, &login, &key);
	ck_assert_uint_gt(strlen(got), 4 * 3 * PORTAL_PARAM_MAX);
	fz_free(&u.env, got);
	unit_env_check(&u);
}
END_TEST

/* control-plane 14.1 */
static const struct {
	const char *configured, *want;
} ids[] = {
	{ "3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d11",
	  "e60b3d650541f9547c3a4b1edd613723a0bef9a61ef042739ce9fc16c6401f75" },
	{ "3F8F4B58-6A0C-4D0E-9B0E-2B6F3F2A9D11",
	  "bae6311a20f54953dbcd4e3c01dd4e4eae17b20e7a8015a12cbf85aefcf67dcf" },
	{ "my-laptop", "my-laptop" },
	{ "", "" },
	{ "3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d1", "3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d1" },
	{ "3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d1g", "3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d1g" },
};

START_TEST(device_ids)
{
	static const char *const spellings[] = { "3f8f4b586a0c4d0e9b0e2b6f3f2a9d11",
						 "{3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d11}",
						 "urn:uuid:3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d11" };
	char got[PORTAL_PARAM_MAX + 1], big[300] = { 0 };

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		ck_assert_int_eq(portal_device_id(ids[i].configured, got), 0);
		ck_assert_str_eq(got, ids[i].want);
	}
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		ck_assert_int_eq(portal_device_id(spellings[i], got), 0);
		ck_assert_msg(strlen(got) == 64 && strcmp(got, spellings[i]) != 0, "%s", spellings[i]);
	}
	memset(big, 'a', 256);
	ck_assert_int_eq(portal_device_id(big, got), FZ_ERR_INVAL);
	big[255] = '\0';
	ck_assert_int_eq(portal_device_id(big, got), 0);
	static const char machine[] = "0123456789abcdef0123456789abcdef\n";
	ck_assert_int_eq(portal_device_id_of_machine(PORTAL_ROLE_CLIENT, machine, strlen(machine), got), 0);
	ck_assert_str_eq(got, "25746dc26c1cc478780348a72316d3f4c2869a29b2a4836b38bc2ad3c3d69e8c");
	ck_assert_int_eq(portal_device_id_of_machine(PORTAL_ROLE_GATEWAY, machine, strlen(machine), got), 0);
	ck_assert_str_eq(got, "eeefe5d1cb3807dfc3ae24794878ec3147027390d839d1d718d8e42bcfde3336");
}
END_TEST

START_TEST(user_agents)
{
	struct portal_agent a = { "Ubuntu", "24.4.0", "headless-client",
				  "1.5.12", "x86_64", "6.8.0-41-generic" };
	char got[200];

	ck_assert_int_eq(portal_user_agent(&a, got, sizeof(got)), 0);
	ck_assert_str_eq(got, "Ubuntu/24.4.0 headless-client/1.5.12 (x86_64; 6.8.0-41-generic)");
	a.arch = NULL;
	ck_assert_int_eq(portal_user_agent(&a, got, sizeof(got)), 0);
	ck_assert_str_eq(got, "Ubuntu/24.4.0 headless-client/1.5.12 (6.8.0-41-generic)");
	a.arch = "x86_64";
	a.kernel = NULL;
	ck_assert_int_eq(portal_user_agent(&a, got, sizeof(got)), 0);
	ck_assert_str_eq(got, "Ubuntu/24.4.0 headless-client/1.5.12 (x86_64)");
	a.arch = "";
	a.os = "Ub\xc3\xbcntu\r\n";
	ck_assert_int_eq(portal_user_agent(&a, got, sizeof(got)), 0);
	ck_assert_str_eq(got, "Ubntu/24.4.0 headless-client/1.5.12");
	ck_assert_int_eq(portal_user_agent(&a, got, 20), FZ_ERR_NOSPACE);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("portal_url");

	unit_case(s, "url", url_table, a8_21_targets, longest_target_fits);
	unit_case(s, "names", device_ids, user_agents);
	return s;
}
