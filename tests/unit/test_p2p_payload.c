/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages inside the tunnel: vectors of peers, limits, every cut. */
#include "unit.h"

#include <stdio.h>

#include "base/addr.h"
#include "wire/p2p_payload.h"

#define LAB "73037362-715d-4a83-a749-f18eadd970e6"
#define IPS4 "\"100.96.0.1\",\"100.96.0.2\",\"100.96.0.3\",\"100.96.0.4\""
#define IPS6                                                                                                 \
	"\"fd00:2021:1111:8000::\",\"fd00:2021:1111:8000::1\",\"fd00:2021:1111:8000::2\","                   \
	"\"fd00:2021:1111:8000::3\""

static struct unit_env u;

static struct p2p_assigned_ips assigned(const char *resource, const char *domain, const char *const ips[],
					size_t n)
{
	struct p2p_assigned_ips m = { .ips_len = n };

	ck_assert_int_eq(fz_uuid_parse(resource, &m.resource), 0);
	snprintf(m.domain, sizeof(m.domain), "%s", domain);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(fz_ip_parse(ips[i], &m.ips[i]), 0);
	return m;
}

static const char *const eight[] = {
	"100.96.0.1",
	"100.96.0.2",
	"100.96.0.3",
	"100.96.0.4",
	"fd00:2021:1111:8000::",
	"fd00:2021:1111:8000::1",
	"fd00:2021:1111:8000::2",
	"fd00:2021:1111:8000::3",
};

/* A whole packet, taken apart and put together again. */
static size_t packet_of(const char *hex, uint8_t *packet, uint8_t *ret_type, const uint8_t **ret_payload)
{
	size_t len = unit_hex(packet, FZ_TUNNEL_MTU, hex), payload_len;
	struct ip_view view;

	ck_assert_int_eq(ip_parse_plain(packet, len, &view), IP_OK);
	ck_assert_int_eq(p2p_parse(packet, &view, ret_type, ret_payload, &payload_len), 0);
	ck_assert_uint_eq(payload_len, len - P2P_HDR_LEN);
	return payload_len;
}

START_TEST(assigned_ips_vector)
{
	static const char hex[] =
		"6000000000faff000000000000000000000000000000000000000000000000000000000000000000000000000000"
		"00007b227265736f75726365223a2237333033373336322d373135642d346138332d613734392d66313865616464"
		"3937306536222c22646f6d61696e223a2264622e6578616d706c652e636f6d222c2270726f78795f697073223a5b"
		"223130302e39362e302e31222c223130302e39362e302e32222c223130302e39362e302e33222c223130302e3936"
		"2e302e34222c22666430303a323032313a313131313a383030303a3a222c22666430303a323032313a313131313a"
		"383030303a3a31222c22666430303a323032313a313131313a383030303a3a32222c22666430303a323032313a31"
		"3131313a383030303a3a33225d7d";
	uint8_t packet[FZ_TUNNEL_MTU], built[FZ_TUNNEL_MTU], type, payload[P2P_PAYLOAD_MAX];
	const uint8_t *at;
	size_t len = packet_of(hex, packet, &type, &at);
	struct p2p_assigned_ips got, want = assigned(LAB, "db.example.com", eight, 8);

	unit_env_init(&u, 1);
	ck_assert_uint_eq(type, P2P_ASSIGNED_IPS);
	ck_assert_int_eq(p2p_parse_assigned_ips(at, len, &got), 0);
	ck_assert(fz_uuid_equal(&got.resource, &want.resource));
	ck_assert_str_eq(got.domain, want.domain);
	ck_assert_uint_eq(got.ips_len, 8);
	for (size_t i = 0; i < 8; i++)
		ck_assert(fz_ip_equal(&got.ips[i], &want.ips[i]));
	ck_assert_int_eq(p2p_build_assigned_ips(&u.env, &want, payload), 242);
	unit_assert_hex(built, p2p_build(built, P2P_ASSIGNED_IPS, payload, 242), hex);
	unit_env_check(&u);
}
END_TEST

START_TEST(domain_status_vector)
{
	static const char hex[] =
		"600000000067ff000000000000000000000000000000000000000000000000000000000000000000010000000000"
		"00007b227265736f75726365223a2237333033373336322d373135642d346138332d613734392d66313865616464"
		"3937306536222c22646f6d61696e223a2264622e6578616d706c652e636f6d222c22737461747573223a22416374"
		"697665227d";
	uint8_t packet[FZ_TUNNEL_MTU], built[FZ_TUNNEL_MTU], type, payload[P2P_PAYLOAD_MAX];
	const uint8_t *at;
	size_t len = packet_of(hex, packet, &type, &at);
	struct p2p_domain_status got;

	unit_env_init(&u, 1);
	ck_assert_uint_eq(type, P2P_DOMAIN_STATUS);
	ck_assert_int_eq(p2p_parse_domain_status(at, len, &got), 0);
	ck_assert_str_eq(got.domain, "db.example.com");
	ck_assert(got.active);
	ck_assert_int_eq(p2p_build_domain_status(&u.env, &got, payload), 95);
	unit_assert_hex(built, p2p_build(built, P2P_DOMAIN_STATUS, payload, 95), hex);
	unit_env_check(&u);
}
END_TEST

START_TEST(a6_56_unknown_status)
{
	static const char json[] = "{\"resource\":\"00000000-0000-0000-0000-000000000065\",\"domain\":\""
				   "example.com\",\"status\":\"what_is_this\",\"more\":[1,{}]}";
	struct p2p_domain_status got = { .active = true };

	ck_assert_int_eq(p2p_parse_domain_status((const uint8_t *)json, strlen(json), &got), 0);
	ck_assert(!got.active);
	ck_assert_str_eq(got.domain, "example.com");
}
END_TEST

#define A49 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG_NAME A49 "." A49 "." A49 "." A49 "." A49 ".com"

START_TEST(a6_57_biggest_message)
{
	static const char *const small[] = { "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1",
					     "::1",       "::1",       "::1",       "::1" };
	static const char *const big[] = { "100.127.255.254",
					   "100.127.255.254",
					   "100.127.255.254",
					   "100.127.255.254",
					   "fd00:2021:1111:8000::1f:ffff",
					   "fd00:2021:1111:8000::1f:ffff",
					   "fd00:2021:1111:8000::1f:ffff",
					   "fd00:2021:1111:8000::1f:ffff" };
	uint8_t buf[P2P_PAYLOAD_MAX];
	struct p2p_assigned_ips m = assigned("00000000-0000-0000-0000-000000000064", LONG_NAME, small, 8);

	unit_env_init(&u, 1);
	ck_assert_int_eq(p2p_build_assigned_ips(&u.env, &m, buf), 402);
	m = assigned("00000000-0000-0000-0000-000000000064", LONG_NAME, big, 8);
	ck_assert_int_eq(p2p_build_assigned_ips(&u.env, &m, buf), 526);
	/* A name that is all escapes: what does not fit is refused, not cut. */
	memset(m.domain, '\\', P2P_DOMAIN_MAX);
	m.domain[P2P_DOMAIN_MAX] = '\0';
	ck_assert_int_eq(p2p_build_assigned_ips(&u.env, &m, buf), FZ_ERR_NOSPACE);
	unit_env_check(&u);
}
END_TEST

static const struct {
	const char *why, *json, *domain; /* domain NULL = refused */
	size_t ips;
} cases[] = {
	{ "plain", "{\"resource\":\"" LAB "\",\"domain\":\"a\",\"proxy_ips\":[" IPS4 "]}", "a", 4 },
	{ "both families", "{\"resource\":\"" LAB "\",\"domain\":\"a\",\"proxy_ips\":[" IPS4 "," IPS6 "]}",
	  "a", 8 },
	{ "none", "{\"resource\":\"" LAB "\",\"domain\":\"a\",\"proxy_ips\":[]}", "a", 0 },
	{ "unknown keys", "{\"x\":{},\"resource\":\"" LAB "\",\"domain\":\"a\",\"proxy_ips\":[\"::\"]}", "a",
	  1 },
	{ "dot at the end", "{\"resource\":\"" LAB "\",\"domain\":\"a.b.\",\"proxy_ips\":[]}", "a.b", 0 },
	{ "root", "{\"resource\":\"" LAB "\",\"domain\":\".\",\"proxy_ips\":[]}", ".", 0 },
	{ "escaped dot at the end", "{\"resource\":\"" LAB "\",\"domain\":\"a\\\\.\",\"proxy_ips\":[]}",
	  "a\\.", 0 },
	{ "escaped slash, then the dot",
	  "{\"resource\":\"" LAB "\",\"domain\":\"a\\\\\\\\.\",\"proxy_ips\":[]}", "a\\\\", 0 },
	{ "sixteen",
	  "{\"resource\":\"" LAB "\",\"domain\":\"a\",\"proxy_ips\":[" IPS6 "," IPS6 "," IPS6 "," IPS6 "]}",
	  "a", 16 },
	{ "seventeen",
	  "{\"resource\":\"" LAB "\",\"domain\":\"a\",\"proxy_ips\":[" IPS6 "," IPS6 "," IPS6 "," IPS6
	  ",\"::\"]}",
	  NULL, 0 },
	{ "empty name", "{\"resource\":\"" LAB "\",\"domain\":\"\",\"proxy_ips\":[]}", NULL, 0 },
	{ "no name", "{\"resource\":\"" LAB "\",\"proxy_ips\":[]}", NULL, 0 },
	{ "no list", "{\"resource\":\"" LAB "\",\"domain\":\"a\"}", NULL, 0 },
	{ "list of numbers", "{\"resource\":\"" LAB "\",\"domain\":\"a\",\"proxy_ips\":[1]}", NULL, 0 },
	{ "text for a list", "{\"resource\":\"" LAB "\",\"domain\":\"a\",\"proxy_ips\":\"::\"}", NULL, 0 },
	{ "no address", "{\"resource\":\"" LAB "\",\"domain\":\"a\",\"proxy_ips\":[\"x\"]}", NULL, 0 },
	{ "network", "{\"resource\":\"" LAB "\",\"domain\":\"a\",\"proxy_ips\":[\"::/0\"]}", NULL, 0 },
	{ "no id", "{\"resource\":\"x\",\"domain\":\"a\",\"proxy_ips\":[]}", NULL, 0 },
	{ "no object", "[]", NULL, 0 },
	{ "no JSON", "Active", NULL, 0 },
	{ "nothing", "", NULL, 0 },
};

START_TEST(tolerance)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct p2p_assigned_ips got = { .ips_len = 99 };
		int err = p2p_parse_assigned_ips((const uint8_t *)cases[i].json, strlen(cases[i].json), &got);
		ck_assert_msg(err == (cases[i].domain ? 0 : FZ_ERR_WIRE), "%s: %d", cases[i].why, err);
		if (cases[i].domain) {
			ck_assert_str_eq(got.domain, cases[i].domain);
			ck_assert_uint_eq(got.ips_len, cases[i].ips);
		} else {
			ck_assert_uint_eq(got.ips_len, 99);
		}
	}
}
END_TEST

START_TEST(long_names)
{
	char json[2048], name[P2P_DOMAIN_MAX + 2];
	struct p2p_domain_status got;

	for (size_t over = 0; over < 2; over++) {
		memset(name, 'x', P2P_DOMAIN_MAX + over);
		name[P2P_DOMAIN_MAX + over] = '\0';
		snprintf(json, sizeof(json),
			 "{\"resource\":\"" LAB "\",\"domain\":\"%s\",\"status\":\"Active\"}", name);
		ck_assert_int_eq(p2p_parse_domain_status((const uint8_t *)json, strlen(json), &got),
				 over ? FZ_ERR_WIRE : 0);
	}
}
END_TEST

START_TEST(every_cut)
{
	struct p2p_assigned_ips ips;
	struct p2p_domain_status status;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t len = 0; len < strlen(cases[i].json); len++) {
			/* On the heap, so that a byte too many is seen. */
			uint8_t *copy = malloc(len ? len : 1);
			memcpy(copy, cases[i].json, len);
			ck_assert_int_eq(p2p_parse_assigned_ips(copy, len, &ips), FZ_ERR_WIRE);
			ck_assert_int_eq(p2p_parse_domain_status(copy, len, &status), FZ_ERR_WIRE);
			free(copy);
		}
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("p2p_payload");

	unit_case(suite, "p2p_payload", assigned_ips_vector, domain_status_vector, a6_56_unknown_status,
		  a6_57_biggest_message, tolerance, long_names, every_cut);
	return suite;
}
