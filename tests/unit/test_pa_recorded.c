/* SPDX-License-Identifier: Apache-2.0 */
/* Two recorded runs of Firezone's own programs without ICE (tests/vectors/captures): our agent in their
 * client's place announces the same texts, sends the first handshake on the same pairs in the same order and
 * steps, and probes the same pairs in the same order. */
#include "unit.h"

#include <jansson.h>
#include <stdio.h>

#include "base/time.h"
#include "base/wr.h"
#include "proto/path.h"
#include "wire/turn.h"
#include "wire/wg.h"

#define ROUTES 32
#define START_US FZ_SEC(1000)

struct run {
	json_t *root;
	struct unit_env u;
	struct path *p;
	struct fz_addr host, relay4, relay6, server; /* the client's, and the relay's socket */
	struct fz_addr channel[ROUTES]; /* peers by number */
	double start; /* of the file's clock: the first CHANNEL-BIND */
};

static struct fz_addr addr(const char *text)
{
	struct fz_addr a = { 0 };

	ck_assert_msg(fz_addr_parse(text, &a) == 0, "address %s", text);
	return a;
}

static json_t *load(const char *name)
{
	char path[512];
	json_error_t err;

	snprintf(path, sizeof(path), TEST_VECTORS "/captures/%s.json", name);
	json_t *root = json_load_file(path, 0, &err);
	ck_assert_msg(root != NULL, "%s: %s", path, err.text);
	return root;
}

/* The candidates of the first message of this event. */
static json_t *candidates(const struct run *r, const char *event)
{
	json_t *m;
	size_t i;

	json_array_foreach(json_object_get(r->root, "portal"), i,
			   m) if (strcmp(json_string_value(json_object_get(m, "event")), event) ==
				  0) return json_object_get(json_object_get(m, "payload"), "candidates");
	ck_abort_msg("no %s", event);
	return NULL;
}

/* What the client announced becomes our agent's own addresses, and has to come out as the same text. */
static void add_locals(struct run *r)
{
	char text[CAND_TEXT_MAX];
	json_t *v;
	size_t i;

	json_array_foreach(candidates(r, "new_gateway_ice_candidates"), i, v)
	{
		struct cand c;
		ck_assert_int_eq(cand_parse_plain(json_string_value(v), &c), 0);
		if (c.kind == CAND_HOST)
			r->host = c.base = c.addr;
		else if (c.kind == CAND_RELAY)
			*(c.addr.ip.family == FZ_FAMILY_INET ? &r->relay4 : &r->relay6) = c.addr;
		ck_assert(path_add_local(r->p, &c, START_US));
		ck_assert_int_gt(path_cand_text(r->p, &c, false, text, sizeof(text)), 0);
		ck_assert_str_eq(text, json_string_value(v));
	}
	ck_assert_uint_eq(i, 4);
}

static void add_remotes(struct run *r)
{
	json_t *v;
	size_t i;

	json_array_foreach(candidates(r, "broadcast_ice_candidates"), i, v)
	{
		struct cand c;
		ck_assert_int_eq(path_add_remote(r->p, json_string_value(v), &c, START_US), 0);
	}
}

/* XOR-PEER-ADDRESS and CHANNEL-NUMBER, read without our decoder, which has no need for them. */
static void note_bind(struct run *r, const uint8_t *m, size_t len)
{
	struct fz_addr peer = { 0 };
	uint16_t number = 0;

	for (size_t at = 20; at + 4 <= len; at += 4 + (fz_get_be16(m + at + 2) + 3u) / 4 * 4) {
		const uint8_t *v = m + at + 4;
		if (fz_get_be16(m + at) == 0x000c)
			number = fz_get_be16(v);
		if (fz_get_be16(m + at) != 0x0012)
			continue;
		bool v6 = v[1] == 2;
		peer.ip.family = v6 ? FZ_FAMILY_INET6 : FZ_FAMILY_INET;
		peer.port = fz_get_be16(v + 2) ^ 0x2112;
		for (size_t i = 0; i < (v6 ? 16u : 4u); i++)
			peer.ip.b[i] = v[4 + i] ^ m[4 + i];
	}
	ck_assert_uint_lt(number - 0x4000u, ROUTES);
	r->channel[number - 0x4000] = peer;
}

/* The datagram as the client's agent would name it: which pair, which WireGuard message. False: something
 * else. */
static bool decode(struct run *r, json_t *d, struct path_route *ret, uint8_t *ret_type, size_t *ret_len)
{
	uint8_t m[256];
	const char *hex = json_string_value(json_object_get(d, "hex"));
	size_t n = strcspn(hex, ".") / 2, head = 0;
	char text[515];

	if (!fz_addr_equal(&r->host, &(struct fz_addr){ 0 }) &&
	    strcmp(json_string_value(json_object_get(d, "src")), "192.168.1.2:52625") != 0)
		return false;
	if (n > sizeof(m) || n < 8)
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)(2 * n), hex);
	n = unit_hex(m, sizeof(m), text);
	*ret = (struct path_route){ .local = r->host,
				    .remote = addr(json_string_value(json_object_get(d, "dst"))) };
	if (fz_get_be16(m) == 0x0009 && n > 20) {
		if (r->start == 0)
			r->start = json_real_value(json_object_get(d, "t"));
		note_bind(r, m, n);
		return false;
	}
	if (m[0] == 0x40) {
		head = TURN_CHANNEL_HEADER_LEN;
		ret->remote = r->channel[fz_get_be16(m) - 0x4000];
		ret->local = ret->remote.ip.family == FZ_FAMILY_INET ? r->relay4 : r->relay6;
		ret->local_relayed = true;
	}
	*ret_type = m[head];
	*ret_len = (size_t)json_integer_value(json_object_get(d, "len")) - head;
	return r->start > 0 && m[head + 1] == 0 && m[head + 2] == 0 && m[head] >= 1 && m[head] <= 4;
}

/* Pairs on which the client sent messages of this type and length between two times, ms after the start. */
static size_t recorded(struct run *r, uint8_t type, size_t len, double from, double to,
		       struct path_route ret[ROUTES])
{
	struct path_route route;
	uint8_t got;
	size_t n = 0, i, got_len;
	json_t *d;

	json_array_foreach(json_object_get(r->root, "udp"), i, d)
	{
		if (!decode(r, d, &route, &got, &got_len) || got != type || got_len != len)
			continue;
		double ms = (json_real_value(json_object_get(d, "t")) - r->start) * 1000;
		if (ms < from || ms > to)
			continue;
		ck_assert_uint_lt(n, ROUTES);
		ret[n++] = route;
	}
	return n;
}

static size_t sent(struct run *r, uint64_t now_us, enum path_transmit_kind want,
		   struct path_route ret[ROUTES])
{
	uint8_t buf[PATH_TRANSMIT_MAX];
	enum path_transmit_kind kind;
	size_t n = 0;

	while (path_poll_transmit(r->p, buf, sizeof(buf), &kind, &ret[n], now_us) > 0) {
		ck_assert_int_eq(kind, want);
		ck_assert_uint_lt(++n, ROUTES);
	}
	return n;
}

/* The recording lacks what the client's channels and sockets swallowed (a channel not yet asked for, a send
 * that drew an error before); what it has must be ours, in our order where that is said. */
static void expect_within(const char *what, bool in_order, const struct path_route *theirs, size_t n,
			  size_t least, const struct path_route *ours, size_t m)
{
	size_t at = 0;
	char text[FZ_ADDR_STRLEN];

	ck_assert_msg(n >= least && n <= m, "%s: %zu recorded, %zu sent", what, n, m);
	for (size_t i = 0; i < n; i++, at++) {
		if (!in_order)
			at = 0;
		while (at < m && !path_route_equal(&ours[at], &theirs[i]))
			at++;
		ck_assert_msg(at < m, "%s: number %zu, to %s, is not ours in this order", what, i,
			      fz_addr_format(&theirs[i].remote, text));
	}
}

static void replay(const char *file, size_t relay_pairs, size_t pairs, double second_ms, size_t first_heard,
		   double probes_ms)
{
	const struct path_opts o = { .kind = PATH_ICELESS, .controlling = true };
	struct run r = { .root = load(file) };
	struct path_route theirs[ROUTES], ours[ROUTES], arrival, back;
	uint8_t init[WG_INITIATION_LEN] = { WG_INITIATION }, resp[WG_RESPONSE_LEN] = { WG_RESPONSE };
	size_t n, m;

	unit_env_init(&r.u, 1);
	ck_assert_int_eq(path_new(&r.u.env, &o, &r.p, START_US), 0);
	add_locals(&r);
	ck_assert(path_send_handshake(r.p, init, sizeof(init), START_US));
	add_remotes(&r);

	m = sent(&r, START_US, PATH_TX_DATAGRAM, ours);
	ck_assert_uint_eq(m, relay_pairs);
	(void)recorded(&r, WG_INITIATION, sizeof(init), 0, 0, theirs); /* finds the start and the channels */
	n = recorded(&r, WG_INITIATION, sizeof(init), -1, 10, theirs);
	/* It began to send while it was still reading candidates. */
	expect_within("first copies", false, theirs, n, first_heard, ours, m);
	if (second_ms > 0) {
		m = sent(&r, START_US + FZ_MS(50), PATH_TX_DATAGRAM, ours);
		n = recorded(&r, WG_INITIATION, sizeof(init), second_ms - 2, second_ms + 2, theirs);
		expect_within("second copies", true, theirs, n, relay_pairs, ours, m);
	}

	/* The response on the last of them; then every pair is probed. */
	arrival = ours[m - 1];
	ck_assert(path_filter_handshake(r.p, &arrival, resp, sizeof(resp), START_US + FZ_MS(53)));
	ck_assert(!path_handshake_done(r.p, &arrival, resp, sizeof(resp), true, NULL, 0, &back,
				       START_US + FZ_MS(53)));
	m = sent(&r, START_US + FZ_MS(53), PATH_TX_PACKET, ours);
	ck_assert_uint_eq(m, pairs);
	n = recorded(&r, WG_DATA, PATH_PROBE_LEN + WG_OVERHEAD, probes_ms - 1, probes_ms + 0.5, theirs);
	expect_within("probes", true, theirs, n, pairs - 1, ours, m);
	path_free(r.p);
	unit_env_check(&r.u);
	json_decref(r.root);
}

START_TEST(a16_1_direct_run)
{
	replay("iceless-direct", 5, 7, 52, 4, 54);
}
END_TEST

START_TEST(a16_1_relayed_run)
{
	replay("iceless-relayed", 6, 9, 0, 4, 6.8);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("pa_recorded");

	unit_case(s, "runs", a16_1_direct_run, a16_1_relayed_run);
	return s;
}
