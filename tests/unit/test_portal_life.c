/* SPDX-License-Identifier: Apache-2.0 */
/* The composed portal channel: retry, reconnect, candidates over an outage, and any order of events. */
#include "portal_host.h"

#include <stdio.h>

/* Acceptance 8.14: 16 dials, then fatal. */
START_TEST(a8_14_initial_connect_fails)
{
	struct host h;

	host_begin(&h);
	for (int i = 1; i <= 16; i++) {
		ck_assert(h.connected);
		h.connected = false;
		portal_handle_disconnected(h.p, "connection refused", h.now);
		host_drain(&h);
		if (i < 16) {
			ck_assert_int_eq(h.fatal, 0);
			ck_assert_uint_eq(h.retry_us, FZ_SEC(1));
			ck_assert(!h.down_was_up);
			host_advance(&h, FZ_SEC(1) - 1);
			ck_assert(!h.connected);
			host_advance(&h, 1);
		}
	}
	ck_assert_int_eq(h.fatal, FZ_ERR_PORTAL);
	ck_assert_ptr_nonnull(strstr(h.fatal_text, "connection refused"));
	ck_assert_uint_eq(portal_next_timeout(h.p), FZ_NEVER_US);
	ck_assert_uint_eq(portal_stats(h.p)->dials, 16);
	host_end(&h);
}
END_TEST

/* Acceptance 8.15: exponential after a join; a manual reconnect is immediate and resets. */
START_TEST(a8_15_backoff_and_manual_reconnect)
{
	struct host h;
	uint64_t before;

	host_begin(&h);
	host_join(&h);
	h.connected = false;
	portal_handle_disconnected(h.p, NULL, h.now);
	host_drain(&h);
	ck_assert(h.downs == 1 && h.down_was_up);
	ck_assert(h.retry_us >= 500000 && h.retry_us < 1000000);
	for (int i = 0; i < 8; i++) {
		host_advance(&h, h.retry_us);
		ck_assert(h.connected);
		h.connected = false;
		portal_handle_disconnected(h.p, "refused", h.now);
		host_drain(&h);
		ck_assert(!h.down_was_up);
	}
	ck_assert_uint_gt(h.retry_us, FZ_SEC(10));
	host_look(&h);
	before = portal_stats(h.p)->dials;
	portal_reconnect(h.p, h.now + 1000000);
	host_advance(&h, FZ_SEC(1));
	ck_assert(h.connected && portal_stats(h.p)->dials == before + 1);
	h.connected = false;
	portal_handle_disconnected(h.p, "refused", h.now);
	host_drain(&h);
	ck_assert(h.retry_us >= 500000 && h.retry_us < 1000000);
	host_end(&h);
}
END_TEST

START_TEST(reconnect_of_a_live_channel)
{
	struct host h;
	struct fz_key key;

	host_begin(&h);
	host_join(&h);
	h.now += FZ_SEC(5);
	memset(&key, 1, sizeof(key));
	portal_set_public_key(h.p, &key);
	portal_reconnect(h.p, h.now);
	host_drain(&h);
	ck_assert_int_eq(h.closes, 1); /* close frame, then the stream, then at once a new one */
	ck_assert(h.closed == 1 && h.downs == 1 && h.down_was_up && h.connects == 1);
	host_connect_tcp(&h);
	ck_assert_ptr_nonnull(strstr(h.request, "public_key=AQEBAQ"));
	/* bursts do not hammer */
	host_look(&h);
	portal_reconnect(h.p, h.now);
	host_drain(&h);
	ck_assert(h.closed == 1 && h.connects == 0 && h.downs == 0);
	ck_assert_uint_eq(portal_next_timeout(h.p), h.now + FZ_MS(250));
	host_advance(&h, FZ_MS(250));
	ck_assert_int_eq(h.connects, 1);
	host_end(&h);
}
END_TEST

START_TEST(reconnect_before_the_dial_was_polled)
{
	struct host h;
	const char *reason;
	struct portal_out out;

	memset(&h, 0, sizeof(h));
	unit_env_init(&h.u, 5);
	ck_assert_int_eq(portal_new(&h.u.env, &host_usual_opts, FZ_SEC(1), &h.p, &reason), 0);
	portal_handle_timeout(h.p, FZ_SEC(1));
	portal_reconnect(h.p, FZ_SEC(1));
	ck_assert(!portal_poll_event(h.p, &out)); /* no stream, nothing to close */
	portal_handle_timeout(h.p, FZ_SEC(2));
	ck_assert(portal_poll_event(h.p, &out) && out.type == PORTAL_OUT_CONNECT);
	portal_handle_connected(h.p, FZ_SEC(2)); /* without a key */
	ck_assert(portal_poll_event(h.p, &out) && out.type == PORTAL_OUT_DOWN);
	ck_assert(portal_poll_event(h.p, &out) && out.type == PORTAL_OUT_CLOSE);
	host_end(&h);
}
END_TEST

START_TEST(retry_after_costs_no_budget)
{
	struct host h;

	host_begin(&h);
	for (int i = 0; i < 40; i++) {
		host_connect_tcp(&h);
		host_answer(&h, "503 S\r\nContent-Length: 0\r\nRetry-After: 2");
		ck_assert_int_eq(h.fatal, 0);
		host_advance(&h, FZ_SEC(2));
		ck_assert(h.connected);
	}
	host_end(&h);
}
END_TEST

/* Acceptance 8.5: candidates survive an outage, everything else does not. */
START_TEST(a8_5_candidates_over_an_outage)
{
	struct host h;
	struct fz_uuid gw = { { 7 } };
	const char *first[] = { "candidate:1", "candidate:2" }, *second[] = { "candidate:2", "candidate:0" };

	host_begin(&h);
	ck_assert_int_eq(
		portal_send_candidates(h.p, PORTAL_CANDIDATES_ADD, PORTAL_PEER_GATEWAY, &gw, first, 2), 0);
	ck_assert_int_eq(portal_send_candidates(h.p, PORTAL_CANDIDATES_INVALIDATE, PORTAL_PEER_GATEWAY, &gw,
						second, 2),
			 0);
	host_upgrade(&h);
	ck_assert_int_eq(h.said_len, 1); /* not before the join is answered */
	host_look(&h);
	host_say(&h, host_join_ok);
	ck_assert_int_eq(h.said_len, 3);
	ck_assert_str_eq(h.said[0], "{\"topic\":\"client\",\"event\":\"set_snownet_capabilities\","
				    "\"payload\":{\"iceless\":true},\"ref\":1}");
	ck_assert_str_eq(
		h.said[1],
		"{\"topic\":\"client\",\"event\":\"new_gateway_ice_candidates\",\"payload\":{\"gateway_id\":"
		"\"07000000-0000-0000-0000-000000000000\",\"candidates\":[\"candidate:1\"]},\"ref\":2}");
	ck_assert_str_eq(
		h.said[2],
		"{\"topic\":\"client\",\"event\":\"invalidate_gateway_ice_candidates\",\"payload\":{"
		"\"gateway_id\":"
		"\"07000000-0000-0000-0000-000000000000\",\"candidates\":[\"candidate:0\"]},\"ref\":3}");
	host_look(&h);
	ck_assert_int_eq(
		portal_send_candidates(h.p, PORTAL_CANDIDATES_ADD, PORTAL_PEER_GATEWAY, &gw, first, 2), 0);
	host_drain(&h);
	ck_assert_int_eq(h.said_len, 1);
	host_look(&h);
	h.connected = false;
	portal_handle_disconnected(h.p, NULL, h.now);
	ck_assert_int_eq(
		portal_send_candidates(h.p, PORTAL_CANDIDATES_ADD, PORTAL_PEER_GATEWAY, &gw, first, 1), 0);
	portal_forget_candidates(h.p, PORTAL_PEER_GATEWAY, &gw);
	host_drain(&h);
	host_advance(&h, h.retry_us);
	host_join(&h);
	host_drain(&h);
	ck_assert_int_eq(h.said_len, 0);
	host_end(&h);
}
END_TEST

START_TEST(candidates_beyond_the_queue_are_held)
{
	struct host h;
	int sent = 0, n;
	uint8_t buf[65536];

	host_begin(&h);
	host_join(&h);
	for (int i = 0; i < 1000; i++) {
		struct fz_uuid gw = { { (uint8_t)(i >> 8), (uint8_t)i } };
		const char *text = "candidate:1";
		ck_assert_int_eq(portal_send_candidates(h.p, PORTAL_CANDIDATES_ADD, PORTAL_PEER_GATEWAY, &gw,
							&text, 1),
				 0);
	}
	while ((n = portal_poll_transmit(h.p, buf, sizeof(buf), h.now)) > 0)
		sent++;
	ck_assert_uint_eq(portal_stats(h.p)->messages_out, 1002); /* join, capabilities, and these */
	ck_assert_uint_eq(portal_stats(h.p)->dropped_full, 0);
	host_end(&h);
}
END_TEST

/* Allocation 1, 2, 3… fails once: the channel must come up anyhow, later. */
START_TEST(failing_allocations)
{
	for (long at = 1; at < 60; at++) {
		struct host h;
		struct fz_key key = { { 1 } };
		const char *reason;
		memset(&h, 0, sizeof(h));
		unit_env_init(&h.u, 5);
		h.now = FZ_SEC(1000);
		h.u.fail_at = at;
		int err = portal_new(&h.u.env, &host_usual_opts, h.now, &h.p, &reason);
		if (err) {
			ck_assert_int_eq(err, FZ_ERR_NOMEM);
			unit_env_check(&h.u);
			continue;
		}
		portal_set_public_key(h.p, &key);
		host_drain(&h);
		for (int tries = 0; tries < 4 && !h.messages; tries++) {
			if (!h.connected)
				host_advance(&h, FZ_SEC(2));
			host_look(&h);
			portal_handle_connected(h.p, h.now);
			host_drain(&h);
			if (!h.connected)
				continue;
			host_answer_upgrade(&h);
			host_say(&h, host_join_ok);
			host_say(&h, host_init);
		}
		ck_assert_msg(h.messages == 1, "allocation %ld", at);
		host_end(&h);
	}
}
END_TEST

/* Whatever happens in whatever order, with and without memory: one stream at a time, no dial without a pause,
 * no leak. */
static void random_life(uint64_t seed)
{
	static const char *const texts[] = {
		host_join_ok,
		host_init,
		"{\"topic\":\"client\",\"event\":\"phx_close\",\"payload\":{},\"ref\":null}",
		"{\"topic\":\"cl",
		"nonsense here",
		"{\"topic\":\"client\",\"event\":\"x\",\"payload\":null}"
	};
	static const char *const answers_[] = { "503 S\r\nRetry-After: 0\r\nContent-Length: 0", "500 X",
						"101 S", "302 F\r\nContent-Length: 0" };
	struct host h;
	uint64_t last_dial = 0, state = seed * 2654435761u + 1;

	host_begin(&h);
	for (int step = 0; step < 120 && !h.fatal; step++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		unsigned r = (unsigned)(state >> 33);
		h.u.fail_at = r % 7 == 0 ? h.u.allocs + 1 + (long)(r / 7 % 5) : 0;
		host_look(&h);
		switch (r / 64 % 12) {
		case 0:
			if (h.connected)
				portal_handle_connected(h.p, h.now);
			host_drain(&h);
			break;
		case 1:
		case 2:
		case 3: /* the right answer to the last request */
			if (!h.connected || !strstr(h.request, "Key: "))
				break;
			host_answer_upgrade(&h);
			host_say(&h, host_join_ok);
			break;
		case 4:
			host_answer(&h, answers_[r / 4096 % 4]);
			break;
		case 5:
			host_say(&h, texts[r / 4096 % 6]);
			break;
		case 6:
			if (h.connected && r / 4096 % 4 == 0) {
				h.connected = false;
				portal_handle_disconnected(h.p, "gone", h.now);
				host_drain(&h);
			}
			break;
		case 7:
			if (r / 4096 % 4 == 0)
				portal_reconnect(h.p, h.now);
			host_drain(&h);
			break;
		case 8:
			(void)!portal_send_no_relays(h.p);
			host_drain(&h);
			break;
		case 9: {
			struct fz_uuid id = { { (uint8_t)(r / 4096 % 3) } };
			const char *c = r / 65536 % 2 ? "candidate:1" : "candidate:2";
			(void)!portal_send_candidates(
				h.p, r / 131072 % 2 ? PORTAL_CANDIDATES_ADD : PORTAL_CANDIDATES_INVALIDATE,
				PORTAL_PEER_GATEWAY, &id, &c, 1);
			break;
		}
		default:
			host_advance(&h, r / 4096 % 3 ? 100000 : FZ_SEC(r / 4096 % 17));
		}
		if (h.connects) {
			ck_assert_msg(last_dial == 0 || h.now - last_dial >= 250000, "seed %u",
				      (unsigned)seed);
			last_dial = h.now;
		}
		ck_assert(portal_next_timeout(h.p) != FZ_NEVER_US || h.fatal);
	}
	h.u.fail_at = 0;
	host_end(&h);
}

START_TEST(any_order)
{
	for (uint64_t seed = 0; seed < 1000; seed++)
		random_life(seed);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("portal_life");

	unit_case(s, "retry", a8_14_initial_connect_fails, a8_15_backoff_and_manual_reconnect,
		  reconnect_of_a_live_channel, reconnect_before_the_dial_was_polled,
		  retry_after_costs_no_budget);
	unit_case(s, "candidates", a8_5_candidates_over_an_outage, candidates_beyond_the_queue_are_held);
	unit_case(s, "trouble", failing_allocations, any_order);
	return s;
}
