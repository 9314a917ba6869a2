/* SPDX-License-Identifier: Apache-2.0 */
/* One WebSocket connection to the portal over a byte stream: HTTP upgrade (RFC 6455 section 4), then
 * messages. Knows no time: deadlines belong to the owner. */
#ifndef PROTO_WS_CONN_H
#define PROTO_WS_CONN_H

#include "ext/ws.h"

struct ws_conn;

/* Longest message that is accepted. */
#define WS_CONN_MESSAGE_MAX (16u << 20)

struct ws_conn_request {
	const char *host; /* without port; brackets are added to an IPv6 literal */
	bool is_ipv6;
	const char *target; /* path and query */
	const char *token; /* secret, without blanks; NULL = no header */
	const char *user_agent;
};
/* The request is ready to be sent. FZ_ERR_NOMEM, FZ_ERR_CRYPTO. */
int ws_conn_new(const struct fz_env *env, const struct ws_conn_request *req, struct ws_conn **ret);
void ws_conn_free(struct ws_conn *c); /* NULL is fine */

enum ws_conn_state {
	WS_CONN_UPGRADING,
	WS_CONN_OPEN,
	WS_CONN_REFUSED, /* another answer than 101: see ws_conn_refusal() */
	WS_CONN_BROKEN, /* no valid handshake or broken frames; a close frame may be left to send */
	WS_CONN_CLOSED /* the other side closed in order; its close frame is echoed */
};
enum ws_conn_state ws_conn_state(const struct ws_conn *c);

/* What the portal's answer means for the device. */
enum ws_conn_refused {
	WS_CONN_RETRY, /* any other status */
	WS_CONN_BAD_TOKEN, /* 401 that says so: sign in again */
	WS_CONN_NOT_ALLOWED /* 401 otherwise: fatal, but the token may be good */
};
struct ws_conn_refusal {
	enum ws_conn_refused kind;
	unsigned status;
	bool has_retry_after;
	uint64_t retry_after_s;
	char code[64], detail[256]; /* of a problem+json body (RFC 9457); "" = none */
	char body[256]; /* beginning of any other body, printable */
};
/* Valid in WS_CONN_REFUSED. */
const struct ws_conn_refusal *ws_conn_refusal(const struct ws_conn *c);
/* One line on what broke or closed it; valid until the next call. */
const char *ws_conn_reason(const struct ws_conn *c);

/* FZ_ERR_NOMEM: close the connection. Everything else shows in the state. */
int ws_conn_handle_data(struct ws_conn *c, const void *data, size_t len);
/* The stream ended, or the owner's patience: an answer whose body is not complete counts as it is. */
void ws_conn_handle_end(struct ws_conn *c);
/* Next text message; binary ones are skipped and counted. False = none. data valid until the next call. */
bool ws_conn_poll_text(struct ws_conn *c, const char **ret_text, size_t *ret_len);
int ws_conn_send_text(struct ws_conn *c, const char *text, size_t len);
int ws_conn_send_close(struct ws_conn *c, uint16_t code);
/* Bytes written, 0 = none. */
int ws_conn_poll_transmit(struct ws_conn *c, void *buf, size_t cap);
/* Is everything sent that was given? */
bool ws_conn_is_idle(const struct ws_conn *c);

#endif
