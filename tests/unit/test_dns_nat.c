/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine of names at gateways: every transition, the ring, time, limits, failing allocations. */
#include "unit.h"

#include <stdio.h>

#include "base/time.h"
#include "core/dns_nat.h"
#include "packets.h"

static struct unit_env u;
static struct dns_nat *n;
static char domains[200]; /* their addresses are keys */

static struct dns_nat_key key_of(unsigned gateway, unsigned domain, unsigned resource)
{
	struct dns_nat_key k = { .gateway = gateway, .domain = (const void *)&domains[domain] };

	k.resource.b[15] = (uint8_t)resource;
	return k;
}

/* One packet, told apart by its sequence number. */
static bool hold(const struct dns_nat_key *k, uint32_t seq, uint64_t now_us)
{
	uint8_t buf[1400];
	struct fz_pkt pkt = ip_pkt(buf, mk_packet(buf, &(struct mk){ .seq = seq, .payload = 10 }));
	struct ip_view view;

	ck_assert_int_eq(ip_parse(&pkt, &view), IP_OK);
	return dns_nat_hold(n, k, &pkt, &view, now_us);
}

/* Sequence numbers of a ring, as text. */
static const char *drain(struct pending *ring)
{
	static char text[512];
	struct fz_pkt pkt;
	struct ip_view view;
	size_t len = 0;

	text[0] = '\0';
	while (pending_take(ring, &pkt)) {
		ck_assert_int_eq(ip_parse(&pkt, &view), IP_OK);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u", len ? " " : "", view.tcp_seq);
	}
	pending_clear(ring);
	return text;
}

static bool take(const struct dns_nat_key *k, uint64_t now_us)
{
	const struct dns_nat_key *due = dns_nat_take_due(n, k->gateway, now_us);

	if (due == NULL)
		return false;
	ck_assert_ptr_eq(due->domain, k->domain);
	ck_assert(fz_uuid_equal(&due->resource, &k->resource));
	return true;
}

static void begin(void)
{
	unit_env_init(&u, 1);
	ck_assert_int_eq(dns_nat_new(&u.env, 0, &n), 0);
}

static void end(void)
{
	dns_nat_free(n);
	n = NULL;
	unit_env_check(&u);
}

enum what { ANNOUNCE, AGAIN, PACKET, ACTIVE, INACTIVE, FORGET };
enum effect { NOTHING = 0, SENT = 1, HELD = 2, PASSED = 4, RELEASED = 8 };

/* Steps of a case, each some time after the one before, and what it does. The same entry all along. */
static const struct {
	const char *why;
	struct {
		unsigned after_ms;
		enum what what;
		unsigned effect;
	} steps[8];
	size_t len;
} cases[] = {
	{ "grant, answer, traffic",
	  { { 0, ANNOUNCE, SENT }, { 1, PACKET, HELD }, { 1, ACTIVE, RELEASED }, { 1, PACKET, PASSED } },
	  4 },
	{ "a packet comes first", { { 0, PACKET, HELD | SENT }, { 5, ACTIVE, RELEASED } }, 2 },
	{ "pending: repeated with traffic after 2 s, not earlier",
	  { { 0, ANNOUNCE, SENT },
	    { 1999, PACKET, HELD },
	    { 1, PACKET, HELD | SENT },
	    { 1999, AGAIN, NOTHING },
	    { 1, ANNOUNCE, SENT },
	    { 2000, AGAIN, SENT } },
	  6 },
	{ "confirmed: a grant changes nothing",
	  { { 0, ANNOUNCE, SENT },
	    { 1, ACTIVE, NOTHING },
	    { 9000, ANNOUNCE, NOTHING },
	    { 1, PACKET, PASSED } },
	  4 },
	{ "confirmed, asked again: announced, packets pass",
	  { { 0, ANNOUNCE, SENT },
	    { 1, ACTIVE, NOTHING },
	    { 1, AGAIN, SENT },
	    { 1, PACKET, PASSED },
	    { 1, AGAIN, NOTHING },
	    { 1999, PACKET, PASSED | SENT },
	    { 1, ACTIVE, NOTHING },
	    { 1, PACKET, PASSED } },
	  8 },
	{ "refused: packets pass until it is asked again, then wait",
	  { { 0, ANNOUNCE, SENT },
	    { 1, PACKET, HELD },
	    { 1, INACTIVE, RELEASED },
	    { 5000, PACKET, PASSED },
	    { 1, ANNOUNCE, NOTHING },
	    { 1, AGAIN, SENT },
	    { 1, PACKET, HELD },
	    { 1, ACTIVE, RELEASED } },
	  8 },
	{ "refused, then served after all",
	  { { 0, ANNOUNCE, SENT },
	    { 1, INACTIVE, NOTHING },
	    { 1, ACTIVE, NOTHING },
	    { 1, AGAIN, SENT },
	    { 1, PACKET, PASSED } },
	  5 },
	{ "confirmed, then refused",
	  { { 0, ANNOUNCE, SENT },
	    { 1, ACTIVE, NOTHING },
	    { 1, INACTIVE, NOTHING },
	    { 1, AGAIN, SENT },
	    { 1, PACKET, HELD } },
	  5 },
	{ "an answer that nobody waits for", { { 0, ACTIVE, NOTHING }, { 1, PACKET, HELD | SENT } }, 2 },
	{ "forgotten: as if new",
	  { { 0, ANNOUNCE, SENT },
	    { 1, ACTIVE, NOTHING },
	    { 1, FORGET, NOTHING },
	    { 1, PACKET, HELD | SENT } },
	  4 },
};

static unsigned step(enum what what, uint64_t now_us)
{
	struct dns_nat_key k = key_of(1, 1, 1);
	struct pending ring = { 0 };
	unsigned got = 0;

	switch (what) {
	case ANNOUNCE:
	case AGAIN:
		ck_assert_int_eq(dns_nat_announce(n, &k, what == AGAIN, now_us), 0);
		break;
	case PACKET:
		got |= hold(&k, (uint32_t)now_us, now_us) ? HELD : PASSED;
		break;
	case ACTIVE:
	case INACTIVE:
		dns_nat_answered(n, &k, what == ACTIVE, &ring);
		got |= ring.used > 0 ? RELEASED : 0;
		drain(&ring);
		break;
	case FORGET:
		dns_nat_forget_resource(n, &k.resource);
		break;
	}
	while (take(&k, now_us))
		got |= SENT;
	return got;
}

START_TEST(transitions)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t now_us = FZ_SEC(1000);
		begin();
		for (size_t s = 0; s < cases[i].len; s++) {
			now_us += FZ_MS(cases[i].steps[s].after_ms);
			unsigned got = step(cases[i].steps[s].what, now_us);
			ck_assert_msg(got == cases[i].steps[s].effect, "%s, step %zu: %u", cases[i].why,
				      s + 1, got);
		}
		end();
	}
}
END_TEST

START_TEST(a6_50_ring_of_32_in_order)
{
	struct dns_nat_key k = key_of(1, 1, 1);
	struct pending ring;

	begin();
	for (uint32_t i = 1; i <= 40; i++)
		ck_assert(hold(&k, i, FZ_SEC(1)));
	ck_assert(hold(&k, 40, FZ_SEC(1))); /* known */
	ck_assert_uint_eq(dns_nat_take_lost(n), 8);
	dns_nat_answered(n, &k, true, &ring);
	ck_assert_str_eq(drain(&ring), "9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 "
				       "32 33 34 35 36 37 38 39 40");
	ck_assert_uint_eq(dns_nat_take_lost(n), 0);
	end();
}
END_TEST

START_TEST(a6_52_timer_repeats_for_held_packets)
{
	struct dns_nat_key k = key_of(1, 1, 1);
	struct pending ring;
	unsigned sent = 0;
	uint64_t at;

	begin();
	ck_assert_int_eq(dns_nat_announce(n, &k, false, FZ_SEC(1)), 0);
	ck_assert(take(&k, FZ_SEC(1)));
	ck_assert_uint_eq(dns_nat_next_timeout(n), FZ_NEVER_US); /* nobody waits */
	ck_assert(hold(&k, 1, FZ_SEC(2)));
	while ((at = dns_nat_next_timeout(n)) < FZ_SEC(32)) {
		ck_assert_uint_eq(at, FZ_SEC(3 + 2 * sent));
		ck_assert(!dns_nat_handle_timeout(n, at - 1, &ring));
		ck_assert(!take(&k, at - 1));
		ck_assert(!dns_nat_handle_timeout(n, at, &ring));
		ck_assert_uint_gt(dns_nat_next_timeout(n), at); /* due, but perhaps not connected */
		ck_assert(take(&k, at));
		sent++;
	}
	ck_assert_uint_eq(sent, 15);
	ck_assert(dns_nat_handle_timeout(n, FZ_SEC(32), &ring));
	ck_assert_str_eq(drain(&ring), "1");
	ck_assert(!dns_nat_handle_timeout(n, FZ_SEC(32), &ring));
	ck_assert_uint_eq(dns_nat_next_timeout(n), FZ_NEVER_US);
	/* It is still pending: another packet starts over. */
	ck_assert(hold(&k, 2, FZ_SEC(40)));
	ck_assert(take(&k, FZ_SEC(40)));
	dns_nat_answered(n, &k, true, &ring);
	ck_assert_str_eq(drain(&ring), "2");
	end();
}
END_TEST

START_TEST(a6_53_one_set_up_per_resource)
{
	struct dns_nat_key a = key_of(1, 1, 1), b = key_of(1, 1, 2), c = key_of(2, 1, 1), d = key_of(1, 2, 1);
	struct pending ring;

	begin();
	ck_assert(hold(&a, 1, 1) && hold(&b, 2, 1) && hold(&c, 3, 1) && hold(&d, 4, 1));
	ck_assert_uint_eq(dns_nat_count(n), 4);
	ck_assert(take(&a, 1));
	ck_assert(take(&b, 1));
	ck_assert(take(&d, 1));
	ck_assert_ptr_null(dns_nat_take_due(n, 1, 1));
	ck_assert(take(&c, 1)); /* it waited until its gateway was asked for */
	dns_nat_answered(n, &b, true, &ring);
	ck_assert_str_eq(drain(&ring), "2");
	dns_nat_forget_resource(n, &a.resource);
	ck_assert_uint_eq(dns_nat_count(n), 1);
	ck_assert_uint_eq(dns_nat_take_lost(n), 3);
	dns_nat_forget_gateway(n, 1);
	ck_assert_uint_eq(dns_nat_count(n), 0);
	end();
}
END_TEST

START_TEST(limits)
{
	struct pending ring;

	begin();
	for (unsigned i = 0; i < DNS_NAT_HOLDERS_MAX + 6; i++) {
		struct dns_nat_key k = key_of(1, i, 1);
		ck_assert(hold(&k, i, 1 + i));
	}
	ck_assert_uint_eq(dns_nat_take_lost(n), 6);
	for (unsigned i = 0; i < DNS_NAT_HOLDERS_MAX + 6; i++) {
		struct dns_nat_key k = key_of(1, i, 1);
		char want[8];
		snprintf(want, sizeof(want), "%u", i);
		dns_nat_answered(n, &k, true, &ring);
		ck_assert_str_eq(drain(&ring), i < 6 ? "" : want);
	}
	dns_nat_free(n);
	ck_assert_int_eq(dns_nat_new(&u.env, 3, &n), 0);
	for (unsigned i = 0; i < 5; i++) {
		struct dns_nat_key k = key_of(1, i, 1);
		ck_assert_int_eq(dns_nat_announce(n, &k, false, 1), 0);
		if (i == 2)
			k = key_of(1, 0, 1);
		if (i == 2) { /* the first is announced again, so that the second is the oldest */
			dns_nat_answered(n, &k, true, &ring);
			ck_assert_int_eq(dns_nat_announce(n, &k, true, 2), 0);
		}
	}
	ck_assert_uint_eq(dns_nat_count(n), 3);
	struct dns_nat_key first = key_of(1, 0, 1);
	ck_assert(take(&first, 3));
	end();
}
END_TEST

START_TEST(failing_allocations)
{
	for (long fail = 1;; fail++) {
		struct dns_nat_key k = key_of(1, 1, 1);
		struct pending ring = { 0 };
		unit_env_init(&u, 1);
		u.fail_at = fail;
		if (dns_nat_new(&u.env, 0, &n) == 0) {
			(void)dns_nat_announce(n, &k, false, 1);
			ck_assert(hold(&k, 1, 1));
			ck_assert(hold(&k, 2, 1));
			dns_nat_answered(n, &k, true, &ring);
			ck_assert_uint_eq(ring.used + dns_nat_take_lost(n), 2);
			pending_clear(&ring);
			dns_nat_free(n);
		}
		bool done = u.allocs < fail;
		unit_env_check(&u);
		if (done)
			break;
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("dns_nat");

	unit_case(suite, "dns_nat", transitions, a6_50_ring_of_32_in_order,
		  a6_52_timer_repeats_for_held_packets, a6_53_one_set_up_per_resource, limits,
		  failing_allocations);
	return suite;
}
