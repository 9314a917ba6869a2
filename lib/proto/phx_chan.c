/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/phx_chan.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "fzconn/error.h"

void phx_chan_init(struct phx_chan *c, const struct fz_env *env, const char *topic)
{
	*c = (struct phx_chan){
		.env = env, .topic = topic, .join_us = FZ_NEVER_US, .heartbeat_us = FZ_NEVER_US
	};
}

static void empty_queue(struct phx_chan *c)
{
	for (size_t i = 0; i < c->queue_len; i++)
		jv_free(c->queue[i].payload);
	c->queue_len = 0;
}

void phx_chan_clear(struct phx_chan *c)
{
	empty_queue(c);
	fz_free(c->env, c->queue);
	phx_chan_init(c, c->env, c->topic);
}

void phx_chan_start(struct phx_chan *c, uint64_t now_us)
{
	empty_queue(c);
	c->state = PHX_CHAN_MUST_JOIN;
	c->next_ref = 0;
	c->heartbeats_due = c->in_flight_len = 0;
	c->join_us = now_us + PHX_JOIN_US;
	c->heartbeat_us = now_us + PHX_HEARTBEAT_US;
}

void phx_chan_stop(struct phx_chan *c)
{
	empty_queue(c);
	c->state = PHX_CHAN_STOPPED;
	c->join_us = c->heartbeat_us = FZ_NEVER_US;
}

static void say(struct phx_chan_out *out, enum phx_chan_event event, const char *reason)
{
	out->event = event;
	snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

static bool answers_heartbeat(struct phx_chan *c, uint64_t ref)
{
	for (unsigned i = 0; i < c->in_flight_len; i++)
		if (c->in_flight[i] == ref) {
			c->in_flight[i] = c->in_flight[--c->in_flight_len];
			return true;
		}
	return false;
}

static void join_answered(struct phx_chan *c, const struct phx_reply *r, struct phx_chan_out *out)
{
	c->join_us = FZ_NEVER_US;
	if (r->status == PHX_OK) {
		c->state = PHX_CHAN_JOINED;
		out->event = PHX_CHAN_UP;
		return;
	}
	out->event = PHX_CHAN_REFUSED;
	snprintf(out->reason, sizeof(out->reason), "%s", r->reason);
}

static void handle_reply(struct phx_chan *c, const struct phx_msg *m, struct phx_chan_out *out,
			 uint64_t now_us)
{
	struct phx_reply r;
	const char *reason;

	if (phx_reply_decode(m, &r, &reason) != 0) {
		say(out, PHX_CHAN_DROPPED, reason);
		return;
	}
	if (m->has_ref && answers_heartbeat(c, m->ref))
		return;
	if (m->has_ref && c->state == PHX_CHAN_JOINING && m->ref == c->join_ref) {
		join_answered(c, &r, out);
		return;
	}
	if (r.status == PHX_OK)
		return;
	/* The portal forgot that we joined: do it again on the same connection. */
	if (m->has_ref && c->state == PHX_CHAN_JOINED && strcmp(m->topic, c->topic) == 0 &&
	    strcmp(r.reason, "unmatched topic") == 0) {
		c->state = PHX_CHAN_MUST_JOIN;
		c->join_us = now_us + PHX_JOIN_US;
	}
	out->event = PHX_CHAN_DROPPED;
	snprintf(out->reason, sizeof(out->reason), "error reply: %s", r.reason);
}

static void handle_disconnect(const struct phx_msg *m, struct phx_chan_out *out)
{
	const char *reason = jv_str(jv_get(m->payload, "reason"));

	if (reason && strcmp(reason, "token_expired") == 0)
		say(out, PHX_CHAN_TOKEN_EXPIRED, reason);
	else
		say(out, PHX_CHAN_DROPPED, "disconnect of an unknown kind");
}

void phx_chan_handle_text(struct phx_chan *c, const char *text, size_t len, struct phx_chan_out *ret,
			  uint64_t now_us)
{
	struct phx_msg m = { 0 };
	const char *reason = "";
	int err = phx_decode(text, len, &m, &reason);

	*ret = (struct phx_chan_out){ 0 };
	if (err) {
		say(ret, err == FZ_ERR_WIRE ? PHX_CHAN_DROPPED : PHX_CHAN_LOST, reason);
		return;
	}
	if (strcmp(m.event, "phx_reply") == 0) {
		handle_reply(c, &m, ret, now_us);
	} else if (strcmp(m.event, "phx_close") == 0) {
		say(ret, PHX_CHAN_LOST, "the portal closed the channel");
	} else if (strcmp(m.event, "disconnect") == 0) {
		handle_disconnect(&m, ret);
	} else if (strcmp(m.event, "phx_error") != 0) { /* a crash is followed by the end of the connection */
		ret->event = PHX_CHAN_PUSH;
		ret->msg = m;
		return;
	}
	phx_msg_clear(&m);
}

void phx_chan_handle_timeout(struct phx_chan *c, struct phx_chan_out *ret, uint64_t now_us)
{
	*ret = (struct phx_chan_out){ 0 };
	if (c->join_us <= now_us) {
		say(ret, PHX_CHAN_LOST, "the portal did not answer the join");
		return;
	}
	if (c->heartbeat_us > now_us)
		return;
	c->heartbeat_us = now_us + PHX_HEARTBEAT_US;
	if (++c->heartbeats_due + c->in_flight_len > PHX_HEARTBEATS_MAX)
		say(ret, PHX_CHAN_LOST, "the portal does not answer heartbeats");
}

uint64_t phx_chan_next_timeout(const struct phx_chan *c)
{
	return fz_min_us(c->join_us, c->heartbeat_us);
}

static bool is_queued(const struct phx_chan *c, const char *event, const struct jv *payload)
{
	for (size_t i = 0; i < c->queue_len; i++)
		if (strcmp(c->queue[i].event, event) == 0 && jv_equal(c->queue[i].payload, payload))
			return true;
	return false;
}

static int enqueue(struct phx_chan *c, const char *event, struct jv *payload, bool first)
{
	int err = payload == NULL ? FZ_ERR_NOMEM : c->state == PHX_CHAN_STOPPED ? FZ_ERR_STATE : 0;

	if (err == 0 && is_queued(c, event, payload)) {
		jv_free(payload);
		return 0;
	}
	if (err == 0)
		err = fz_grow(c->env, &c->queue, &c->queue_cap, c->queue_len, sizeof(*c->queue),
			      PHX_QUEUE_MAX);
	if (err) {
		jv_free(payload);
		return err;
	}
	size_t at = first ? 0 : c->queue_len;
	memmove(&c->queue[at + 1], &c->queue[at], (c->queue_len - at) * sizeof(*c->queue));
	c->queue[at] = (struct phx_queued){ event, payload };
	c->queue_len++;
	return 0;
}

int phx_chan_send(struct phx_chan *c, const char *event, struct jv *payload)
{
	return enqueue(c, event, payload, false);
}

int phx_chan_send_first(struct phx_chan *c, const char *event, struct jv *payload)
{
	return enqueue(c, event, payload, true);
}

static int emit(struct phx_chan *c, const char *topic, const char *event, const struct jv *payload,
		char **ret, size_t *ret_len)
{
	int err = phx_encode(c->env, topic, event, payload, c->next_ref, ret, ret_len);

	if (err)
		return err;
	c->next_ref++;
	return 1;
}

static int emit_heartbeat(struct phx_chan *c, char **ret, size_t *ret_len)
{
	struct jv *empty = jv_object();
	int n = empty ? emit(c, "phoenix", "heartbeat", empty, ret, ret_len) : FZ_ERR_NOMEM;

	jv_free(empty);
	if (n == 1) {
		c->heartbeats_due--;
		c->in_flight[c->in_flight_len++] = c->next_ref - 1;
	}
	return n;
}

int phx_chan_poll_text(struct phx_chan *c, char **ret, size_t *ret_len)
{
	int n;

	if (c->state == PHX_CHAN_STOPPED)
		return 0;
	if (c->heartbeats_due && c->in_flight_len <= PHX_HEARTBEATS_MAX)
		return emit_heartbeat(c, ret, ret_len);
	if (c->state == PHX_CHAN_MUST_JOIN) {
		n = emit(c, c->topic, "phx_join", NULL, ret, ret_len);
		if (n == 1) {
			c->join_ref = c->next_ref - 1;
			c->state = PHX_CHAN_JOINING;
		}
		return n;
	}
	if (c->state != PHX_CHAN_JOINED || c->queue_len == 0)
		return 0;
	n = emit(c, c->topic, c->queue[0].event, c->queue[0].payload, ret, ret_len);
	if (n != 1)
		return n;
	jv_free(c->queue[0].payload);
	c->queue_len--;
	memmove(&c->queue[0], &c->queue[1], c->queue_len * sizeof(*c->queue));
	return 1;
}
