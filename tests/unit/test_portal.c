/* SPDX-License-Identifier: Apache-2.0 */
/* The composed portal channel against a portal played by the test, with a clock turned by hand. */
#include "unit.h"

#include <stdio.h>

#include "base/time.h"
#include "core/portal.h"
#include "ext/crypto.h"

struct host {
	struct unit_env u;
	struct portal *p;
	uint64_t now;
	bool connected; /* there is a stream */
	char request[2048];
	char said[8][1024]; /* texts of the device since the last look */
	int said_len;
	int closes; /* close frames seen */
	/* events since the last look */
	int ups, downs, messages, connects, closed;
	bool down_was_up;
	uint64_t retry_us;
	char down_reason[256];
	int fatal;
	char fatal_text[512];
	enum portal_event_type last_message;
};

static const struct portal_opts usual = {
	.url = "ws://203.0.113.10:8081", .token = "cl\r\ntok ", .external_id = "cl-1", .name = "cl1",
	.user_agent = "Debian/12.0.0 headless-client/1.5.12", .role = PORTAL_ROLE_CLIENT, .iceless = true,
};

/* Frames of the device: masked, short or medium. */
static void read_frames(struct host *h, const uint8_t *b, size_t n)
{
	while (n) {
		size_t len = b[1] & 0x7f, head = 2;
		ck_assert_uint_ge(n, 6);
		if (len == 126) {
			len = (size_t)b[2] << 8 | b[3];
			head = 4;
		}
		ck_assert_uint_le(head + 4 + len, n);
		if ((b[0] & 15) == 8) {
			h->closes++;
		} else {
			ck_assert_int_lt(h->said_len, 8);
			char *to = h->said[h->said_len++];
			for (size_t i = 0; i < len; i++)
				to[i] = (char)(b[head + 4 + i] ^ b[head + i % 4]);
			to[len] = '\0';
		}
		b += head + 4 + len;
		n -= head + 4 + len;
	}
}

static void drain(struct host *h)
{
	uint8_t buf[8192];
	struct portal_out out;
	int n;
	size_t total = 0;

	portal_handle_timeout(h->p, h->now);
	while ((n = portal_poll_transmit(h->p, buf + total, sizeof(buf) - total, h->now)) > 0)
		total += (size_t)n;
	if (total && memcmp(buf, "GET ", 4) == 0)
		snprintf(h->request, sizeof(h->request), "%.*s", (int)total, (char *)buf);
	else
		read_frames(h, buf, total);
	while (portal_poll_event(h->p, &out)) {
		switch (out.type) {
		case PORTAL_OUT_CONNECT:
			ck_assert(!h->connected);
			ck_assert_str_eq(out.u.connect.host, "203.0.113.10");
			ck_assert(out.u.connect.port == 8081 && !out.u.connect.tls);
			h->connected = true;
			h->connects++;
			break;
		case PORTAL_OUT_CLOSE:
			h->connected = false;
			h->closed++;
			break;
		case PORTAL_OUT_UP:
			h->ups++;
			break;
		case PORTAL_OUT_DOWN:
			h->downs++;
			h->down_was_up = out.u.down.was_up;
			h->retry_us = out.u.down.retry_us;
			snprintf(h->down_reason, sizeof(h->down_reason), "%s", out.u.down.reason);
			break;
		case PORTAL_OUT_MESSAGE:
			h->messages++;
			h->last_message = out.u.message.type;
			break;
		case PORTAL_OUT_FATAL:
			h->fatal = out.u.fatal.err;
			snprintf(h->fatal_text, sizeof(h->fatal_text), "%s", out.u.fatal.text);
			break;
		}
		portal_out_clear(h->p, &out);
	}
}

static void look(struct host *h)
{
	h->said_len = h->closes = h->ups = h->downs = h->messages = h->connects = h->closed = h->fatal = 0;
}

static void begin_with(struct host *h, const struct portal_opts *opts)
{
	struct fz_key key;
	const char *reason;

	memset(h, 0, sizeof(*h));
	memset(&key, 0xfb, sizeof(key));
	unit_env_init(&h->u, 5);
	h->now = FZ_SEC(1000);
	ck_assert_int_eq(portal_new(&h->u.env, opts, h->now, &h->p, &reason), 0);
	portal_set_public_key(h->p, &key);
	drain(h);
	ck_assert_int_eq(h->connects, 1);
}

static void begin(struct host *h)
{
	begin_with(h, &usual);
}

static void end(struct host *h)
{
	portal_free(h->p);
	unit_env_check(&h->u);
}

static void raw(struct host *h, const void *data, size_t len)
{
	portal_handle_data(h->p, data, len, h->now);
	drain(h);
}

static void say(struct host *h, const char *text)
{
	uint8_t frame[4096];
	size_t len = strlen(text), at = 2;

	frame[0] = 0x81;
	frame[1] = (uint8_t)(len < 126 ? len : 126);
	if (len >= 126) {
		frame[at++] = (uint8_t)(len >> 8);
		frame[at++] = (uint8_t)len;
	}
	memcpy(frame + at, text, len);
	raw(h, frame, at + len);
}

static void answer(struct host *h, const char *head)
{
	char text[1024];

	snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n\r\n", head);
	raw(h, text, strlen(text));
}

/* TCP is up; the request is read. */
static void connect_tcp(struct host *h)
{
	ck_assert(h->connected);
	portal_handle_connected(h->p, h->now);
	drain(h);
	ck_assert_ptr_nonnull(strstr(h->request, "GET "));
}

static void upgrade(struct host *h)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[20];
	char accept[32], text[300];

	connect_tcp(h);
	ck_assert_int_eq(crypto_sha1(strstr(h->request, "Key: ") + 5, 24, guid, 36, digest), 0);
	fz_b64_encode(accept, digest, 20);
	snprintf(text, sizeof(text),
		 "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s", accept);
	answer(h, text);
}

static const char join_ok[] =
	"{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":0,\"payload\":{\"status\":\"ok\",\"response\":{}}}";
static const char init[] =
	"{\"topic\":\"client\",\"event\":\"init\",\"ref\":null,\"payload\":{\"interface\":{\"ipv4\":\"100.64.0.3\",\"ipv6\":"
	"\"fd00:2021:1111::3\"},\"flow_logs\":{\"api_url\":\"http://127.0.0.1/\",\"upload_interval_secs\":0,\"upload_batch_size\":0}}}";

static void join(struct host *h)
{
	upgrade(h);
	ck_assert_int_eq(h->said_len, 1);
	ck_assert_str_eq(h->said[0], "{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
	say(h, join_ok);
	ck_assert_int_eq(h->ups, 1);
	ck_assert(portal_is_up(h->p));
	look(h);
}

static void advance(struct host *h, uint64_t us)
{
	h->now += us;
	drain(h);
}

START_TEST(join_and_first_messages)
{
	struct host h;
	struct fz_uuid res;

	begin(&h);
	upgrade(&h);
	ck_assert_ptr_nonnull(strstr(h.request, "GET /client/v2/websocket?external_id=cl-1&name=cl1&public_key=%2B%2Fv7"));
	ck_assert_ptr_nonnull(strstr(h.request, "\r\nx-authorization: Bearer cltok\r\n")); /* acc 8.20 */
	ck_assert_int_eq(h.said_len, 1);
	say(&h, join_ok);
	ck_assert_int_eq(h.said_len, 2);
	ck_assert_str_eq(h.said[1], "{\"topic\":\"client\",\"event\":\"set_snownet_capabilities\",\"payload\":{\"iceless\":true},\"ref\":1}");
	say(&h, init);
	ck_assert(h.messages == 1 && h.last_message == PORTAL_EVENT_INIT);
	advance(&h, FZ_SEC(10));
	ck_assert_str_eq(h.said[2], "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":2}");
	ck_assert_int_eq(fz_uuid_parse("c0ffee00-1234-4abc-8def-0123456789ab", &res), 0);
	ck_assert_int_eq(portal_send_request_authorization(h.p, &res, NULL, 0), 0);
	drain(&h);
	ck_assert_str_eq(h.said[3], "{\"topic\":\"client\",\"event\":\"request_authorization\",\"payload\":{\"resource_id\":"
				    "\"c0ffee00-1234-4abc-8def-0123456789ab\",\"connected_gateway_ids\":[]},\"ref\":3}");
	ck_assert_uint_eq(portal_stats(h.p)->joins, 1);
	end(&h);
}
END_TEST

START_TEST(bytes_one_by_one)
{
	struct host h;
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[20];
	char accept[32], text[1500];

	begin(&h);
	connect_tcp(&h);
	ck_assert_int_eq(crypto_sha1(strstr(h.request, "Key: ") + 5, 24, guid, 36, digest), 0);
	fz_b64_encode(accept, digest, 20);
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
			 "\x81\x56%s",
			 accept, join_ok);
	text[n - (int)strlen(join_ok) - 1] = (char)strlen(join_ok);
	for (int i = 0; i < n; i++)
		raw(&h, text + i, 1);
	ck_assert_int_eq(h.ups, 1);
	end(&h);
}
END_TEST

/* Acceptance 8.11: never sent later. */
START_TEST(acc_8_11_not_connected)
{
	struct host h;
	struct fz_uuid res = { { 1 } };

	begin(&h);
	ck_assert_int_eq(portal_send_request_authorization(h.p, &res, NULL, 0), FZ_ERR_STATE);
	ck_assert_int_eq(portal_send_no_relays(h.p), FZ_ERR_STATE);
	join(&h);
	drain(&h);
	ck_assert_int_eq(h.said_len, 0);
	ck_assert_int_eq(portal_send_no_relays(h.p), 0);
	ck_assert_int_eq(portal_send_no_relays(h.p), 0);
	drain(&h);
	ck_assert_int_eq(h.said_len, 1);
	end(&h);
}
END_TEST

/* Acceptance 8.12: 15 s for everything. */
START_TEST(acc_8_12_hanging_handshake)
{
	for (int stage = 0; stage < 3; stage++) {
		struct host h;
		begin(&h);
		if (stage >= 1)
			connect_tcp(&h);
		if (stage == 2)
			raw(&h, "HTTP/1.1 10", 11);
		look(&h);
		advance(&h, FZ_SEC(15) - 1);
		ck_assert_int_eq(h.downs, 0);
		ck_assert_uint_eq(portal_next_timeout(h.p), h.now + 1);
		advance(&h, 1);
		ck_assert_int_eq(h.downs, 1);
		ck_assert_int_eq(h.closed, 1);
		ck_assert_uint_eq(h.retry_us, FZ_SEC(1));
		end(&h);
	}
}
END_TEST

START_TEST(partial_refusal_counts_at_the_deadline)
{
	struct host h;

	begin(&h);
	connect_tcp(&h);
	answer(&h, "401 Unauthorized\r\nContent-Length: 100");
	ck_assert_int_eq(h.fatal, 0);
	advance(&h, FZ_SEC(15));
	ck_assert_int_eq(h.fatal, FZ_ERR_PORTAL);
	ck_assert_int_eq(h.closed, 1);
	end(&h);
}
END_TEST

/* Acceptance 8.14: 16 dials, then fatal. */
START_TEST(acc_8_14_initial_connect_fails)
{
	struct host h;

	begin(&h);
	for (int i = 1; i <= 16; i++) {
		ck_assert(h.connected);
		h.connected = false;
		portal_handle_disconnected(h.p, "connection refused", h.now);
		drain(&h);
		if (i < 16) {
			ck_assert_int_eq(h.fatal, 0);
			ck_assert_uint_eq(h.retry_us, FZ_SEC(1));
			ck_assert(!h.down_was_up);
			advance(&h, FZ_SEC(1) - 1);
			ck_assert(!h.connected);
			advance(&h, 1);
		}
	}
	ck_assert_int_eq(h.fatal, FZ_ERR_PORTAL);
	ck_assert_ptr_nonnull(strstr(h.fatal_text, "connection refused"));
	ck_assert_uint_eq(portal_next_timeout(h.p), FZ_NEVER_US);
	ck_assert_uint_eq(portal_stats(h.p)->dials, 16);
	end(&h);
}
END_TEST

/* Acceptance 8.15: exponential after a join; a manual reconnect is immediate and resets. */
START_TEST(acc_8_15_backoff_and_manual_reconnect)
{
	struct host h;
	uint64_t before;

	begin(&h);
	join(&h);
	h.connected = false;
	portal_handle_disconnected(h.p, NULL, h.now);
	drain(&h);
	ck_assert(h.downs == 1 && h.down_was_up);
	ck_assert(h.retry_us >= 500000 && h.retry_us < 1000000);
	for (int i = 0; i < 8; i++) {
		advance(&h, h.retry_us);
		ck_assert(h.connected);
		h.connected = false;
		portal_handle_disconnected(h.p, "refused", h.now);
		drain(&h);
		ck_assert(!h.down_was_up);
	}
	ck_assert_uint_gt(h.retry_us, FZ_SEC(10));
	look(&h);
	before = portal_stats(h.p)->dials;
	portal_reconnect(h.p, h.now + 1000000);
	advance(&h, FZ_SEC(1));
	ck_assert(h.connected && portal_stats(h.p)->dials == before + 1);
	h.connected = false;
	portal_handle_disconnected(h.p, "refused", h.now);
	drain(&h);
	ck_assert(h.retry_us >= 500000 && h.retry_us < 1000000);
	end(&h);
}
END_TEST

START_TEST(reconnect_of_a_live_channel)
{
	struct host h;
	struct fz_key key;

	begin(&h);
	join(&h);
	h.now += FZ_SEC(5);
	memset(&key, 1, sizeof(key));
	portal_set_public_key(h.p, &key);
	portal_reconnect(h.p, h.now);
	drain(&h);
	ck_assert_int_eq(h.closes, 1); /* close frame, then the stream, then at once a new one */
	ck_assert(h.closed == 1 && h.downs == 1 && h.down_was_up && h.connects == 1);
	connect_tcp(&h);
	ck_assert_ptr_nonnull(strstr(h.request, "public_key=AQEBAQ"));
	/* bursts do not hammer */
	look(&h);
	portal_reconnect(h.p, h.now);
	drain(&h);
	ck_assert(h.closed == 1 && h.connects == 0 && h.downs == 0);
	ck_assert_uint_eq(portal_next_timeout(h.p), h.now + FZ_MS(250));
	advance(&h, FZ_MS(250));
	ck_assert_int_eq(h.connects, 1);
	end(&h);
}
END_TEST

START_TEST(reconnect_before_the_dial_was_polled)
{
	struct host h;
	const char *reason;
	struct portal_out out;

	memset(&h, 0, sizeof(h));
	unit_env_init(&h.u, 5);
	ck_assert_int_eq(portal_new(&h.u.env, &usual, FZ_SEC(1), &h.p, &reason), 0);
	portal_handle_timeout(h.p, FZ_SEC(1));
	portal_reconnect(h.p, FZ_SEC(1));
	ck_assert(!portal_poll_event(h.p, &out)); /* no stream, nothing to close */
	portal_handle_timeout(h.p, FZ_SEC(2));
	ck_assert(portal_poll_event(h.p, &out) && out.type == PORTAL_OUT_CONNECT);
	portal_handle_connected(h.p, FZ_SEC(2)); /* without a key */
	ck_assert(portal_poll_event(h.p, &out) && out.type == PORTAL_OUT_DOWN);
	ck_assert(portal_poll_event(h.p, &out) && out.type == PORTAL_OUT_CLOSE);
	end(&h);
}
END_TEST

/* control-plane 1.8 and 1.9, after the transport. */
static const struct {
	const char *head;
	const char *body;
	int fatal; /* 0 = retried */
	uint64_t retry_us; /* 0 = the schedule's */
} answers[] = {
	{ "401 U\r\nContent-Type: application/problem+json", "{\"code\":\"invalid_token\"}", FZ_ERR_TOKEN, 0 },
	{ "401 U\r\nContent-Type: application/problem+json", "{\"code\":\"missing_token\"}", FZ_ERR_TOKEN, 0 },
	{ "401 U\r\nContent-Type: application/problem+json", "{\"code\":\"other\",\"detail\":\"because\"}", FZ_ERR_PORTAL, 0 },
	{ "401 U\r\nRetry-After: 5", "", FZ_ERR_PORTAL, 0 },
	{ "400 B", "", 0, 0 },
	{ "402 P", "", 0, 0 },
	{ "403 F", "Forbidden", 0, 0 },
	{ "404 N", "Not Found", 0, 0 },
	{ "408 T", "", 0, 0 },
	{ "409 C", "", 0, 0 },
	{ "429 T\r\nRetry-After: 30", "", 0, FZ_SEC(30) },
	{ "500 I", "", 0, 0 },
	{ "503 S\r\nRetry-After: 1", "", 0, FZ_SEC(1) },
	{ "503 S\r\nRetry-After: 0", "", 0, FZ_SEC(1) }, /* never without a pause */
	{ "503 S\r\nRetry-After: 1.5", "", 0, 0 },
	{ "503 S\r\nRetry-After: 10000000", "", 0, FZ_SEC(3600) },
	{ "302 F\r\nLocation: /", "", 0, 0 },
	{ "200 O", "", 0, 0 },
	{ "101 S", "", 0, 0 },
};

START_TEST(answer_table)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct host h;
		char text[400];
		begin(&h);
		connect_tcp(&h);
		snprintf(text, sizeof(text), "%s\r\nContent-Length: %zu\r\n\r\n%s", answers[i].head,
			 strlen(answers[i].body), answers[i].body);
		char whole[500];
		raw(&h, whole, (size_t)snprintf(whole, sizeof(whole), "HTTP/1.1 %s", text));
		ck_assert_msg(h.fatal == answers[i].fatal, "%s: %d", answers[i].head, h.fatal);
		ck_assert_int_eq(h.closed, 1);
		if (answers[i].fatal == 0)
			ck_assert_msg(h.retry_us == (answers[i].retry_us ? answers[i].retry_us : FZ_SEC(1)), "%s: %u",
				      answers[i].head, (unsigned)h.retry_us);
		if (answers[i].fatal == FZ_ERR_PORTAL && answers[i].body[0])
			ck_assert_ptr_nonnull(strstr(h.fatal_text, "because"));
		ck_assert_ptr_null(strstr(h.fatal_text, "cltok"));
		end(&h);
	}
}
END_TEST

START_TEST(retry_after_costs_no_budget)
{
	struct host h;

	begin(&h);
	for (int i = 0; i < 40; i++) {
		connect_tcp(&h);
		answer(&h, "503 S\r\nContent-Length: 0\r\nRetry-After: 2");
		ck_assert_int_eq(h.fatal, 0);
		advance(&h, FZ_SEC(2));
		ck_assert(h.connected);
	}
	end(&h);
}
END_TEST

#define REPLY(ref, status, response)                                                                         \
	"{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":" ref ",\"payload\":{\"status\":\"" status            \
	"\",\"response\":" response "}}"

static const struct {
	const char *why, *text;
	bool joined;
	int fatal;
	bool lost;
} control[] = {
	{ "join error", REPLY("0", "error", "{\"reason\":\"disabled\"}"), false, FZ_ERR_PORTAL, false },
	{ "token expired", "{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":{\"reason\":\"token_expired\"},\"ref\":null}", true, FZ_ERR_TOKEN, false },
	{ "token expired early", "{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":{\"reason\":\"token_expired\"},\"ref\":null}", false, FZ_ERR_TOKEN, false },
	{ "revoked", "{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":{\"reason\":\"certificate_revoked\"},\"ref\":null}", true, 0, false },
	{ "phx_close", "{\"topic\":\"client\",\"event\":\"phx_close\",\"payload\":{},\"ref\":null}", true, 0, true },
	{ "phx_error", "{\"topic\":\"client\",\"event\":\"phx_error\",\"payload\":{},\"ref\":null}", true, 0, false },
	{ "cut JSON", "{\"topic\":\"cl", true, 0, true },
	{ "no JSON", "hello you", true, 0, false },
	{ "unknown event", "{\"topic\":\"client\",\"event\":\"news\",\"payload\":{},\"ref\":null}", true, 0, false },
	{ "malformed event", "{\"topic\":\"client\",\"event\":\"init\",\"payload\":{},\"ref\":null}", true, 0, false },
};

START_TEST(control_event_table)
{
	for (size_t i = 0; i < sizeof(control) / sizeof(control[0]); i++) {
		struct host h;
		begin(&h);
		if (control[i].joined)
			join(&h);
		else
			upgrade(&h);
		look(&h);
		say(&h, control[i].text);
		ck_assert_msg(h.fatal == control[i].fatal, "%s: %d", control[i].why, h.fatal);
		ck_assert_msg((h.downs > 0) == (control[i].lost || (control[i].fatal && control[i].joined)), "%s",
			      control[i].why);
		ck_assert_msg((h.closed == 1) == (control[i].lost || control[i].fatal), "%s", control[i].why);
		ck_assert_int_eq(h.messages, 0);
		if (control[i].fatal) {
			advance(&h, FZ_SEC(1000));
			ck_assert_int_eq(h.connects, 0);
		}
		end(&h);
	}
}
END_TEST

/* Acceptance 8.31, 8.36. */
START_TEST(silence)
{
	struct host h;

	begin(&h);
	upgrade(&h);
	advance(&h, FZ_SEC(5)); /* 8.36: the join is not answered */
	ck_assert_int_eq(h.closed, 1);
	ck_assert_ptr_nonnull(strstr(h.down_reason, "join"));
	end(&h);
	begin(&h);
	join(&h);
	for (int s = 10; s <= 30; s += 10)
		advance(&h, FZ_SEC(10));
	ck_assert(h.downs == 0 && h.said_len == 3);
	advance(&h, FZ_SEC(10)); /* 8.31: the fourth heartbeat */
	ck_assert(h.downs == 1 && h.closed == 1 && h.down_was_up);
	ck_assert_ptr_nonnull(strstr(h.down_reason, "heartbeat"));
	end(&h);
}
END_TEST

/* Acceptance 8.32: the close is echoed before the stream is closed. */
START_TEST(acc_8_32_close_frame)
{
	struct host h;

	begin(&h);
	join(&h);
	raw(&h, "\x88\x02\x03\xe9", 4);
	ck_assert(h.closes == 1 && h.closed == 1 && h.downs == 1 && h.fatal == 0);
	ck_assert_ptr_nonnull(strstr(h.down_reason, "1001"));
	/* reports about the old stream do no harm */
	portal_handle_disconnected(h.p, "late", h.now);
	portal_handle_data(h.p, "x", 1, h.now);
	drain(&h);
	ck_assert_int_eq(h.downs, 1);
	end(&h);
	begin(&h);
	join(&h);
	portal_shutdown(h.p, h.now);
	drain(&h);
	ck_assert(h.closes == 1 && h.closed == 1 && h.downs == 0 && h.fatal == 0);
	ck_assert_uint_eq(portal_next_timeout(h.p), FZ_NEVER_US);
	end(&h);
}
END_TEST

/* Acceptance 8.5: candidates survive an outage, everything else does not. */
START_TEST(acc_8_5_candidates_over_an_outage)
{
	struct host h;
	struct fz_uuid gw = { { 7 } };
	const char *first[] = { "candidate:1", "candidate:2" }, *second[] = { "candidate:2", "candidate:0" };

	begin(&h);
	ck_assert_int_eq(portal_send_candidates(h.p, PORTAL_CANDIDATES_ADD, PORTAL_PEER_GATEWAY, &gw, first, 2), 0);
	ck_assert_int_eq(portal_send_candidates(h.p, PORTAL_CANDIDATES_INVALIDATE, PORTAL_PEER_GATEWAY, &gw, second, 2), 0);
	upgrade(&h);
	ck_assert_int_eq(h.said_len, 1); /* not before the join is answered */
	look(&h);
	say(&h, join_ok);
	ck_assert_int_eq(h.said_len, 3);
	ck_assert_str_eq(h.said[0], "{\"topic\":\"client\",\"event\":\"set_snownet_capabilities\",\"payload\":{\"iceless\":true},\"ref\":1}");
	ck_assert_str_eq(h.said[1], "{\"topic\":\"client\",\"event\":\"new_gateway_ice_candidates\",\"payload\":{\"gateway_id\":"
				    "\"07000000-0000-0000-0000-000000000000\",\"candidates\":[\"candidate:1\"]},\"ref\":2}");
	ck_assert_str_eq(h.said[2], "{\"topic\":\"client\",\"event\":\"invalidate_gateway_ice_candidates\",\"payload\":{\"gateway_id\":"
				    "\"07000000-0000-0000-0000-000000000000\",\"candidates\":[\"candidate:0\"]},\"ref\":3}");
	look(&h);
	ck_assert_int_eq(portal_send_candidates(h.p, PORTAL_CANDIDATES_ADD, PORTAL_PEER_GATEWAY, &gw, first, 2), 0);
	drain(&h);
	ck_assert_int_eq(h.said_len, 1);
	look(&h);
	h.connected = false;
	portal_handle_disconnected(h.p, NULL, h.now);
	ck_assert_int_eq(portal_send_candidates(h.p, PORTAL_CANDIDATES_ADD, PORTAL_PEER_GATEWAY, &gw, first, 1), 0);
	portal_forget_candidates(h.p, PORTAL_PEER_GATEWAY, &gw);
	drain(&h);
	advance(&h, h.retry_us);
	join(&h);
	drain(&h);
	ck_assert_int_eq(h.said_len, 0);
	end(&h);
}
END_TEST

START_TEST(candidates_beyond_the_queue_are_held)
{
	struct host h;
	int sent = 0, n;
	uint8_t buf[65536];

	begin(&h);
	join(&h);
	for (int i = 0; i < 1000; i++) {
		struct fz_uuid gw = { { (uint8_t)(i >> 8), (uint8_t)i } };
		const char *text = "candidate:1";
		ck_assert_int_eq(portal_send_candidates(h.p, PORTAL_CANDIDATES_ADD, PORTAL_PEER_GATEWAY, &gw, &text, 1), 0);
	}
	while ((n = portal_poll_transmit(h.p, buf, sizeof(buf), h.now)) > 0)
		sent++;
	ck_assert_uint_eq(portal_stats(h.p)->messages_out, 1002); /* join, capabilities, and these */
	ck_assert_uint_eq(portal_stats(h.p)->dropped_full, 0);
	end(&h);
}
END_TEST

static const struct {
	const char *why;
	struct portal_opts o;
} bad_opts[] = {
	{ "no URL", { .external_id = "a", .name = "b", .user_agent = "c" } },
	{ "bad URL", { .url = "x", .external_id = "a", .name = "b", .user_agent = "c" } },
	{ "no id", { .url = "wss://h", .name = "b", .user_agent = "c" } },
	{ "header injection by the agent", { .url = "wss://h", .external_id = "a", .name = "b", .user_agent = "c\r\nX: y" } },
	{ "control character in the token", { .url = "wss://h", .token = "a\x01", .external_id = "a", .name = "b", .user_agent = "c" } },
};

START_TEST(faulty_options)
{
	char big[9000];
	struct unit_env u;
	struct portal *p;
	const char *reason;
	struct portal_opts o = usual;

	unit_env_init(&u, 1);
	for (size_t i = 0; i < sizeof(bad_opts) / sizeof(bad_opts[0]); i++) {
		reason = NULL;
		ck_assert_msg(portal_new(&u.env, &bad_opts[i].o, 0, &p, &reason) == FZ_ERR_INVAL, "%s", bad_opts[i].why);
		ck_assert_ptr_nonnull(reason);
	}
	memset(big, 'a', sizeof(big));
	big[8999] = '\0';
	o.token = big;
	ck_assert_int_eq(portal_new(&u.env, &o, 0, &p, NULL), FZ_ERR_INVAL);
	o = usual;
	o.external_id = big + 8000;
	ck_assert_int_eq(portal_new(&u.env, &o, 0, &p, NULL), FZ_ERR_INVAL);
	unit_env_check(&u);
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
		int err = portal_new(&h.u.env, &usual, h.now, &h.p, &reason);
		if (err) {
			ck_assert_int_eq(err, FZ_ERR_NOMEM);
			unit_env_check(&h.u);
			continue;
		}
		portal_set_public_key(h.p, &key);
		drain(&h);
		for (int tries = 0; tries < 4 && !h.messages; tries++) {
			if (!h.connected)
				advance(&h, FZ_SEC(2));
			look(&h);
			portal_handle_connected(h.p, h.now);
			drain(&h);
			if (!h.connected)
				continue;
			static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
			uint8_t digest[20];
			char accept[32], text[300];
			ck_assert_int_eq(crypto_sha1(strstr(h.request, "Key: ") + 5, 24, guid, 36, digest), 0);
			fz_b64_encode(accept, digest, 20);
			snprintf(text, sizeof(text), "101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s", accept);
			answer(&h, text);
			say(&h, join_ok);
			say(&h, init);
		}
		ck_assert_msg(h.messages == 1, "allocation %ld", at);
		end(&h);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("portal");

	unit_case(s, "life", join_and_first_messages, bytes_one_by_one, acc_8_11_not_connected, faulty_options,
		  failing_allocations);
	unit_case(s, "outcomes", acc_8_12_hanging_handshake, partial_refusal_counts_at_the_deadline, answer_table,
		  control_event_table, silence, acc_8_32_close_frame);
	unit_case(s, "retry", acc_8_14_initial_connect_fails, acc_8_15_backoff_and_manual_reconnect,
		  reconnect_of_a_live_channel, reconnect_before_the_dial_was_polled, retry_after_costs_no_budget);
	unit_case(s, "candidates", acc_8_5_candidates_over_an_outage, candidates_beyond_the_queue_are_held);
	return s;
}
