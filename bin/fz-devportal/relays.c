/* SPDX-License-Identifier: Apache-2.0 */
#include "relays.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_RELAYS 2

static bool offered(const struct relay *r, const struct device *d)
{
	return r->up &&
	       (r->devices == NULL || json_list_has(r->devices, d->name) || json_list_has(r->devices, d->id));
}

static void credentials(const struct relay *r, const struct session *s, int64_t expires_at,
			struct turn_credentials *out)
{
	switch (r->mode) {
	case RELAY_STATIC:
		snprintf(out->username, sizeof(out->username), "%s", r->username);
		snprintf(out->password, sizeof(out->password), "%s", r->password);
		break;
	case RELAY_COTURN:
		derive_turn_coturn(out, r->secret, s->device->id, expires_at);
		break;
	case RELAY_FIREZONE:
		derive_turn_firezone(out, r->secret, s->public_key, expires_at);
		break;
	}
}

static void append_entries(json_t *list, const struct relay *r, const struct session *s)
{
	struct turn_credentials c;
	int64_t expires_at = s->role == ROLE_GATEWAY ? NEVER_EXPIRES : session_expiry(s);
	credentials(r, s, expires_at, &c);
	for (int i = 0; i < 2 && r->addrs[i] != NULL; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "type", "turn", "id", r->id,
						"addr", r->addrs[i], "username", c.username, "password",
						c.password, "expires_at", (json_int_t)expires_at));
}

/* The first ones in the order of the list: the real portal picks by distance or by chance, tests want
 * neither. */
static json_t *select_relays(const struct session *s)
{
	json_t *list = json_array();
	int count = 0;
	const struct vec *relays = &s->portal->model.relays;
	for (size_t i = 0; i < relays->len && count < MAX_RELAYS; i++) {
		const struct relay *r = relays->at[i];
		if (!offered(r, s->device))
			continue;
		append_entries(list, r, s);
		count++;
	}
	return list;
}

static void remember(struct session *s, json_t *list)
{
	json_decref(s->relays_sent);
	s->relays_sent = json_incref(list);
}

json_t *relays_for(struct session *s)
{
	json_t *list = select_relays(s);
	remember(s, list);
	return list;
}

void relays_repeat(struct session *s)
{
	session_push(s, "relays_presence",
		     json_pack("{s:[], s:o}", "disconnected_ids", "connected", relays_for(s)));
}

/* What of the last list is still true? Ids that are gone go to `gone`; false when an entry has changed. */
static bool still_true(const struct session *s, json_t *gone, size_t *ret_kept)
{
	size_t i;
	json_t *entry;
	bool same = true;
	const char *last = "";
	*ret_kept = 0;
	json_array_foreach(s->relays_sent, i, entry)
	{
		const char *id = json_text(entry, "id");
		const struct relay *r = relay_find(&s->portal->model, id);
		bool first = strcmp(id, last) != 0;
		last = id;
		if (r == NULL || !offered(r, s->device)) {
			if (first)
				json_array_append_new(gone, json_string(id));
			continue;
		}
		*ret_kept += first;
		json_t *now = json_array();
		append_entries(now, r, s);
		bool found = false;
		for (size_t n = 0; n < json_array_size(now); n++)
			found |= json_equal(json_array_get(now, n), entry);
		same = same && found;
		json_decref(now);
	}
	return same;
}

static void tell_if_changed(struct session *s)
{
	json_t *gone = json_array(), *fresh = select_relays(s);
	size_t kept;
	bool same = still_true(s, gone, &kept);
	/* Fewer than two were known and there is another one now. */
	bool more = kept < MAX_RELAYS && json_array_size(fresh) > 0 && !json_equal(fresh, s->relays_sent);
	if (json_array_size(gone) > 0 || more || !same) {
		remember(s, fresh);
		session_push(s, "relays_presence",
			     json_pack("{s:O, s:O}", "disconnected_ids", gone, "connected", fresh));
	}
	json_decref(gone);
	json_decref(fresh);
}

static void tell_everybody(lws_sorted_usec_list_t *timer)
{
	struct portal *p = lws_container_of(timer, struct portal, relay_timer);
	for (size_t i = 0; i < p->sessions.len; i++) {
		struct session *s = p->sessions.at[i];
		if (s->joined && s->role != ROLE_RELAY)
			tell_if_changed(s);
	}
}

void relays_changed(struct portal *p)
{
	after_ms(p, &p->relay_timer, tell_everybody, p->model.settings.relay_debounce_ms);
}

static char *socket_address(const char *ip, int port)
{
	return xprintf(strchr(ip, ':') == NULL ? "%s:%d" : "[%s]:%d", ip, port);
}

void relay_join(struct session *s, const char *stamp_secret)
{
	struct model *m = &s->portal->model;
	char id[UUID_LEN + 1];
	derive_relay_id(id, stamp_secret);
	struct relay *r = relay_find(m, id);
	if (r != NULL && r->session != NULL && r->session != s) {
		/* The older channel of the same relay is killed; shipped relays ignore this. */
		struct session *old = r->session;
		session_push(old, "phx_error", json_object());
		old->relay = NULL;
		old->joined = false;
	}
	if (r == NULL) {
		r = xcalloc(1, sizeof(*r));
		memcpy(r->id, id, sizeof(id));
		vec_push(&m->relays, r);
	}
	r->mode = RELAY_FIREZONE;
	r->up = true;
	r->session = s;
	set_text(&r->name, session_name(s));
	set_text(&r->secret, stamp_secret);
	char *first = socket_address(s->ipv4 != NULL ? s->ipv4 : s->ipv6, s->port);
	char *second = s->ipv4 != NULL && s->ipv6 != NULL ? socket_address(s->ipv6, s->port) : NULL;
	set_text(&r->addrs[0], first);
	set_text(&r->addrs[1], second);
	free(first);
	free(second);
	s->relay = r;
	relays_changed(s->portal);
}

void relay_leave(struct session *s)
{
	struct relay *r = s->relay;
	s->relay = NULL;
	if (r == NULL || r->session != s)
		return;
	vec_remove(&s->portal->model.relays, r);
	relay_free(r);
	relays_changed(s->portal);
}

json_t *relays_dump(const struct portal *p)
{
	static const char *const modes[] = { "static", "coturn", "firezone" };
	json_t *list = json_array();
	for (size_t i = 0; i < p->model.relays.len; i++) {
		const struct relay *r = p->model.relays.at[i];
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:[s, s*], s:b, s:b}", "id", r->id, "name",
						r->name, "mode", modes[r->mode], "addrs", r->addrs[0],
						r->addrs[1], "up", r->up, "joined", r->session != NULL));
	}
	return list;
}
