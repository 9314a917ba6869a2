/* SPDX-License-Identifier: Apache-2.0 */
/* One Phoenix channel on one connection: join, heartbeat, queue, control events. Texts in, texts out; the
 * owner starts it anew on every connection, which forgets everything. */
#ifndef PROTO_PHX_CHAN_H
#define PROTO_PHX_CHAN_H

#include "base/time.h"
#include "wire/phx.h"

#define PHX_QUEUE_MAX 256 /* messages that wait for the join or for a slow stream */
#define PHX_JOIN_US FZ_SEC(5)
#define PHX_HEARTBEAT_US FZ_SEC(10)
#define PHX_HEARTBEATS_MAX 3 /* in flight; one more ends the connection */

struct phx_queued {
	const char *event; /* static */
	struct jv *payload;
};

enum phx_chan_state {
	PHX_CHAN_STOPPED,
	PHX_CHAN_MUST_JOIN, /* the join is to be sent */
	PHX_CHAN_JOINING,
	PHX_CHAN_JOINED
};

struct phx_chan {
	const struct fz_env *env;
	const char *topic; /* static */
	enum phx_chan_state state;
	uint64_t next_ref, join_ref;
	uint64_t join_us, heartbeat_us; /* deadlines */
	unsigned heartbeats_due, in_flight_len;
	uint64_t in_flight[PHX_HEARTBEATS_MAX + 1]; /* refs */
	struct phx_queued *queue;
	size_t queue_len, queue_cap;
};

enum phx_chan_event {
	PHX_CHAN_NOTHING, /* dealt with */
	PHX_CHAN_UP, /* joined, or joined again on the same connection */
	PHX_CHAN_PUSH, /* msg is the caller's to decode and to clear */
	PHX_CHAN_DROPPED, /* the message makes no sense: reason */
	PHX_CHAN_LOST, /* close the connection and try again: reason */
	PHX_CHAN_REFUSED, /* the join was refused: fatal, reason */
	PHX_CHAN_TOKEN_EXPIRED /* fatal */
};
struct phx_chan_out {
	enum phx_chan_event event;
	struct phx_msg msg; /* PHX_CHAN_PUSH */
	char reason[160];
};

void phx_chan_init(struct phx_chan *c, const struct fz_env *env, const char *topic);
void phx_chan_clear(struct phx_chan *c);
/* The connection is open: the join comes first, with ref 0. */
void phx_chan_start(struct phx_chan *c, uint64_t now_us);
/* The connection is gone: the queue with it. */
void phx_chan_stop(struct phx_chan *c);

void phx_chan_handle_text(struct phx_chan *c, const char *text, size_t len, struct phx_chan_out *ret,
			  uint64_t now_us);
/* PHX_CHAN_LOST or PHX_CHAN_NOTHING. */
void phx_chan_handle_timeout(struct phx_chan *c, struct phx_chan_out *ret, uint64_t now_us);
uint64_t phx_chan_next_timeout(const struct phx_chan *c);

/* Takes the payload, on failure too; event is static. A message equal to a waiting one is not queued twice.
 * Sent only while joined. FZ_ERR_STATE: not started; FZ_ERR_FULL; FZ_ERR_NOMEM (also for a NULL payload). */
int phx_chan_send(struct phx_chan *c, const char *event, struct jv *payload);
/* The same, ahead of everything that waits. */
int phx_chan_send_first(struct phx_chan *c, const char *event, struct jv *payload);
/* Next text to send, freed with fz_free(): 1, 0 = none now, FZ_ERR_NOMEM. */
int phx_chan_poll_text(struct phx_chan *c, char **ret, size_t *ret_len);

#endif
