/* SPDX-License-Identifier: Apache-2.0 */
#include "portal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

#define MAX_EVENTS 5000

void failure_free(void *failure)
{
	struct failure *f = failure;
	free(f->code);
	free(f->detail);
	free(f->content_type);
	free(f->body);
	free(f->retry_after);
	free(f->location);
	free(f);
}

const char *const pause_names[5] = { "authorizations", "heartbeats", "joins", "candidates", "connects" };

struct failure *failure_take(struct portal *p, enum failure_kind kind, enum role role)
{
	for (size_t i = 0; i < p->failures.len; i++) {
		struct failure *f = p->failures.at[i];
		if (f->kind == kind && (f->for_all || f->role == role)) {
			f->count--;
			return f;
		}
	}
	return NULL;
}

void failure_done(struct portal *p, struct failure *f)
{
	if (f->count > 0)
		return;
	vec_remove(&p->failures, f);
	failure_free(f);
}

/* A copy for the log: keys, passwords and tokens stay out of it. */
static json_t *redacted(const json_t *value)
{
	static const char *const secret[] = { "preshared_key", "password", "stamp_secret",
					      "flow_logs_ingest_token" };
	json_t *copy, *item;
	const char *key;
	size_t i;
	if (json_is_array(value)) {
		copy = json_array();
		json_array_foreach(value, i, item) json_array_append_new(copy, redacted(item));
		return copy;
	}
	if (!json_is_object(value))
		return json_deep_copy(value);
	copy = json_object();
	json_object_foreach((json_t *)(uintptr_t)value, key, item)
	{
		bool hide = false;
		for (i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
			hide |= strcmp(key, secret[i]) == 0;
		json_object_set_new(copy, key, hide ? json_string("...") : redacted(item));
	}
	return copy;
}

static void log_event(const char *who, const char *direction, const char *event, const json_t *payload)
{
	json_t *copy = payload == NULL ? NULL : redacted(payload);
	char *text = copy == NULL ? NULL : json_dumps(copy, JSON_COMPACT | JSON_ENCODE_ANY);
	say(LEVEL_DEBUG, "%s %s %s %s", who, direction, event, text == NULL ? "" : text);
	free(text);
	json_decref(copy);
}

void record_event(struct portal *p, const char *who, const char *direction, const char *event,
		  json_t *payload)
{
	if (p->events.len >= MAX_EVENTS) {
		json_decref(p->events.at[0]);
		vec_remove(&p->events, p->events.at[0]);
	}
	double at = (double)(lws_now_usecs() - p->started_us) / 1e6;
	json_t *entry = json_pack("{s:f, s:s, s:s, s:s, s:O*}", "t", at, "who", who, "dir", direction,
				  "event", event, "payload", payload);
	if (entry != NULL)
		vec_push(&p->events, entry);
	if (log_level() >= LEVEL_DEBUG)
		log_event(who, direction, event, payload);
	else
		say(LEVEL_INFO, "%s %s %s", who, direction, event);
}

void after_ms(struct portal *p, lws_sorted_usec_list_t *timer, sul_cb_t callback, int64_t ms)
{
	lws_sul_schedule(p->lws, 0, timer, callback, ms * LWS_US_PER_MS);
}

void timer_stop(lws_sorted_usec_list_t *timer)
{
	lws_sul_cancel(timer);
}

/* Whole or not at all: written beside and moved over. */
void state_write(struct portal *p)
{
	if (p->state_path == NULL)
		return;
	json_t *state = config_dump(&p->model);
	char *next = xprintf("%s.new", p->state_path);
	if (json_dump_file(state, next, JSON_INDENT(1)) != 0 || rename(next, p->state_path) != 0) {
		say(LEVEL_ERROR, "cannot write %s", p->state_path);
		unlink(next);
	}
	free(next);
	json_decref(state);
}

static void save_now(lws_sorted_usec_list_t *timer)
{
	state_write(lws_container_of(timer, struct portal, save_timer));
}

void state_changed(struct portal *p)
{
	if (p->state_path != NULL)
		after_ms(p, &p->save_timer, save_now, 200);
}
