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
	      "{\"topic\":\"client\",\"event\":\"set_snownet_capabilities\",\"payload\":{\"iceless\":true},"
	      "\"ref\":1}");
	check(portal_msg_empty(), "phoenix", "heartbeat", 2,
	      "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":2}");
	check(portal_msg_request_authorization(&res, NULL, 0, NULL), "client", "request_authorization", 3,
	      "{\"topic\":\"client\",\"event\":\"request_authorization\",\"payload\":{\"resource_id\":"
	      "\"c0ffee00-1234-4abc-8def-0123456789ab\",\"connected_gateway_ids\":[]},\"ref\":3}");
	check(portal_msg_authorization_created("SFMyNTY.a.b"), "gateway", "authorization_created", 4,
	      "{\"topic\":\"gateway\",\"event\":\"authorization_created\",\"payload\":{\"ref\":\"SFMyNTY.a."
	      "b\"},\"ref\":4}");
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
		{ PORTAL_ROLE_CLIENT, PORTAL_CANDIDATES_ADD, PORTAL_PEER_GATEWAY,
		  "new_gateway_ice_candidates" },
		{ PORTAL_ROLE_CLIENT, PORTAL_CANDIDATES_INVALIDATE, PORTAL_PEER_GATEWAY,
		  "invalidate_gateway_ice_candidates" },
		{ PORTAL_ROLE_CLIENT, PORTAL_CANDIDATES_ADD, PORTAL_PEER_CLIENT,
		  "new_client_ice_candidates" },
		{ PORTAL_ROLE_CLIENT, PORTAL_CANDIDATES_INVALIDATE, PORTAL_PEER_CLIENT,
		  "invalidate_client_ice_candidates" },
		{ PORTAL_ROLE_GATEWAY, PORTAL_CANDIDATES_ADD, PORTAL_PEER_CLIENT,
		  "broadcast_ice_candidates" },
		{ PORTAL_ROLE_GATEWAY, PORTAL_CANDIDATES_INVALIDATE, PORTAL_PEER_CLIENT,
		  "broadcast_invalidated_ice_candidates" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_str_eq(portal_msg_candidates_event(rows[i].role, rows[i].kind, rows[i].peer),
				 rows[i].want);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("portal_messages");

	unit_case(s, "messages", framing_vectors, names_of_candidate_events);
	return s;
}
