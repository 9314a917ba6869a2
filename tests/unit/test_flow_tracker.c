/* SPDX-License-Identifier: Apache-2.0 */
/* The flow tracker: what opens, joins, splits and ends flows. Numbers are those of the acceptance list. */
#include "unit.h"

#include <stdio.h>

#include "base/time.h"
#include "flow/tracker.h"
#include "flow_token.h"

#define SYN IP_TCP_SYN
#define ACK IP_TCP_ACK
#define FIN IP_TCP_FIN
#define RST IP_TCP_RST
#define UNIX_NS UINT64_C(1700000000000000000)
#define BEGIN_US UINT64_C(5000000)
#define LINES 64

static struct {
	struct unit_env u;
	struct flow_stats stats;
	struct flow_tracker *t;
	uint64_t now_us;
	struct fz_uuid peer, resource;
	uint16_t from_port; /* of the outer source */
	const char *domain;
	char lines[LINES][2048];
	unsigned lines_len;
} w;

static void take_line(void *ctx, enum fz_log_level level, const char *area, const char *line)
{
	(void)ctx;
	if (level != FZ_LOG_TRACE)
		return;
	ck_assert_str_eq(area, FLOW_LOG_AREA);
	ck_assert_uint_lt(w.lines_len, LINES);
	snprintf(w.lines[w.lines_len++], sizeof(w.lines[0]), "%s", line);
}

static int try_begin(bool local)
{
	const struct flow_tracker_opts opts = { .local = local, .unix_ns = UNIX_NS, .stats = &w.stats };

	return flow_tracker_new(&w.u.env, &opts, w.now_us, &w.t);
}

static void reset(void)
{
	memset(&w, 0, sizeof(w));
	unit_env_init(&w.u, 3);
	w.u.env.log = (struct fz_log){ take_line, NULL, FZ_LOG_TRACE };
	w.now_us = BEGIN_US;
	w.peer.b[0] = 1;
	w.resource.b[0] = 2;
	w.from_port = 45000;
}

static int authorize(const struct flow_token *token)
{
	return flow_tracker_authorize(w.t, &w.peer, &w.resource, flow_token(token));
}

/* With uploads and an access. */
static void begin(void)
{
	const struct flow_token token = { 0 };

	reset();
	ck_assert_int_eq(try_begin(false), 0);
	flow_tracker_set_upload(w.t, true);
	ck_assert_int_eq(authorize(&token), 0);
}

static void end(void)
{
	flow_tracker_free(w.t);
	unit_env_check(&w.u);
}

static struct fz_ip ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct fz_ip){ .family = FZ_FAMILY_INET, .b = { a, b, c, d } };
}

static struct ip_view view_of(uint8_t kind, uint8_t flags, uint32_t payload)
{
	uint16_t hdr = kind == IP_UDP ? 28 : 40;

	return (struct ip_view){ .version = 4,
				 .kind = kind,
				 .hdr_len = hdr,
				 .len = hdr + payload,
				 .sport = 1234,
				 .dport = 5201,
				 .tcp_flags = flags,
				 .src = ip4(100, 64, 0, 1),
				 .dst = ip4(10, 0, 0, 5) };
}

static void send_view(const struct ip_view *v, uint16_t gso_size)
{
	const struct fz_pkt pkt = { .len = v->len, .gso = gso_size ? FZ_GSO_TCP4 : 0, .gso_size = gso_size };
	const struct flow_sent s = {
		.peer = &w.peer,
		.resource = &w.resource,
		.outer_src = { .ip = ip4(198, 51, 100, 1), .port = w.from_port },
		.outer_dst = { .ip = ip4(203, 0, 113, 1), .port = 51820 },
	};

	struct flow *opened = flow_tracker_tx(w.t, &s, &pkt, v, w.now_us);

	if (opened && w.domain)
		flow_tracker_set_domain(w.t, opened, w.domain);
}

static void tx(uint8_t kind, uint8_t flags, uint32_t payload)
{
	struct ip_view v = view_of(kind, flags, payload);

	send_view(&v, 0);
}

/* An answer; false: no flow is known for it. */
static bool rx(uint8_t kind, uint8_t flags, uint32_t payload)
{
	struct ip_view v = view_of(kind, flags, payload);
	const struct fz_pkt pkt = { .len = v.len };
	struct flow *f;

	v.src = ip4(10, 0, 0, 5);
	v.dst = ip4(100, 64, 0, 1);
	v.sport = 5201;
	v.dport = 1234;
	f = flow_tracker_find(w.t, &w.peer, &v);
	if (f)
		flow_tracker_rx(w.t, f, &pkt, &v, w.now_us);
	return f != NULL;
}

static void pass(uint64_t us)
{
	uint64_t end_us = w.now_us + us;

	while (flow_tracker_next_timeout(w.t) <= end_us) {
		if (flow_tracker_next_timeout(w.t) > w.now_us)
			w.now_us = flow_tracker_next_timeout(w.t);
		flow_tracker_handle_timeout(w.t, w.now_us);
	}
	w.now_us = end_us;
}

/* Next report of a closed flow; beginnings are skipped and counted. */
static unsigned starts;
static bool closed(struct flow_report *ret)
{
	while (flow_tracker_next_report(w.t, ret)) {
		if (ret->record.is_closed)
			return true;
		starts++;
	}
	return false;
}

static void expect_closed(uint64_t tx_packets, uint64_t rx_packets)
{
	struct flow_report r;

	ck_assert(closed(&r));
	ck_assert_uint_eq(r.record.tx_packets, tx_packets);
	ck_assert_uint_eq(r.record.rx_packets, rx_packets);
}

static void expect_none(void)
{
	struct flow_report r;

	ck_assert(!closed(&r));
}

START_TEST(a13_6_syn_retransmit_is_the_same_flow)
{
	begin();
	tx(IP_TCP, SYN, 0);
	tx(IP_TCP, SYN, 0);
	flow_tracker_close_all(w.t, w.now_us);
	expect_closed(2, 0);
	tx(IP_TCP, SYN, 0);
	ck_assert(rx(IP_TCP, SYN | ACK, 0));
	tx(IP_TCP, SYN, 0);
	flow_tracker_close_all(w.t, w.now_us);
	expect_closed(2, 1);
	expect_none();
	end();
}
END_TEST

START_TEST(a13_7_syn_after_established_is_a_new_flow)
{
	struct flow_report a, b;

	begin();
	tx(IP_TCP, SYN, 0);
	ck_assert(rx(IP_TCP, SYN | ACK, 0));
	tx(IP_TCP, ACK, 0);
	tx(IP_TCP, SYN, 0);
	flow_tracker_close_all(w.t, w.now_us);
	ck_assert(closed(&a));
	ck_assert_uint_eq(a.record.tx_packets, 2);
	ck_assert_uint_eq(a.record.rx_packets, 1);
	ck_assert(closed(&b));
	ck_assert_uint_eq(b.record.tx_packets, 1);
	ck_assert_uint_eq(b.record.rx_packets, 0);
	ck_assert_uint_ne(a.record.start_ns, b.record.start_ns); /* though no time has passed */
	expect_none();
	end();
}
END_TEST

START_TEST(a13_8_what_opens_a_flow)
{
	static const struct {
		uint8_t kind, flags;
		uint32_t payload;
		bool opens;
	} cases[] = {
		{ IP_TCP, ACK, 0, false },       { IP_TCP, ACK, 100, true },      { IP_TCP, SYN, 0, true },
		{ IP_TCP, SYN | ACK, 0, true },  { IP_TCP, FIN, 0, false },       { IP_TCP, RST, 0, false },
		{ IP_TCP, FIN | ACK, 5, false }, { IP_TCP, RST | SYN, 0, false }, { IP_UDP, 0, 0, true },
		{ IP_TCP, 0, 0, true },          { IP_ICMP_ECHO, 0, 8, false },   { IP_OTHER, 0, 8, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin();
		tx(cases[i].kind, cases[i].flags, cases[i].payload);
		ck_assert_uint_eq(flow_tracker_open(w.t), cases[i].opens);
		end();
	}
	begin();
	ck_assert(!rx(IP_TCP, SYN, 0)); /* only the initiator opens */
	ck_assert_uint_eq(flow_tracker_open(w.t), 0);
	end();
}
END_TEST

START_TEST(a13_9_changes_of_path)
{
	struct flow_report r;

	begin();
	for (unsigned i = 0; i < 17; i++) {
		w.from_port = (uint16_t)(45000 + i);
		tx(IP_UDP, 0, 100);
		pass(FZ_MS(10));
	}
	flow_tracker_close_all(w.t, w.now_us);
	ck_assert(closed(&r));
	ck_assert_uint_eq(r.record.tx_packets, 16);
	ck_assert_uint_eq(r.record.outers_len, 16);
	for (unsigned i = 0; i < 16; i++) {
		ck_assert_uint_eq(r.record.outers[i].src.port, 45000 + i);
		ck_assert_uint_eq(r.record.outers[i].at_ns, UNIX_NS + i * 10000000u);
	}
	expect_closed(1, 0);
	expect_none();
	/* Back to an earlier one is a change, too; the same once more is none. */
	w.from_port = 1;
	tx(IP_UDP, 0, 1);
	w.from_port = 2;
	tx(IP_UDP, 0, 1);
	w.from_port = 1;
	tx(IP_UDP, 0, 1);
	tx(IP_UDP, 0, 1);
	flow_tracker_close_all(w.t, w.now_us);
	ck_assert(closed(&r));
	ck_assert_uint_eq(r.record.outers_len, 3);
	end();
}
END_TEST

START_TEST(a13_9_relayed_has_no_source)
{
	const struct fz_pkt pkt = { .len = 30 };
	struct flow_report r;
	struct ip_view v;
	struct flow_sent s = {
		.peer = &w.peer,
		.resource = &w.resource,
		.outer_dst = { .ip = ip4(203, 0, 113, 101), .port = 3478 },
	};

	begin();
	v = view_of(IP_UDP, 0, 2);
	flow_tracker_tx(w.t, &s, &pkt, &v, w.now_us);
	flow_tracker_close_all(w.t, w.now_us);
	ck_assert(closed(&r));
	ck_assert_uint_eq(r.record.outers[0].src.ip.family, FZ_FAMILY_NONE);
	ck_assert_uint_eq(r.record.outers[0].dst.port, 3478);
	/* Nothing that could not be reported is opened, and nothing is made of a way that is not known. */
	s.outer_dst = (struct fz_addr){ 0 };
	flow_tracker_tx(w.t, &s, &pkt, &v, w.now_us);
	ck_assert_uint_eq(flow_tracker_open(w.t), 0);
	tx(IP_UDP, 0, 2);
	flow_tracker_tx(w.t, &s, &pkt, &v, w.now_us);
	flow_tracker_close_all(w.t, w.now_us);
	ck_assert(closed(&r));
	ck_assert_uint_eq(r.record.tx_packets, 2);
	ck_assert_uint_eq(r.record.outers_len, 1);
	end();
}
END_TEST

START_TEST(a13_10_two_minutes_of_silence)
{
	struct flow_report r;

	begin();
	tx(IP_UDP, 0, 5);
	pass(FZ_MS(500));
	ck_assert(rx(IP_UDP, 0, 6));
	pass(FZ_SEC(120));
	ck_assert_uint_eq(flow_tracker_open(w.t), 1);
	pass(FZ_SEC(2));
	ck_assert_uint_eq(flow_tracker_open(w.t), 0);
	ck_assert(closed(&r));
	ck_assert_uint_eq(r.record.last_ns, UNIX_NS + 500000000u);
	ck_assert_uint_gt(r.record.end_ns, r.record.last_ns + UINT64_C(120000000000));
	ck_assert_uint_le(r.record.end_ns, r.record.last_ns + UINT64_C(121000000000));
	/* Packets keep it alive, in both directions, in whatever order flows are touched. */
	tx(IP_UDP, 0, 5);
	tx(IP_TCP, SYN, 0);
	for (int i = 0; i < 10; i++) {
		pass(FZ_SEC(100));
		tx(IP_UDP, 0, 1);
		if (i < 5)
			ck_assert(rx(IP_TCP, ACK, 1));
		ck_assert_uint_eq(flow_tracker_open(w.t), i < 6 ? 2 : 1);
	}
	ck_assert_uint_eq(w.stats.opened, 3);
	ck_assert_uint_eq(w.stats.closed, 2);
	end();
}
END_TEST

START_TEST(fin_both_ways_ends_it)
{
	struct flow_report r;
	uint64_t last;

	begin();
	tx(IP_TCP, SYN, 0);
	rx(IP_TCP, SYN | ACK, 0);
	tx(IP_TCP, ACK, 0);
	tx(IP_TCP, FIN | ACK, 10);
	pass(FZ_SEC(5));
	ck_assert_uint_eq(flow_tracker_open(w.t), 1);
	rx(IP_TCP, FIN | ACK, 20);
	pass(FZ_MS(300));
	tx(IP_TCP, ACK, 0); /* the last acknowledgement counts */
	last = UNIX_NS + (w.now_us - BEGIN_US) * 1000;
	pass(FZ_SEC(2));
	ck_assert(closed(&r));
	ck_assert_uint_eq(r.record.tx_packets, 4);
	ck_assert_uint_eq(r.record.tx_bytes, 10);
	ck_assert_uint_eq(r.record.rx_bytes, 20);
	ck_assert_uint_eq(r.record.last_ns, last);
	ck_assert_uint_eq(r.record.end_ns, last);
	tx(IP_TCP, ACK, 0);
	ck_assert_uint_eq(flow_tracker_open(w.t), 0);
	end();
}
END_TEST

START_TEST(reset_ends_it_at_once)
{
	begin();
	tx(IP_TCP, SYN, 0);
	tx(IP_TCP, RST, 0);
	expect_closed(2, 0);
	tx(IP_TCP, SYN, 0);
	rx(IP_TCP, RST | ACK, 0);
	expect_closed(1, 1);
	ck_assert_uint_eq(flow_tracker_open(w.t), 0);
	end();
}
END_TEST

/* A connection that lost the race of the families is a flow, and shows that nothing was said on it. */
START_TEST(a13_4_without_payload)
{
	struct flow_report r;

	begin();
	tx(IP_TCP, SYN, 0);
	rx(IP_TCP, SYN | ACK, 0);
	tx(IP_TCP, ACK, 0);
	tx(IP_TCP, RST, 0);
	ck_assert(closed(&r));
	ck_assert(r.record.tx_packets == 3 && r.record.rx_packets == 1);
	ck_assert(r.record.tx_bytes == 0 && r.record.rx_bytes == 0);
	end();
}
END_TEST

START_TEST(super_packets_count_as_their_segments)
{
	struct ip_view v;
	struct flow_report r;

	begin();
	v = view_of(IP_TCP, ACK, 24001);
	send_view(&v, 1200);
	flow_tracker_close_all(w.t, w.now_us);
	ck_assert(closed(&r));
	ck_assert_uint_eq(r.record.tx_packets, 21);
	ck_assert_uint_eq(r.record.tx_bytes, 24001);
	end();
}
END_TEST

START_TEST(reports_wait_for_company)
{
	struct flow_report r;

	begin();
	ck_assert_uint_eq(flow_tracker_reports_due(w.t), FZ_NEVER_US);
	tx(IP_TCP, SYN, 0);
	ck_assert_uint_eq(flow_tracker_reports_due(w.t), w.now_us + FZ_SEC(1));
	tx(IP_TCP, RST, 0);
	/* One report for a flow that has begun and ended. */
	ck_assert(flow_tracker_next_report(w.t, &r));
	ck_assert(r.record.is_closed && !r.had_start);
	ck_assert(!flow_tracker_next_report(w.t, &r));
	/* Two for one that lives on. */
	tx(IP_TCP, SYN, 0);
	ck_assert(flow_tracker_next_report(w.t, &r));
	ck_assert(!r.record.is_closed);
	uint64_t start = r.record.start_ns;
	tx(IP_TCP, RST, 0);
	ck_assert(flow_tracker_next_report(w.t, &r));
	ck_assert(r.record.is_closed && r.had_start);
	ck_assert_uint_eq(r.record.start_ns, start);
	end();
}
END_TEST

START_TEST(token_and_domain_of_the_first_packet)
{
	const struct flow_token later = { .id = "99999999-2222-4333-8444-555555555555" };
	struct flow_report r;

	begin();
	w.domain = "git.corp.example";
	tx(IP_UDP, 0, 1);
	ck_assert_int_eq(authorize(&later), 0);
	w.domain = "other.corp.example";
	tx(IP_UDP, 0, 1);
	tx(IP_TCP, SYN, 1);
	ck_assert(flow_tracker_uses(w.t, FLOW_TOKEN_ID));
	flow_tracker_forget(w.t, &w.peer, NULL);
	ck_assert(flow_tracker_uses(w.t, later.id));
	tx(IP_TCP, SYN | ACK, 1);
	flow_tracker_close_all(w.t, w.now_us);
	ck_assert(closed(&r));
	ck_assert_str_eq(r.auth->id, FLOW_TOKEN_ID);
	ck_assert_str_eq(r.record.domain, "git.corp.example");
	ck_assert_uint_eq(r.record.tx_packets, 2);
	ck_assert(closed(&r));
	ck_assert_str_eq(r.auth->id, later.id);
	ck_assert_str_eq(r.record.domain, "other.corp.example");
	expect_none();
	ck_assert(!flow_tracker_uses(w.t, FLOW_TOKEN_ID));
	ck_assert(!flow_tracker_uses(w.t, later.id));
	/* The access is forgotten: nothing opens any more. */
	tx(IP_UDP, 0, 1);
	ck_assert_uint_eq(flow_tracker_open(w.t), 0);
	end();
}
END_TEST

START_TEST(resources_are_told_apart)
{
	const struct flow_token other = { .id = "99999999-2222-4333-8444-555555555555" };
	struct flow_report r;

	begin();
	tx(IP_UDP, 0, 1);
	w.resource.b[0] = 3;
	tx(IP_UDP, 0, 1); /* no token for this one */
	ck_assert_uint_eq(flow_tracker_open(w.t), 1);
	ck_assert_int_eq(authorize(&other), 0);
	tx(IP_UDP, 0, 10);
	rx(IP_UDP, 0, 100); /* belongs to the newest */
	w.resource.b[0] = 2;
	tx(IP_UDP, 0, 1);
	flow_tracker_close_all(w.t, w.now_us);
	ck_assert(closed(&r));
	ck_assert_uint_eq(r.record.tx_bytes, 2);
	ck_assert(closed(&r));
	ck_assert_uint_eq(r.record.tx_bytes, 10);
	ck_assert_uint_eq(r.record.rx_bytes, 100);
	end();
}
END_TEST

START_TEST(a13_12_nothing_without_a_good_token)
{
	static const struct flow_token not_wanted = { .no_uploads = true },
				       no_uuid = { .id = "../../../../../../../etc/cron.d/x1234" };

	begin();
	flow_tracker_forget(w.t, &w.peer, &w.resource);
	tx(IP_UDP, 0, 1);
	ck_assert_int_eq(flow_tracker_authorize(w.t, &w.peer, &w.resource, "not-a-jwt"), FZ_ERR_WIRE);
	tx(IP_UDP, 0, 1);
	ck_assert_int_eq(authorize(&no_uuid), FZ_ERR_WIRE);
	tx(IP_UDP, 0, 1);
	ck_assert_int_eq(authorize(&not_wanted), 0);
	tx(IP_UDP, 0, 1);
	ck_assert_uint_eq(w.stats.opened, 0);
	expect_none();
	end();
}
END_TEST

START_TEST(uploads_go_off_and_on)
{
	struct flow_report r;

	begin();
	tx(IP_UDP, 0, 1);
	flow_tracker_set_upload(w.t, false);
	tx(IP_TCP, SYN, 1);
	ck_assert_uint_eq(flow_tracker_open(w.t), 1);
	ck_assert(!flow_tracker_is_idle(w.t));
	tx(IP_UDP, 0, 1);
	pass(FZ_SEC(122));
	ck_assert(closed(&r)); /* what is open is still told */
	ck_assert_uint_eq(r.record.tx_packets, 2);
	expect_none();
	ck_assert(flow_tracker_is_idle(w.t));
	end();
}
END_TEST

START_TEST(local_log)
{
	static const struct flow_token no_uploads = { .no_uploads = true };
	struct flow_report r;
	struct jv *v, *claims;
	uint64_t n;

	reset();
	ck_assert_int_eq(try_begin(true), 0);
	ck_assert_int_eq(authorize(&no_uploads), 0);
	w.domain = "web.corp.example";
	tx(IP_TCP, SYN, 7);
	tx(IP_TCP, RST, 0);
	ck_assert(!flow_tracker_next_report(w.t, &r)); /* the portal does not want it */
	ck_assert_uint_eq(w.lines_len, 2);
	ck_assert_int_eq(jv_parse(w.lines[0], strlen(w.lines[0]), &v), JV_OK);
	ck_assert_str_eq(jv_str(jv_get(v, "message")), "TCP flow started");
	ck_assert_str_eq(jv_str(jv_get(v, "role")), "responder");
	ck_assert_str_eq(jv_str(jv_get(v, "resource_name")), "Intranet");
	ck_assert_str_eq(jv_str(jv_get(v, "domain")), "web.corp.example");
	ck_assert_ptr_null(jv_get(v, "flow_end"));
	jv_free(v);
	ck_assert_int_eq(jv_parse(w.lines[1], strlen(w.lines[1]), &v), JV_OK);
	ck_assert_str_eq(jv_str(jv_get(v, "message")), "TCP flow completed");
	ck_assert(jv_u64(jv_get(v, "tx_bytes"), &n));
	ck_assert_uint_eq(n, 7);
	ck_assert_ptr_nonnull(jv_get(v, "flow_end"));
	jv_free(v);
	/* Never the token. */
	ck_assert_ptr_null(strstr(w.lines[1], "gXYcNASmo0"));
	tx(IP_UDP, 0, 1);
	ck_assert(!flow_tracker_next_report(w.t, &r));
	ck_assert_uint_eq(w.lines_len, 3);
	claims = NULL;
	ck_assert_int_eq(jv_parse(w.lines[2], strlen(w.lines[2]), &claims), JV_OK);
	ck_assert_str_eq(jv_str(jv_get(claims, "message")), "UDP flow started");
	jv_free(claims);
	end();
}
END_TEST

START_TEST(table_is_bounded)
{
	struct flow_report r;
	struct ip_view v;

	begin();
	v = view_of(IP_UDP, 0, 1);
	for (unsigned i = 0; i < FLOWS_MAX + 10; i++) {
		v.sport = (uint16_t)i;
		v.dport = (uint16_t)(i >> 16);
		send_view(&v, 0);
	}
	ck_assert_uint_eq(flow_tracker_open(w.t), FLOWS_MAX);
	ck_assert_uint_eq(w.stats.untracked, 10);
	/* Closed flows take their place until they are reported. */
	flow_tracker_close_all(w.t, w.now_us);
	send_view(&v, 0);
	ck_assert_uint_eq(w.stats.untracked, 11);
	while (flow_tracker_next_report(w.t, &r))
		;
	send_view(&v, 0);
	ck_assert_uint_eq(flow_tracker_open(w.t), 1);
	end();
}
END_TEST

/* A table against an obvious twin: counters per pair of ports, closed by hand. */
START_TEST(equals_the_obvious)
{
	uint64_t packets[64] = { 0 }, bytes[64] = { 0 }, got_packets[64] = { 0 }, got_bytes[64] = { 0 };
	struct flow_report r;
	struct ip_view v;
	uint8_t b[4];

	begin();
	for (unsigned i = 0; i < 100000; i++) {
		w.u.env.rng.fill(w.u.env.rng.ctx, b, sizeof(b));
		unsigned port = b[0] & 63;
		v = view_of(IP_UDP, 0, b[1]);
		v.sport = (uint16_t)port;
		send_view(&v, 0);
		packets[port]++;
		bytes[port] += b[1];
		if (b[2] == 0) {
			w.now_us += FZ_SEC(b[3] % 4);
			flow_tracker_handle_timeout(w.t, w.now_us);
		}
		if (b[2] == 1)
			flow_tracker_close_all(w.t, w.now_us);
	}
	flow_tracker_close_all(w.t, w.now_us);
	while (closed(&r)) {
		got_packets[r.record.src.port] += r.record.tx_packets;
		got_bytes[r.record.src.port] += r.record.tx_bytes;
		ck_assert_uint_le(r.record.start_ns, r.record.last_ns);
		ck_assert_uint_le(r.record.last_ns, r.record.end_ns);
	}
	ck_assert_mem_eq(packets, got_packets, sizeof(packets));
	ck_assert_mem_eq(bytes, got_bytes, sizeof(bytes));
	ck_assert_uint_eq(w.stats.opened, w.stats.closed);
	end();
}
END_TEST

/* Without memory something is missing, and nothing else happens. */
START_TEST(failing_allocations)
{
	const struct flow_token token = { 0 };
	struct flow_report r;

	for (long n = 1;; n++) {
		reset();
		w.u.fail_at = n;
		if (try_begin(true) == 0) {
			flow_tracker_set_upload(w.t, true);
			(void)authorize(&token);
			w.domain = "a.example";
			tx(IP_UDP, 0, 1);
			w.from_port++;
			tx(IP_UDP, 0, 1);
			w.from_port++;
			tx(IP_UDP, 0, 1);
			flow_tracker_close_all(w.t, w.now_us);
			while (flow_tracker_next_report(w.t, &r)) {
				ck_assert_uint_ge(r.record.outers_len, 1);
				ck_assert_uint_le(r.record.tx_packets, 3); /* the first may have been lost */
			}
			flow_tracker_free(w.t);
		}
		unit_env_check(&w.u);
		if (w.u.allocs < n)
			break;
	}
	ck_assert_uint_eq(w.stats.opened, 1);
	ck_assert_uint_eq(w.stats.outers_lost + w.stats.untracked, 0);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("flow_tracker");

	unit_case(s, "tcp", a13_6_syn_retransmit_is_the_same_flow, a13_7_syn_after_established_is_a_new_flow,
		  a13_8_what_opens_a_flow, fin_both_ways_ends_it, reset_ends_it_at_once,
		  a13_4_without_payload);
	unit_case(s, "paths", a13_9_changes_of_path, a13_9_relayed_has_no_source);
	unit_case(s, "time", a13_10_two_minutes_of_silence);
	unit_case(s, "counts", super_packets_count_as_their_segments, equals_the_obvious, table_is_bounded);
	unit_case(s, "reports", reports_wait_for_company, local_log);
	unit_case(s, "access", token_and_domain_of_the_first_packet, resources_are_told_apart,
		  a13_12_nothing_without_a_good_token, uploads_go_off_and_on, failing_allocations);
	return s;
}
