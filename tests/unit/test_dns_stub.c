/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the stub answers itself. */
#include "dns_rig.h"

#include "base/time.h"
#include "base/wr.h"

static void check_vector(struct rig *r, const char *query, const char *answer)
{
	struct dns_origin o = rig_origin("100.100.111.1", 50000, false);

	r->query_len = unit_hex(r->query, sizeof(r->query), query);
	ck_assert_int_eq(dns_stub_handle_query(r->stub, &o, r->query, r->query_len, r->now_us), 0);
	do
		ck_assert(dns_stub_poll(r->stub, &r->out, r->now_us));
	while (r->out.type == DNS_OUT_NAME);
	ck_assert_int_eq(r->out.type, DNS_OUT_ANSWER);
	ck_assert(fz_ip_equal(&r->out.u.answer.origin.sentinel, &o.sentinel));
	ck_assert(fz_addr_equal(&r->out.u.answer.origin.peer, &o.peer));
	unit_assert_hex(r->out.u.answer.data, r->out.u.answer.len, answer);
	rig_want_nothing(r);
}

#define DB "026462076578616d706c6503636f6d00"

START_TEST(a6_11_recorded_answers)
{
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "db.example.com", PORTAL_STACK_DUAL);
	check_vector(&r, "123401000001000000000000" DB "00010001",
		     "123481000001000400000000" DB "00010001" DB "000100010000000100046460000102646207"
		     "6578616d706c6503636f6d000001000100000001000464600002" DB
		     "0001000100000001000464600003" DB "0001000100000001000464600004");
	check_vector(&r, "123501000001000000000000" DB "001c0001",
		     "123581000001000400000000" DB "001c0001" DB
		     "001c0001000000010010fd002021111180000000000000000000" DB
		     "001c0001000000010010fd002021111180000000000000000001" DB
		     "001c0001000000010010fd002021111180000000000000000002" DB
		     "001c0001000000010010fd002021111180000000000000000003");
	check_vector(&r, "123601000001000000000000" DB "00410001", "123681000001000000000000" DB "00410001");
	check_vector(&r, "123701000001000000000000137573652d6170706c69636174696f6e2d646e73036e65740000010001",
		     "123781030001000000000000137573652d6170706c69636174696f6e2d646e73036e65740000010001");
	check_vector(&r, "123801000001000000000000013101300239360331303007696e2d61646472046172706100000c0001",
		     "123881000001000100000000013101300239360331303007696e2d61646472046172706100000c0001"
		     "013101300239360331303007696e2d61646472046172706100000c0001000000010010" DB);
	rig_clear(&r);
}
END_TEST

START_TEST(forwarded_query)
{
	struct rig r;
	struct dns_msg m;
	uint64_t id;

	rig_init(&r, 2);
	rig_ask(&r, "www.example.org", DNS_A);
	id = rig_want_exchange(&r, DNS_PATH_DIRECT, "192.0.2.1");
	rig_want_nothing(&r);
	rig_reply(&r, id, 2, 60);
	m = rig_want_answer(&r, DNS_NOERROR, 2);
	ck_assert_uint_eq(m.id, 0x1234);
	rig_want_nothing(&r);
	ck_assert_uint_eq(dns_stub_next_timeout(r.stub), FZ_NEVER_US);
	rig_clear(&r);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("dns_stub");

	unit_case(s, "resources", a6_11_recorded_answers, forwarded_query);
	return s;
}
