/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#define MAX_RECORDS 10000
#define MAX_KEPT 20000
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
	if (claims != NULL && json_int(claims, "exp", 0) > unix_now())
		return claims;
	json_decref(claims);
	return NULL;
}

static bool is_time(const char *text)
{
	int y, mo, d, h, mi, s;
	return text != NULL && strlen(text) >= 20 &&
	       sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &y, &mo, &d, &h, &mi, &s) == 6;
}

static bool is_address(const char *text)
{
	uint8_t raw[16];
	return text != NULL && (inet_pton(AF_INET, text, raw) == 1 || inet_pton(AF_INET6, text, raw) == 1);
}

static bool is_port(const json_t *object, const char *key)
{
	int64_t port = json_int(object, key, -1);
	return port >= 0 && port <= 65535;
}

static const char *check_outers(const json_t *list)
{
	size_t i;
	json_t *o;
	if (!json_is_array(list))
		return "outers must be an array";
	json_array_foreach(list, i, o)
	{
		if (!is_address(json_text(o, "dst_ip")) || !is_port(o, "dst_port"))
			return "outers: dst_ip or dst_port is missing or invalid";
		if (!is_time(json_text(o, "path_activated_at")))
			return "outers: path_activated_at is missing or invalid";
	}
	return NULL;
}

static const char *check_end(const json_t *record)
{
	static const char *const counts[] = { "rx_packets", "tx_packets", "rx_bytes", "tx_bytes" };
	if (!is_time(json_text(record, "flow_end")) || !is_time(json_text(record, "last_packet")))
		return "flow_end or last_packet is missing or invalid";
	for (int i = 0; i < 4; i++) {
		if (json_int(record, counts[i], -1) < 0)
			return "a counter is missing or invalid";
	}
	return json_object_get(record, "outers") == NULL ? "outers is missing" : NULL;
}

static const char *check_record(const json_t *record)
{
	const char *protocol = json_text(record, "protocol");
	if (protocol == NULL || (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0))
		return "protocol must be tcp or udp";
	if (!is_address(json_text(record, "inner_src_ip")) || !is_address(json_text(record, "inner_dst_ip")))
		return "inner_src_ip or inner_dst_ip is missing or invalid";
	if (!is_port(record, "inner_src_port") || !is_port(record, "inner_dst_port"))
		return "inner_src_port or inner_dst_port is missing or invalid";
	if (!is_time(json_text(record, "flow_start")))
		return "flow_start is missing or invalid";
	const json_t *outers = json_object_get(record, "outers");
	const char *fault = outers == NULL ? NULL : check_outers(outers);
	bool closing =
		json_object_get(record, "flow_end") != NULL || json_object_get(record, "last_packet") != NULL;
	return fault != NULL || !closing ? fault : check_end(record);
}

static void keep(struct portal *p, const json_t *claims, const json_t *record)
{
	static const char *const copied[] = { "role", "policy_authorization_id", "initiator_device_id",
					      "responder_device_id", "resource_id" };
	json_t *entry = json_deep_copy(record);
	for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++)
		json_object_set(entry, copied[i], json_object_get(claims, copied[i]));
	if (p->flows.len >= MAX_KEPT) {
		json_decref(p->flows.at[0]);
		vec_remove(&p->flows, p->flows.at[0]);
	}
	vec_push(&p->flows, entry);
	p->counters.flows_stored++;
}

static json_t *fault_body(int status, const char *detail)
{
	return json_pack("{s:{s:i, s:s}}", "error", "status", status, "detail", detail);
}

int ingest_post(struct portal *p, const char *token, const char *body, size_t len, json_t **ret_body)
{
	p->counters.flow_requests++;
	json_t *claims = token == NULL ? NULL : ingest_verify(p, token);
	if (claims == NULL || !json_flag(claims, "uploads_enabled", false)) {
		json_decref(claims);
		*ret_body = fault_body(401, "the token is bad or does not allow uploads");
		return 401;
	}
	json_t *root = json_loadb(body, len, 0, NULL), *list = json_object_get(root, "flow_logs");
	if (!json_is_array(list) || json_array_size(list) > MAX_RECORDS) {
		json_decref(root);
		json_decref(claims);
		*ret_body = fault_body(400, "flow_logs must be a list of at most 10000 records");
		return 400;
	}
	json_t *faults = json_object(), *record;
	size_t i;
	json_array_foreach(list, i, record)
	{
		const char *fault = check_record(record);
		char index[24];
		snprintf(index, sizeof(index), "%zu", i);
		if (fault != NULL)
			json_object_set_new(faults, index, json_string(fault));
		else
			keep(p, claims, record);
	}
	say(LEVEL_INFO, "flow logs: %zu records, %zu invalid", json_array_size(list),
	    json_object_size(faults));
	int status = json_object_size(faults) == 0 ? 200 : 422;
	*ret_body = status == 200 ? json_pack("{s:{s:s}}", "data", "status", "ok")
				  : json_pack("{s:{s:i, s:s}, s:O}", "error", "status", 422, "detail",
					      "some records are invalid", "validation_errors", faults);
	json_decref(faults);
	json_decref(root);
	json_decref(claims);
	return status;
}
