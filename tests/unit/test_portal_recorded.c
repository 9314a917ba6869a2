/* SPDX-License-Identifier: Apache-2.0 */
/* Every message on the portal's sockets in five recorded runs of Firezone's own programs: what the portal
 * said decodes, and what the devices said equals what our builders make of the same content, byte for byte.
 */
#include "unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "wire/phx.h"
#include "wire/portal_messages.h"

static struct fz_uuid uuid(const char *text)
{
	struct fz_uuid id;

	ck_assert_int_eq(fz_uuid_parse(text, &id), 0);
	return id;
}

static size_t texts_of(const struct jv *list, const char **ret, size_t cap)
{
	size_t n = jv_len(list);

	ck_assert_uint_le(n, cap);
	for (size_t i = 0; i < n; i++)
		ret[i] = jv_str(jv_at(list, i));
	return n;
}

static struct jv *build_candidates(enum portal_role role, const char *event, const struct jv *p)
{
	const char *texts[32];
	size_t n = texts_of(jv_get(p, "candidates"), texts, 32);
	bool gateway = jv_get(p, "gateway_id") != NULL;
	const struct jv *one = role == PORTAL_ROLE_GATEWAY ? jv_at(jv_get(p, "client_ids"), 0)
							   : jv_get(p, gateway ? "gateway_id" : "client_id");
	struct fz_uuid id = uuid(jv_str(one));
	enum portal_peer peer = gateway ? PORTAL_PEER_GATEWAY : PORTAL_PEER_CLIENT;
	enum portal_candidates_kind kind =
		strstr(event, "invalidate") ? PORTAL_CANDIDATES_INVALIDATE : PORTAL_CANDIDATES_ADD;

	ck_assert_str_eq(portal_msg_candidates_event(role, kind, peer), event);
	return portal_msg_candidates(role, peer, &id, texts, n);
}

/* The same content through our builders; NULL for framing. */
static struct jv *rebuild(enum portal_role role, const char *event, const struct jv *p)
{
	bool b;

	if (strcmp(event, "set_snownet_capabilities") == 0) {
		ck_assert(jv_bool(jv_get(p, "iceless"), &b));
		return portal_msg_capabilities(b);
	}
	if (strcmp(event, "request_authorization") == 0) {
		const struct jv *list = jv_get(p, "connected_gateway_ids");
		struct fz_uuid ids[4], res = uuid(jv_str(jv_get(p, "resource_id")));
		const char *v4 = jv_str(jv_get(p, "ipv4"));
		struct fz_ip ip;
		for (size_t i = 0; i < jv_len(list); i++)
			ids[i] = uuid(jv_str(jv_at(list, i)));
		if (v4)
			ck_assert_int_eq(fz_ip_parse(v4, &ip), 0);
		return portal_msg_request_authorization(&res, ids, jv_len(list), v4 ? &ip : NULL);
	}
	if (strcmp(event, "authorization_created") == 0)
		return portal_msg_authorization_created(jv_str(jv_get(p, "ref")));
	if (strcmp(event, "no_relays") == 0)
		return portal_msg_empty();
	if (strstr(event, "candidates"))
		return build_candidates(role, event, p);
	ck_assert_str_eq(event, "phx_join");
	return NULL;
}

/* Decode what the portal said. */
static void check_heard(enum portal_role role, const char *event, const struct jv *payload)
{
	struct phx_msg m = { .topic = "x", .event = event, .payload = payload };
	struct portal_event ev;
	struct unit_env u;
	const char *reason = "-";

	unit_env_init(&u, 1);
	ck_assert_msg(portal_event_decode(&u.env, role, &m, &ev, &reason) == 0, "%s: %s", event, reason);
	if (ev.type == PORTAL_EVENT_INIT)
		ck_assert_uint_eq(ev.u.init.resources_skipped, 0);
	if (ev.type == PORTAL_EVENT_CANDIDATES_ADDED)
		ck_assert_uint_eq(ev.u.candidates.skipped, 0);
	portal_event_clear(&u.env, &ev);
	unit_env_check(&u);
}

/* Build what the device said anew. */
static void check_said(enum portal_role role, const char *event, const struct jv *payload)
{
	struct jv *ours = rebuild(role, event, payload);
	struct unit_env u;

	unit_env_init(&u, 1);
	if (ours) {
		char *a = jv_dump(&u.env, ours, NULL), *b = jv_dump(&u.env, payload, NULL);
		ck_assert_str_eq(a, b);
		fz_free(&u.env, a);
		fz_free(&u.env, b);
	}
	jv_free(ours);
	unit_env_check(&u);
}

START_TEST(recorded_runs)
{
	static const char *const files[] = { "direct", "relayed", "iceless-direct", "iceless-relayed",
					     "device-pool" };
	static char text[200000];
	int heard = 0, said = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[300];
		struct jv *file = NULL;
		snprintf(path, sizeof(path), TEST_VECTORS "/captures/%s.json", files[i]);
		FILE *f = fopen(path, "r");
		ck_assert_msg(f != NULL, "%s", path);
		size_t len = fread(text, 1, sizeof(text), f);
		fclose(f);
		ck_assert_int_eq(jv_parse(text, len, &file), JV_OK);
		const struct jv *all = jv_get(file, "portal");
		for (size_t k = 0; k < jv_len(all); k++) {
			const struct jv *m = jv_at(all, k), *payload = jv_get(m, "payload");
			const char *dir = jv_str(jv_get(m, "dir")), *event = jv_str(jv_get(m, "event"));
			bool gw = strncmp(jv_str(jv_get(m, "who")), "gw", 2) == 0;
			enum portal_role role = gw ? PORTAL_ROLE_GATEWAY : PORTAL_ROLE_CLIENT;
			if (strcmp(dir, "<-") == 0) {
				check_heard(role, event, payload);
				heard++;
			} else if (strcmp(dir, "->") == 0) {
				check_said(role, event, payload);
				said++;
			}
		}
		jv_free(file);
	}
	ck_assert_int_eq(heard, 65);
	ck_assert_int_eq(said, 73);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("portal_recorded");

	unit_case(s, "recorded", recorded_runs);
	return s;
}
