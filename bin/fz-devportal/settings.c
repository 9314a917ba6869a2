/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <string.h>

enum kind { KIND_FLAG, KIND_NUMBER, KIND_TEXT, KIND_LIST };

static const struct setting {
	const char *name;
	enum kind kind;
	size_t offset;
	bool nullable;
	int effect;
} table[] = {
	{ "account_id", KIND_TEXT, offsetof(struct settings, account_id), false, EFFECT_NONE },
	{ "slug", KIND_TEXT, offsetof(struct settings, slug), false, EFFECT_GATEWAYS },
	{ "search_domain", KIND_TEXT, offsetof(struct settings, search_domain), true, EFFECT_INTERFACE },
	{ "upstream_do53", KIND_LIST, offsetof(struct settings, upstream_do53), false, EFFECT_INTERFACE },
	{ "upstream_doh", KIND_LIST, offsetof(struct settings, upstream_doh), false, EFFECT_INTERFACE },
	{ "iceless", KIND_FLAG, offsetof(struct settings, iceless), false, EFFECT_NONE },
	{ "flow_api_url", KIND_TEXT, offsetof(struct settings, flow_api_url), false, EFFECT_NONE },
	{ "flow_key", KIND_TEXT, offsetof(struct settings, flow_key), false, EFFECT_NONE },
	{ "upload_interval_secs", KIND_NUMBER, offsetof(struct settings, upload_interval_secs), false,
	  EFFECT_NONE },
	{ "upload_batch_size", KIND_NUMBER, offsetof(struct settings, upload_batch_size), false,
	  EFFECT_NONE },
	{ "uploads_enabled", KIND_FLAG, offsetof(struct settings, uploads_enabled), false, EFFECT_NONE },
	{ "accept_any_token", KIND_FLAG, offsetof(struct settings, accept_any_token), false, EFFECT_NONE },
	{ "auto_devices", KIND_FLAG, offsetof(struct settings, auto_devices), false, EFFECT_NONE },
	{ "rate_limit", KIND_FLAG, offsetof(struct settings, rate_limit), false, EFFECT_NONE },
	{ "prefixed_pool_answers", KIND_FLAG, offsetof(struct settings, prefixed_pool_answers), false,
	  EFFECT_NONE },
	{ "authorization_timeout_ms", KIND_NUMBER, offsetof(struct settings, authorization_timeout_ms), false,
	  EFFECT_NONE },
	{ "grant_lifetime_s", KIND_NUMBER, offsetof(struct settings, grant_lifetime_s), false, EFFECT_NONE },
	{ "relay_debounce_ms", KIND_NUMBER, offsetof(struct settings, relay_debounce_ms), false,
	  EFFECT_NONE },
	{ "idle_timeout_s", KIND_NUMBER, offsetof(struct settings, idle_timeout_s), false, EFFECT_NONE },
};

static bool all_text(const json_t *list)
{
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item))
			return false;
	}
	return true;
}

static const char *store(const struct setting *t, void *field, const json_t *value)
{
	switch (t->kind) {
	case KIND_FLAG:
		if (!json_is_boolean(value))
			return "must be true or false";
		*(bool *)field = json_is_true(value);
		return NULL;
	case KIND_NUMBER:
		if (!json_is_integer(value) || json_integer_value(value) < 0)
			return "must be a number, 0 or more";
		*(int64_t *)field = (int64_t)json_integer_value(value);
		return NULL;
	case KIND_TEXT:
		if (!json_is_string(value) && !(t->nullable && json_is_null(value)))
			return t->nullable ? "must be text or null" : "must be text";
		set_text(field, json_string_value(value));
		return NULL;
	case KIND_LIST:
		if (!json_is_array(value) || !all_text(value))
			return "must be an array of texts";
		json_decref(*(json_t **)field);
		*(json_t **)field = json_deep_copy(value);
		return NULL;
	}
	return "unknown kind";
}

const char *setting_set(struct settings *s, const char *name, const json_t *value, int *ret_effect)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strcmp(table[i].name, name) != 0)
			continue;
		const char *fault = store(&table[i], (char *)s + table[i].offset, value);
		if (fault == NULL && ret_effect != NULL)
			*ret_effect |= table[i].effect;
		return fault;
	}
	return "no such setting";
}

json_t *settings_dump(const struct settings *s)
{
	json_t *all = json_object();
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const void *field = (const char *)s + table[i].offset;
		json_t *value = NULL;
		switch (table[i].kind) {
		case KIND_FLAG:
			value = json_boolean(*(const bool *)field);
			break;
		case KIND_NUMBER:
			value = json_integer((json_int_t) * (const int64_t *)field);
			break;
		case KIND_TEXT:
			value = *(char *const *)field == NULL ? json_null()
							      : json_string(*(char *const *)field);
			break;
		case KIND_LIST:
			value = json_deep_copy(*(json_t *const *)field);
			break;
		}
		json_object_set_new(all, table[i].name, value);
	}
	return all;
}
