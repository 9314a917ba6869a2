/* SPDX-License-Identifier: Apache-2.0 */
#include "portal_host.h"

#include <stdio.h>

#include "ext/crypto.h"

const struct portal_opts host_usual_opts = {
	.url = "ws://203.0.113.10:8081",
	.token = "cl\r\ntok ",
	.external_id = "cl-1",
	.name = "cl1",
	.user_agent = "Debian/12.0.0 headless-client/1.5.12",
	.role = PORTAL_ROLE_CLIENT,
	.iceless = true,
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

void host_drain(struct host *h)
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

void host_look(struct host *h)
{
	h->said_len = h->closes = h->ups = h->downs = h->messages = h->connects = h->closed = h->fatal = 0;
}

void host_begin(struct host *h)
{
	host_begin_with(h, &host_usual_opts);
}

void host_begin_with(struct host *h, const struct portal_opts *opts)
{
	struct fz_key key;
	const char *reason;

	memset(h, 0, sizeof(*h));
	memset(&key, 0xfb, sizeof(key));
	unit_env_init(&h->u, 5);
	h->now = FZ_SEC(1000);
	ck_assert_int_eq(portal_new(&h->u.env, opts, h->now, &h->p, &reason), 0);
	portal_set_public_key(h->p, &key);
	host_drain(h);
	ck_assert_int_eq(h->connects, 1);
}

void host_end(struct host *h)
{
	portal_free(h->p);
	unit_env_check(&h->u);
}

void host_raw(struct host *h, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len) {
		size_t n = h->one_by_one ? 1 : len;
		portal_handle_data(h->p, at, n, h->now);
		host_drain(h);
		at += n;
		len -= n;
	}
}

void host_say(struct host *h, const char *text)
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
	host_raw(h, frame, at + len);
}

void host_answer(struct host *h, const char *head)
{
	char text[1024];

	snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n\r\n", head);
	host_raw(h, text, strlen(text));
}

/* TCP is up; the request is read. */
void host_connect_tcp(struct host *h)
{
	ck_assert(h->connected);
	portal_handle_connected(h->p, h->now);
	host_drain(h);
	ck_assert_ptr_nonnull(strstr(h->request, "GET "));
}

void host_answer_upgrade(struct host *h)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[20];
	char accept[32], text[300];

	ck_assert_int_eq(crypto_sha1(strstr(h->request, "Key: ") + 5, 24, guid, 36, digest), 0);
	fz_b64_encode(accept, digest, 20);
	snprintf(text, sizeof(text),
		 "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		 "Upgrade\r\nSec-WebSocket-Accept: %s",
		 accept);
	host_answer(h, text);
}

void host_upgrade(struct host *h)
{
	host_connect_tcp(h);
	host_answer_upgrade(h);
}

const char host_join_ok[] = "{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":0,\"payload\":{\"status\":"
			    "\"ok\",\"response\":{}}}";
const char host_init[] = "{\"topic\":\"client\",\"event\":\"init\",\"ref\":null,\"payload\":{\"interface\":{"
			 "\"ipv4\":\"100.64.0.3\",\"ipv6\":"
			 "\"fd00:2021:1111::3\"},\"flow_logs\":{\"api_url\":\"http://127.0.0.1/"
			 "\",\"upload_interval_secs\":0,\"upload_batch_size\":0}}}";

void host_join(struct host *h)
{
	host_upgrade(h);
	ck_assert_int_eq(h->said_len, 1);
	ck_assert_str_eq(h->said[0],
			 "{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
	host_say(h, host_join_ok);
	ck_assert_int_eq(h->ups, 1);
	ck_assert(portal_is_up(h->p));
	host_look(h);
}

void host_advance(struct host *h, uint64_t us)
{
	h->now += us;
	host_drain(h);
}
