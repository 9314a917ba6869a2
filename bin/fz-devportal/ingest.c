/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "flows.h"

#define MAX_RECORDS 10000
#define AFTER_EXPIRY_S 2592000 /* uploads may come this long after the grant ended */

static char *encode_part(const char *text)
{
	size_t len = strlen(text);
	char *out = xcalloc(4 * (len + 2) / 3 + 4, 1);
	encode_base64(out, (const uint8_t *)text, len, true, false);
	return out;
}

static void stamp(char out[40], int64_t at)
{
	time_t seconds = (time_t)at;
	struct tm broken;
	gmtime_r(&seconds, &broken);
	strftime(out, 40, "%Y-%m-%dT%H:%M:%S.000000Z", &broken);
}

static char *sign(const char *key, const char *signed_part)
{
	uint8_t mac[32];
	char text[48];
	hmac_sha256(mac, key, strlen(key), signed_part);
	encode_base64(text, mac, sizeof(mac), true, false);
	return xstrdup(text);
}

char *ingest_token(const struct portal *p, const struct grant *g, const struct resource *r,
		   const struct session *initiator, bool for_initiator)
{
	const struct device *d = g->initiator;
	char issued[40], ends[40], policy[UUID_LEN + 1], actor[UUID_LEN + 1];
	int64_t now = unix_now();
	stamp(issued, now);
	stamp(ends, g->expires_at);
	derive_uuid(policy, "policy", g->resource_id);
	derive_uuid(actor, "actor", d->actor);
	json_t *claims = json_pack(
		"{s:s, s:I, s:I, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s*, s:s, s:s, s:s*, s:s, "
		"s:s, s:s*, s:s*, s:s*}",
		"account_id", p->model.settings.account_id, "iat", (json_int_t)now, "exp",
		(json_int_t)(g->expires_at + AFTER_EXPIRY_S), "uploads_enabled",
		p->model.settings.uploads_enabled, "role", for_initiator ? "initiator" : "responder",
		"initiator_device_id", d->id, "responder_device_id", g->responder->id,
		"policy_authorization_id", g->id, "policy_id", policy, "resource_id", g->resource_id,
		"resource_name", json_text(r->spec, "name"), "resource_address",
		json_text(r->spec, "address"), "initiator_actor_id", actor, "initiator_actor_name", d->actor,
		"initiator_actor_email", d->actor_email, "authorized_at", issued, "authorization_expires_at",
		ends, "initiator_client_version", initiator->agent.version, "initiator_device_os_name",
		initiator->agent.os, "initiator_device_os_version", initiator->agent.os_version);
	char *text = json_dumps(claims, JSON_COMPACT);
	char *head = encode_part("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"), *body = encode_part(text);
	char *signed_part = xprintf("%s.%s", head, body);
	char *mac = sign(p->model.settings.flow_key, signed_part);
	char *token = xprintf("%s.%s", signed_part, mac);
	free(mac);
	free(signed_part);
	free(body);
	free(head);
	free(text);
	json_decref(claims);
	return token;
}

json_t *ingest_verify(const struct portal *p, const char *token)
{
	const char *dot = strrchr(token, '.'), *first = strchr(token, '.');
	if (dot == NULL || first == dot)
		return NULL;
	char *signed_part = xprintf("%.*s", (int)(dot - token), token);
	char *mac = sign(p->model.settings.flow_key, signed_part);
	bool good = strlen(mac) == strlen(dot + 1) && CRYPTO_memcmp(mac, dot + 1, strlen(mac)) == 0;
	json_t *claims = NULL;
	if (good) {
		size_t len = (size_t)(dot - first - 1);
		uint8_t *body = xcalloc(len + 1, 1);
		int n = decode_base64url(body, len, first + 1, len);
		claims = n < 0 ? NULL : json_loadb((char *)body, (size_t)n, 0, NULL);
		free(body);
	}
	free(mac);
	free(signed_part);
	if (claims != NULL && json_int(claims, "exp", 0) >= unix_now())
		return claims;
	json_decref(claims);
	return NULL;
}

/* ---- the endpoint ---- */

static const char *title_of(int status)
{
	return status == 400   ? "Bad Request"
	       : status == 401 ? "Unauthorized"
	       : status == 413 ? "Request Entity Too Large"
	       : status == 422 ? "Unprocessable Entity"
			       : "Too Many Requests";
}

static int problem(int status, const char *detail, json_t **ret_body)
{
	*ret_body = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", title_of(status),
			      "status", status, "detail", detail);
	return status;
}

/* One request a second from each address, without saving up. */
static bool too_fast(struct portal *p, const char *peer)
{
	int64_t now_ms = lws_now_usecs() / 1000, last = json_int(p->ingest_times, peer, now_ms - 1000);
	if (now_ms - last < 1000)
		return true;
	json_object_set_new(p->ingest_times, peer, json_integer(now_ms));
	return false;
}

static bool is_mixed(const json_t *list, const json_t *claims)
{
	const char *own = json_text(claims, "policy_authorization_id");
	size_t i;
	json_t *record;
	json_array_foreach(list, i, record)
	{
		const char *other = json_text(record, "policy_authorization_id");
		if (other != NULL && strcmp(other, own) != 0)
			return true;
	}
	return false;
}

/* Good records are stored though others are not. */
static json_t *store_all(struct portal *p, const json_t *claims, const json_t *list)
{
	json_t *faults = json_object(), *record;
	size_t i;
	json_array_foreach(list, i, record)
	{
		json_t *wrong = flow_faults(record);
		char index[24];
		snprintf(index, sizeof(index), "%zu", i);
		if (wrong != NULL)
			json_object_set_new(faults, index, wrong);
		else
			flow_store(p, claims, record);
	}
	say(LEVEL_INFO, "flow logs: %zu records, %zu invalid", json_array_size(list),
	    json_object_size(faults));
	return faults;
}

static int take_batch(struct portal *p, const json_t *claims, const json_t *list, json_t **ret_body)
{
	if (!json_flag(claims, "uploads_enabled", false))
		return problem(401, "Flow log uploads are not enabled for this authorization", ret_body);
	if (is_mixed(list, claims))
		return problem(422, "All flow logs in a request must belong to a single policy authorization",
			       ret_body);
	json_t *faults = store_all(p, claims, list);
	if (json_object_size(faults) == 0) {
		json_decref(faults);
		*ret_body = json_pack("{s:{s:s}}", "data", "status", "ok");
		return 200;
	}
	int status = problem(422, "Some flow log records failed validation", ret_body);
	json_object_set_new(*ret_body, "validation_errors", faults);
	return status;
}

int ingest_post(struct portal *p, const struct ingest_request *q, json_t **ret_body)
{
	p->counters.flow_requests++;
	if (q->too_large)
		return problem(413, "The request is too large", ret_body);
	json_t *root = q->is_json ? json_loadb(q->body, q->len, 0, NULL) : json_object();
	const json_t *list = json_object_get(root, "flow_logs");
	json_t *claims = q->token == NULL ? NULL : ingest_verify(p, q->token);
	int status;
	if (root == NULL)
		status = problem(400, "The request body is no JSON", ret_body);
	else if (p->model.settings.rate_limit && too_fast(p, q->peer))
		status = problem(429, "Rate limit exceeded, retry after 1s", ret_body);
	else if (!json_is_array(list))
		status = problem(400, "Expected a \"flow_logs\" array", ret_body);
	else if (json_array_size(list) > MAX_RECORDS)
		status = problem(400, "Batch size exceeds maximum of 10000", ret_body);
	else if (claims == NULL)
		status = problem(401, "Authentication credentials were missing or invalid.", ret_body);
	else
		status = take_batch(p, claims, list, ret_body);
	json_decref(claims);
	json_decref(root);
	return status;
}
