/* SPDX-License-Identifier: Apache-2.0 */
/* The host program of a portal channel, and the portal at the other end, played by a test with a clock turned
 * by hand. */
#ifndef PORTAL_HOST_H
#define PORTAL_HOST_H

#include "unit.h"

#include "base/time.h"
#include "core/portal.h"

struct host {
	struct unit_env u;
	struct portal *p;
	uint64_t now;
	bool connected; /* there is a stream */
	bool one_by_one; /* the portal's bytes arrive each alone */
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

/* Options of a client at ws://203.0.113.10:8081. */
extern const struct portal_opts host_usual_opts;
/* Answer to a join with ref 0; smallest init of a client. */
extern const char host_join_ok[], host_init[];

/* A fresh channel whose first dial was asked for. */
void host_begin(struct host *h);
void host_begin_with(struct host *h, const struct portal_opts *opts);
void host_end(struct host *h);
/* One turn: timers, bytes out, events. */
void host_drain(struct host *h);
void host_advance(struct host *h, uint64_t us);
/* Forget the events seen so far. */
void host_look(struct host *h);
/* Bytes, a text frame, a response head from the portal, each followed by a turn. */
void host_raw(struct host *h, const void *data, size_t len);
void host_say(struct host *h, const char *text);
void host_answer(struct host *h, const char *head);
/* The stream is open and the request read. */
void host_connect_tcp(struct host *h);
/* The right answer to the last request. */
void host_answer_upgrade(struct host *h);
/* Both; and the join answered as well. */
void host_upgrade(struct host *h);
void host_join(struct host *h);

#endif
