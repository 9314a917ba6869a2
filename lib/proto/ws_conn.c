/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_conn.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/text.h"
#include "ext/crypto.h"
#include "ext/json.h"
#include "fzconn/error.h"
#include "wire/http.h"

struct ws_conn {
	const struct fz_env *env;
	enum ws_conn_state state;
	char *request; /* secret: holds the token */
	size_t request_len, request_sent;
	char accept[FZ_B64_LEN(CRYPTO_SHA1_LEN) + 1];
	char *head; /* bytes of the answer until its head is complete */
	size_t head_len;
	bool has_head;
	struct http_body framing;
	bool is_problem; /* media type of the body */
	char *body;
	size_t body_len;
	struct ws *ws;
	struct ws_conn_refusal refusal;
	char reason[192];
	uint64_t binary_skipped;
};

static void broken(struct ws_conn *c, const char *why)
{
	c->state = WS_CONN_BROKEN;
	snprintf(c->reason, sizeof(c->reason), "%s", why);
}

/* The answer to a key: RFC 6455 section 1.3. */
static int accept_of(const char *key, char *ret)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[CRYPTO_SHA1_LEN];
	int err = crypto_sha1(key, strlen(key), guid, sizeof(guid) - 1, digest);

	if (err == 0)
		fz_b64_encode(ret, digest, sizeof(digest));
	return err;
}

static int build_request(struct ws_conn *c, const struct ws_conn_request *r)
{
	uint8_t random[16];
	char key[FZ_B64_LEN(16) + 1];
	const char *token = r->token ? r->token : "";
	size_t cap = strlen(r->host) + strlen(r->target) + strlen(token) + strlen(r->user_agent) + 300;
	int err;

	fz_rng_fill(c->env, random, sizeof(random));
	fz_b64_encode(key, random, sizeof(random));
	err = accept_of(key, c->accept);
	if (err)
		return err;
	c->request = fz_realloc(c->env, NULL, cap);
	if (c->request == NULL)
		return FZ_ERR_NOMEM;
	c->request_len = (size_t)snprintf(
		c->request, cap,
		"GET %s HTTP/1.1\r\nHost: %s%s%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s%s%suser-agent: %s\r\n\r\n",
		r->target, r->is_ipv6 ? "[" : "", r->host, r->is_ipv6 ? "]" : "", key,
		r->token ? "x-authorization: Bearer " : "", token, r->token ? "\r\n" : "", r->user_agent);
	return 0;
}

static void forget_request(struct ws_conn *c)
{
	if (c->request)
		fz_wipe(c->request, c->request_len);
	fz_free(c->env, c->request);
	c->request = NULL;
}

int ws_conn_new(const struct fz_env *env, const struct ws_conn_request *req, struct ws_conn **ret)
{
	struct ws_conn *c = fz_zalloc(env, sizeof(*c));
	int err = FZ_ERR_NOMEM;

	if (c == NULL)
		return err;
	c->env = env;
	c->head = fz_zalloc(env, HTTP_HEAD_MAX + 1);
	if (c->head)
		err = build_request(c, req);
	if (err == 0)
		err = ws_new(env, WS_CONN_MESSAGE_MAX, &c->ws);
	if (err) {
		ws_conn_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void ws_conn_free(struct ws_conn *c)
{
	if (c == NULL)
		return;
	forget_request(c);
	fz_free(c->env, c->head);
	fz_free(c->env, c->body);
	ws_free(c->ws);
	fz_free(c->env, c);
}

enum ws_conn_state ws_conn_state(const struct ws_conn *c)
{
	return c->state;
}

const struct ws_conn_refusal *ws_conn_refusal(const struct ws_conn *c)
{
	return &c->refusal;
}

const char *ws_conn_reason(const struct ws_conn *c)
{
	return c->reason;
}

static bool same_word(const char *s, size_t len, const char *word)
{
	if (len != strlen(word))
		return false;
	for (size_t i = 0; i < len; i++)
		if ((s[i] | 0x20) != word[i])
			return false;
	return true;
}

/* Is the lower-case word in a list of tokens? */
static bool has_token(const char *list, const char *word)
{
	while (list && *list) {
		list += strspn(list, " \t,");
		size_t n = strcspn(list, " \t,");
		if (n && same_word(list, n, word))
			return true;
		list += n;
	}
	return false;
}

/* RFC 6455 section 4.1, with one tolerance: an extension that nobody asked for is ignored, for its frames
 * would fail. */
static const char *upgrade_fault(const struct ws_conn *c, const struct http_head *h)
{
	const char *accept = http_field(h, "sec-websocket-accept");
	const char *upgrade = http_field(h, "upgrade");

	if (upgrade == NULL || !same_word(upgrade, strlen(upgrade), "websocket"))
		return "bad handshake: no upgrade to websocket";
	if (!has_token(http_field(h, "connection"), "upgrade"))
		return "bad handshake: no Connection: Upgrade";
	if (accept == NULL || strcmp(accept, c->accept) != 0)
		return "bad handshake: wrong Sec-WebSocket-Accept";
	for (size_t i = 0; i < h->fields_len; i++)
		if (same_word(h->fields[i].name, strlen(h->fields[i].name), "sec-websocket-protocol"))
			return "bad handshake: a subprotocol was not asked for";
	return NULL;
}

static void copy_text(char *dst, size_t cap, const char *src, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < cap; i++)
		if ((uint8_t)src[i] >= ' ' && src[i] != 127)
			dst[n++] = src[i];
	dst[n] = '\0';
}

static void read_problem(struct ws_conn *c)
{
	struct ws_conn_refusal *r = &c->refusal;
	struct jv *v = NULL;

	if (!c->is_problem || jv_parse(c->body, c->body_len, &v) != JV_OK)
		return;
	const char *code = jv_str(jv_get(v, "code")), *detail = jv_str(jv_get(v, "detail"));
	if (code)
		copy_text(r->code, sizeof(r->code), code, strlen(code));
	if (detail)
		copy_text(r->detail, sizeof(r->detail), detail, strlen(detail));
	jv_free(v);
}

static void refused(struct ws_conn *c)
{
	struct ws_conn_refusal *r = &c->refusal;

	read_problem(c);
	if (!r->code[0] && !r->detail[0])
		copy_text(r->body, sizeof(r->body), c->body, c->body_len);
	if (r->status == 401) {
		bool token = strcmp(r->code, "invalid_token") == 0 || strcmp(r->code, "missing_token") == 0;
		r->kind = token ? WS_CONN_BAD_TOKEN : WS_CONN_NOT_ALLOWED;
		r->has_retry_after = false;
	}
	c->state = WS_CONN_REFUSED;
	snprintf(c->reason, sizeof(c->reason), "portal answered %u%s%.150s", r->status,
		 r->detail[0] ? ": " : "", r->detail);
}

static int begin_body(struct ws_conn *c, const struct http_head *h)
{
	c->refusal.status = h->status;
	c->refusal.has_retry_after = http_retry_after(h, &c->refusal.retry_after_s);
	c->is_problem = http_media_type_is(http_field(h, "content-type"), "application/problem+json");
	if (http_body_init(h, &c->framing) != 0)
		c->framing = (struct http_body){ .framing = HTTP_NO_BODY, .done = true };
	c->body = fz_zalloc(c->env, HTTP_BODY_MAX);
	if (c->body == NULL)
		return FZ_ERR_NOMEM;
	if (c->framing.done)
		refused(c);
	return 0;
}

/* Take what belongs to the head from data; the bytes after it are the caller's. */
static int handle_head(struct ws_conn *c, const void *data, size_t len, size_t *ret_taken)
{
	size_t before = c->head_len, room = HTTP_HEAD_MAX - before, n = len < room ? len : room;
	struct http_head h;
	int end;

	memcpy(c->head + before, data, n);
	c->head_len += n;
	*ret_taken = n;
	end = http_head_find(c->head, c->head_len);
	if (end == 0)
		return 0;
	c->has_head = true;
	forget_request(c);
	if (end < 0 || http_head_decode(c->head, (size_t)end, &h) != 0) {
		broken(c, "bad handshake: no valid HTTP response");
		return 0;
	}
	*ret_taken = (size_t)end - before;
	if (h.status != 101)
		return begin_body(c, &h);
	const char *fault = upgrade_fault(c, &h);
	if (fault)
		broken(c, fault);
	else
		c->state = WS_CONN_OPEN;
	return 0;
}

static void handle_body(struct ws_conn *c, const void *data, size_t len)
{
	if (http_body_handle(&c->framing, data, len, c->body, &c->body_len, HTTP_BODY_MAX) < 0 ||
	    c->framing.done)
		refused(c);
}

static int handle_frames(struct ws_conn *c, const void *data, size_t len)
{
	int err = ws_handle_data(c->ws, data, len);

	if (err == FZ_ERR_WIRE)
		broken(c, "the portal broke the WebSocket protocol");
	return err == FZ_ERR_WIRE ? 0 : err;
}

int ws_conn_handle_data(struct ws_conn *c, const void *data, size_t len)
{
	const uint8_t *at = data;

	if (c->state == WS_CONN_UPGRADING && !c->has_head) {
		size_t taken;
		int err = handle_head(c, at, len, &taken);
		if (err)
			return err;
		at += taken;
		len -= taken;
	}
	if (len == 0)
		return 0;
	if (c->state == WS_CONN_UPGRADING && c->has_head)
		handle_body(c, at, len);
	else if (c->state == WS_CONN_OPEN)
		return handle_frames(c, at, len);
	return 0;
}

void ws_conn_handle_end(struct ws_conn *c)
{
	if (c->state == WS_CONN_UPGRADING && c->has_head)
		refused(c);
	else if (c->state == WS_CONN_UPGRADING || c->state == WS_CONN_OPEN)
		broken(c, "the portal closed the connection");
}

bool ws_conn_poll_text(struct ws_conn *c, const char **ret_text, size_t *ret_len)
{
	struct ws_message m;

	while (ws_poll_message(c->ws, &m)) {
		if (m.type == WS_TEXT) {
			*ret_text = m.data;
			*ret_len = m.len;
			return true;
		}
		if (m.type == WS_BINARY) {
			c->binary_skipped++;
			continue;
		}
		c->state = WS_CONN_CLOSED;
		char text[100];
		copy_text(text, sizeof(text), m.data, m.len);
		snprintf(c->reason, sizeof(c->reason), "the portal closed the WebSocket (code %u%s%s)",
			 m.code, text[0] ? ": " : "", text);
	}
	return false;
}

int ws_conn_send_text(struct ws_conn *c, const char *text, size_t len)
{
	return c->state == WS_CONN_OPEN ? ws_send_text(c->ws, text, len) : FZ_ERR_STATE;
}

int ws_conn_send_close(struct ws_conn *c, uint16_t code)
{
	return c->state == WS_CONN_OPEN ? ws_send_close(c->ws, code) : FZ_ERR_STATE;
}

int ws_conn_poll_transmit(struct ws_conn *c, void *buf, size_t cap)
{
	size_t n;

	if (c->request) {
		n = c->request_len - c->request_sent;
		if (n > cap)
			n = cap;
		memcpy(buf, c->request + c->request_sent, n);
		c->request_sent += n;
		if (c->request_sent == c->request_len)
			forget_request(c);
		return (int)n;
	}
	if (c->state == WS_CONN_UPGRADING || c->state == WS_CONN_REFUSED)
		return 0;
	return ws_poll_transmit(c->ws, buf, cap);
}

bool ws_conn_is_idle(const struct ws_conn *c)
{
	if (c->request)
		return false;
	return c->state == WS_CONN_UPGRADING || !ws_wants_write(c->ws);
}
