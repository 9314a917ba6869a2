/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of the Linux platform: header of the TUN device, cutting of batches, route sets, netlink
 * messages. */
#include "unit.h"

#include <linux/netlink.h>
#include <netlink/msg.h>

#include "platform/linux/gso.h"
#include "platform/linux/netmsg.h"
#include "platform/linux/routes.h"
#include "platform/vnet.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* An IP packet: version, protocol, L4 header length, payload length; addresses as in the published seeds. */
static struct fz_pkt make(uint8_t *d, unsigned version, uint8_t proto, size_t l4, size_t payload)
{
	static const uint8_t v4[] = { 100, 64, 0, 1, 10, 20, 0, 100 };
	static const uint8_t v6[] = { 0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0, 0, 0, 0, 0,    0, 0, 0, 0, 1,
				      0xfd, 0, 0x20, 0x21, 0x11, 0x11, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0 };
	size_t ip = version == 4 ? 20 : 40;

	memset(d, 0, ip + l4 + payload);
	if (version == 4) {
		d[0] = 0x45;
		d[9] = proto;
		memcpy(d + 12, v4, 8);
	} else {
		d[0] = 0x60;
		d[6] = proto;
		memcpy(d + 8, v6, 32);
		if (l4 == 32) /* the published seed is for fd00:2021:1111:8000:: */
			memcpy(d + 24, "\xfd\x00\x20\x21\x11\x11\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00",
			       16);
	}
	if (proto == 6)
		d[ip + 12] = (uint8_t)(l4 / 4 << 4);
	return (struct fz_pkt){ .data = d, .len = ip + l4 + payload };
}

static const struct {
	const char *why, *hdr;
	uint8_t version, proto, l4;
	uint16_t payload;
	int want;
	uint8_t gso;
} reads[] = {
	{ "nothing to do", "00000000000000000000", 4, 6, 20, 100, 0, FZ_GSO_NONE },
	{ "checksum only", "01000000000014000600", 4, 17, 8, 100, 0, FZ_GSO_NONE },
	{ "checksum of ICMPv6", "01000000000028000200", 6, 58, 8, 0, 0, FZ_GSO_NONE },
	{ "checksum inside the IP header", "01000000000010000600", 4, 17, 8, 100, FZ_ERR_WIRE, 0 },
	{ "checksum inside the IPv6 header", "01000000000014000600", 6, 17, 8, 100, FZ_ERR_WIRE, 0 },
	{ "checksum past the end", "01000000000014000700", 4, 17, 8, 0, FZ_ERR_WIRE, 0 },
	{ "checksum at the very end", "01000000000014000600", 4, 17, 8, 0, 0, FZ_GSO_NONE },
	{ "checksum far away", "010000000000ffffffff", 4, 17, 8, 0, FZ_ERR_WIRE, 0 },
	{ "TCPv4", "01013400cc0414001000", 4, 6, 32, 2456, 0, FZ_GSO_TCP4 },
	{ "TCPv4, header length is a hint", "0101ffffcc0414001000", 4, 6, 32, 2456, 0, FZ_GSO_TCP4 },
	{ "TCPv4 without a checksum request", "00013400cc0400000000", 4, 6, 32, 2456, 0, FZ_GSO_TCP4 },
	{ "TCPv4 with ECN: not asked for", "01813400cc0414001000", 4, 6, 32, 2456, FZ_ERR_WIRE, 0 },
	{ "TCPv6", "01044800b80428001000", 6, 6, 32, 2416, 0, FZ_GSO_TCP6 },
	{ "UDPv4", "01051c00e40414000600", 4, 17, 8, 2504, 0, FZ_GSO_UDP },
	{ "UDPv6", "01053000d00428000600", 6, 17, 8, 2464, 0, FZ_GSO_UDP },
	{ "fits one segment", "01051c00e40414000600", 4, 17, 8, 1252, 0, FZ_GSO_NONE },
	{ "one byte more than a segment", "01051c00e40414000600", 4, 17, 8, 1253, 0, FZ_GSO_UDP },
	{ "segment size 0", "01051c00000014000600", 4, 17, 8, 2504, FZ_ERR_WIRE, 0 },
	{ "no payload", "01013400cc0414001000", 4, 6, 32, 0, FZ_ERR_WIRE, 0 },
	{ "TCPv6 type on IPv4", "01043400cc0414001000", 4, 6, 32, 2456, FZ_ERR_WIRE, 0 },
	{ "TCPv4 type on UDP", "01011c00cc0414000600", 4, 17, 8, 2456, FZ_ERR_WIRE, 0 },
	{ "UDP type on TCP", "01051c00cc0414001000", 4, 6, 32, 2456, FZ_ERR_WIRE, 0 },
	{ "UFO", "01031c00cc0414000600", 4, 17, 8, 2456, FZ_ERR_WIRE, 0 },
	{ "unknown type", "01071c00cc0414000600", 4, 17, 8, 2456, FZ_ERR_WIRE, 0 },
	{ "checksum elsewhere", "01013400cc0418001000", 4, 6, 32, 2456, FZ_ERR_WIRE, 0 },
	{ "checksum of the other protocol", "01013400cc0414000600", 4, 6, 32, 2456, FZ_ERR_WIRE, 0 },
	{ "TCP header too short", "01013400cc0414001000", 4, 6, 16, 2456, FZ_ERR_WIRE, 0 },
	{ "neither IPv4 nor IPv6", "00000000000000000000", 5, 6, 20, 100, FZ_ERR_WIRE, 0 },
};

START_TEST(header_of_reads)
{
	static uint8_t d[4096];

	for (size_t i = 0; i < LEN(reads); i++) {
		uint8_t hdr[VNET_LEN];
		struct fz_pkt p = make(d, reads[i].version == 5 ? 4 : reads[i].version, reads[i].proto,
				       reads[i].l4, reads[i].payload),
			      got = { 0 };
		if (reads[i].version == 5)
			d[0] = 0x55;
		unit_hex(hdr, sizeof(hdr), reads[i].hdr);
		int err = vnet_decode(hdr, d, p.len, &got);
		ck_assert_msg(err == reads[i].want, "%s: gave %d", reads[i].why, err);
		if (err == 0)
			ck_assert_msg(got.gso == reads[i].gso && got.len == p.len && got.data == d, "%s",
				      reads[i].why);
		if (err == 0 && got.gso)
			ck_assert_msg(got.needs_csum && got.gso_size > 0 &&
					      got.csum_start == (reads[i].version == 4 ? 20 : 40),
				      "%s", reads[i].why);
	}
}
END_TEST

/* Cut at every length: refused or understood, never read past the end (the sanitizer looks). */
START_TEST(header_of_cut_reads)
{
	for (size_t i = 0; i < LEN(reads); i++) {
		uint8_t hdr[VNET_LEN];
		static uint8_t d[4096];
		struct fz_pkt got;
		struct fz_pkt p =
			make(d, reads[i].version == 6 ? 6 : 4, reads[i].proto, reads[i].l4, reads[i].payload);
		unit_hex(hdr, sizeof(hdr), reads[i].hdr);
		for (size_t len = 0; len <= p.len; len++) {
			uint8_t *copy = malloc(len ? len : 1);
			memcpy(copy, d, len);
			int err = vnet_decode(hdr, copy, len, &got);
			ck_assert(err == 0 || err == FZ_ERR_WIRE);
			if (err == 0 && got.gso) {
				ck_assert_int_eq(vnet_encode(&got, hdr), 0);
				unit_hex(hdr, sizeof(hdr), reads[i].hdr);
			}
			free(copy);
		}
	}
}
END_TEST

static const struct {
	const char *hdr;
	uint8_t version, proto, l4;
	uint16_t payload, size;
	uint8_t gso;
} writes[] = {
	{ "00000000000000000000", 4, 6, 20, 100, 0, FZ_GSO_NONE },
	{ "01013400cc0414001000", 4, 6, 32, 2456, 1228, FZ_GSO_TCP4 },
	{ "01044800b80428001000", 6, 6, 32, 2416, 1208, FZ_GSO_TCP6 },
	{ "01051c00e40414000600", 4, 17, 8, 2504, 1252, FZ_GSO_UDP },
	{ "01053000d00428000600", 6, 17, 8, 2464, 1232, FZ_GSO_UDP },
	{ "01012800640014001000", 4, 6, 20, 250, 100, FZ_GSO_TCP4 },
	{ "01051c00640014000600", 4, 17, 8, 250, 100, FZ_GSO_UDP },
};

START_TEST(header_of_writes)
{
	static uint8_t d[4096];

	for (size_t i = 0; i < LEN(writes); i++) {
		uint8_t hdr[VNET_LEN];
		struct fz_pkt p =
			make(d, writes[i].version, writes[i].proto, writes[i].l4, writes[i].payload);
		p.gso = writes[i].gso;
		p.gso_size = writes[i].size;
		if (p.gso) {
			p.csum_start = writes[i].version == 4 ? 20 : 40;
			p.csum_offset = writes[i].proto == 6 ? 16 : 6;
		}
		ck_assert_int_eq(vnet_encode(&p, hdr), 0);
		unit_assert_hex(hdr, VNET_LEN, writes[i].hdr);
		p.needs_csum = 1;
		p.csum_start = (uint16_t)p.len;
		ck_assert_int_eq(vnet_encode(&p, hdr), FZ_ERR_INVAL);
	}
	struct fz_pkt p = make(d, 4, 17, 8, 4);
	uint8_t hdr[VNET_LEN];
	p.needs_csum = 1;
	p.csum_start = 20;
	p.csum_offset = 6;
	ck_assert_int_eq(vnet_encode(&p, hdr), 0);
	unit_assert_hex(hdr, VNET_LEN, "01000000000014000600");
}
END_TEST

/* The seed that goes into a super-packet which came without one. */
START_TEST(seeds)
{
	static const struct {
		uint8_t version, proto, l4;
		uint16_t payload;
		const char *hdr, *seed;
	} cases[] = {
		{ 4, 6, 32, 2456, "00013400cc0400000000", "7877" },
		{ 4, 17, 8, 2504, "00051c00e40400000000", "789a" },
		{ 6, 6, 32, 2416, "00044800b80400000000", "e5fd" },
	};
	static uint8_t d[4096];

	for (size_t i = 0; i < LEN(cases); i++) {
		uint8_t hdr[VNET_LEN];
		struct fz_pkt got,
			p = make(d, cases[i].version, cases[i].proto, cases[i].l4, cases[i].payload);
		unit_hex(hdr, sizeof(hdr), cases[i].hdr);
		ck_assert_int_eq(vnet_decode(hdr, d, p.len, &got), 0);
		unit_assert_hex(d + got.csum_start + got.csum_offset, 2, cases[i].seed);
	}
}
END_TEST

START_TEST(checksums)
{
	uint8_t d[64] = { 0 };
	struct fz_pkt p = { .data = d, .len = 28, .needs_csum = 1, .csum_start = 20, .csum_offset = 6 };

	/* RFC 1071 section 3: the sum of 00 01 f2 03 f4 f5 f6 f7 is ddf2 */
	memcpy(d + 20, "\x00\x01\xf2\x03\xf4\xf5\x00\x00\xf6\xf7", 10);
	p.len = 30;
	ck_assert_int_eq(vnet_complete_csum(&p), 0);
	unit_assert_hex(d + 26, 2, "220d");
	memset(d, 0, sizeof(d));
	p.len = 29; /* an odd byte counts as the high half */
	d[28] = 0xab;
	ck_assert_int_eq(vnet_complete_csum(&p), 0);
	unit_assert_hex(d + 26, 2, "54ff");
	memset(d, 0, sizeof(d));
	d[20] = d[21] = 0xff; /* the complement would be 0 */
	ck_assert_int_eq(vnet_complete_csum(&p), 0);
	unit_assert_hex(d + 26, 2, "ffff");
	p.csum_offset = 8;
	ck_assert_int_eq(vnet_complete_csum(&p), FZ_ERR_INVAL);
}
END_TEST

START_TEST(batches_are_cut)
{
	static const struct {
		size_t seg, segs, bytes;
	} cases[] = { { 48, 64, 3072 },    { 92, 64, 5888 },    { 148, 64, 9472 },   { 500, 64, 32000 },
		      { 1000, 64, 64000 }, { 1312, 49, 64288 }, { 1316, 49, 64484 }, { 1332, 49, 65268 },
		      { 1452, 45, 65340 }, { 1472, 44, 64768 }, { 65507, 1, 65507 }, { 65535, 1, 65535 } };

	for (size_t i = 0; i < LEN(cases); i++) {
		ck_assert_uint_eq(gso_chunk(10000000, cases[i].seg), cases[i].bytes);
		ck_assert_uint_eq(gso_count(cases[i].bytes, cases[i].seg), cases[i].segs);
		ck_assert_uint_eq(gso_count(cases[i].bytes + 1, cases[i].seg), cases[i].segs + 1);
	}
	ck_assert_uint_eq(gso_chunk(2625, 1312), 2625);
}
END_TEST

static struct netmsg_route route(const char *dst, uint32_t table, uint32_t oif, uint32_t metric)
{
	struct netmsg_route r = { .table = table, .oif = oif, .metric = metric };

	ck_assert_int_eq(fz_prefix_parse(dst, &r.dst), 0);
	return r;
}

struct found {
	struct netmsg_route at[8];
	size_t n;
};

static void find(void *ctx, const struct netmsg_route *r)
{
	struct found *f = ctx;

	f->at[f->n++] = *r;
}

START_TEST(route_sets)
{
	struct netmsg_route a[] = { route("10.2.0.0/16", 1, 7, 0), route("10.1.0.0/16", 1, 7, 0),
				    route("::/0", 2, 7, 0), route("10.1.0.0/16", 1, 7, 0),
				    route("10.1.0.0/24", 1, 7, 0) };
	struct netmsg_route b[] = { route("10.1.0.0/16", 1, 7, 0), route("10.2.0.0/16", 1, 8, 0),
				    route("10.1.0.0/24", 1, 7, 5), route("::/0", 2, 7, 0) };
	struct found f = { .n = 0 };
	size_t a_n = routes_normalise(a, LEN(a)), b_n = routes_normalise(b, LEN(b));

	ck_assert_uint_eq(a_n, 4);
	ck_assert_uint_eq(b_n, 4);
	routes_minus(a, a_n, b, b_n, find, &f);
	ck_assert_uint_eq(f.n, 2); /* other interface, other metric */
	ck_assert_uint_eq(f.at[0].dst.len, 24);
	ck_assert_uint_eq(f.at[1].oif, 7);
	f.n = 0;
	routes_minus(a, a_n, a, a_n, find, &f);
	ck_assert_uint_eq(f.n, 0);
	routes_minus(a, a_n, NULL, 0, find, &f);
	ck_assert_uint_eq(f.n, 4);
	f.n = 0;
	routes_minus(NULL, 0, a, a_n, find, &f);
	ck_assert_uint_eq(f.n, 0);
	ck_assert_uint_eq(routes_normalise(a, 0), 0);
}
END_TEST

/* Bytes of a message with sequence 1 and port 0, on a little-endian machine. */
static void assert_message(struct nl_msg *msg, const char *hex)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);

	ck_assert_ptr_nonnull(msg);
	h->nlmsg_seq = 1;
	h->nlmsg_pid = 0;
	unit_assert_hex(h, h->nlmsg_len, hex);
	nlmsg_free(msg);
}

START_TEST(netlink_messages)
{
	const uint16_t one = 1;
	struct netmsg_route r = route("100.64.0.0/11", 0x2021fd00, 7, 0);

	if (*(const uint8_t *)&one != 1)
		return;
	assert_message(netmsg_rule(NETMSG_ADD, FZ_FAMILY_INET, 0xfd002021, 0x2021fd00, 100),
		       "3c000000 2000 0506 01000000 00000000 02 00 00 00 fe 00 00 01 02000000"
		       "0800 0a00 212000fd 0800 0f00 00fd2120 0800 0600 64000000 0500 1500 02 000000");
	assert_message(netmsg_route(NETMSG_ADD, &r),
		       "34000000 1800 0506 01000000 00000000 02 0b 00 00 fe 04 00 01 00000000"
		       "0800 0400 07000000 0800 0f00 00fd2120 0800 0100 64400000");
}
END_TEST

START_TEST(netlink_messages_are_read_back)
{
	struct netmsg_route r = route("2001:db8::/32", 0x2021fd02, 9, 1024);
	struct netmsg_info i;
	struct nl_msg *msg = netmsg_route(NETMSG_ADD, &r);

	ck_assert(netmsg_parse(nlmsg_hdr(msg), &i));
	ck_assert_uint_eq(i.table, 0x2021fd02);
	ck_assert_uint_eq(i.ifindex, 9);
	ck_assert_uint_eq(i.metric, 1024);
	ck_assert(!i.indirect);
	ck_assert_int_eq(memcmp(&i.dst, &r.dst, sizeof(r.dst)), 0);
	nlmsg_free(msg);
	msg = netmsg_addr(NETMSG_DEL, &r.dst.ip, 3);
	ck_assert(netmsg_parse(nlmsg_hdr(msg), &i));
	ck_assert_uint_eq(i.ifindex, 3);
	ck_assert(fz_ip_equal(&i.dst.ip, &r.dst.ip));
	nlmsg_free(msg);
	msg = netmsg_rule(NETMSG_DEL, FZ_FAMILY_INET6, 1, 2, 3);
	ck_assert(!netmsg_parse(nlmsg_hdr(msg), &i));
	nlmsg_free(msg);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("platform parts");

	unit_case(s, "tun header", header_of_reads, header_of_cut_reads, header_of_writes, seeds, checksums);
	unit_case(s, "udp", batches_are_cut);
	unit_case(s, "netlink", route_sets, netlink_messages, netlink_messages_are_read_back);
	return s;
}
