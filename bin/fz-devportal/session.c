/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "authz.h"
#include "channel.h"
#include "relays.h"

#define MAX_MESSAGE 8000000
#define MAX_QUEUE 20000

static const char *const topics[] = { "client", "gateway", "relay" };

const char *session_name(const struct session *s)
{
	if (s->device != NULL)
		return s->device->name;
	return s->name != NULL ? s->name : role_name(s->role);
}

int64_t session_expiry(const struct session *s)
{
	return s->token == NULL || s->token->expires_at == 0 ? NEVER_EXPIRES : s->token->expires_at;
}

struct session *device_session(const struct device *d)
{
	return d != NULL ? d->session : NULL;
}

/* The channel on the socket ends, the socket may stay. */
static void leave(struct session *s)
{
	if (!s->joined)
		return;
	s->joined = false;
	if (s->device != NULL && s->device->session == s)
		s->device->session = NULL;
	relay_leave(s);
	authz_session_gone(s);
}

void session_free(struct session *s)
{
	if (s == NULL)
		return;
	if (s->established)
		record_event(s->portal, session_name(s), "--", "gone", NULL);
	leave(s);
	vec_remove(&s->portal->sessions, s);
	timer_stop(&s->idle_timer);
	timer_stop(&s->expiry_timer);
	vec_clear(&s->out, free);
	json_decref(s->relays_sent);
	free(s->name);
	free(s->user_agent);
	free(s->peer_ip);
	free(s->ipv4);
	free(s->ipv6);
	free(s->in);
	free(s);
}

void session_send_text(struct session *s, char *frame)
{
	if (s->wsi == NULL || !s->established || s->cut || s->out.len >= MAX_QUEUE) {
		free(frame);
		return;
	}
	s->portal->counters.messages_out++;
	vec_push(&s->out, frame);
	lws_callback_on_writable(s->wsi);
}

static void send_envelope(struct session *s, json_t *envelope)
{
	char *text = json_dumps(envelope, JSON_COMPACT);
	json_decref(envelope);
	if (text != NULL)
		session_send_text(s, text);
}

void session_push(struct session *s, const char *event, json_t *payload)
{
	record_event(s->portal, session_name(s), "<-", event, payload);
	send_envelope(s, json_pack("{s:s, s:s, s:n, s:o}", "topic", topics[s->role], "event", event, "ref",
				   "payload", payload));
}

void session_reply(struct session *s, const char *topic, json_t *ref, bool ok, json_t *response)
{
	send_envelope(s,
		      json_pack("{s:s, s:s, s:O, s:{s:s, s:o}}", "topic", topic, "event", "phx_reply", "ref",
				ref, "payload", "status", ok ? "ok" : "error", "response", response));
}

static void refuse(struct session *s, const char *topic, json_t *ref, const char *reason)
{
	session_reply(s, topic, ref, false, json_pack("{s:s}", "reason", reason));
}

void session_close_channel(struct session *s)
{
	session_push(s, "phx_close", json_object());
	leave(s);
}

void session_disconnect(struct session *s, const char *reason)
{
	session_push(s, "disconnect", json_pack("{s:s}", "reason", reason));
	session_close_channel(s);
}

void session_close(struct session *s, int code)
{
	s->close_code = code;
	lws_callback_on_writable(s->wsi);
}

void session_cut(struct session *s, bool with_reset)
{
	s->cut = true;
	s->reset = with_reset;
	if (with_reset) {
		struct linger now = { 1, 0 };
		setsockopt(lws_get_socket_fd(s->wsi), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	leave(s);
	lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

static void idle_over(lws_sorted_usec_list_t *timer)
{
	struct session *s = lws_container_of(timer, struct session, idle_timer);
	say(LEVEL_INFO, "%s: nothing heard, closing", session_name(s));
	session_close(s, 1002);
}

static void watch_idle(struct session *s)
{
	int64_t seconds = s->portal->model.settings.idle_timeout_s;
	if (seconds > 0)
		after_ms(s->portal, &s->idle_timer, idle_over,
			 1000 * (seconds + (s->role == ROLE_RELAY ? 4 : 0)));
}

static void token_over(lws_sorted_usec_list_t *timer)
{
	struct session *s = lws_container_of(timer, struct session, expiry_timer);
	session_disconnect(s, "token_expired");
}

void session_watch_expiry(struct session *s)
{
	timer_stop(&s->expiry_timer);
	if (s->token == NULL || s->token->expires_at == 0)
		return;
	int64_t left = s->token->expires_at - unix_now();
	after_ms(s->portal, &s->expiry_timer, token_over, left > 0 ? left * 1000 : 0);
}

void session_open(struct session *s)
{
	s->established = true;
	s->portal->counters.connects++;
	json_t *facts = json_pack("{s:s*, s:s*, s:s, s:b}", "peer", s->peer_ip, "user_agent", s->user_agent,
				  "public_key", s->public_key, "v1", s->v1);
	record_event(s->portal, session_name(s), "++", "connect", facts);
	json_decref(facts);
	watch_idle(s);
	session_watch_expiry(s);
}

/* ---- what init holds ---- */

static json_t *dns_servers(const json_t *list, bool https)
{
	json_t *out = json_array(), *item;
	size_t i;
	json_array_foreach(list, i, item)
		json_array_append_new(out, json_pack("{s:O}", https ? "url" : "ip", item));
	return out;
}

/* The older spelling of the same servers. */
static json_t *dns_servers_old(const json_t *list)
{
	json_t *out = json_array(), *item;
	size_t i;
	json_array_foreach(list, i, item)
	{
		const char *ip = json_string_value(item);
		char *address = xprintf(strchr(ip, ':') == NULL ? "%s:53" : "[%s]:53", ip);
		json_array_append_new(out,
				      json_pack("{s:s, s:s}", "protocol", "ip_port", "address", address));
		free(address);
	}
	return out;
}

json_t *interface_of(const struct portal *p, const struct device *d)
{
	const struct settings *s = &p->model.settings;
	if (d->role == ROLE_GATEWAY)
		return json_pack("{s:s, s:s}", "ipv4", d->ipv4, "ipv6", d->ipv6);
	return json_pack("{s:s, s:s, s:s?, s:o, s:o, s:o}", "ipv4", d->ipv4, "ipv6", d->ipv6, "search_domain",
			 s->search_domain, "upstream_do53", dns_servers(s->upstream_do53, false),
			 "upstream_doh", dns_servers(s->upstream_doh, true), "upstream_dns",
			 dns_servers_old(s->upstream_do53));
}

json_t *flow_logs_of(const struct portal *p)
{
	const struct settings *s = &p->model.settings;
	return json_pack("{s:s, s:I, s:I}", "api_url", s->flow_api_url, "upload_interval_secs",
			 (json_int_t)s->upload_interval_secs, "upload_batch_size",
			 (json_int_t)s->upload_batch_size);
}

static json_t *visible_resources(const struct session *s)
{
	const struct model *m = &s->portal->model;
	json_t *list = json_array();
	for (size_t i = 0; i < m->resources.len; i++) {
		const struct resource *r = m->resources.at[i];
		if (resource_visible(r, s->device, &s->agent))
			json_array_append_new(list, resource_client_view(m, r, &s->agent));
	}
	return list;
}

void session_push_init(struct session *s)
{
	struct portal *p = s->portal;
	if (s->role == ROLE_RELAY) {
		session_push(s, "init", json_object());
		return;
	}
	json_t *init = json_pack("{s:o, s:o, s:o, s:o}", "interface", interface_of(p, s->device), "relays",
				 relays_for(s), "authorizations", grants_of(&p->model, s->device),
				 "flow_logs", flow_logs_of(p));
	if (s->role == ROLE_CLIENT) {
		json_object_set_new(init, "resources", visible_resources(s));
	} else {
		json_object_set_new(
			init, "config",
			json_pack("{s:b, s:b}", "ipv4_masquerade_enabled", 1, "ipv6_masquerade_enabled", 1));
		json_object_set_new(init, "account_slug", json_string(p->model.settings.slug));
	}
	session_push(s, "init", init);
}

/* ---- what devices send ---- */

static void join(struct session *s, const char *topic, const json_t *payload, json_t *ref)
{
	if (s->portal->paused & PAUSE_JOINS)
		return;
	if (strcmp(topic, topics[s->role]) != 0) {
		refuse(s, topic, ref, "unmatched topic");
		return;
	}
	struct failure *f = failure_take(s->portal, FAIL_JOIN, s->role);
	if (f != NULL) {
		refuse(s, topic, ref, f->code);
		failure_done(s->portal, f);
		return;
	}
	if (s->role == ROLE_RELAY) {
		const char *secret = json_text(payload, "stamp_secret");
		if (secret == NULL) {
			refuse(s, topic, ref, "join crashed");
			return;
		}
		leave(s);
		relay_join(s, secret);
	}
	leave(s);
	struct session *old = device_session(s->device);
	s->iceless = false;
	session_reply(s, topic, ref, true, json_object());
	if (old != NULL && s->role == ROLE_GATEWAY) {
		/* First wins: a gateway that slipped past the check at connect is sent away. */
		session_disconnect(s, "token_expired");
		return;
	}
	if (old != NULL)
		session_disconnect(old, "token_expired");
	if (s->device != NULL)
		s->device->session = s;
	s->joined = true;
	session_push_init(s);
}

/* False when the channel process would have crashed. */
static bool dispatch(struct session *s, const char *event, const json_t *payload, json_t *ref)
{
	enum verdict v = NOT_KNOWN;
	if (s->role == ROLE_CLIENT)
		v = client_handle(s, event, payload);
	else if (s->role == ROLE_GATEWAY)
		v = gateway_handle(s, event, payload, ref);
	if (v == NOT_KNOWN) {
		s->portal->counters.unknown++;
		refuse(s, topics[s->role], ref, "unknown_message");
	}
	if (v == CRASHED) {
		session_push(s, "phx_error", json_pack("{s:s}", "reason", "channel_crash"));
		leave(s);
		session_close(s, 1012);
	}
	return v != CRASHED;
}

static void handle(struct session *s, const json_t *message)
{
	struct portal *p = s->portal;
	const char *topic = json_text(message, "topic"), *event = json_text(message, "event");
	json_t *payload = json_object_get(message, "payload"), *ref = json_object_get(message, "ref");
	if (topic == NULL || event == NULL || payload == NULL || ref == NULL) {
		p->counters.malformed++;
		record_event(p, session_name(s), "->", "malformed", NULL);
		session_close(s, 1011);
		return;
	}
	if (strcmp(event, "heartbeat") == 0 && strcmp(topic, "phoenix") == 0) {
		if ((p->paused & PAUSE_HEARTBEATS) == 0)
			session_reply(s, topic, ref, true, json_object());
		return;
	}
	record_event(p, session_name(s), "->", event, payload);
	if (strcmp(event, "phx_join") == 0)
		join(s, topic, payload, ref);
	else if (!s->joined || strcmp(topic, topics[s->role]) != 0)
		refuse(s, topic, ref, "unmatched topic");
	else
		dispatch(s, event, payload, ref);
}

bool session_receive(struct session *s, const char *data, size_t len, bool last)
{
	if (s->in_len + len > MAX_MESSAGE) {
		session_close(s, 1009);
		return true;
	}
	char *grown = realloc(s->in, s->in_len + len + 1);
	if (grown == NULL)
		return false;
	s->in = grown;
	memcpy(s->in + s->in_len, data, len);
	s->in_len += len;
	watch_idle(s);
	if (!last)
		return true;
	json_t *message = json_loadb(s->in, s->in_len, 0, NULL);
	s->in_len = 0;
	s->portal->counters.messages_in++;
	if (json_is_object(message)) {
		handle(s, message);
	} else {
		s->portal->counters.malformed++;
		session_close(s, 1011);
	}
	json_decref(message);
	return true;
}
