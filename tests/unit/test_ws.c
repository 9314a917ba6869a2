/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "ext/ws.h"

struct fixture {
	struct unit_env u;
	struct ws *w;
};

static void begin(struct fixture *f)
{
	unit_env_init(&f->u, 7);
	ck_assert_int_eq(ws_new(&f->u.env, 1 << 20, &f->w), 0);
}

static void end(struct fixture *f)
{
	ws_free(f->w);
	unit_env_check(&f->u);
}

/* What comes out, unmasked: opcode byte, then payload; one frame. */
static size_t take_frame(struct ws *w, uint8_t *op, uint8_t *payload)
{
	uint8_t buf[400];
	int n = ws_poll_transmit(w, buf, sizeof(buf));

	if (n == 0)
		return 0;
	ck_assert_int_ge(n, 6);
	ck_assert_msg(buf[1] & 0x80, "client frames are masked");
	size_t len = buf[1] & 0x7f;
	ck_assert_uint_lt(len, 126);
	ck_assert_int_eq(n, (int)len + 6);
	for (size_t i = 0; i < len; i++)
		payload[i] = buf[6 + i] ^ buf[2 + i % 4];
	*op = buf[0];
	return len + 1;
}

static int feed(struct fixture *f, const char *hex)
{
	uint8_t buf[600];

	return ws_handle_data(f->w, buf, unit_hex(buf, sizeof(buf), hex));
}

START_TEST(text_both_ways)
{
	struct fixture f;
	struct ws_message m;
	uint8_t op, payload[200];

	begin(&f);
	ck_assert_int_eq(feed(&f, "810548656c6c6f"), 0); /* RFC 6455 section 5.7 */
	ck_assert(ws_poll_message(f.w, &m));
	ck_assert_int_eq(m.type, WS_TEXT);
	ck_assert_str_eq(m.data, "Hello");
	ck_assert(!ws_poll_message(f.w, &m));
	ck_assert_int_eq(feed(&f, "010348656c 80026c6f"), 0); /* the same in fragments */
	ck_assert(ws_poll_message(f.w, &m));
	ck_assert_str_eq(m.data, "Hello");
	ck_assert(!ws_wants_write(f.w));
	ck_assert_int_eq(ws_send_text(f.w, "{}", 2), 0);
	ck_assert(ws_wants_write(f.w));
	ck_assert_uint_eq(take_frame(f.w, &op, payload), 3);
	ck_assert_uint_eq(op, 0x81);
	ck_assert_int_eq(memcmp(payload, "{}", 2), 0);
	end(&f);
}
END_TEST

START_TEST(every_cut_gives_the_same)
{
	static const char hex[] = "8105 48656c6c6f 890161 0103 e282ac 8000 8202 0001 8100";
	uint8_t all[100];
	size_t len = unit_hex(all, sizeof(all), hex);

	for (size_t cut = 0; cut <= len; cut++) {
		struct fixture f;
		struct ws_message m;
		int n = 0;
		begin(&f);
		ck_assert_int_eq(ws_handle_data(f.w, all, cut), 0);
		for (int part = 0; part < 2; part++) {
			while (ws_poll_message(f.w, &m)) {
				static const char *const want[] = { "Hello", "\xe2\x82\xac", NULL, "" };
				if (want[n])
					ck_assert_str_eq(m.data, want[n]);
				ck_assert_int_eq(m.type, n == 2 ? WS_BINARY : WS_TEXT);
				n++;
			}
			if (part == 0)
				ck_assert_int_eq(ws_handle_data(f.w, all + cut, len - cut), 0);
		}
		ck_assert_int_eq(n, 4);
		end(&f);
	}
}
END_TEST

START_TEST(ping_is_answered)
{
	struct fixture f;
	struct ws_message m;
	uint8_t op, payload[200];

	begin(&f);
	ck_assert_int_eq(feed(&f, "890548656c6c6f"), 0);
	ck_assert(!ws_poll_message(f.w, &m));
	ck_assert_uint_eq(take_frame(f.w, &op, payload), 6);
	ck_assert_uint_eq(op, 0x8a);
	ck_assert_int_eq(memcmp(payload, "Hello", 5), 0);
	end(&f);
}
END_TEST

START_TEST(flood_of_pings_ends_it)
{
	struct fixture f;
	int err = 0;

	begin(&f);
	for (int i = 0; i < 1000 && err == 0; i++)
		err = feed(&f, "8900");
	ck_assert_int_eq(err, FZ_ERR_WIRE);
	end(&f);
}
END_TEST

START_TEST(close_is_echoed)
{
	struct fixture f;
	struct ws_message m;
	uint8_t op, payload[200];

	begin(&f);
	ck_assert_int_eq(feed(&f, "8806 03e9 676f6e65 810141"),
			 0); /* 1001 "gone", then a text that does not count */
	ck_assert(ws_poll_message(f.w, &m));
	ck_assert_int_eq(m.type, WS_CLOSE);
	ck_assert_uint_eq(m.code, 1001);
	ck_assert_str_eq(m.data, "gone");
	ck_assert(!ws_poll_message(f.w, &m));
	ck_assert_uint_eq(take_frame(f.w, &op, payload), 7);
	ck_assert_uint_eq(op, 0x88);
	ck_assert_uint_eq(payload[0] << 8 | payload[1], 1001);
	ck_assert_int_eq(feed(&f, "810141"), 0);
	ck_assert(!ws_poll_message(f.w, &m));
	ck_assert_int_eq(ws_send_text(f.w, "x", 1), FZ_ERR_STATE);
	end(&f);
	begin(&f);
	ck_assert_int_eq(feed(&f, "8800"), 0);
	ck_assert(ws_poll_message(f.w, &m));
	ck_assert_uint_eq(m.code, 1005);
	end(&f);
	begin(&f);
	ck_assert_int_eq(ws_send_close(f.w, 1000), 0);
	ck_assert_uint_eq(take_frame(f.w, &op, payload), 3);
	ck_assert_uint_eq(payload[0] << 8 | payload[1], 1000);
	end(&f);
}
END_TEST

/* 1012 "service restart" is registered, but younger than the RFC. It arrives whole or in pieces. */
START_TEST(close_1012_is_a_close)
{
	for (size_t cut = 0; cut <= 8; cut++) {
		static const uint8_t frame[] = { 0x88, 6, 0x03, 0xf4, 'g', 'o', 'n', 'e' };
		struct fixture f;
		struct ws_message m;
		uint8_t buf[64];
		begin(&f);
		ck_assert_int_eq(ws_handle_data(f.w, frame, cut), 0);
		ck_assert_int_eq(ws_handle_data(f.w, frame + cut, sizeof(frame) - cut), 0);
		ck_assert(ws_poll_message(f.w, &m));
		ck_assert_int_eq(m.type, WS_CLOSE);
		ck_assert_uint_eq(m.code, 1012);
		ck_assert_str_eq(m.data, "gone");
		ck_assert_int_gt(ws_poll_transmit(f.w, buf, sizeof(buf)), 0);
		ck_assert_uint_eq(buf[0], 0x88);
		end(&f);
	}
}
END_TEST

static const struct {
	const char *why, *hex;
} broken[] = {
	{ "masked by a server", "8185 37fa213d 7f9f4d5158" },
	{ "reserved bit", "c10141" },
	{ "unknown opcode", "830141" },
	{ "text that is not UTF-8", "8101ff" },
	{ "fragmented control frame", "0900" },
	{ "continuation of nothing", "800141" },
	{ "longer than allowed", "81 7f 0000000000200000 41" },
	{ "a length with its top bit set", "81 7f 8000000000000000 41" },
	{ "control frame above 125 bytes", "89 7e 00ff 41" },
};

START_TEST(broken_frames_end_it)
{
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct fixture f;
		struct ws_message m;
		uint8_t buf[200];
		begin(&f);
		ck_assert_msg(feed(&f, broken[i].hex) == FZ_ERR_WIRE, "%s", broken[i].why);
		ck_assert_msg(!ws_poll_message(f.w, &m), "%s", broken[i].why);
		int n = ws_poll_transmit(f.w, buf, sizeof(buf));
		ck_assert_msg(n > 0 && buf[0] == 0x88, "%s: no close frame", broken[i].why);
		end(&f);
	}
}
END_TEST

START_TEST(small_output_buffers)
{
	struct fixture f;
	uint8_t all[64];
	size_t n = 0;
	int got;

	begin(&f);
	ck_assert_int_eq(ws_send_text(f.w, "0123456789", 10), 0);
	while ((got = ws_poll_transmit(f.w, all + n, 1)) > 0)
		n++;
	ck_assert_int_eq(got, 0);
	ck_assert_uint_eq(n, 16);
	for (size_t i = 0; i < 10; i++)
		ck_assert_int_eq(all[6 + i] ^ all[2 + i % 4], '0' + (int)i);
	end(&f);
}
END_TEST

START_TEST(failing_allocations)
{
	for (long at = 1; at < 20; at++) {
		struct unit_env u;
		struct ws *w = NULL;
		struct ws_message m;
		unit_env_init(&u, 1);
		u.fail_at = at;
		if (ws_new(&u.env, 1000, &w) == 0) {
			int err = ws_handle_data(w,
						 "\x81\x01"
						 "a"
						 "\x81\x01"
						 "b",
						 6);
			ck_assert(err == 0 || err == FZ_ERR_NOMEM);
			while (ws_poll_message(w, &m))
				ck_assert_uint_eq(m.len, 1);
		}
		ws_free(w);
		unit_env_check(&u);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("ws");

	unit_case(s, "ws", text_both_ways, every_cut_gives_the_same, ping_is_answered, flood_of_pings_ends_it,
		  close_is_echoed, close_1012_is_a_close, broken_frames_end_it, small_output_buffers,
		  failing_allocations);
	return s;
}
