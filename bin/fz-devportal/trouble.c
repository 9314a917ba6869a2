/* SPDX-License-Identifier: Apache-2.0 */
/* What a portal does at its worst, on demand: ends of all kinds, odd messages, refusals, silence. */
#include "commands.h"
#include "server.h"

#include <stdlib.h>
#include <string.h>

/* The session of the named device (or relay, or role), which must be online. */
struct session *call_session(struct call *c)
{
	const char *name = call_arg(c, 0);
	enum role role;
	bool any = role_parse(name, &role);
	struct device *d = device_find(&c->p->model, name);
	for (size_t i = 0; i < c->p->sessions.len; i++) {
		struct session *s = c->p->sessions.at[i];
		if (!s->established || s->cut)
			continue;
		if ((any && s->role == role) || (d != NULL && s->device == d && d->session == s) ||
		    (s->relay != NULL && name != NULL && strcmp(s->relay->id, name) == 0))
			return s;
	}
	c->fault = xprintf("%s is not online", name == NULL ? "(no device named)" : name);
	return NULL;
}

/* ---- trouble on purpose ---- */

void run_kick(struct call *c)
{
	struct session *s = call_session(c);
	const char *reason = json_text(c->options, "reason");
	if (s != NULL)
		session_disconnect(s, reason != NULL ? reason : "token_expired");
}

void run_close_channel(struct call *c)
{
	struct session *s = call_session(c);
	if (s != NULL)
		session_close_channel(s);
}

void run_close(struct call *c)
{
	struct session *s = call_session(c);
	if (s != NULL)
		session_close(s, (int)json_int(c->options, "code", 1000));
}

void run_drop(struct call *c)
{
	struct session *s = call_session(c);
	if (s != NULL)
		session_cut(s, json_flag(c->options, "reset", false));
}

/* init DEVICE: the same message again on the same channel. */
void run_init(struct call *c)
{
	struct session *s = call_session(c);
	if (s != NULL)
		session_push_init(s);
}

/* push DEVICE EVENT key=value...; `payload` = anything else than an object */
void run_push(struct call *c)
{
	struct session *s = call_session(c);
	json_t *payload = json_object_get(c->options, "payload");
	if (s != NULL && call_arg(c, 1) == NULL)
		call_fail(c, "push needs a device and an event");
	else if (s != NULL)
		session_push(s, call_arg(c, 1), json_deep_copy(payload != NULL ? payload : c->options));
}

void run_push_raw(struct call *c)
{
	struct session *s = call_session(c);
	if (s != NULL && call_arg(c, 1) == NULL)
		call_fail(c, "push-raw needs a device and a text");
	else if (s != NULL)
		session_send_text(s, xstrdup(call_arg(c, 1)));
}

static char *text_option(const struct call *c, const char *key)
{
	const json_t *value = json_object_get(c->options, key);
	return json_is_integer(value) ? xprintf("%lld", (long long)json_integer_value(value))
				      : xstrdup(json_string_value(value));
}

/* fail-next status=503 retry-after=2 role=client count=1 code= detail= content-type= body= location= */
void run_fail_next(struct call *c)
{
	const char *role = json_text(c->options, "role");
	int64_t status = json_int(c->options, "status", 503);
	struct failure *f = xcalloc(1, sizeof(*f));
	f->for_all = role == NULL;
	if (status < 200 || status > 599 || (role != NULL && !role_parse(role, &f->role))) {
		call_fail(c, "fail-next: status must be 200..599, role client, gateway or relay");
		free(f);
		return;
	}
	f->status = (int)status;
	f->count = (int)json_int(c->options, "count", 1);
	f->code = text_option(c, "code");
	f->detail = text_option(c, "detail");
	f->content_type = text_option(c, "content-type");
	f->body = text_option(c, "body");
	f->retry_after = text_option(c, "retry-after");
	f->location = text_option(c, "location");
	vec_push(&c->p->failures, f);
}

/* fail-join reason=disabled role=client count=1 */
void run_fail_join(struct call *c)
{
	const char *role = json_text(c->options, "role"), *reason = json_text(c->options, "reason");
	struct failure *f = xcalloc(1, sizeof(*f));
	f->for_all = role == NULL;
	if (role != NULL && !role_parse(role, &f->role)) {
		call_fail(c, "fail-join: role must be client, gateway or relay");
		free(f);
		return;
	}
	f->kind = FAIL_JOIN;
	f->count = (int)json_int(c->options, "count", 1);
	f->code = xstrdup(reason != NULL ? reason : "disabled");
	vec_push(&c->p->failures, f);
}

/* fail-ingest status=503 retry-after=2 location= count=1 */
void run_fail_ingest(struct call *c)
{
	int64_t status = json_int(c->options, "status", 503);
	struct failure *f = xcalloc(1, sizeof(*f));
	f->kind = FAIL_INGEST;
	f->for_all = true;
	if (status < 200 || status > 599) {
		call_fail(c, "fail-ingest: status must be 200..599");
		free(f);
		return;
	}
	f->status = (int)status;
	f->count = (int)json_int(c->options, "count", 1);
	f->retry_after = text_option(c, "retry-after");
	f->location = text_option(c, "location");
	vec_push(&c->p->failures, f);
}

void run_fail_clear(struct call *c)
{
	vec_clear(&c->p->failures, failure_free);
}

static unsigned pause_mask(struct call *c)
{
	unsigned mask = 0;
	for (size_t i = 0; i < json_array_size(c->args); i++) {
		unsigned bit = 0;
		for (unsigned n = 0; n < 5; n++) {
			if (strcmp(call_arg(c, i), pause_names[n]) == 0)
				bit = 1u << n;
		}
		if (strcmp(call_arg(c, i), "all") == 0)
			bit = 31;
		if (bit == 0)
			call_fail(c, "what: authorizations, heartbeats, joins, candidates, connects or all");
		mask |= bit;
	}
	return mask;
}

void run_pause(struct call *c)
{
	unsigned mask = pause_mask(c);
	c->p->paused |= mask != 0 ? mask : PAUSE_AUTHORIZATIONS;
}

void run_resume(struct call *c)
{
	unsigned mask = pause_mask(c);
	c->p->paused &= mask != 0 ? ~mask : 0;
	if ((c->p->paused & PAUSE_CONNECTS) == 0)
		server_release(c->p);
}
