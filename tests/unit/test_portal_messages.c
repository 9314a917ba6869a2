/* SPDX-License-Identifier: Apache-2.0 */
/* What devices say, against what Firezone's own programs were recorded to say. */
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

static void check(struct jv *payload, const char *topic, const char *event, uint64_t ref, const char *want)
{
	struct unit_env u;
	char *text;
	size_t len;

	unit_env_init(&u, 1);
	ck_assert_ptr_nonnull(payload);
	ck_assert_int_eq(phx_encode(&u.env, topic, event, payload, ref, &text, &len), 0);
	ck_assert_str_eq(text, want);
	fz_free(&u.env, text);
	jv_free(payload);
	unit_env_check(&u);
}

START_TEST(framing_vectors)
{
	struct fz_uuid res = uuid("c0ffee00-1234-4abc-8def-0123456789ab");

	check(portal_msg_capabilities(true), "client", "set_snownet_capabilities", 1,
	      "{\"topic\":\"client\",\"event\":\"set_snownet_capabilities\",\"payload\":{\"iceless\":true},\"ref\":1}");
	check(portal_msg_empty(), "phoenix", "heartbeat", 2,
	      "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":2}");
	check(portal_msg_request_authorization(&res, NULL, 0, NULL), "client", "request_authorization", 3,
	      "{\"topic\":\"client\",\"event\":\"request_authorization\",\"payload\":{\"resource_id\":"
	      "\"c0ffee00-1234-4abc-8def-0123456789ab\",\"connected_gateway_ids\":[]},\"ref\":3}");
	check(portal_msg_authorization_created("SFMyNTY.a.b"), "gateway", "authorization_created", 4,
	      "{\"topic\":\"gateway\",\"event\":\"authorization_created\",\"payload\":{\"ref\":\"SFMyNTY.a.b\"},\"ref\":4}");
	check(portal_msg_resolve_pool_domain(&res, "a.b"), "client", "resolve_device_pool_domain", 5,
	      "{\"topic\":\"client\",\"event\":\"resolve_device_pool_domain\",\"payload\":{\"resource_id\":"
	      "\"c0ffee00-1234-4abc-8def-0123456789ab\",\"domain\":\"a.b\"},\"ref\":5}");
	check(portal_msg_request_authorization(&res, &res, 1, NULL), "client", "request_authorization", 6,
	      "{\"topic\":\"client\",\"event\":\"request_authorization\",\"payload\":{\"resource_id\":"
	      "\"c0ffee00-1234-4abc-8def-0123456789ab\",\"connected_gateway_ids\":"
	      "[\"c0ffee00-1234-4abc-8def-0123456789ab\"]},\"ref\":6}");
}
END_TEST

START_TEST(names_of_candidate_events)
{
	static const struct {
		enum portal_role role;
		enum portal_candidates_kind kind;
		enum portal_peer peer;
		const char *want;
	} rows[] = {
		{ PORTAL_ROLE_CLIENT, PORTAL_CANDIDATES_ADD, PORTAL_PEER_GATEWAY, "new_gateway_ice_candidates" },
		{ PORTAL_ROLE_CLIENT, PORTAL_CANDIDATES_INVALIDATE, PORTAL_PEER_GATEWAY, "invalidate_gateway_ice_candidates" },
		{ PORTAL_ROLE_CLIENT, PORTAL_CANDIDATES_ADD, PORTAL_PEER_CLIENT, "new_client_ice_candidates" },
		{ PORTAL_ROLE_CLIENT, PORTAL_CANDIDATES_INVALIDATE, PORTAL_PEER_CLIENT, "invalidate_client_ice_candidates" },
		{ PORTAL_ROLE_GATEWAY, PORTAL_CANDIDATES_ADD, PORTAL_PEER_CLIENT, "broadcast_ice_candidates" },
		{ PORTAL_ROLE_GATEWAY, PORTAL_CANDIDATES_INVALIDATE, PORTAL_PEER_CLIENT, "broadcast_invalidated_ice_candidates" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_str_eq(portal_msg_candidates_event(rows[i].role, rows[i].kind, rows[i].peer), rows[i].want);
}
END_TEST

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
	enum portal_candidates_kind kind = strstr(event, "invalidate") ? PORTAL_CANDIDATES_INVALIDATE
								       : PORTAL_CANDIDATES_ADD;

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

START_TEST(recorded_messages_byte_for_byte)
{
	static const char *const files[] = { "direct", "relayed", "iceless-direct", "iceless-relayed", "device-pool" };
	static char text[100000];
	int n = 0;

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
		ck_assert_uint_gt(jv_len(all), 20);
		for (size_t k = 0; k < jv_len(all); k++) {
			struct unit_env u;
			const struct jv *m = jv_at(all, k), *p = jv_get(m, "payload");
			if (strcmp(jv_str(jv_get(m, "dir")), "->") != 0)
				continue;
			unit_env_init(&u, 1);
			enum portal_role role = strncmp(jv_str(jv_get(m, "who")), "gw", 2) == 0 ? PORTAL_ROLE_GATEWAY
											    : PORTAL_ROLE_CLIENT;
			struct jv *ours = rebuild(role, jv_str(jv_get(m, "event")), p);
			if (ours) {
				char *a = jv_dump(&u.env, ours, NULL), *b = jv_dump(&u.env, p, NULL);
				ck_assert_str_eq(a, b);
				fz_free(&u.env, a);
				fz_free(&u.env, b);
				n++;
			}
			jv_free(ours);
			unit_env_check(&u);
		}
		jv_free(file);
	}
	ck_assert_int_gt(n, 50);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("portal_messages");

	unit_case(s, "messages", framing_vectors, names_of_candidate_events, recorded_messages_byte_for_byte);
	return s;
}
