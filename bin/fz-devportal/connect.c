/* SPDX-License-Identifier: Apache-2.0 */
#include "connect.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *path;
	enum role role;
	bool v1;
} routes[] = {
	{ "/client/v2/websocket", ROLE_CLIENT, false },   { "/client/websocket", ROLE_CLIENT, true },
	{ "/gateway/v2/websocket", ROLE_GATEWAY, false }, { "/gateway/websocket", ROLE_GATEWAY, true },
	{ "/relay/websocket", ROLE_RELAY, false },
};

bool connect_route(const char *path, enum role *ret_role, bool *ret_v1)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strcmp(path, routes[i].path) != 0)
			continue;
		*ret_role = routes[i].role;
		*ret_v1 = routes[i].v1;
		return true;
	}
	return false;
}

void refusal_clear(struct refusal *r)
{
	free(r->content_type);
	free(r->body);
	free(r->retry_after);
	free(r->location);
}

static const char *reason_phrase(int status)
{
	static const struct {
		int status;
		const char *text;
	} phrases[] = {
		{ 400, "Bad Request" },         { 401, "Unauthorized" },
		{ 402, "Payment Required" },    { 403, "Forbidden" },
		{ 404, "Not Found" },           { 409, "Conflict" },
		{ 429, "Too Many Requests" },   { 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
	};
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
		if (phrases[i].status == status)
			return phrases[i].text;
	}
	return "Error";
}

static struct refusal problem(int status, const char *code, const char *detail)
{
	json_t *body = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title",
				 reason_phrase(status), "status", status, "detail", detail, "code", code);
	struct refusal r = { .status = status,
			     .content_type = xstrdup("application/problem+json; charset=utf-8"),
			     .body = json_dumps(body, JSON_COMPACT) };
	json_decref(body);
	return r;
}

static struct refusal from_failure(const struct failure *f)
{
	const char *code = f->code != NULL ? f->code : f->status == 401 ? "invalid_token" : "test_failure";
	struct refusal r =
		problem(f->status, code, f->detail != NULL ? f->detail : "asked for by ctl fail-next");
	if (f->body != NULL)
		set_text(&r.body, f->body);
	if (f->content_type != NULL)
		set_text(&r.content_type, f->content_type);
	r.retry_after = xstrdup(f->retry_after);
	r.location = xstrdup(f->location);
	return r;
}

struct bucket {
	char key[128];
	int64_t at_us;
};

/* One connect per second, address and token. */
static bool too_fast(struct portal *p, const struct connect_request *q)
{
	uint8_t digest[32];
	char key[128], hex[17];
	int64_t now = lws_now_usecs();
	sha256(digest, q->token);
	encode_hex(hex, digest, 8);
	snprintf(key, sizeof(key), "%s %s", q->peer_ip, hex);
	for (size_t i = 0; i < p->buckets.len; i++) {
		struct bucket *b = p->buckets.at[i];
		if (strcmp(b->key, key) != 0)
			continue;
		if (now - b->at_us < LWS_US_PER_SEC)
			return true;
		b->at_us = now;
		return false;
	}
	if (p->buckets.len >= 1024) {
		struct bucket *oldest = p->buckets.at[0];
		vec_remove(&p->buckets, oldest);
		free(oldest);
	}
	struct bucket *b = xcalloc(1, sizeof(*b));
	memcpy(b->key, key, sizeof(key));
	b->at_us = now;
	vec_push(&p->buckets, b);
	return false;
}

static bool token_good(const struct portal *p, const struct token *t)
{
	if (t == NULL)
		return p->model.settings.accept_any_token;
	return !t->revoked && (t->expires_at == 0 || t->expires_at > unix_now());
}

/* "field message; field message", as the portal words it. */
static char *parameter_faults(const struct connect_request *q, enum role role, bool agent_known)
{
	char *faults = NULL;
	const char *list[4];
	int n = 0;
	if (q->public_key == NULL || q->public_key[0] == '\0')
		list[n++] = "public_key can't be blank";
	else if (strlen(q->public_key) != KEY_TEXT_LEN)
		list[n++] = "public_key should be 44 character(s)";
	if (q->external_id == NULL || q->external_id[0] == '\0')
		list[n++] = "external_id can't be blank";
	if (role == ROLE_CLIENT && !agent_known)
		list[n++] = "user_agent is invalid";
	for (int i = 0; i < n; i++) {
		char *longer = faults == NULL ? xstrdup(list[i]) : xprintf("%s; %s", faults, list[i]);
		free(faults);
		faults = longer;
	}
	return faults;
}

static bool bound_without_id(const struct token *t)
{
	return t != NULL && t->device != NULL && t->device->external_id == NULL;
}

/* By its id; by its token; else a new one. */
static struct device *find_device(struct portal *p, const struct connect_request *q, enum role role,
				  struct token *t)
{
	struct device *d = device_by_external_id(&p->model, role, q->external_id);
	if (d != NULL)
		return d;
	if (bound_without_id(t))
		return t->device;
	if (!p->model.settings.auto_devices)
		return NULL;
	d = device_make(&p->model, t, role, q->external_id,
			q->name != NULL && q->name[0] != '\0' ? q->name : q->external_id);
	if (d != NULL)
		state_changed(p);
	return d;
}

static struct session *session_make(struct portal *p, const struct connect_request *q, enum role role,
				    bool v1, struct token *t, struct device *d)
{
	struct session *s = xcalloc(1, sizeof(*s));
	s->portal = p;
	s->role = role;
	s->v1 = v1;
	s->token = t;
	s->device = d;
	s->name = role == ROLE_RELAY ? xstrdup(q->name) : NULL;
	s->user_agent = xstrdup(q->user_agent);
	s->peer_ip = xstrdup(q->peer_ip);
	s->ipv4 = xstrdup(q->ipv4);
	s->ipv6 = xstrdup(q->ipv6);
	s->port = q->port != NULL ? atoi(q->port) : 3478;
	if (q->public_key != NULL)
		snprintf(s->public_key, sizeof(s->public_key), "%s", q->public_key);
	agent_parse(&s->agent, q->user_agent != NULL ? q->user_agent : "");
	s->connected_at = unix_now();
	vec_push(&p->sessions, s);
	return s;
}

static struct session *check_device(struct portal *p, const struct connect_request *q, enum role role,
				    bool v1, struct token *t, struct refusal *ret)
{
	struct agent agent;
	char *faults =
		parameter_faults(q, role, agent_parse(&agent, q->user_agent != NULL ? q->user_agent : ""));
	if (faults != NULL) {
		*ret = problem(400, "invalid_connect_params", faults);
		free(faults);
		return NULL;
	}
	struct device *d = find_device(p, q, role, t);
	if (d == NULL) {
		*ret = problem(401, "invalid_token", "no such device, and auto_devices is off");
		return NULL;
	}
	if (role == ROLE_GATEWAY && d->session != NULL) {
		*ret = problem(409, "gateway_already_connected", "another channel for this gateway exists");
		return NULL;
	}
	return session_make(p, q, role, v1, t, d);
}

struct session *connect_check(struct portal *p, const struct connect_request *q, struct refusal *ret)
{
	enum role role;
	bool v1;
	*ret = (struct refusal){ 0 };
	if (!connect_route(q->path, &role, &v1)) {
		*ret = (struct refusal){ .status = 404,
					 .content_type = xstrdup("text/plain; charset=utf-8"),
					 .body = xstrdup("Not Found") };
		return NULL;
	}
	struct failure *f = failure_take(p, FAIL_CONNECT, role);
	if (f != NULL) {
		*ret = from_failure(f);
		failure_done(p, f);
		return NULL;
	}
	if (q->token == NULL) {
		*ret = problem(401, "missing_token", "no token in the X-Authorization header");
		return NULL;
	}
	if (p->model.settings.rate_limit && too_fast(p, q)) {
		*ret = problem(503, "rate_limit", "too many connects");
		ret->retry_after = xstrdup("1");
		return NULL;
	}
	struct token *t = token_find(&p->model, role, q->token);
	if (!token_good(p, t)) {
		*ret = problem(401, "invalid_token", "the token is unknown, expired or revoked");
		return NULL;
	}
	if (role != ROLE_RELAY)
		return check_device(p, q, role, v1, t, ret);
	if (q->ipv4 == NULL && q->ipv6 == NULL) {
		*ret = problem(500, "unhandled_connect_error", "a relay needs ipv4 or ipv6");
		return NULL;
	}
	return session_make(p, q, role, v1, t, NULL);
}
