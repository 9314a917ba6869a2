/* SPDX-License-Identifier: Apache-2.0 */
/* From TUN to TUN through client, network and gateway, and back: packets and super-packets arrive as they
 * were sent, and after the first ones nothing is allocated for them. */
#include "stage.h"

#include "base/addr.h"
#include "wire/csum.h"
#include "wire/dns_name.h"
#include "wire/udp.h"

static struct stage s;
static struct unit_env counting;

static void begin(enum nat_mapping mapping)
{
	const struct stage_opts opts = { .mapping = mapping, .env = &counting };

	unit_env_init(&counting, 11);
	stage_begin(&s, &opts);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_SEC(1)));
	ck_assert(device_peer(s.clients[0], 1)->relayed == (mapping == NAT_EDM));
	/* Let every timer of an active connection have its turn once. */
	for (unsigned i = 0; i < 20; i++) {
		ck_assert(stage_reaches(&s, "10.20.0.1", FZ_SEC(1)));
		stage_pass(&s, FZ_SEC(1));
	}
}

static void end(void)
{
	stage_end(&s);
	unit_env_check(&counting);
}

static void send_super(unsigned seed, bool v6, size_t payload, size_t gso_size)
{
	static uint8_t buf[FZ_PKT_HEADROOM + FZ_SUPER_MAX];
	struct fz_pkt pkt = { .data = buf + FZ_PKT_HEADROOM };
	struct mk m = { .v6 = v6, .payload = payload, .seed = seed, .seq = seed * 100000u };
	struct ip_view v;

	pkt.len = mk_packet(pkt.data, &m);
	if (v6) {
		struct fz_ip src, dst;
		ck_assert_int_eq(fz_ip_parse("fd00:2021:1111::1", &src), 0);
		ck_assert_int_eq(fz_ip_parse("fd00:1::80", &dst), 0);
		memcpy(pkt.data + 8, src.b, 16);
		memcpy(pkt.data + 24, dst.b, 16);
		mk_be16(pkt.data + 42, 80);
	}
	pkt.gso = v6 ? FZ_GSO_TCP6 : FZ_GSO_TCP4;
	pkt.gso_size = (uint16_t)gso_size;
	pkt.needs_csum = 1;
	pkt.csum_start = v6 ? 40 : 20;
	pkt.csum_offset = 16;
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	mk_be16(pkt.data + pkt.csum_start + 16,
		csum_fold(csum_pseudo(pkt.data, &v, pkt.len - pkt.csum_start)));
	device_tun_super(s.clients[0], &pkt);
}

static void no_allocation(enum nat_mapping mapping)
{
	long before;
	unsigned n;

	begin(mapping);
	before = counting.allocs;
	s.swallows = true;
	n = s.n;
	for (unsigned i = 0; i < 2000; i++) {
		stage_send(&s, s.clients[0], "100.64.0.1", i & 1 ? "10.20.0.1" : "10.20.0.2", i & 2 ? 17 : 1,
			   7, (uint16_t)i);
		if (i % 8 == 7)
			stage_pass(&s, FZ_MS(2));
	}
	stage_pass(&s, FZ_MS(200));
	ck_assert_uint_eq(s.n - n, 2000);
	ck_assert_msg(counting.allocs == before, "%ld allocations for 2000 packets",
		      counting.allocs - before);

	s.is_deaf = true;
	s.resource_bytes = 0;
	for (unsigned i = 0; i < 50; i++) {
		send_super(i, false, 60000, 1200);
		stage_pass(&s, FZ_MS(20));
	}
	/* Each segment arrives as a packet of its own here: the simulated network has no batches. */
	ck_assert_uint_eq(s.resource_bytes, 50u * (60000 + 50 * 40));
	ck_assert_msg(counting.allocs == before, "%ld allocations for 50 super-packets",
		      counting.allocs - before);
	ck_assert_uint_ge(s.clients[0]->stats.max_batch, 50);
	end();
}

START_TEST(direct)
{
	no_allocation(NAT_OPEN);
}
END_TEST

START_TEST(through_relays)
{
	no_allocation(NAT_EDM);
}
END_TEST

/* The same to a name: its addresses are translated at the gateway, and nothing is allocated either. */
START_TEST(to_a_name)
{
	const struct stage_opts opts = { .env = &counting };
	uint8_t query[64] = { 0, 1, 1, 0, 0, 1 }, packet[128];
	struct fz_addr from = { .port = 5000 }, to = { .port = 53 };
	struct dns_name name;
	long before;
	unsigned n;

	unit_env_init(&counting, 11);
	stage_begin(&s, &opts);
	host_names_set(&s.lines.names, "web.example", "10.50.0.1", "fd50::1");
	stub_set_names(s.lines.stub, 10, "*.example", NULL, "[]");
	device_system_dns(s.clients[0], "203.0.113.53");
	stage_pass(&s, FZ_MS(50));
	ck_assert_int_eq(dns_name_parse("web.example", &name), 0);
	memcpy(query + 12, name.b, name.len);
	query[13 + name.len] = query[15 + name.len] = 1;
	ck_assert_int_eq(fz_ip_parse("100.64.0.1", &from.ip), 0);
	to.ip = s.clients[0]->stats.dns[0];
	device_tun(s.clients[0], packet, udp_build(packet, &from, &to, query, 16u + name.len));
	ck_assert_uint_eq(s.n, 1);
	for (unsigned i = 0; i < 20; i++) {
		ck_assert(stage_reaches(&s, i & 1 ? "100.96.0.1" : "fd00:2021:1111:8000::", FZ_SEC(1)));
		stage_pass(&s, FZ_SEC(1));
	}
	before = counting.allocs;
	s.swallows = true;
	n = s.n;
	for (unsigned i = 0; i < 2000; i++) {
		stage_send(&s, s.clients[0], i & 1 ? "100.64.0.1" : "fd00:2021:1111::1",
			   i & 1 ? "100.96.0.1" : "fd00:2021:1111:8000::", 17, 7, (uint16_t)(i & 3));
		if (i % 8 == 7)
			stage_pass(&s, FZ_MS(2));
	}
	stage_pass(&s, FZ_MS(200));
	ck_assert_uint_eq(s.n - n, 2000);
	ck_assert_msg(counting.allocs - before <= 4, "%ld allocations for 2000 packets of 4 flows",
		      counting.allocs - before);
	end();
}
END_TEST

/* Super-packets of both families, every size, arrive whole. */
START_TEST(super_packets)
{
	begin(NAT_OPEN);
	stage_send(&s, s.clients[0], "fd00:2021:1111::1", "fd00:1::80", 6, 80, 1);
	stage_pass(&s, FZ_MS(200));
	s.is_deaf = s.swallows = true;
	for (unsigned i = 1; i < 100; i++) {
		size_t gso_size = 200 + i * 10, segs = 2 + i % 40, payload = (segs - 1) * gso_size + 1 + i;
		bool v6 = i & 1;
		unsigned before = s.at_resource;
		s.resource_bytes = 0;
		send_super(i, v6, payload, gso_size);
		stage_pass(&s, FZ_MS(20));
		ck_assert_uint_eq(s.at_resource - before, segs);
		ck_assert_uint_eq(s.resource_bytes, payload + segs * (v6 ? 60 : 40));
	}
	end();
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("whole path");

	unit_case(suite, "allocation", direct, through_relays, to_a_name);
	unit_case(suite, "super-packets", super_packets);
	return suite;
}
