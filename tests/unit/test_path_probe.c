/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "wire/csum.h"
#include "wire/path_probe.h"

#define REQUEST                                                                                              \
	"6000000000083a4001000000000000000000dead01ce00010100000000000000"                                   \
	"0000dead01ce00028000541612345678"
#define REPLY                                                                                                \
	"6000000000083a4001000000000000000000dead01ce00010100000000000000"                                   \
	"0000dead01ce00028100531612345678"

START_TEST(a16_8_probe_vectors)
{
	uint8_t packet[PATH_PROBE_LEN + 1];
	struct path_probe p = { .id = 0x1234, .seq = 0x5678 };

	path_probe_build(packet, &p);
	unit_assert_hex(packet, PATH_PROBE_LEN, REQUEST);
	ck_assert(path_probe_parse(packet, PATH_PROBE_LEN, &p));
	ck_assert(!p.is_reply && p.id == 0x1234 && p.seq == 0x5678);
	p.is_reply = true;
	path_probe_build(packet, &p);
	unit_assert_hex(packet, PATH_PROBE_LEN, REPLY);
	ck_assert(path_probe_parse(packet, PATH_PROBE_LEN, &p));
	ck_assert(p.is_reply && p.id == 0x1234 && p.seq == 0x5678);
}
END_TEST

/* What we write is a packet that every other rule accepts, too. */
START_TEST(a16_8_probes_are_packets)
{
	uint8_t packet[PATH_PROBE_LEN];
	struct ip_view view;

	for (unsigned i = 0; i < 0x10000; i += 251) {
		const struct path_probe p = { .is_reply = i & 1,
					      .id = (uint16_t)i,
					      .seq = (uint16_t)(i * 31) };
		path_probe_build(packet, &p);
		ck_assert_int_eq(ip_parse_plain(packet, sizeof(packet), &view), IP_OK);
		ck_assert(csum_ok(packet, &view));
	}
}
END_TEST

START_TEST(a16_8_others_are_no_probes)
{
	static const struct {
		size_t at;
		uint8_t value;
		bool is_probe;
	} cases[] = {
		{ 0, 0x45, false }, /* IPv4 */
		{ 6, 17, false }, /* UDP */
		{ 8, 0x20, false },  { 23, 0x02, false }, /* another source */
		{ 39, 0x01, false }, /* another destination */
		{ 40, 130, false },  { 40, 1, false }, /* another message */
		{ 40, 129, true },   { 7, 1, true }, /* hop limit */
		{ 42, 0, true }, /* checksum: the tunnel has authenticated it */
	};
	uint8_t packet[64] = { 0 };
	struct path_probe p;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unit_hex(packet, sizeof(packet), REQUEST);
		packet[cases[i].at] = cases[i].value;
		ck_assert_msg(path_probe_parse(packet, 48, &p) == cases[i].is_probe, "case %zu", i);
	}
	unit_hex(packet, sizeof(packet), REQUEST);
	for (size_t len = 0; len < 48; len++) {
		uint8_t *cut = malloc(len + 1);
		memcpy(cut, packet, len);
		ck_assert(!path_probe_parse(cut, len, &p));
		free(cut);
	}
	ck_assert(path_probe_parse(packet, 64, &p)); /* padded, or with a payload */
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("path_probe");

	unit_case(s, "probe", a16_8_probe_vectors, a16_8_probes_are_packets, a16_8_others_are_no_probes);
	return s;
}
