/* SPDX-License-Identifier: Apache-2.0 */
/* Envelope of Phoenix channels, serialiser version 1.0.0: one JSON object per WebSocket text message,
 * {"topic":…,"event":…,"payload":…,"ref":…}. */
#ifndef WIRE_PHX_H
#define WIRE_PHX_H

#include "ext/json.h"

/* Longest topic and event name. */
#define PHX_NAME_MAX 64

struct phx_msg {
	const char *topic, *event;
	const struct jv *payload; /* a null value when there is none */
	bool has_ref; /* a reply; pushes have none */
	uint64_t ref;
	struct jv *root; /* owns the rest */
};

/* FZ_ERR_WIRE: drop it; FZ_ERR_STATE: the text was cut short or is beyond the bounds, which means that
 * messages are being lost: drop the connection. *ret_reason is static text. ret untouched on failure. */
int phx_decode(const char *text, size_t len, struct phx_msg *ret, const char **ret_reason);
void phx_msg_clear(struct phx_msg *msg);

/* payload NULL = null. The text is freed with fz_free(). FZ_ERR_NOMEM. */
int phx_encode(const struct fz_env *env, const char *topic, const char *event, const struct jv *payload,
	       uint64_t ref, char **ret, size_t *ret_len);

/* What a phx_reply says. */
enum phx_status { PHX_OK, PHX_ERROR };
struct phx_reply {
	enum phx_status status;
	const struct jv *response; /* PHX_OK: object or null */
	const char *reason; /* PHX_ERROR: borrowed from the message */
};
/* FZ_ERR_WIRE: no reply, or one that is not as documented. */
int phx_reply_decode(const struct phx_msg *msg, struct phx_reply *ret, const char **ret_reason);

#endif
