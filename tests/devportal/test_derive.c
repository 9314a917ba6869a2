/* SPDX-License-Identifier: Apache-2.0 */
/* The development portal's derived values against published vectors, its user agents, patterns and tokens. */
#include "../unit/unit.h"

#include "agent.h"
#include "derive.h"
#include "ingest.h"
#include "resource.h"

#define CLIENT_PK "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define GATEWAY_PK "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define SECRET "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab"
#define CLIENT_ID "6f3c1c52-3d9e-4d5e-8b0f-0f4f3a9b7c10"
#define GATEWAY_ID "b6d0a1a4-2f6f-4e58-9c1d-7a5b9e3f2d20"
#define TARGET_ID "9a7b6c5d-4e3f-4210-8f0e-1d2c3b4a5968"

START_TEST(turn_credentials)
{
	static const struct {
		const char *public_key;
		int64_t expires_at;
		const char *username, *password;
	} cases[] = {
		{ CLIENT_PK, 1767225600, "1767225600:kF8o3vGOqsBa5vErLDRSdEr69ibaE0PVezlbVE4FGbY",
		  "Zv0nFz4EY/ffUFCfUYlScSGvKBNG6Wdv4Vcn6cSjCSQ" },
		{ GATEWAY_PK, 2145916800, "2145916800:uRn9aO+q3ZLJ+WSCwUd6KAg+lKk/p+EL5iN8qCTCKgY",
		  "8URkWB5YdFsLmmID9UKV3ZM50DEfidoj1CK8ms3ANLo" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct turn_credentials c;
		derive_turn_firezone(&c, SECRET, cases[i].public_key, cases[i].expires_at);
		ck_assert_str_eq(c.username, cases[i].username);
		ck_assert_str_eq(c.password, cases[i].password);
	}
}
END_TEST

START_TEST(relay_and_device_ids)
{
	char id[UUID_LEN + 1], hashed[65];
	derive_relay_id(id, SECRET);
	ck_assert_str_eq(id, "aa93cc3a-23e1-4e3b-93b9-0b7bb3c0a369");
	derive_external_id(hashed, "3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d11");
	ck_assert_str_eq(hashed, "e60b3d650541f9547c3a4b1edd613723a0bef9a61ef042739ce9fc16c6401f75");
	derive_external_id(hashed, "3F8F4B58-6A0C-4D0E-9B0E-2B6F3F2A9D11");
	ck_assert_str_eq(hashed, "bae6311a20f54953dbcd4e3c01dd4e4eae17b20e7a8015a12cbf85aefcf67dcf");
}
END_TEST

START_TEST(keys_and_ice)
{
	uint8_t ones[32], twos[32];
	char psk[KEY_TEXT_LEN + 1];
	memset(ones, 0x11, sizeof(ones));
	memset(twos, 0x22, sizeof(twos));
	struct end client = { CLIENT_ID, CLIENT_PK, ones }, gateway = { GATEWAY_ID, GATEWAY_PK, twos },
		   target = { TARGET_ID, GATEWAY_PK, twos };
	struct ice_credentials ours, theirs;
	derive_psk_gateway(psk, &client, &gateway);
	ck_assert_str_eq(psk, "j7vjRyvzql9S3g0yxs+4lu/EMo5xAnvYN0+WcFa4bKo=");
	derive_psk_clients(psk, &client, &target);
	ck_assert_str_eq(psk, "QTkzbeJrdXBdugEWLeaIRapwt3gMJzSbYzgW7p6UiEs=");
	derive_ice(&ours, &theirs, &client, &gateway);
	ck_assert_str_eq(ours.username, "xuu4");
	ck_assert_str_eq(ours.password, "6gogwz7ydfrb4wd7dyvgiw");
	ck_assert_str_eq(theirs.username, "labd");
	ck_assert_str_eq(theirs.password, "bcrcuc4ldjdswbjjkap5ba");
}
END_TEST

/* RFC 4648 section 10. */
START_TEST(encodings)
{
	static const struct {
		const char *plain, *base64, *base32;
	} cases[] = {
		{ "", "", "" },
		{ "f", "Zg", "my" },
		{ "fo", "Zm8", "mzxq" },
		{ "foo", "Zm9v", "mzxw6" },
		{ "foob", "Zm9vYg", "mzxw6yq" },
		{ "fooba", "Zm9vYmE", "mzxw6ytb" },
		{ "foobar", "Zm9vYmFy", "mzxw6ytboi" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[32];
		uint8_t back[16];
		size_t len = strlen(cases[i].plain);
		encode_base64(text, (const uint8_t *)cases[i].plain, len, true, false);
		ck_assert_str_eq(text, cases[i].base64);
		ck_assert_int_eq(decode_base64url(back, sizeof(back), text, strlen(text)), (int)len);
		ck_assert(memcmp(back, cases[i].plain, len) == 0);
		encode_base32_lower(text, (const uint8_t *)cases[i].plain, len);
		ck_assert_str_eq(text, cases[i].base32);
	}
	uint8_t room[4];
	ck_assert_int_eq(decode_base64url(room, sizeof(room), "Zg==", 4), -1);
	ck_assert_int_eq(decode_base64url(room, sizeof(room), "Z", 1), -1);
	ck_assert_int_eq(decode_base64url(room, sizeof(room), "Zm9vYmFy", 8), -1);
}
END_TEST

START_TEST(user_agents)
{
	static const struct {
		const char *text;
		bool known;
		enum component component;
		const char *version, *os, *os_version;
		int minor;
		bool sites, pools;
	} cases[] = {
		{ "Ubuntu/24.4.0 headless-client/1.5.12 (x86_64; 6.8.0)", true, AGENT_HEADLESS, "1.5.12",
		  "Ubuntu", "24.4.0", 5, true, true },
		{ "Windows/10.0 gui-client/1.5.9", true, AGENT_GUI, "1.5.9", "Windows", "10.0", 5, false,
		  false },
		{ "macOS apple-client/1.6.0", true, AGENT_APPLE, "1.6.0", "macOS", "", 6, true, true },
		{ "Debian/12 gateway/1.6.1", true, AGENT_GATEWAY, "1.6.1", "Debian", "12", 6, false, false },
		{ "Debian/12 headless-client/1.5", true, AGENT_HEADLESS, "1.5", "Debian", "12", -1, false,
		  false },
		{ "Debian/12 headless-client/1.5.9-rc1", true, AGENT_HEADLESS, "1.5.9-rc1", "Debian", "12", 5,
		  true, true },
		{ "curl/8.0.0", false, AGENT_UNKNOWN, "", "curl", "8.0.0", -1, false, false },
		{ "", false, AGENT_UNKNOWN, "", "", "", -1, false, false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct agent a;
		ck_assert_int_eq(agent_parse(&a, cases[i].text), cases[i].known);
		ck_assert_int_eq(a.component, cases[i].component);
		ck_assert_str_eq(a.version, cases[i].version);
		ck_assert_str_eq(a.os, cases[i].os);
		ck_assert_str_eq(a.os_version, cases[i].os_version);
		ck_assert_int_eq(a.minor, cases[i].minor);
		ck_assert_int_eq(agent_has(&a, FEATURE_SITES), cases[i].sites);
		ck_assert_int_eq(agent_has(&a, FEATURE_POOLS), cases[i].pools);
	}
}
END_TEST

START_TEST(gateway_versions)
{
	static const struct {
		const char *client, *gateway;
		bool fits;
	} cases[] = {
		{ "1.5.12", "1.6.1", true },  { "1.5.12", "1.4.0", true },  { "1.5.12", "1.3.9", false },
		{ "1.5.12", "1.7.0", false }, { "1.5.12", "2.5.0", false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct agent client, gateway;
		char text[64];
		snprintf(text, sizeof(text), "x/1 headless-client/%s", cases[i].client);
		agent_parse(&client, text);
		snprintf(text, sizeof(text), "x/1 gateway/%s", cases[i].gateway);
		agent_parse(&gateway, text);
		ck_assert_int_eq(agent_gateway_fits(&client, &gateway), cases[i].fits);
	}
}
END_TEST

START_TEST(patterns)
{
	static const struct {
		const char *pattern, *name;
		bool matches;
	} cases[] = {
		{ "a.example", "A.EXAMPLE", true },
		{ "*.x.example", "a.x.example", true },
		{ "*.x.example", "x.example", false },
		{ "*.x.example", "a.b.x.example", false },
		{ "**.x.example", "a.b.x.example", true },
		{ "?.x.example", "a.x.example", true },
		{ "?.x.example", "ab.x.example", false },
		{ "a*.x.example", "abc.x.example", true },
		{ "", "", true },
		{ "a", "", false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(pattern_matches(cases[i].pattern, cases[i].name) == cases[i].matches, "%s %s",
			      cases[i].pattern, cases[i].name);
}
END_TEST

START_TEST(ingest_tokens)
{
	struct portal p = { 0 };
	model_init(&p.model);
	char client[] = "cl", gateway[] = "gw", actor[] = "Ada";
	struct device a = { .name = client, .actor = actor, .id = CLIENT_ID },
		      b = { .name = gateway, .id = GATEWAY_ID };
	struct resource r = { .spec = json_pack("{s:s}", "name", "Lab") };
	struct grant g = { .id = TARGET_ID, .initiator = &a, .responder = &b, .expires_at = unix_now() + 60 };
	struct session s = { .device = &a };
	char *token = ingest_token(&p, &g, &r, &s, true);
	json_t *claims = ingest_verify(&p, token);
	ck_assert_ptr_nonnull(claims);
	ck_assert_str_eq(json_text(claims, "role"), "initiator");
	ck_assert_int_eq(json_int(claims, "exp", 0), g.expires_at + 2592000);
	json_decref(claims);
	/* Cut anywhere, it is refused; so is any other last letter but those that decode alike. */
	for (size_t len = strlen(token) - 1; len > 0; len--) {
		char *part = xprintf("%.*s", (int)len, token);
		ck_assert_ptr_null(ingest_verify(&p, part));
		free(part);
	}
	free(token);
	g.expires_at = 1;
	token = ingest_token(&p, &g, &r, &s, false);
	ck_assert_ptr_null(ingest_verify(&p, token));
	free(token);
	json_decref(r.spec);
	model_clear(&p.model);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("devportal");
	unit_case(s, "derive", turn_credentials, relay_and_device_ids, keys_and_ice, encodings);
	unit_case(s, "agent", user_agents, gateway_versions);
	unit_case(s, "names", patterns);
	unit_case(s, "ingest", ingest_tokens);
	return s;
}
