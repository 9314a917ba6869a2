/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "core/dns_servers.h"

#define LIST_MAX 120

static size_t parse_list(const char *text, struct fz_ip *ret)
{
	char copy[4096], *at = copy, *word;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((word = strtok(at, " ")) != NULL) {
		at = NULL;
		ck_assert_int_eq(fz_ip_parse(word, &ret[n++]), 0);
	}
	return n;
}

static bool set_system(struct dns_servers *s, const char *list)
{
	struct fz_ip v[LIST_MAX];
	bool changed;

	dns_servers_set_system(s, v, parse_list(list, v), &changed);
	return changed;
}

static bool set_portal(struct dns_servers *s, const char *do53, const char *const *doh, size_t n)
{
	struct fz_ip v[LIST_MAX];
	bool changed;

	ck_assert_int_eq(dns_servers_set_portal(s, v, parse_list(do53, v), doh, n, &changed), 0);
	return changed;
}

/* "sentinel=server" of each, in order. */
static void check(const struct dns_servers *s, const char *want)
{
	char got[8192] = "", a[FZ_IP_STRLEN], b[FZ_IP_STRLEN];

	for (size_t i = 0; i < s->len; i++) {
		const struct dns_server *d = &s->v[i];
		size_t len = strlen(got);
		snprintf(got + len, sizeof(got) - len, "%s%s=%s", i ? " " : "", fz_ip_format(&d->sentinel, a),
			 d->url ? d->url : fz_ip_format(&d->ip, b));
		ck_assert_ptr_eq(dns_servers_find(s, &d->sentinel), d);
	}
	ck_assert_str_eq(got, want);
}

#define V6_0 "fd00:2021:1111:8000:100:100:111:0"
#define V6_1 "fd00:2021:1111:8000:100:100:111:1"

START_TEST(a6_43_each_server_has_a_sentinel)
{
	struct unit_env u;
	struct dns_servers s;

	unit_env_init(&u, 1);
	dns_servers_init(&s, &u.env);
	check(&s, "");
	ck_assert(set_system(&s, "1.1.1.1 1.0.0.1 2606:4700:4700::1111"));
	check(&s, "100.100.111.1=1.1.1.1 100.100.111.2=1.0.0.1 " V6_0 "=2606:4700:4700::1111");
	/* The same in another order changes nothing. */
	ck_assert(!set_system(&s, "1.0.0.1 2606:4700:4700::1111 1.1.1.1"));
	check(&s, "100.100.111.1=1.1.1.1 100.100.111.2=1.0.0.1 " V6_0 "=2606:4700:4700::1111");
	ck_assert(set_system(&s, "8.8.8.8"));
	check(&s, "100.100.111.3=8.8.8.8");
	ck_assert(set_system(&s, "9.9.9.9"));
	check(&s, "100.100.111.1=9.9.9.9");
	ck_assert(set_system(&s, "9.9.9.9 2001:db8::1"));
	check(&s, "100.100.111.2=9.9.9.9 " V6_0 "=2001:db8::1");
	ck_assert(set_system(&s, "2001:db8::1"));
	check(&s, V6_1 "=2001:db8::1");
	ck_assert(set_system(&s, ""));
	check(&s, "");
	ck_assert(!set_system(&s, ""));
	dns_servers_clear(&s);
	unit_env_check(&u);
}
END_TEST

START_TEST(a6_43_recorded_sentinels)
{
	struct unit_env u;
	struct dns_servers s;

	unit_env_init(&u, 1);
	dns_servers_init(&s, &u.env);
	set_system(&s, "203.0.113.10");
	check(&s, "100.100.111.1=203.0.113.10");
	set_portal(&s, "10.20.0.53", NULL, 0);
	check(&s, "100.100.111.2=10.20.0.53");
	set_portal(&s, "10.20.0.53 203.0.113.10 fd20::53 100.100.111.7", NULL, 0);
	check(&s, "100.100.111.1=10.20.0.53 100.100.111.3=203.0.113.10 " V6_0 "=fd20::53");
	set_portal(&s, "", NULL, 0);
	check(&s, "100.100.111.2=203.0.113.10");
	set_portal(&s, "10.99.0.1", NULL, 0);
	check(&s, "100.100.111.1=10.99.0.1");
	dns_servers_clear(&s);
	unit_env_check(&u);
}
END_TEST

START_TEST(a6_40_which_list_counts)
{
	static const char *const doh[] = { "https://dns.google/dns-query",
					   "https://dns.quad9.net/dns-query" };
	struct unit_env u;
	struct dns_servers s;

	unit_env_init(&u, 1);
	dns_servers_init(&s, &u.env);
	ck_assert(set_portal(&s, "", doh, 2));
	check(&s, "100.100.111.1=https://dns.google/dns-query 100.100.111.2=https://dns.quad9.net/dns-query");
	ck_assert(!set_system(&s, "192.0.2.1")); /* known, and of no account */
	ck_assert(!s.from_portal);
	ck_assert(set_portal(&s, "10.0.0.53", doh, 2));
	check(&s, "100.100.111.3=10.0.0.53");
	ck_assert(s.from_portal);
	ck_assert(set_portal(&s, "", doh, 2));
	ck_assert(set_portal(&s, "", NULL, 0));
	check(&s, "100.100.111.3=192.0.2.1");
	ck_assert(!s.from_portal);
	/* The system's server named by the portal: the same sentinel, but it may be a resource now. */
	ck_assert(!set_portal(&s, "192.0.2.1", NULL, 0));
	ck_assert(s.from_portal);
	dns_servers_clear(&s);
	unit_env_check(&u);
}
END_TEST

START_TEST(a6_41_duplicates)
{
	static const char *const doh[] = { "https://a/q", "https://b/q", "https://a/q" };
	struct unit_env u;
	struct dns_servers s;

	unit_env_init(&u, 1);
	dns_servers_init(&s, &u.env);
	set_system(&s, "1.1.1.1 2.2.2.2 1.1.1.1 3.3.3.3 2.2.2.2");
	check(&s, "100.100.111.1=1.1.1.1 100.100.111.2=2.2.2.2 100.100.111.3=3.3.3.3");
	set_portal(&s, "", doh, 3);
	check(&s, "100.100.111.4=https://a/q 100.100.111.5=https://b/q");
	set_portal(&s, "9.9.9.9 8.8.8.8 9.9.9.9", doh, 3);
	check(&s, "100.100.111.1=9.9.9.9 100.100.111.2=8.8.8.8");
	dns_servers_clear(&s);
	unit_env_check(&u);
}
END_TEST

START_TEST(a6_42_sentinels_are_no_servers)
{
	struct unit_env u;
	struct dns_servers s;

	unit_env_init(&u, 1);
	dns_servers_init(&s, &u.env);
	set_system(&s, "1.1.1.1 100.100.111.1 " V6_0 " 100.100.111.255");
	check(&s, "100.100.111.1=1.1.1.1");
	set_portal(&s, "100.100.111.1", NULL, 0); /* nothing left: the system's */
	check(&s, "100.100.111.1=1.1.1.1");
	ck_assert_uint_eq(s.left_out, 4);
	dns_servers_clear(&s);
	unit_env_check(&u);
}
END_TEST

START_TEST(a_hundred_servers)
{
	struct unit_env u;
	struct dns_servers s;

	unit_env_init(&u, 1);
	dns_servers_init(&s, &u.env);
	/* However often all of them change there is a sentinel for each. */
	for (int round = 0; round < 20; round++) {
		char list[4096] = "";
		for (int i = 0; i < 100; i++)
			snprintf(list + strlen(list), 32, "10.0.%d.%d ", round, i);
		ck_assert(set_system(&s, list));
		ck_assert_uint_eq(s.len, DNS_SERVERS_MAX);
		for (size_t i = 0; i < s.len; i++)
			ck_assert_ptr_eq(dns_servers_find(&s, &s.v[i].sentinel), &s.v[i]);
	}
	ck_assert_uint_gt(s.left_out, 0);
	dns_servers_clear(&s);
	unit_env_check(&u);
}
END_TEST

START_TEST(a6_48_no_half_state)
{
	static const char *const doh[] = { "https://a/q", "https://b/q" }, *const other[] = { "https://b/q",
											      "https://a/q" };
	struct fz_ip ip;

	ck_assert_int_eq(fz_ip_parse("10.0.0.1", &ip), 0);
	for (long fail = 1; fail <= 3; fail++) {
		struct unit_env u;
		struct dns_servers s;
		bool changed;
		int err;

		unit_env_init(&u, 1);
		dns_servers_init(&s, &u.env);
		set_portal(&s, "", doh, 2);
		u.fail_at = u.allocs + fail;
		err = dns_servers_set_portal(&s, &ip, fail == 3, other, 2, &changed);
		ck_assert_int_eq(err, fail < 3 ? FZ_ERR_NOMEM : 0);
		if (err != 0)
			check(&s, "100.100.111.1=https://a/q 100.100.111.2=https://b/q");
		dns_servers_clear(&s);
		unit_env_check(&u);
	}
}
END_TEST

/* The same set in another order: its texts are in other memory, the old one is gone. */
START_TEST(urls_move)
{
	static const char *const doh[] = { "https://a/q", "https://b/q" }, *const other[] = { "https://b/q",
											      "https://a/q" };
	struct unit_env u;
	struct dns_servers s;

	unit_env_init(&u, 1);
	dns_servers_init(&s, &u.env);
	set_portal(&s, "", doh, 2);
	ck_assert(!set_portal(&s, "", other, 2));
	check(&s, "100.100.111.1=https://a/q 100.100.111.2=https://b/q");
	dns_servers_clear(&s);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("dns_servers");

	unit_case(s, "sentinels", a6_43_each_server_has_a_sentinel, a6_43_recorded_sentinels,
		  a_hundred_servers);
	unit_case(s, "lists", a6_40_which_list_counts, a6_41_duplicates, a6_42_sentinels_are_no_servers,
		  a6_48_no_half_state, urls_move);
	return s;
}
