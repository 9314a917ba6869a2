/* SPDX-License-Identifier: Apache-2.0 */
#include "flows.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KEPT 20000
#define MAX_TEXT 255

static const char *const closing_times[] = { "flow_end", "last_packet" };
static const char *const closing_counts[] = { "rx_packets", "tx_packets", "rx_bytes", "tx_bytes" };

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

/* ---- checks ---- */

static void fault(json_t *faults, const char *field, const char *text)
{
	if (json_object_get(faults, field) == NULL)
		json_object_set_new(faults, field, json_pack("[s]", text));
}

static bool is_time(const json_t *v)
{
	const char *text = json_string_value(v);
	int y, mo, d, h, mi, s, n = 0;
	if (text == NULL || strlen(text) > MAX_TEXT ||
	    sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &y, &mo, &d, &h, &mi, &s, &n) != 6 || n != 19)
		return false;
	text += n;
	if (*text == '.') {
		size_t digits = strspn(++text, "0123456789");
		if (digits == 0)
			return false;
		text += digits;
	}
	return mo >= 1 && mo <= 12 && d >= 1 && d <= 31 && h <= 23 && mi <= 59 && s <= 60 &&
	       strcmp(text, "Z") == 0;
}

static bool is_address(const json_t *v)
{
	const char *text = json_string_value(v);
	uint8_t raw[16];
	return text != NULL && (inet_pton(AF_INET, text, raw) == 1 || inet_pton(AF_INET6, text, raw) == 1);
}

static bool is_port(const json_t *v)
{
	return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= 65535;
}

static bool is_count(const json_t *v)
{
	return json_is_integer(v) && json_integer_value(v) >= 0;
}

static bool is_given(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);
	return v != NULL && !json_is_null(v);
}

static void need(json_t *faults, const json_t *record, const char *field, bool (*good)(const json_t *))
{
	if (!is_given(record, field))
		fault(faults, field, "can't be blank");
	else if (!good(json_object_get(record, field)))
		fault(faults, field, "is invalid");
}

static bool outer_is_good(const json_t *o)
{
	bool has_ip = is_given(o, "src_ip"), has_port = is_given(o, "src_port");
	if (!is_address(json_object_get(o, "dst_ip")) || !is_port(json_object_get(o, "dst_port")))
		return false;
	if (has_ip != has_port || (has_ip && (!is_address(json_object_get(o, "src_ip")) ||
					      !is_port(json_object_get(o, "src_port")))))
		return false;
	return !is_given(o, "path_activated_at") || is_time(json_object_get(o, "path_activated_at"));
}

static void check_outers(json_t *faults, const json_t *record, bool closed)
{
	const json_t *list = json_object_get(record, "outers");
	size_t i;
	json_t *o;
	if (!is_given(record, "outers")) {
		if (closed)
			fault(faults, "outers", "can't be blank");
		return;
	}
	if (!json_is_array(list) || (closed && json_array_size(list) == 0))
		fault(faults, "outers", "is invalid");
	json_array_foreach(list, i, o)
	{
		if (!outer_is_good(o))
			fault(faults, "outers", "is invalid");
	}
}

static bool is_protocol(const json_t *v)
{
	const char *text = json_string_value(v);
	return text != NULL && (strcmp(text, "tcp") == 0 || strcmp(text, "udp") == 0);
}

json_t *flow_faults(const json_t *record)
{
	json_t *faults = json_object();
	const char *domain = json_string_value(json_object_get(record, "domain"));
	bool closed = is_given(record, "flow_end");
	if (!json_is_object(record)) {
		fault(faults, "record", "must be a JSON object");
		return faults;
	}
	need(faults, record, "protocol", is_protocol);
	need(faults, record, "inner_src_ip", is_address);
	need(faults, record, "inner_src_port", is_port);
	need(faults, record, "inner_dst_ip", is_address);
	need(faults, record, "inner_dst_port", is_port);
	need(faults, record, "flow_start", is_time);
	if (is_given(record, "domain") && (domain == NULL || strlen(domain) > MAX_TEXT))
		fault(faults, "domain", "is invalid");
	check_outers(faults, record, closed);
	for (size_t i = 0; closed && i < COUNT(closing_times); i++)
		need(faults, record, closing_times[i], is_time);
	for (size_t i = 0; closed && i < COUNT(closing_counts); i++)
		need(faults, record, closing_counts[i], is_count);
	if (json_object_size(faults) > 0)
		return faults;
	json_decref(faults);
	return NULL;
}

/* ---- store ---- */

static void copy_field(json_t *to, const json_t *from, const char *field)
{
	if (is_given(from, field))
		json_object_set(to, field, json_object_get(from, field));
}

static void copy_closing(json_t *to, const json_t *record)
{
	copy_field(to, record, "outers");
	for (size_t i = 0; i < COUNT(closing_times); i++)
		copy_field(to, record, closing_times[i]);
	for (size_t i = 0; i < COUNT(closing_counts); i++)
		copy_field(to, record, closing_counts[i]);
}

static char *identity(const json_t *claims, const json_t *record)
{
	return xprintf("%s %s %s %s %s %s %lld %s %lld", json_text(claims, "initiator_device_id"),
		       json_text(claims, "role"), json_text(claims, "resource_id"),
		       json_text(record, "flow_start"), json_text(record, "protocol"),
		       json_text(record, "inner_src_ip"), (long long)json_int(record, "inner_src_port", 0),
		       json_text(record, "inner_dst_ip"), (long long)json_int(record, "inner_dst_port", 0));
}

static json_t *new_entry(const json_t *claims, const json_t *record)
{
	static const char *const claimed[] = { "role", "policy_authorization_id", "initiator_device_id",
					       "responder_device_id", "resource_id" };
	static const char *const fields[] = { "protocol",     "inner_src_ip",   "inner_src_port",
					      "inner_dst_ip", "inner_dst_port", "domain",
					      "flow_start" };
	json_t *entry = json_object();
	for (size_t i = 0; i < COUNT(claimed); i++)
		copy_field(entry, claims, claimed[i]);
	for (size_t i = 0; i < COUNT(fields); i++)
		copy_field(entry, record, fields[i]);
	copy_closing(entry, record);
	return entry;
}

void flow_store(struct portal *p, const json_t *claims, const json_t *record)
{
	char *id = identity(claims, record);
	json_t *known = json_object_get(p->flows, id);
	if (known == NULL) {
		if (json_object_size(p->flows) >= MAX_KEPT)
			json_object_del(p->flows, json_object_iter_key(json_object_iter(p->flows)));
		json_object_set_new(p->flows, id, new_entry(claims, record));
		p->counters.flows_stored++;
	} else if (!is_given(known, "flow_end") && is_given(record, "flow_end")) {
		copy_closing(known, record);
	}
	free(id);
}
