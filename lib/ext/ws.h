/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket framing of RFC 6455, client side, after the HTTP upgrade: bytes in, messages out, and back.
 * Adapter of wslay. Pings are answered; fragments are joined; text that is not UTF-8, masked frames and
 * reserved bits end the connection with a close frame, as the RFC wants. */
#ifndef EXT_WS_H
#define EXT_WS_H

#include "fzconn/env.h"

struct ws;

/* Messages longer than max_message end the connection with close code 1009. */
int ws_new(const struct fz_env *env, size_t max_message, struct ws **ret);
void ws_free(struct ws *w); /* NULL is fine */

/* Borrowed for the call. FZ_ERR_WIRE: the peer broke the protocol; what is left to send is a close frame.
 * FZ_ERR_NOMEM: a message may be lost, close the connection. After either no more input is taken. */
int ws_handle_data(struct ws *w, const void *data, size_t len);

enum ws_type { WS_TEXT, WS_BINARY, WS_CLOSE };
struct ws_message {
	enum ws_type type;
	const char *data; /* NUL-terminated besides; valid until the next call on the object */
	size_t len;
	uint16_t code; /* WS_CLOSE: status code, 1005 = none was given; data is the reason */
};
/* False = none. Nothing comes after WS_CLOSE; the echo of it is ready to be sent. */
bool ws_poll_message(struct ws *w, struct ws_message *ret);

/* FZ_ERR_STATE after a close frame of either side; FZ_ERR_NOMEM. */
int ws_send_text(struct ws *w, const char *text, size_t len);
int ws_send_close(struct ws *w, uint16_t code);
/* Bytes written, 0 = nothing to send, or a negative error: the connection is of no use any more. */
int ws_poll_transmit(struct ws *w, void *buf, size_t cap);
/* Is anything waiting to be sent? */
bool ws_wants_write(const struct ws *w);

#endif
