/* SPDX-License-Identifier: Apache-2.0 */
#include "flow_token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static void url_encode(char *dst, const char *text)
{
	fz_b64_encode_nopad(dst, text, strlen(text));
	for (; *dst; dst++)
		*dst = *dst == '+' ? '-' : *dst == '/' ? '_' : *dst;
}

const char *flow_token(const struct flow_token *t)
{
	static char tokens[2][4096];
	static unsigned turn;
	char claims[2048], head[64], body[2800], *ret = tokens[turn++ % 2];

	snprintf(claims, sizeof(claims),
		 "{\"account_id\":\"c89bcc8c-9392-4dae-a40d-888aef6d28e0\","
		 "\"authorization_expires_at\":\"2026-09-02T10:00:00.000000Z\","
		 "\"authorized_at\":\"2026-09-01T10:00:00.000000Z\",\"exp\":%" PRIu64 ",\"iat\":1788256800,"
		 "\"initiator_actor_id\":\"24eb631e-c529-4182-a746-d99ee66f7426\","
		 "\"initiator_actor_name\":\"Ada\","
		 "\"initiator_device_id\":\"3abd725a-733b-4801-ac16-72f26cd98a24\","
		 "\"policy_authorization_id\":\"%s\","
		 "\"policy_id\":\"44f19c37-cf62-4b19-b158-6f86bdcd2b57\","
		 "\"resource_id\":\"c7793628-8579-465b-83e3-1a5d4af4db3b\","
		 "\"resource_name\":\"Intranet\","
		 "\"responder_device_id\":\"7c1f9b3e-2a84-4d61-9f05-3e8a2c6b4d71\",\"role\":\"%s\","
		 "\"uploads_enabled\":%s}",
		 t->expires_s ? t->expires_s : UINT64_C(1790935200), t->id ? t->id : FLOW_TOKEN_ID,
		 t->is_initiator ? "initiator" : "responder", t->no_uploads ? "false" : "true");
	url_encode(head, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}");
	url_encode(body, claims);
	snprintf(ret, sizeof(tokens[0]), "%s.%s.gXYcNASmo0QU5dRDPr90KjScYQsb8PgiNJx8Rnyy11s", head, body);
	return ret;
}
