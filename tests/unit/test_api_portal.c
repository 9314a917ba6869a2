/* SPDX-License-Identifier: Apache-2.0 */
/* The public channel object: the portal is played by the test. */
#include "unit.h"

#include <stdio.h>

#include "base/text.h"
#include "base/time.h"
#include "ext/crypto.h"
#include "fzconn/portal.h"

#define GATEWAY_INIT                                                                                         \
	"{\"topic\":\"gateway\",\"event\":\"init\",\"ref\":null,\"payload\":{\"interface\":{\"ipv4\":\"100." \
	"64.0.3\",\"ipv6\":"                                                                                 \
	"\"fd00::3\"},\"config\":{\"ipv4_masquerade_enabled\":true,\"ipv6_masquerade_enabled\":true},"       \
	"\"new\":1,\"flow_logs\":"                                                                           \
	"{\"api_url\":\"http://127.0.0.1/\",\"upload_interval_secs\":0,\"upload_batch_size\":0}}}"
#define JOIN_OK                                                                                              \
	"{\"topic\":\"gateway\",\"event\":\"phx_reply\",\"ref\":0,\"payload\":{\"status\":\"ok\","           \
	"\"response\":{}}}"

struct fixture {
	struct unit_env u;
	struct fz_portal *p;
	struct fz_portal_event ev;
	uint64_t now;
};

static const struct fz_portal_opts usual = {
	.size = sizeof(struct fz_portal_opts),
	.url = "wss://portal.example:8443/x",
	.token = "secret",
	.id = "gw-1",
	.name = "gw1",
	.user_agent = "Debian/12.0.0 gateway/1.6.1",
	.role = FZ_PORTAL_GATEWAY,
};

static void begin(struct fixture *f)
{
	struct fz_wg_key key = { { 1 } };

	unit_env_init(&f->u, 5);
	f->now = FZ_SEC(50);
	ck_assert_int_eq(fz_portal_new(&f->u.env, &usual, &key, f->now, &f->p), 0);
}

static void end(struct fixture *f)
{
	fz_portal_free(f->p);
	unit_env_check(&f->u);
}

static void expect(struct fixture *f, enum fz_portal_event_type type)
{
	ck_assert(fz_portal_poll_event(f->p, &f->ev));
	ck_assert_int_eq(f->ev.type, type);
}

static void say(struct fixture *f, const char *text)
{
	uint8_t frame[1200];
	size_t len = strlen(text), at = 2;

	frame[0] = 0x81;
	frame[1] = (uint8_t)(len < 126 ? len : 126);
	if (len >= 126) {
		frame[at++] = (uint8_t)(len >> 8);
		frame[at++] = (uint8_t)len;
	}
	memcpy(frame + at, text, len);
	fz_portal_handle_data(f->p, frame, len + at, f->now);
}

static void join(struct fixture *f)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[20];
	char accept[32], text[2000];

	fz_portal_handle_timeout(f->p, f->now);
	expect(f, FZ_PORTAL_CONNECT);
	ck_assert_str_eq(f->ev.u.connect.host, "portal.example");
	ck_assert(f->ev.u.connect.port == 8443 && f->ev.u.connect.tls);
	fz_portal_handle_opened(f->p, f->now);
	int n = fz_portal_poll_transmit(f->p, text, sizeof(text) - 1, f->now);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_ptr_nonnull(
		strstr(text, "GET /x/gateway/v2/websocket?external_id=gw-1&name=gw1&public_key=AQAA"));
	ck_assert_int_eq(crypto_sha1(strstr(text, "Key: ") + 5, 24, guid, 36, digest), 0);
	fz_b64_encode(accept, digest, 20);
	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
		     "%s\r\n\r\n",
		     accept);
	fz_portal_handle_data(f->p, text, (size_t)n, f->now);
	while (fz_portal_poll_transmit(f->p, text, sizeof(text), f->now) > 0)
		;
	say(f, JOIN_OK);
	expect(f, FZ_PORTAL_UP);
	ck_assert(fz_portal_is_up(f->p));
}

START_TEST(messages_in_and_out)
{
	struct fixture f;
	const char *texts[] = { "candidate:1" }, *bad[] = { "1" };

	begin(&f);
	ck_assert_int_eq(fz_portal_acknowledge(f.p, "r"), FZ_ERR_STATE);
	join(&f);
	say(&f, GATEWAY_INIT);
	expect(&f, FZ_PORTAL_MESSAGE);
	ck_assert_int_eq(f.ev.u.message.kind, FZ_PORTAL_MSG_INIT);
	ck_assert_str_eq(f.ev.u.message.name, "init");
	ck_assert_ptr_nonnull(strstr(f.ev.u.message.payload, "\"interface\":{\"ipv4\":\"100.64.0.3\""));
	ck_assert_ptr_nonnull(
		strstr(f.ev.u.message.payload, "\"new\":1")); /* what we do not know is passed on */
	ck_assert_uint_eq(f.ev.u.message.payload_len, strlen(f.ev.u.message.payload));
	say(&f, "{\"topic\":\"gateway\",\"event\":\"init\",\"ref\":null,\"payload\":{}}");
	ck_assert(!fz_portal_poll_event(f.p, &f.ev));
	ck_assert_int_eq(fz_portal_acknowledge(f.p, "r"), 0);
	ck_assert_int_eq(fz_portal_request_relays(f.p), 0);
	ck_assert_int_eq(fz_portal_request_access(f.p, "c0ffee00-1234-4abc-8def-0123456789ab", NULL, 0),
			 FZ_ERR_INVAL);
	ck_assert_int_eq(
		fz_portal_send_candidates(f.p, "c0ffee00-1234-4abc-8def-0123456789ab", texts, 1, false), 0);
	ck_assert_int_eq(fz_portal_send_candidates(f.p, "c0ffee00", texts, 1, false), FZ_ERR_INVAL);
	ck_assert_int_eq(
		fz_portal_send_candidates(f.p, "c0ffee00-1234-4abc-8def-0123456789ab", bad, 1, false),
		FZ_ERR_INVAL);
	fz_portal_shutdown(f.p, f.now);
	expect(&f, FZ_PORTAL_CLOSE);
	ck_assert(!fz_portal_poll_event(f.p, &f.ev));
	ck_assert_uint_eq(fz_portal_next_timeout(f.p), FZ_NEVER_US);
	end(&f);
}
END_TEST

START_TEST(no_memory_for_a_message_sets_the_channel_up_anew)
{
	struct fixture f;

	begin(&f);
	join(&f);
	say(&f, GATEWAY_INIT);
	f.u.fail_at = f.u.allocs + 1;
	expect(&f, FZ_PORTAL_DOWN);
	ck_assert(f.ev.u.down.was_up);
	expect(&f, FZ_PORTAL_CLOSE);
	f.now += f.ev.u.down.retry_us + FZ_SEC(2);
	join(&f);
	fz_portal_reconnect(f.p, f.now);
	expect(&f, FZ_PORTAL_DOWN);
	expect(&f, FZ_PORTAL_CLOSE);
	end(&f);
}
END_TEST

START_TEST(dead_channel)
{
	struct fixture f;

	begin(&f);
	fz_portal_handle_timeout(f.p, f.now);
	expect(&f, FZ_PORTAL_CONNECT);
	fz_portal_handle_closed(f.p, "refused", f.now);
	expect(&f, FZ_PORTAL_DOWN);
	ck_assert_str_eq(f.ev.u.down.reason, "refused");
	join((f.now += FZ_SEC(1), &f));
	say(&f, "{\"topic\":\"gateway\",\"event\":\"disconnect\",\"payload\":{\"reason\":\"token_expired\"},"
		"\"ref\":null}");
	expect(&f, FZ_PORTAL_DOWN);
	expect(&f, FZ_PORTAL_CLOSE);
	expect(&f, FZ_PORTAL_DEAD);
	ck_assert_int_eq(f.ev.u.dead.err, FZ_ERR_TOKEN);
	end(&f);
}
END_TEST

START_TEST(options)
{
	struct unit_env u;
	struct fz_portal *p = NULL;
	struct fz_wg_key key = { { 1 } };
	struct fz_portal_opts o;

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_portal_new(&u.env, NULL, &key, 0, &p), FZ_ERR_INVAL);
	ck_assert_int_eq(fz_portal_new(&u.env, &usual, NULL, 0, &p), FZ_ERR_INVAL);
	o = usual, o.role = 0;
	ck_assert_int_eq(fz_portal_new(&u.env, &o, &key, 0, &p), FZ_ERR_INVAL);
	o = usual, o.token = NULL;
	ck_assert_int_eq(fz_portal_new(&u.env, &o, &key, 0, &p), FZ_ERR_INVAL);
	o = usual, o.user_agent = NULL;
	ck_assert_int_eq(fz_portal_new(&u.env, &o, &key, 0, &p), FZ_ERR_INVAL);
	o = usual, o.url = "gopher://x";
	ck_assert_int_eq(fz_portal_new(&u.env, &o, &key, 0, &p), FZ_ERR_INVAL);
	o = usual, o.size = 4;
	ck_assert_int_eq(fz_portal_new(&u.env, &o, &key, 0, &p), FZ_ERR_ABI);
	ck_assert_ptr_null(p);
	for (long at = 1; p == NULL; at++) {
		u.fail_at = u.allocs + at;
		int err = fz_portal_new(&u.env, &usual, &key, 0, &p);
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
	}
	fz_portal_free(p);
	fz_portal_free(NULL);
	unit_env_check(&u);
}
END_TEST

START_TEST(facts_of_a_device)
{
	struct fz_portal_agent a = { .size = sizeof(a),
				     .os = "Debian",
				     .os_version = "12.0.0",
				     .component = "gateway",
				     .version = "1.6.1",
				     .arch = "x86_64" };
	static const char machine[] = "0123456789abcdef0123456789abcdef\n";
	char text[65];

	ck_assert_int_eq(fz_portal_user_agent(&a, text, sizeof(text)), 0);
	ck_assert_str_eq(text, "Debian/12.0.0 gateway/1.6.1 (x86_64)");
	ck_assert_int_eq(fz_portal_user_agent(&a, text, 10), FZ_ERR_NOSPACE);
	a.os = NULL;
	ck_assert_int_eq(fz_portal_user_agent(&a, text, sizeof(text)), FZ_ERR_INVAL);
	a.size = 1;
	ck_assert_int_eq(fz_portal_user_agent(&a, text, sizeof(text)), FZ_ERR_ABI);
	ck_assert_int_eq(fz_portal_machine_id(FZ_PORTAL_GATEWAY, machine, strlen(machine), text), 0);
	ck_assert_str_eq(text, "eeefe5d1cb3807dfc3ae24794878ec3147027390d839d1d718d8e42bcfde3336");
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("api_portal");

	unit_case(s, "fz_portal", messages_in_and_out, no_memory_for_a_message_sets_the_channel_up_anew,
		  dead_channel, options, facts_of_a_device);
	return s;
}
