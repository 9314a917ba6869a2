/* SPDX-License-Identifier: Apache-2.0 */
#include "core/portal.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/portal_priv.h"
#include "fzconn/error.h"

#define DIAL_US FZ_SEC(15) /* resolving, TCP, TLS and upgrade together */
#define REDIAL_MIN_US                                                                                        \
	FZ_MS(250) /* between two dials of portal_reconnect(): changes of a network come in bursts */
#define WARN_EVERY_US FZ_SEC(1)

int portal_new(const struct fz_env *env, const struct portal_opts *opts, uint64_t now_us, struct portal **ret,
	       const char **ret_reason)
{
	const char *reason = portal_opts_check(opts);
	struct portal_url url;
	struct portal *p;
	int err = reason ? FZ_ERR_INVAL : portal_url_parse(opts->url, &url, &reason);

	if (ret_reason)
		*ret_reason = reason;
	if (err)
		return err;
	p = fz_zalloc(env, sizeof(*p));
	if (p == NULL)
		return FZ_ERR_NOMEM;
	p->env = env;
	p->role = opts->role;
	p->iceless = opts->iceless;
	p->keep_payload = opts->keep_payload;
	p->now_us = now_us;
	p->url = url;
	p->last = &p->first;
	phx_chan_init(&p->chan, env, opts->role == PORTAL_ROLE_CLIENT ? "client" : "gateway");
	portal_retry_init(&p->retry, opts->retry_budget_us ? opts->retry_budget_us : FZ_NEVER_US);
	p->state = PORTAL_WAITING;
	p->dial_us = now_us;
	p->give_up_us = FZ_NEVER_US;
	err = portal_opts_copy(p, opts) ? portal_device_id(opts->external_id, p->external_id) : FZ_ERR_NOMEM;
	if (err == FZ_ERR_INVAL && ret_reason)
		*ret_reason = "device id longer than 255 bytes";
	if (err) {
		portal_free(p);
		return err;
	}
	*ret = p;
	return 0;
}

static void drop_waiting(struct portal *p)
{
	while (p->first) {
		struct portal_waiting *w = p->first;
		p->first = w->next;
		portal_event_clear(p->env, &w->event);
		phx_msg_clear(&w->msg);
		fz_free(p->env, w);
	}
	p->last = &p->first;
	p->waiting = 0;
}

void portal_free(struct portal *p)
{
	if (p == NULL)
		return;
	drop_waiting(p);
	phx_msg_clear(&p->last_msg);
	ws_conn_free(p->conn);
	phx_chan_clear(&p->chan);
	portal_held_clear(&p->held, p->env);
	fz_free_secret(p->env, p->token);
	fz_free(p->env, p->name);
	fz_free(p->env, p->user_agent);
	fz_free(p->env, p->device_serial);
	fz_free(p->env, p->device_uuid);
	fz_free(p->env, p);
}

void portal_set_public_key(struct portal *p, const struct fz_key *key)
{
	p->key = *key;
	p->has_key = true;
}

bool portal_is_up(const struct portal *p)
{
	return p->up;
}

const struct portal_stats *portal_stats(const struct portal *p)
{
	return &p->stats;
}

/* The connection is over, whatever comes next. */
static void leave(struct portal *p, const char *reason)
{
	snprintf(p->reason, sizeof(p->reason), "%s", reason ? reason : "connection closed");
	fz_text_printable(p->reason);
	p->was_up = p->up || (p->was_up && p->tell_down); /* a loss that nobody has heard of yet counts */
	p->stats.losses += p->up;
	p->up = false;
	phx_chan_stop(&p->chan);
	p->give_up_us = p->dial_us = FZ_NEVER_US;
	p->tell_connect = false;
	if (p->has_stream) {
		p->tell_close = true;
		p->has_stream = false;
	} else if (!p->tell_close) {
		ws_conn_free(p->conn);
		p->conn = NULL;
	}
}

static void die(struct portal *p, int err, const char *what, const char *why)
{
	p->state = PORTAL_DEAD;
	p->fatal_err = err;
	snprintf(p->fatal_text, sizeof(p->fatal_text), "%s%s%s", what, why ? ": " : "", why ? why : "");
	fz_text_printable(p->fatal_text);
	p->tell_fatal = true;
	if (p->was_up)
		p->tell_down = true;
	p->retry_us = FZ_NEVER_US;
}

static void dial_after(struct portal *p, uint64_t wait_us, uint64_t now_us)
{
	p->state = PORTAL_WAITING;
	p->dial_us = now_us + wait_us;
	p->retry_us = wait_us;
	p->tell_down = true;
}

static void lose(struct portal *p, const char *reason, uint64_t now_us)
{
	uint64_t wait;

	leave(p, reason);
	if (!portal_retry_next(&p->retry, p->env, &wait)) {
		die(p, FZ_ERR_PORTAL, "the portal cannot be reached and the retry limit is used up; last",
		    p->reason);
		return;
	}
	fz_debug(p->env, "portal", "connection lost, next attempt in %u ms: %s", (unsigned)(wait / 1000),
		 p->reason);
	dial_after(p, wait, now_us);
}

/* An HTTP answer that is no upgrade. */
static void handle_refusal(struct portal *p, uint64_t now_us)
{
	struct ws_conn_refusal r = *ws_conn_refusal(p->conn);
	const char *why = r.detail[0] ? r.detail : "no reason given";

	if (r.body[0])
		fz_debug(p->env, "portal", "answer %u: %s", r.status, r.body);
	if (r.kind == WS_CONN_RETRY && r.has_retry_after) {
		uint64_t wait = portal_retry_after(r.retry_after_s);
		leave(p, ws_conn_reason(p->conn));
		fz_debug(p->env, "portal", "portal answered %u and asks to wait %u s", r.status,
			 (unsigned)(wait / 1000000));
		dial_after(p, wait, now_us);
	} else if (r.kind == WS_CONN_RETRY) {
		char reason[200];
		snprintf(reason, sizeof(reason), "%s", ws_conn_reason(p->conn));
		lose(p, reason, now_us);
	} else {
		leave(p, ws_conn_reason(p->conn));
		if (r.kind == WS_CONN_BAD_TOKEN)
			die(p, FZ_ERR_TOKEN, "the portal refused the token: it is wrong or has expired",
			    NULL);
		else
			die(p, FZ_ERR_PORTAL, "the portal refused to let this device in", why);
	}
}

void portal_handle_connected(struct portal *p, uint64_t now_us)
{
	struct portal_login login = { p->external_id, p->name, p->device_serial, p->device_uuid };
	struct ws_conn_request req = {
		.host = p->url.host, .is_ipv6 = p->url.is_ipv6, .token = p->token, .user_agent = p->user_agent
	};
	char *target;
	int err = FZ_ERR_NOMEM;

	if (p->state != PORTAL_DIALING || !p->has_stream)
		return;
	if (!p->has_key) {
		lose(p, "there is no public key yet", now_us);
		return;
	}
	target = portal_target(p->env, &p->url, p->role, &login, &p->key);
	req.target = target;
	if (target)
		err = ws_conn_new(p->env, &req, &p->conn);
	fz_free(p->env, target);
	if (err)
		lose(p, fz_strerror(err), now_us);
	else
		p->state = PORTAL_UPGRADING;
}

/* Rate-limited, for a portal may say nonsense all day. */
static void warn_dropped(struct portal *p, const char *event, const char *reason, uint64_t now_us)
{
	if (now_us < p->warn_us) {
		p->warns_held++;
		return;
	}
	p->warn_us = now_us + WARN_EVERY_US;
	fz_warn(p->env, "portal", "message \"%s\" dropped: %s (and %u before it)", event, reason,
		(unsigned)p->warns_held);
	p->warns_held = 0;
}

static void handle_joined(struct portal *p, uint64_t now_us)
{
	int err = phx_chan_send_first(&p->chan, "set_snownet_capabilities",
				      portal_msg_capabilities(p->iceless));

	if (err == FZ_ERR_NOMEM) {
		lose(p, fz_strerror(err), now_us);
		return;
	}
	if (p->up)
		return; /* joined again on the same connection */
	portal_retry_joined(&p->retry);
	p->stats.joins++;
	p->up = p->tell_up = true;
	fz_debug(p->env, "portal", "connected");
	portal_flush_held(p);
}

static void handle_push(struct portal *p, struct phx_msg *m, uint64_t now_us)
{
	struct portal_waiting *w = p->waiting < PORTAL_WAITING_MAX ? fz_zalloc(p->env, sizeof(*w)) : NULL;
	const char *reason = "memory";
	int err = w ? portal_event_decode(p->env, p->role, m, &w->event, &reason) : FZ_ERR_NOMEM;

	if (err == 0) {
		*p->last = w;
		p->last = &w->next;
		p->waiting++;
		fz_debug(p->env, "portal", "received %s", m->event);
		if (p->keep_payload) {
			w->msg = *m;
			*m = (struct phx_msg){ 0 };
		}
		return;
	}
	fz_free(p->env, w);
	if (err == FZ_ERR_NOMEM) {
		lose(p, "a message could not be stored", now_us);
	} else if (err == FZ_ERR_NOT_MINE) {
		p->stats.dropped_unknown++;
		warn_dropped(p, m->event, "no such event", now_us);
	} else {
		p->stats.dropped_malformed++;
		char text[100];
		snprintf(text, sizeof(text), "\"%s\" is missing or malformed", reason);
		warn_dropped(p, m->event, text, now_us);
	}
}

static void handle_chan(struct portal *p, struct phx_chan_out *out, uint64_t now_us)
{
	switch (out->event) {
	case PHX_CHAN_NOTHING:
		break;
	case PHX_CHAN_UP:
		handle_joined(p, now_us);
		break;
	case PHX_CHAN_PUSH:
		handle_push(p, &out->msg, now_us);
		phx_msg_clear(&out->msg);
		break;
	case PHX_CHAN_DROPPED:
		p->stats.dropped_malformed++;
		warn_dropped(p, "-", out->reason, now_us);
		break;
	case PHX_CHAN_LOST:
		lose(p, out->reason, now_us);
		break;
	case PHX_CHAN_REFUSED:
		leave(p, out->reason);
		die(p, FZ_ERR_PORTAL, "the portal refused the join", p->reason);
		break;
	case PHX_CHAN_TOKEN_EXPIRED:
		leave(p, out->reason);
		die(p, FZ_ERR_TOKEN, "the portal says that the token has expired", NULL);
		break;
	}
}

/* What the bytes so far mean. */
static void advance(struct portal *p, uint64_t now_us)
{
	struct phx_chan_out out;
	const char *text;
	size_t len;
	char reason[200];

	if (p->state == PORTAL_UPGRADING && ws_conn_state(p->conn) == WS_CONN_OPEN) {
		p->state = PORTAL_OPEN;
		p->give_up_us = FZ_NEVER_US;
		phx_chan_start(&p->chan, now_us);
	}
	while (p->state == PORTAL_OPEN && ws_conn_poll_text(p->conn, &text, &len)) {
		p->stats.messages_in++;
		phx_chan_handle_text(&p->chan, text, len, &out, now_us);
		handle_chan(p, &out, now_us);
	}
	if (p->state != PORTAL_OPEN && p->state != PORTAL_UPGRADING)
		return;
	switch (ws_conn_state(p->conn)) {
	case WS_CONN_UPGRADING:
	case WS_CONN_OPEN:
		break;
	case WS_CONN_REFUSED:
		handle_refusal(p, now_us);
		break;
	case WS_CONN_BROKEN:
	case WS_CONN_CLOSED:
		snprintf(reason, sizeof(reason), "%s", ws_conn_reason(p->conn));
		lose(p, reason, now_us);
		break;
	}
}

void portal_handle_data(struct portal *p, const void *data, size_t len, uint64_t now_us)
{
	if (!p->has_stream || (p->state != PORTAL_UPGRADING && p->state != PORTAL_OPEN))
		return;
	if (ws_conn_handle_data(p->conn, data, len) != 0)
		lose(p, "a message could not be stored", now_us);
	else
		advance(p, now_us);
}

void portal_handle_disconnected(struct portal *p, const char *reason, uint64_t now_us)
{
	if (!p->has_stream)
		return;
	p->has_stream = false; /* nothing to close */
	if (p->state == PORTAL_UPGRADING || p->state == PORTAL_OPEN) {
		ws_conn_handle_end(p->conn); /* may complete an answer */
		if (ws_conn_state(p->conn) == WS_CONN_REFUSED) {
			handle_refusal(p, now_us);
			return;
		}
	}
	if (p->state != PORTAL_DEAD)
		lose(p, reason, now_us);
}

void portal_handle_timeout(struct portal *p, uint64_t now_us)
{
	struct phx_chan_out out;

	p->now_us = now_us;
	if (p->state == PORTAL_WAITING && p->dial_us <= now_us) {
		p->state = PORTAL_DIALING;
		p->dial_us = FZ_NEVER_US;
		p->last_dial_us = now_us;
		p->give_up_us = now_us + DIAL_US;
		p->tell_connect = true;
		p->stats.dials++;
	}
	if (p->state == PORTAL_UPGRADING && p->give_up_us <= now_us) {
		ws_conn_handle_end(p->conn);
		if (ws_conn_state(p->conn) == WS_CONN_REFUSED) {
			handle_refusal(p, now_us);
			return;
		}
	}
	if (p->give_up_us <= now_us) {
		lose(p, "no connection within 15 s", now_us);
	} else if (p->state == PORTAL_OPEN) {
		phx_chan_handle_timeout(&p->chan, &out, now_us);
		handle_chan(p, &out, now_us);
	}
}

uint64_t portal_next_timeout(const struct portal *p)
{
	return fz_min_us(fz_min_us(p->dial_us, p->give_up_us), phx_chan_next_timeout(&p->chan));
}

void portal_reconnect(struct portal *p, uint64_t now_us)
{
	uint64_t wait = 0;

	if (p->state == PORTAL_DEAD)
		return;
	if (p->conn)
		(void)!ws_conn_send_close(p->conn, 1000);
	leave(p, "reconnecting");
	portal_retry_reset(&p->retry);
	if (p->stats.dials && now_us - p->last_dial_us < REDIAL_MIN_US)
		wait = p->last_dial_us + REDIAL_MIN_US - now_us;
	dial_after(p, wait, now_us);
	p->tell_down = p->was_up;
}

void portal_last_message(const struct portal *p, const char **ret_event, const struct jv **ret_payload)
{
	*ret_event = p->last_msg.event;
	*ret_payload = p->last_msg.payload;
}

void portal_lose_message(struct portal *p)
{
	if (p->state == PORTAL_OPEN)
		lose(p, "a message could not be stored", p->now_us);
}

void portal_shutdown(struct portal *p, uint64_t now_us)
{
	(void)now_us;
	if (p->state == PORTAL_DEAD)
		return;
	if (p->conn)
		(void)!ws_conn_send_close(p->conn, 1000);
	leave(p, "shut down");
	p->state = PORTAL_DEAD;
	drop_waiting(p);
	p->tell_up = p->tell_down = false;
}

int portal_poll_transmit(struct portal *p, void *buf, size_t cap, uint64_t now_us)
{
	char *text;
	size_t len;
	int n, err;

	if (p->conn == NULL)
		return 0;
	for (;;) {
		n = ws_conn_poll_transmit(p->conn, buf, cap);
		if (n > 0)
			return n;
		if (n < 0)
			break;
		if (p->state != PORTAL_OPEN)
			return 0;
		portal_flush_held(p);
		n = phx_chan_poll_text(&p->chan, &text, &len);
		if (n == 0)
			return 0;
		if (n < 0)
			break;
		err = ws_conn_send_text(p->conn, text, len);
		fz_free(p->env, text);
		if (err)
			break;
		p->stats.messages_out++;
	}
	if (p->state == PORTAL_OPEN || p->state == PORTAL_UPGRADING)
		lose(p, "a message could not be sent", now_us);
	return 0;
}

static bool take_message(struct portal *p, struct portal_out *ret)
{
	struct portal_waiting *w = p->first;

	if (w == NULL)
		return false;
	p->first = w->next;
	if (p->first == NULL)
		p->last = &p->first;
	p->waiting--;
	ret->type = PORTAL_OUT_MESSAGE;
	ret->u.message = w->event;
	phx_msg_clear(&p->last_msg);
	p->last_msg = w->msg;
	fz_free(p->env, w);
	return true;
}

static bool take(bool *flag)
{
	bool was = *flag;

	*flag = false;
	return was;
}

bool portal_poll_event(struct portal *p, struct portal_out *ret)
{
	if (take(&p->tell_up)) {
		ret->type = PORTAL_OUT_UP;
	} else if (take_message(p, ret)) {
		return true;
	} else if (take(&p->tell_down)) {
		ret->type = PORTAL_OUT_DOWN;
		memcpy(p->shown_reason, p->reason, sizeof(p->shown_reason));
		ret->u.down.reason = p->shown_reason;
		ret->u.down.retry_us = p->retry_us;
		ret->u.down.was_up = p->was_up;
	} else if (take(&p->tell_close)) {
		ret->type = PORTAL_OUT_CLOSE;
		ws_conn_free(p->conn);
		p->conn = NULL;
	} else if (take(&p->tell_fatal)) {
		ret->type = PORTAL_OUT_FATAL;
		ret->u.fatal.err = p->fatal_err;
		ret->u.fatal.text = p->fatal_text;
	} else if (take(&p->tell_connect)) {
		ret->type = PORTAL_OUT_CONNECT;
		p->has_stream = true;
		ret->u.connect.host = p->url.host;
		ret->u.connect.port = p->url.port;
		ret->u.connect.tls = p->url.tls;
	} else {
		return false;
	}
	return true;
}

void portal_out_clear(struct portal *p, struct portal_out *out)
{
	if (out->type == PORTAL_OUT_MESSAGE)
		portal_event_clear(p->env, &out->u.message);
}
