/* SPDX-License-Identifier: Apache-2.0 */
/* The portal object, shared by core/portal*.c and by nobody else. */
#ifndef CORE_PORTAL_PRIV_H
#define CORE_PORTAL_PRIV_H

#include "core/portal.h"
#include "core/portal_held.h"
#include "proto/phx_chan.h"
#include "proto/portal_retry.h"
#include "proto/ws_conn.h"
#include "wire/portal_url.h"

enum portal_state {
	PORTAL_WAITING, /* until dial_us */
	PORTAL_DIALING, /* a stream was asked for */
	PORTAL_UPGRADING, /* it is there; the request goes out */
	PORTAL_OPEN, /* frames; the channel joins or has joined */
	PORTAL_DEAD
};

/* A decoded event that waits to be polled. */
struct portal_waiting {
	struct portal_waiting *next;
	struct portal_event event;
	struct phx_msg msg; /* keep_payload */
};

struct portal {
	const struct fz_env *env;
	enum portal_role role;
	bool iceless;
	struct portal_url url;
	char *token, *name, *user_agent, *device_serial, *device_uuid;
	bool keep_payload, has_key;
	struct phx_msg last_msg; /* keep_payload: of the message polled last */
	char external_id[PORTAL_PARAM_MAX + 1];
	struct fz_key key;

	enum portal_state state;
	uint64_t now_us; /* of the last timeout handled: portal_lose_message() knows no other */
	uint64_t dial_us, last_dial_us; /* when to dial; when it was last asked for */
	uint64_t give_up_us; /* of a dial and its upgrade */
	struct portal_retry retry;
	struct ws_conn *conn; /* lives on after a loss until its last bytes and the close were polled */
	struct phx_chan chan;
	struct portal_held held;

	/* Outputs. They can only come about in this order, so flags and one list keep it without allocating.
	 */
	bool up, was_up; /* joined; was when the connection was lost */
	bool tell_up, tell_down, tell_close, tell_connect, tell_fatal;
	struct portal_waiting *first, **last;
	size_t waiting;
	bool has_stream; /* PORTAL_OUT_CONNECT was polled, and the stream has not ended */
	uint64_t retry_us;
	char reason[256], shown_reason[256];
	int fatal_err;
	char fatal_text[400];

	struct portal_stats stats;
	uint64_t warn_us; /* no warning before */
	uint64_t warns_held;
};

/* Messages that wait to be polled; more end the connection. */
#define PORTAL_WAITING_MAX 4096

/* What is wrong with them, static text; NULL = nothing. */
const char *portal_opts_check(const struct portal_opts *o);
/* The texts; false = no memory, portal_free() releases what there is. */
bool portal_opts_copy(struct portal *p, const struct portal_opts *o);
/* Move held candidates into the channel's queue while there is room. */
void portal_flush_held(struct portal *p);

#endif
