/* SPDX-License-Identifier: Apache-2.0 */
#include "ext/ws.h"

#include <string.h>

#include <wslay/wslay.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/secret.h"
#include "fzconn/error.h"

/* Pongs that wait for a peer that does not read: more is not answered but ends the connection. */
#define QUEUED_MAX 64

struct held {
	struct held *next;
	enum ws_type type;
	uint16_t code;
	size_t len;
	char data[];
};

struct ws {
	const struct fz_env *env;
	wslay_event_context_ptr wslay;
	struct held *first, **last; /* received, not yet polled */
	struct held *shown; /* what the caller looks at */
	const uint8_t *in; /* of the call that is running */
	size_t in_len;
	uint8_t *out;
	size_t out_len;
	bool out_of_memory, closed;
	bool in_close; /* the frame that is being received is a close frame: this is its payload */
	uint8_t close[125];
	size_t close_len;
};

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *user)
{
	struct ws *w = user;
	size_t n = len < w->in_len ? len : w->in_len;

	(void)flags;
	if (n == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(buf, w->in, n);
	w->in += n;
	w->in_len -= n;
	return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *user)
{
	struct ws *w = user;
	size_t n = len < w->out_len ? len : w->out_len;

	(void)flags;
	if (n == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(w->out, data, n);
	w->out += n;
	w->out_len -= n;
	return (ssize_t)n;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, void *user)
{
	struct ws *w = user;

	(void)ctx;
	fz_rng_fill(w->env, buf, len);
	return 0;
}

static void on_frame(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_start_arg *arg,
		     void *user)
{
	struct ws *w = user;

	(void)ctx;
	w->in_close = arg->opcode == WSLAY_CONNECTION_CLOSE;
}

static void on_chunk(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_chunk_arg *arg,
		     void *user)
{
	struct ws *w = user;

	(void)ctx;
	if (!w->in_close || arg->data_length > sizeof(w->close) - w->close_len)
		return;
	memcpy(w->close + w->close_len, arg->data, arg->data_length);
	w->close_len += arg->data_length;
}

/* What the portal says holds keys and passwords. */
static void drop_held(struct ws *w, struct held *h)
{
	if (h)
		fz_wipe(h->data, h->len);
	fz_free(w->env, h);
}

static bool hold(struct ws *w, enum ws_type type, uint16_t code, const void *data, size_t len)
{
	struct held *h = fz_zalloc(w->env, sizeof(*h) + len + 1);

	if (h == NULL)
		return false;
	h->type = type;
	h->code = code;
	h->len = len;
	if (len)
		memcpy(h->data, data, len);
	*w->last = h;
	w->last = &h->next;
	return true;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
	struct ws *w = user;
	const uint8_t *data = arg->msg;
	size_t len = arg->msg_length;
	bool close = arg->opcode == WSLAY_CONNECTION_CLOSE;

	if (!close && arg->opcode != WSLAY_TEXT_FRAME && arg->opcode != WSLAY_BINARY_FRAME)
		return;
	uint16_t code = close && len < 2 ? 1005 : arg->status_code;
	if (close && len > 0) { /* wslay strips nothing: the first two bytes are the code */
		size_t skip = len < 2 ? len : 2;
		data += skip;
		len -= skip;
	}
	enum ws_type type = close ? WS_CLOSE : arg->opcode == WSLAY_TEXT_FRAME ? WS_TEXT : WS_BINARY;
	if (!hold(w, type, code, data, len)) {
		w->out_of_memory = true;
		wslay_event_shutdown_read(ctx);
		return;
	}
	w->closed |= close;
}

/* wslay knows the codes of the RFC and takes 1012 and its younger fellows for a protocol error. */
static bool closed_with_young_code(struct ws *w)
{
	unsigned code = w->close_len < 2 ? 0 : (unsigned)w->close[0] << 8 | w->close[1];

	if (code < 1012 || code > 1014)
		return false;
	w->closed = hold(w, WS_CLOSE, (uint16_t)code, w->close + 2, w->close_len - 2);
	return w->closed;
}

int ws_new(const struct fz_env *env, size_t max_message, struct ws **ret)
{
	static const struct wslay_event_callbacks calls = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.genmask_callback = on_mask,
		.on_frame_recv_start_callback = on_frame,
		.on_frame_recv_chunk_callback = on_chunk,
		.on_msg_recv_callback = on_message,
	};
	struct ws *w = fz_zalloc(env, sizeof(*w));

	if (w == NULL)
		return FZ_ERR_NOMEM;
	w->env = env;
	w->last = &w->first;
	if (wslay_event_context_client_init(&w->wslay, &calls, w) != 0) {
		fz_free(env, w);
		return FZ_ERR_NOMEM;
	}
	wslay_event_config_set_max_recv_msg_length(w->wslay, max_message);
	*ret = w;
	return 0;
}

void ws_free(struct ws *w)
{
	if (w == NULL)
		return;
	while (w->first) {
		struct held *h = w->first;
		w->first = h->next;
		drop_held(w, h);
	}
	drop_held(w, w->shown);
	wslay_event_context_free(w->wslay);
	fz_free(w->env, w);
}

int ws_handle_data(struct ws *w, const void *data, size_t len)
{
	int err;

	if (w->closed)
		return 0; /* nothing counts after a close frame */
	w->in = data;
	w->in_len = len;
	err = wslay_event_recv(w->wslay);
	w->in = NULL;
	w->in_len = 0;
	if (w->out_of_memory || err == WSLAY_ERR_NOMEM)
		return FZ_ERR_NOMEM;
	if (err != 0 || wslay_event_get_queued_msg_count(w->wslay) > QUEUED_MAX)
		return FZ_ERR_WIRE;
	if (wslay_event_get_read_enabled(w->wslay) || w->closed || closed_with_young_code(w))
		return 0;
	return FZ_ERR_WIRE;
}

bool ws_poll_message(struct ws *w, struct ws_message *ret)
{
	struct held *h = w->first;

	drop_held(w, w->shown);
	w->shown = h;
	if (h == NULL)
		return false;
	w->first = h->next;
	if (w->first == NULL)
		w->last = &w->first;
	*ret = (struct ws_message){ h->type, h->data, h->len, h->code };
	return true;
}

static int queue_result(int err)
{
	return err == 0 ? 0 : err == WSLAY_ERR_NOMEM ? FZ_ERR_NOMEM : FZ_ERR_STATE;
}

int ws_send_text(struct ws *w, const char *text, size_t len)
{
	struct wslay_event_msg msg = { WSLAY_TEXT_FRAME, (const uint8_t *)text, len };

	return queue_result(wslay_event_queue_msg(w->wslay, &msg));
}

int ws_send_close(struct ws *w, uint16_t code)
{
	return queue_result(wslay_event_queue_close(w->wslay, code, NULL, 0));
}

int ws_poll_transmit(struct ws *w, void *buf, size_t cap)
{
	int err;

	w->out = buf;
	w->out_len = cap;
	err = wslay_event_send(w->wslay);
	size_t n = cap - w->out_len;
	w->out = NULL;
	w->out_len = 0;
	if (err != 0)
		return err == WSLAY_ERR_NOMEM ? FZ_ERR_NOMEM : FZ_ERR_STATE;
	return (int)n;
}

bool ws_wants_write(const struct ws *w)
{
	return wslay_event_want_write(w->wslay) != 0;
}
