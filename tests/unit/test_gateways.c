/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway may send to a client. */
#include "unit.h"

#include "core/gateways.h"

static struct fz_ip ip_of(const char *text)
{
	struct fz_ip ip;

	ck_assert_msg(fz_ip_parse(text, &ip) == 0, "%s", text);
	return ip;
}

static const struct {
	const char *src;
	bool nothing, network, internet; /* by what it serves */
} rows[] = {
	{ "100.64.1.1", true, true, true }, /* itself */
	{ "fd00:2021:1111::1:1", true, true, true },
	{ "10.20.0.7", false, true, true },
	{ "10.21.0.7", false, false, true },
	{ "2001:db8::1", false, false, true },
	{ "100.64.1.2", false, false, false }, /* another peer */
	{ "fd00:2021:1111::1:2", false, false, false },
	{ "100.96.0.1", false, false, false }, /* a name */
	{ "fd00:2021:1111:8000::1", false, false, false },
	{ "100.100.111.1", false, false, false }, /* a DNS server */
	{ "fd00:2021:1111:8000:100:100:111:0", false, false, false },
	{ "100.128.0.1", false, false, true },
};

START_TEST(sources)
{
	struct portal_authz_created a = { .gateway_ipv4 = ip_of("100.64.1.1"),
					  .gateway_ipv6 = ip_of("fd00:2021:1111::1:1") };
	struct resource net = { .type = PORTAL_RESOURCE_CIDR, .id = { { 1 } } },
			internet = { .type = PORTAL_RESOURCE_INTERNET, .id = { { 2 } } };
	struct gateways s;
	struct unit_env u;

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_prefix_parse("10.20.0.0/16", &net.net), 0);
	ck_assert_int_eq(gateways_init(&s, &u.env), 0);
	struct gateway_peer *g = gateways_add(&s, &a, 1);
	ck_assert_ptr_nonnull(g);
	for (int round = 0; round < 3; round++) {
		if (round == 1)
			ck_assert_int_eq(gateways_allow(&s, g, &net), 0);
		if (round == 2)
			ck_assert_int_eq(gateways_allow(&s, g, &internet), 0);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct fz_ip src = ip_of(rows[i].src);
			bool want = round == 0   ? rows[i].nothing
				    : round == 1 ? rows[i].network
						 : rows[i].internet;
			ck_assert_msg(gateway_may_send(g, &src) == want, "%s, round %d", rows[i].src, round);
		}
	}
	gateways_clear(&s);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("gateways");

	unit_case(s, "sources", sources);
	return s;
}
