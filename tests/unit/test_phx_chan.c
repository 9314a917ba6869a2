/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "proto/phx_chan.h"

struct fixture {
	struct unit_env u;
	struct phx_chan c;
	struct phx_chan_out out;
	uint64_t now;
};

static void begin(struct fixture *f)
{
	unit_env_init(&f->u, 1);
	phx_chan_init(&f->c, &f->u.env, "client");
	f->now = FZ_SEC(100);
	phx_chan_start(&f->c, f->now);
}

static void end(struct fixture *f)
{
	phx_chan_clear(&f->c);
	unit_env_check(&f->u);
}

static void expect(struct fixture *f, const char *want)
{
	char *text = NULL;
	size_t len;
	int n = phx_chan_poll_text(&f->c, &text, &len);

	ck_assert_int_eq(n, want != NULL);
	if (want)
		ck_assert_str_eq(text, want);
	fz_free(&f->u.env, text);
}

static enum phx_chan_event feed(struct fixture *f, const char *text)
{
	phx_chan_handle_text(&f->c, text, strlen(text), &f->out, f->now);
	if (f->out.event == PHX_CHAN_PUSH)
		phx_msg_clear(&f->out.msg);
	return f->out.event;
}

static enum phx_chan_event wait_until(struct fixture *f, uint64_t s)
{
	f->now = FZ_SEC(100 + s);
	phx_chan_handle_timeout(&f->c, &f->out, f->now);
	return f->out.event;
}

static enum phx_chan_event reply(struct fixture *f, unsigned ref)
{
	char text[200];

	snprintf(text, sizeof(text),
		 "{\"topic\":\"x\",\"event\":\"phx_reply\",\"ref\":%u,\"payload\":{\"status\":\"ok\","
		 "\"response\":{}}}",
		 ref);
	return feed(f, text);
}

static void join(struct fixture *f)
{
	begin(f);
	expect(f, "{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
	ck_assert_int_eq(reply(f, 0), PHX_CHAN_UP);
}

START_TEST(a8_10_join_first_and_alone)
{
	struct fixture f;

	begin(&f);
	ck_assert_int_eq(phx_chan_send(&f.c, "no_relays", jv_object()), 0);
	expect(&f, "{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
	expect(&f, NULL);
	ck_assert_int_eq(reply(&f, 1), PHX_CHAN_NOTHING);
	expect(&f, NULL);
	ck_assert_int_eq(reply(&f, 0), PHX_CHAN_UP);
	expect(&f, "{\"topic\":\"client\",\"event\":\"no_relays\",\"payload\":{},\"ref\":1}");
	expect(&f, NULL);
	end(&f);
}
END_TEST

START_TEST(a8_36_join_unanswered)
{
	struct fixture f;

	begin(&f);
	expect(&f, "{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
	ck_assert_uint_eq(phx_chan_next_timeout(&f.c), FZ_SEC(105));
	ck_assert_int_eq(wait_until(&f, 4), PHX_CHAN_NOTHING);
	ck_assert_int_eq(wait_until(&f, 5), PHX_CHAN_LOST);
	end(&f);
}
END_TEST

START_TEST(a8_30_heartbeat_is_not_suppressed)
{
	struct fixture f;

	join(&f);
	for (unsigned i = 1; i < 20; i++) {
		char want[100];
		phx_chan_send(&f.c, "no_relays", jv_object());
		snprintf(want, sizeof(want),
			 "{\"topic\":\"client\",\"event\":\"no_relays\",\"payload\":{},\"ref\":%u}",
			 2 * i - 1);
		expect(&f, want);
		ck_assert_uint_eq(phx_chan_next_timeout(&f.c), FZ_SEC(100 + 10 * i));
		ck_assert_int_eq(wait_until(&f, 10 * i), PHX_CHAN_NOTHING);
		snprintf(want, sizeof(want),
			 "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":%u}", 2 * i);
		expect(&f, want);
		expect(&f, NULL);
		ck_assert_int_eq(reply(&f, 2 * i), PHX_CHAN_NOTHING);
	}
	end(&f);
}
END_TEST

START_TEST(a8_31_fourth_unanswered_heartbeat)
{
	for (int how = 0; how < 3; how++) { /* sent and unanswered, answered with a wrong ref, never sent */
		struct fixture f;
		join(&f);
		for (unsigned i = 1; i <= 3; i++) {
			char want[100];
			ck_assert_int_eq(wait_until(&f, 10 * i), PHX_CHAN_NOTHING);
			snprintf(want, sizeof(want),
				 "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":%u}",
				 i);
			if (how < 2)
				expect(&f, want);
			if (how == 1)
				ck_assert_int_eq(reply(&f, 77), PHX_CHAN_NOTHING);
		}
		ck_assert_int_eq(wait_until(&f, 40), PHX_CHAN_LOST);
		end(&f);
	}
}
END_TEST

START_TEST(late_answers_count)
{
	struct fixture f;

	join(&f);
	for (unsigned i = 1; i <= 3; i++) {
		wait_until(&f, 10 * i);
		char *text;
		size_t len;
		ck_assert_int_eq(phx_chan_poll_text(&f.c, &text, &len), 1);
		fz_free(&f.u.env, text);
	}
	reply(&f, 2);
	ck_assert_int_eq(wait_until(&f, 40), PHX_CHAN_NOTHING);
	ck_assert_int_eq(wait_until(&f, 50), PHX_CHAN_LOST);
	end(&f);
}
END_TEST

START_TEST(a8_11_queue)
{
	struct fixture f;
	struct jv *v;

	unit_env_init(&f.u, 1);
	phx_chan_init(&f.c, &f.u.env, "client");
	ck_assert_int_eq(phx_chan_send(&f.c, "no_relays", jv_object()), FZ_ERR_STATE);
	phx_chan_start(&f.c, 0);
	ck_assert_int_eq(phx_chan_send(&f.c, "no_relays", jv_object()), 0);
	ck_assert_int_eq(phx_chan_send(&f.c, "no_relays", jv_object()), 0);
	ck_assert_uint_eq(f.c.queue_len, 1);
	ck_assert_int_eq(phx_chan_send(&f.c, "x", NULL), FZ_ERR_NOMEM);
	for (unsigned i = 1; i < PHX_QUEUE_MAX; i++) {
		v = jv_object();
		jv_set_u64(v, "n", i);
		ck_assert_int_eq(phx_chan_send(&f.c, "x", v), 0);
	}
	ck_assert_int_eq(phx_chan_send(&f.c, "y", jv_object()), FZ_ERR_FULL);
	phx_chan_start(&f.c, 0); /* a new connection forgets */
	ck_assert_uint_eq(f.c.queue_len, 0);
	phx_chan_send(&f.c, "a", jv_object());
	phx_chan_send_first(&f.c, "b", jv_object());
	ck_assert_str_eq(f.c.queue[0].event, "b");
	phx_chan_stop(&f.c);
	ck_assert_uint_eq(phx_chan_next_timeout(&f.c), FZ_NEVER_US);
	end(&f);
}
END_TEST

#define ERR(reason) "\"payload\":{\"status\":\"error\",\"response\":{\"reason\":\"" reason "\"}}"

static const struct {
	const char *why, *text;
	bool joined;
	enum phx_chan_event want;
} rows[] = {
	{ "join refused: unmatched topic",
	  "{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":0," ERR("unmatched topic") "}", false,
	  PHX_CHAN_REFUSED },
	{ "acc 8.33: invalid_version",
	  "{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":0," ERR("invalid_version") "}", false,
	  PHX_CHAN_REFUSED },
	{ "acc 8.33: disabled",
	  "{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":0," ERR("disabled") "}", false,
	  PHX_CHAN_REFUSED },
	{ "join refused: crashed",
	  "{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":0," ERR("join crashed") "}", false,
	  PHX_CHAN_REFUSED },
	{ "other error reply",
	  "{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":5," ERR("unknown_message") "}", true,
	  PHX_CHAN_DROPPED },
	{ "error reply with an empty response",
	  "{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":0,\"payload\":{\"status\":\"error\","
	  "\"response\":{}}}",
	  false, PHX_CHAN_DROPPED },
	{ "reply without ref",
	  "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\",\"response\":{}}}",
	  false, PHX_CHAN_NOTHING },
	{ "reply with a text as ref",
	  "{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":\"0\",\"payload\":{\"status\":\"ok\","
	  "\"response\":{}}}",
	  false, PHX_CHAN_DROPPED },
	{ "phx_close", "{\"topic\":\"client\",\"event\":\"phx_close\",\"payload\":{},\"ref\":null}", true,
	  PHX_CHAN_LOST },
	{ "phx_close of any topic",
	  "{\"topic\":\"other\",\"event\":\"phx_close\",\"payload\":{},\"ref\":null}", true, PHX_CHAN_LOST },
	{ "phx_error",
	  "{\"topic\":\"client\",\"event\":\"phx_error\",\"payload\":{\"reason\":\"channel_crash\"},\"ref\":"
	  "null}",
	  true, PHX_CHAN_NOTHING },
	{ "phx_error, older", "{\"topic\":\"client\",\"event\":\"phx_error\",\"payload\":{},\"ref\":null}",
	  true, PHX_CHAN_NOTHING },
	{ "acc 8.34: token expired",
	  "{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":{\"reason\":\"token_expired\"},\"ref\":"
	  "null}",
	  true, PHX_CHAN_TOKEN_EXPIRED },
	{ "token expired, any topic, before the join",
	  "{\"topic\":\"x\",\"event\":\"disconnect\",\"payload\":{\"reason\":\"token_expired\"},\"ref\":"
	  "null}",
	  false, PHX_CHAN_TOKEN_EXPIRED },
	{ "other disconnect",
	  "{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":{\"reason\":\"certificate_revoked\"},"
	  "\"ref\":null}",
	  true, PHX_CHAN_DROPPED },
	{ "disconnect without a reason",
	  "{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":null,\"ref\":null}", true,
	  PHX_CHAN_DROPPED },
	{ "push", "{\"topic\":\"any\",\"event\":\"init\",\"payload\":{},\"ref\":null}", true, PHX_CHAN_PUSH },
	{ "not JSON", "oh no", true, PHX_CHAN_DROPPED },
	{ "array", "[]", true, PHX_CHAN_DROPPED },
	{ "cut short", "{\"topic\":\"client\",\"eve", true, PHX_CHAN_LOST },
};

START_TEST(a8_33_message_table)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;
		begin(&f);
		expect(&f, "{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
		if (rows[i].joined)
			reply(&f, 0);
		ck_assert_msg(feed(&f, rows[i].text) == rows[i].want, "%s: %d", rows[i].why, f.out.event);
		end(&f);
	}
}
END_TEST

START_TEST(unmatched_topic_joins_again)
{
	struct fixture f;

	join(&f);
	ck_assert_int_eq(feed(&f, "{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":9," ERR(
					  "unmatched topic") "}"),
			 PHX_CHAN_DROPPED);
	phx_chan_send(&f.c, "no_relays", jv_object());
	expect(&f, "{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":1}");
	expect(&f, NULL);
	ck_assert_uint_eq(phx_chan_next_timeout(&f.c), FZ_SEC(105));
	ck_assert_int_eq(reply(&f, 1), PHX_CHAN_UP);
	expect(&f, "{\"topic\":\"client\",\"event\":\"no_relays\",\"payload\":{},\"ref\":2}");
	ck_assert_int_eq(feed(&f, "{\"topic\":\"phoenix\",\"event\":\"phx_reply\",\"ref\":9," ERR(
					  "unmatched topic") "}"),
			 PHX_CHAN_DROPPED);
	expect(&f, NULL);
	end(&f);
}
END_TEST

START_TEST(failing_allocations)
{
	struct fixture f;
	char *text;
	size_t len;

	begin(&f);
	f.u.fail_at = f.u.allocs + 1;
	ck_assert_int_eq(phx_chan_poll_text(&f.c, &text, &len), FZ_ERR_NOMEM);
	expect(&f, "{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}"); /* nothing was
												   lost */
	f.u.fail_at = f.u.allocs + 1;
	ck_assert_int_eq(phx_chan_send(&f.c, "a", jv_object()), FZ_ERR_NOMEM);
	end(&f);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("phx_chan");

	unit_case(s, "join", a8_10_join_first_and_alone, a8_36_join_unanswered, unmatched_topic_joins_again);
	unit_case(s, "heartbeat", a8_30_heartbeat_is_not_suppressed, a8_31_fourth_unanswered_heartbeat,
		  late_answers_count);
	unit_case(s, "messages", a8_11_queue, a8_33_message_table, failing_allocations);
	return s;
}
