/* SPDX-License-Identifier: Apache-2.0 */
/* What `ctl` can ask for, one function each. */
#include "admin.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "commands.h"
#include "authz.h"
#include "change.h"
#include "config.h"
#include "ingest.h"
#include "relays.h"
#include "settings.h"

const char *call_arg(const struct call *c, size_t i)
{
	return json_string_value(json_array_get(c->args, i));
}

void call_fail(struct call *c, const char *text)
{
	if (text != NULL && c->fault == NULL)
		c->fault = xstrdup(text);
}

/* ---- looking ---- */

static json_t *session_dump(const struct session *s)
{
	return json_pack("{s:s, s:s, s:s*, s:b, s:b, s:b, s:s, s:s*, s:s*, s:I, s:O*}", "name",
			 session_name(s), "role", role_name(s->role), "id",
			 s->device != NULL ? s->device->id : NULL, "joined", s->joined, "iceless", s->iceless,
			 "v1", s->v1, "public_key", s->public_key, "user_agent", s->user_agent, "peer",
			 s->peer_ip, "connected_at", (json_int_t)s->connected_at, "relays", s->relays_sent);
}

static json_t *device_dump(const struct device *d)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:s*, s:b}", "name", d->name, "role",
			 role_name(d->role), "id", d->id, "ipv4", d->ipv4, "ipv6", d->ipv6, "external_id",
			 d->external_id, "hostname", d->hostname, "site",
			 d->site != NULL ? d->site->name : NULL, "online", d->session != NULL);
}

static json_t *grant_dump(const struct grant *g, const struct portal *p)
{
	struct resource *r = resource_find(&p->model, g->resource_id);
	return json_pack("{s:s, s:s, s:s, s:s, s:s*, s:I}", "id", g->id, "client", g->initiator->name,
			 "responder", g->responder->name, "resource_id", g->resource_id, "resource",
			 r != NULL ? json_text(r->spec, "name") : NULL, "expires_at",
			 (json_int_t)g->expires_at);
}

static json_t *counters_dump(const struct portal *p)
{
	const struct counters *n = &p->counters;
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "connects",
			 (json_int_t)n->connects, "refused", (json_int_t)n->refused, "messages_in",
			 (json_int_t)n->messages_in, "messages_out", (json_int_t)n->messages_out, "malformed",
			 (json_int_t)n->malformed, "unknown", (json_int_t)n->unknown, "flow_requests",
			 (json_int_t)n->flow_requests, "flows_stored", (json_int_t)n->flows_stored,
			 "authorizations", (json_int_t)n->authorizations, "timeouts",
			 (json_int_t)n->timeouts);
}

static json_t *paused_dump(unsigned paused)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < 5; i++) {
		if (paused & 1u << i)
			json_array_append_new(list, json_string(pause_names[i]));
	}
	return list;
}

static void run_state(struct call *c)
{
	const struct model *m = &c->p->model;
	json_t *sessions = json_array(), *devices = json_array(), *resources = json_array(),
	       *grants = json_array();
	for (size_t i = 0; i < c->p->sessions.len; i++)
		json_array_append_new(sessions, session_dump(c->p->sessions.at[i]));
	for (size_t i = 0; i < m->devices.len; i++)
		json_array_append_new(devices, device_dump(m->devices.at[i]));
	for (size_t i = 0; i < m->resources.len; i++) {
		const struct resource *r = m->resources.at[i];
		json_t *spec = json_deep_copy(r->spec);
		json_object_set_new(spec, "id", json_string(r->id));
		json_array_append_new(resources, spec);
	}
	for (size_t i = 0; i < m->grants.len; i++)
		json_array_append_new(grants, grant_dump(m->grants.at[i], c->p));
	c->result = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i}", "sessions", sessions,
			      "devices", devices, "resources", resources, "authorizations", grants, "pending",
			      pendings_dump(c->p), "relays", relays_dump(c->p), "settings",
			      settings_dump(&m->settings), "counters", counters_dump(c->p), "paused",
			      paused_dump(c->p->paused), "flows", (int)json_object_size(c->p->flows));
}

static void run_config(struct call *c)
{
	c->result = config_dump(&c->p->model);
}

/* events [DEVICE] [EVENT] since=SECONDS clear=true */
static void run_events(struct call *c)
{
	const char *who = call_arg(c, 0), *event = call_arg(c, 1);
	const json_t *since = json_object_get(c->options, "since");
	c->result = json_array();
	for (size_t i = 0; i < c->p->events.len; i++) {
		json_t *e = c->p->events.at[i];
		if (who != NULL && strcmp(who, "-") != 0 && strcmp(who, json_text(e, "who")) != 0)
			continue;
		if (event != NULL && strcmp(event, json_text(e, "event")) != 0)
			continue;
		if (since == NULL || json_real_value(json_object_get(e, "t")) >= json_number_value(since))
			json_array_append(c->result, e);
	}
	if (!json_flag(c->options, "clear", false))
		return;
	for (size_t i = 0; i < c->p->events.len; i++)
		json_decref(c->p->events.at[i]);
	vec_clear(&c->p->events, NULL);
}

static void run_flows(struct call *c)
{
	c->result = json_array();
	const char *id;
	json_t *record;
	json_object_foreach(c->p->flows, id, record) json_array_append(c->result, record);
}

/* ---- resources, devices, tokens, settings ---- */

static void run_add_resource(struct call *c)
{
	struct resource *r = NULL;
	call_fail(c, change_resource_add(c->p, c->options, &r));
	if (r != NULL)
		c->result = json_string(r->id);
}

static struct resource *resource_arg(struct call *c, size_t i)
{
	struct resource *r = resource_find(&c->p->model, call_arg(c, i));
	if (r == NULL)
		c->fault = xprintf("no resource %s", call_arg(c, i) == NULL ? "named" : call_arg(c, i));
	return r;
}

static void run_update_resource(struct call *c)
{
	struct resource *r = resource_arg(c, 0);
	if (r != NULL)
		call_fail(c, change_resource_update(c->p, r, c->options));
}

static void run_remove_resource(struct call *c)
{
	struct resource *r = resource_arg(c, 0);
	if (r != NULL)
		change_resource_remove(c->p, r);
}

static void run_add_site(struct call *c)
{
	json_t *spec = call_arg(c, 0) != NULL ? json_string(call_arg(c, 0)) : json_deep_copy(c->options);
	call_fail(c, site_parse(&c->p->model, spec));
	json_decref(spec);
	state_changed(c->p);
}

static void run_add_device(struct call *c)
{
	const char *fault;
	struct device *d = device_parse(&c->p->model, c->options, &fault);
	call_fail(c, fault);
	if (d != NULL)
		c->result = device_dump(d);
	state_changed(c->p);
}

static struct device *device_arg(struct call *c, size_t i)
{
	struct device *d = device_find(&c->p->model, call_arg(c, i));
	if (d == NULL)
		c->fault = xprintf("no device %s", call_arg(c, i) == NULL ? "named" : call_arg(c, i));
	return d;
}

static void run_update_device(struct call *c)
{
	struct device *d = device_arg(c, 0);
	if (d != NULL)
		call_fail(c, change_device_update(c->p, d, c->options));
}

static void run_remove_device(struct call *c)
{
	struct device *d = device_arg(c, 0);
	if (d != NULL)
		change_device_remove(c->p, d);
}

static void run_add_token(struct call *c)
{
	call_fail(c, token_parse(&c->p->model, c->options));
	state_changed(c->p);
}

static void run_revoke_token(struct call *c)
{
	if (call_arg(c, 0) == NULL || change_token_revoke(c->p, call_arg(c, 0)) == 0)
		call_fail(c, "no such token");
}

/* expire-token DEVICE|TOKEN in=SECONDS (0 = now) or at=UNIX */
static void run_expire_token(struct call *c)
{
	int64_t at = json_int(c->options, "at", unix_now() + json_int(c->options, "in", 0));
	if (call_arg(c, 0) == NULL || change_token_expiry(c->p, call_arg(c, 0), at) == 0)
		call_fail(c, "no such token");
}

static void run_set(struct call *c)
{
	const char *key;
	json_t *value;
	int effect = 0;
	json_object_foreach((json_t *)(uintptr_t)c->options, key, value)
	{
		const char *fault = setting_set(&c->p->model.settings, key, value, &effect);
		if (fault != NULL && c->fault == NULL)
			c->fault = xprintf("%s: %s", key, fault);
	}
	change_settings_told(c->p, effect);
	if (json_object_size(c->options) == 0)
		c->result = settings_dump(&c->p->model.settings);
}

/* ---- access ---- */

/* revoke CLIENT|all RESOURCE|all: the grants end, a new request is welcome. */
static void run_revoke(struct call *c)
{
	const char *who = call_arg(c, 0), *what = call_arg(c, 1);
	struct device *d = NULL;
	struct resource *r = NULL;
	if (who == NULL || what == NULL) {
		call_fail(c, "revoke needs a client and a resource (or `all`)");
		return;
	}
	if (strcmp(who, "all") != 0 && (d = device_arg(c, 0)) == NULL)
		return;
	if (strcmp(what, "all") != 0 && (r = resource_arg(c, 1)) == NULL)
		return;
	c->result = json_integer((json_int_t)grants_revoke(c->p, d, r != NULL ? r->id : NULL));
}

/* ---- relays ---- */

static struct relay *relay_arg(struct call *c)
{
	struct relay *r = relay_find(&c->p->model, call_arg(c, 1));
	if (r == NULL)
		c->fault = xprintf("no relay %s", call_arg(c, 1) == NULL ? "named" : call_arg(c, 1));
	return r;
}

static void relay_add(struct call *c)
{
	const char *fault;
	struct relay *r = relay_parse(c->options, &fault);
	call_fail(c, fault);
	if (r == NULL)
		return;
	if (relay_find(&c->p->model, r->id) != NULL || relay_find(&c->p->model, r->name) != NULL) {
		call_fail(c, "a relay of this id or name exists");
		relay_free(r);
		return;
	}
	vec_push(&c->p->model.relays, r);
	c->result = json_string(r->id);
}

/* What a relay that joined says of itself stands; whom to tell of it is ours to choose. */
static void relay_set_devices(struct call *c, struct relay *r)
{
	json_t *devices = json_object_get(c->options, "devices");
	if (!json_is_array(devices) || json_object_size(c->options) != 1) {
		call_fail(c, "this relay has joined by itself: only `devices` can be changed");
		return;
	}
	json_decref(r->devices);
	r->devices = json_deep_copy(devices);
}

static void relay_update(struct call *c, struct relay *r)
{
	json_t *all = config_dump(&c->p->model), *spec = NULL, *entry;
	size_t i;
	json_array_foreach(json_object_get(all, "relays"), i, entry)
	{
		if (strcmp(json_text(entry, "id"), r->id) == 0)
			spec = entry;
	}
	if (spec == NULL) {
		relay_set_devices(c, r);
	} else {
		json_object_update(spec, (json_t *)(uintptr_t)c->options);
		const char *fault;
		struct relay *next = relay_parse(spec, &fault);
		call_fail(c, fault);
		if (next != NULL) {
			struct relay old = *r;
			*r = *next;
			*next = old;
			relay_free(next);
		}
	}
	json_decref(all);
}

static void relay_remove(struct portal *p, struct relay *r)
{
	if (r->session != NULL) {
		session_close_channel(r->session); /* leaves the list by itself */
		return;
	}
	vec_remove(&p->model.relays, r);
	relay_free(r);
}

/* relays [list | add SPEC | remove R | update R KEY=VALUE... | up R | down R] */
static void run_relays(struct call *c)
{
	const char *verb = call_arg(c, 0);
	struct relay *r = NULL;
	if (verb == NULL || strcmp(verb, "list") == 0) {
		c->result = relays_dump(c->p);
		return;
	}
	if (strcmp(verb, "add") == 0)
		relay_add(c);
	else if ((r = relay_arg(c)) == NULL)
		return;
	else if (strcmp(verb, "remove") == 0)
		relay_remove(c->p, r);
	else if (strcmp(verb, "update") == 0)
		relay_update(c, r);
	else if (strcmp(verb, "up") == 0 || strcmp(verb, "down") == 0)
		r->up = verb[0] == 'u';
	else
		call_fail(c, "relays: list, add, remove, update, up or down");
	relays_changed(c->p);
	state_changed(c->p);
}

static void run_stop(struct call *c)
{
	admin_ask_stop();
	lws_cancel_service(c->p->lws);
}

static const struct {
	const char *name;
	void (*run)(struct call *c);
} commands[] = {
	{ "add-device", run_add_device },
	{ "add-resource", run_add_resource },
	{ "add-site", run_add_site },
	{ "add-token", run_add_token },
	{ "close", run_close },
	{ "close-channel", run_close_channel },
	{ "config", run_config },
	{ "drop", run_drop },
	{ "events", run_events },
	{ "expire-token", run_expire_token },
	{ "fail-clear", run_fail_clear },
	{ "fail-ingest", run_fail_ingest },
	{ "fail-join", run_fail_join },
	{ "fail-next", run_fail_next },
	{ "flows", run_flows },
	{ "init", run_init },
	{ "kick", run_kick },
	{ "pause", run_pause },
	{ "push", run_push },
	{ "push-raw", run_push_raw },
	{ "relays", run_relays },
	{ "remove-device", run_remove_device },
	{ "remove-resource", run_remove_resource },
	{ "resume", run_resume },
	{ "revoke", run_revoke },
	{ "revoke-token", run_revoke_token },
	{ "set", run_set },
	{ "state", run_state },
	{ "stop", run_stop },
	{ "update-device", run_update_device },
	{ "update-resource", run_update_resource },
};

json_t *command_run(struct portal *p, const json_t *request)
{
	struct call c = { .p = p,
			  .args = json_object_get(request, "args"),
			  .options = json_object_get(request, "options") };
	const char *name = json_text(request, "command");
	json_t *none = json_object();
	if (!json_is_object(c.options))
		c.options = none;
	c.fault = xstrdup("no such command (see fz-devportal ctl --help)");
	for (size_t i = 0; name != NULL && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		free(c.fault);
		c.fault = NULL;
		commands[i].run(&c);
	}
	if (c.result == NULL)
		c.result = json_null();
	json_t *reply = c.fault == NULL ? json_pack("{s:b, s:O}", "ok", 1, "result", c.result)
					: json_pack("{s:b, s:s}", "ok", 0, "error", c.fault);
	json_decref(c.result);
	json_decref(none);
	free(c.fault);
	return reply;
}
