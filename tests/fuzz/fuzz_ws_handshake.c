/* SPDX-License-Identifier: Apache-2.0 */
/* Upgrade and frames as the portal sends them, in pieces whose length the first byte gives. The random bytes
 * are zeros, so that a corpus can hold the right Sec-WebSocket-Accept. */
#include <stdlib.h>
#include <string.h>

#include "proto/ws_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void zeros(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	memset(buf, 0, len);
}

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void drain(struct ws_conn *c)
{
	static uint8_t buf[1000];
	const char *text;
	size_t len;

	while (ws_conn_poll_text(c, &text, &len))
		must(strlen(text) <= len);
	while (ws_conn_poll_transmit(c, buf, sizeof(buf)) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ws_conn_request request = {
		.host = "h", .target = "/", .token = "t", .user_agent = "u"
	};
	struct fz_env env = *fz_env_default();
	struct ws_conn *c;

	env.rng.fill = zeros;
	if (size < 1 || ws_conn_new(&env, &request, &c) != 0)
		return 0;
	size_t step = 1u + data[0];
	data++;
	size--;
	drain(c);
	while (size) {
		size_t n = size < step ? size : step;
		if (ws_conn_handle_data(c, data, n) != 0)
			break;
		drain(c);
		data += n;
		size -= n;
	}
	ws_conn_handle_end(c);
	must(ws_conn_state(c) != WS_CONN_UPGRADING && ws_conn_state(c) != WS_CONN_OPEN);
	if (ws_conn_state(c) == WS_CONN_REFUSED)
		must(ws_conn_refusal(c)->status != 101);
	ws_conn_free(c);
	return 0;
}
