/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshots of client and gateway, read back as JSON. */
#include "stage.h"

#include "ext/json.h"
#include "fzconn/status.h"

static const struct stage_opts usual = { 0 };
static struct stage s;

static struct jv *snapshot(struct device *d)
{
	struct jv *v = NULL;
	char *text = NULL;
	int err = d->client ? fz_client_status(d->client, sim_now(s.net), &text)
			    : fz_gateway_status(d->gateway, sim_now(s.net), &text);

	ck_assert_int_eq(err, 0);
	ck_assert_ptr_null(strchr(text, '\n'));
	ck_assert_int_eq(jv_parse(text, strlen(text), &v), JV_OK);
	fz_status_free(&d->env, text);
	return v;
}

static uint64_t number(const struct jv *v, const char *key)
{
	uint64_t n = 0;

	ck_assert_msg(jv_u64(jv_get(v, key), &n), "no number \"%s\"", key);
	return n;
}

static void text_is(const struct jv *v, const char *key, const char *want)
{
	const char *got = jv_str(jv_get(v, key));

	ck_assert_msg(got != NULL, "no text \"%s\"", key);
	ck_assert_str_eq(got, want);
}

static bool text_has(const struct jv *v, const char *key, const char *part)
{
	const char *got = jv_str(jv_get(v, key));

	return got && strstr(got, part);
}

START_TEST(client_at_rest)
{
	struct jv *v;

	stage_begin(&s, &usual);
	v = snapshot(s.clients[0]);
	ck_assert_uint_eq(number(v, "format"), FZ_STATUS_FORMAT);
	text_is(v, "role", "client");
	text_is(jv_get(v, "portal"), "state", "up");
	ck_assert_uint_eq(number(jv_get(v, "portal"), "joins"), 1);
	ck_assert_uint_eq(number(v, "resources_total"), 3);
	ck_assert_uint_eq(jv_len(jv_get(v, "resources")), 3);
	ck_assert_uint_eq(jv_len(jv_get(v, "peers")), 0);
	ck_assert_uint_eq(jv_len(jv_get(v, "relays")), 1);
	text_is(jv_at(jv_get(v, "relays"), 0), "state", "ready");
	ck_assert_uint_ge(jv_len(jv_get(jv_at(jv_get(v, "relays"), 0), "mapped")), 1);
	for (size_t i = 0; i < 3; i++)
		text_is(jv_at(jv_get(v, "resources"), i), "access", "not asked for");
	jv_free(v);
	stage_end(&s);
}
END_TEST

static const struct jv *granted(const struct jv *v)
{
	const struct jv *rows = jv_get(v, "resources");

	for (size_t i = 0; i < jv_len(rows); i++)
		if (text_has(jv_at(rows, i), "access", "granted"))
			return jv_at(rows, i);
	return NULL;
}

static void check_peers(enum nat_mapping mapping, const char *path, const char *why, bool relayed)
{
	const struct stage_opts opts = { .mapping = mapping };
	const struct jv *peer;
	struct jv *c, *g;
	bool is_relayed;

	stage_begin(&s, &opts);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_SEC(1)));
	c = snapshot(s.clients[0]);
	g = snapshot(s.gateway);
	peer = jv_at(jv_get(c, "peers"), 0);
	text_is(peer, "state", "connected");
	ck_assert_msg(text_has(peer, "path", path), "%s", jv_str(jv_get(peer, "path")));
	ck_assert_msg(text_has(peer, "why", why), "%s", jv_str(jv_get(peer, "why")));
	ck_assert(jv_bool(jv_get(peer, "relayed"), &is_relayed));
	ck_assert(is_relayed == relayed);
	ck_assert_uint_eq(number(jv_get(c, "totals"), relayed ? "peers_relayed" : "peers_direct"), 1);
	ck_assert_uint_gt(number(peer, "sent_packets"), 0);
	ck_assert_uint_gt(number(peer, "received_packets"), 0);
	text_is(granted(c), "address", "10.20.0.0/16");
	text_is(granted(c), "type", "cidr");
	text_is(granted(c), "peer", jv_str(jv_get(peer, "id")));

	text_is(g, "role", "gateway");
	ck_assert_uint_eq(number(g, "clients_total"), 1);
	ck_assert_uint_eq(number(g, "grants_total"), 1);
	ck_assert_uint_eq(number(g, "sessions"), 0);
	ck_assert_uint_eq(number(g, "dns_queries"), 0);
	text_is(jv_at(jv_get(jv_at(jv_get(g, "peers"), 0), "grants"), 0), "address", "10.20.0.0/16");
	jv_free(c);
	jv_free(g);
	stage_end(&s);
}

START_TEST(direct_peer)
{
	check_peers(NAT_OPEN, "direct", "a direct pair of addresses answers", false);
}
END_TEST

START_TEST(relayed_peer)
{
	check_peers(NAT_EDM, "relayed", "none of them directly", true);
}
END_TEST

/* Every reason is there, also those that never came; and it counts what the counters count. */
START_TEST(drops)
{
	uint8_t junk[40] = { 0x99 };
	const char *name;
	uint64_t value;
	struct jv *v;

	stage_begin(&s, &usual);
	device_tun(s.clients[0], junk, sizeof(junk));
	stage_send(&s, s.clients[0], "100.64.0.77", "10.20.0.1", 1, 0, 1);
	stage_pass(&s, FZ_MS(10));
	v = snapshot(s.clients[0]);
	ck_assert_uint_eq(number(jv_get(v, "drops"), "malformed packet"), 1);
	ck_assert_uint_eq(number(jv_get(v, "drops"), "source address"), 1);
	for (size_t i = 0; fz_client_counter(s.clients[0]->client, i, &name, &value); i++) {
		const struct jv *drop = jv_get(jv_get(v, "drops"), name);
		if (drop)
			ck_assert_uint_eq(number(jv_get(v, "drops"), name), value);
	}
	jv_free(v);
	stage_end(&s);
}
END_TEST

START_TEST(portal_away)
{
	const struct jv *portal;
	struct jv *v;

	stage_begin(&s, &usual);
	stub_set_down(s.lines.stub, true);
	stage_pass(&s, FZ_SEC(5));
	v = snapshot(s.clients[0]);
	portal = jv_get(v, "portal");
	ck_assert(!text_has(portal, "state", "up"));
	ck_assert_uint_eq(number(portal, "losses"), 1);
	ck_assert_uint_gt(number(portal, "dials"), 1);
	ck_assert_ptr_nonnull(jv_str(jv_get(portal, "reason")));
	jv_free(v);
	stage_end(&s);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("status");

	unit_case(suite, "snapshots", client_at_rest, direct_peer, relayed_peer, drops, portal_away);
	return suite;
}
