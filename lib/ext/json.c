/* SPDX-License-Identifier: Apache-2.0 */
#include "ext/json.h"

#include <string.h>

#include <jansson.h>

#include "base/mem.h"

/* struct jv is never defined: a pointer to it is a json_t pointer. */
static json_t *in(const struct jv *v)
{
	union {
		const struct jv *outer;
		json_t *inner;
	} u = { .outer = v };

	return u.inner;
}

static struct jv *out(json_t *v)
{
	return (struct jv *)(void *)v;
}

/* Every value but the first follows one of these; counting them inside strings too errs on the safe side. */
static bool too_many_values(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += text[i] == ',' || text[i] == '[' || text[i] == '{';
	return n >= JV_VALUES_MAX;
}

static bool too_deep(json_t *v, int left)
{
	const char *key;
	json_t *each;
	size_t i;

	if (!json_is_array(v) && !json_is_object(v))
		return false;
	if (left == 0)
		return true;
	json_array_foreach(v, i, each) if (too_deep(each, left - 1)) return true;
	json_object_foreach(v, key, each) if (too_deep(each, left - 1)) return true;
	return false;
}

/* jansson calls a half word ("tru") or a lone backslash at the very end a syntax error: it may have been cut
 * too. */
static bool was_cut(const json_error_t *err, const char *text, size_t len)
{
	if (len == 0 || json_error_code(err) == json_error_premature_end_of_input)
		return true;
	if (json_error_code(err) != json_error_invalid_syntax)
		return false;
	return (size_t)err->position >= len && text[len - 1] != '}' && text[len - 1] != ']';
}

enum jv_parsed jv_parse(const char *text, size_t len, struct jv **ret)
{
	json_error_t err;
	json_t *v;

	if (len > JV_TEXT_MAX || too_many_values(text, len))
		return JV_TOO_BIG;
	v = json_loadb(text, len, JSON_DECODE_ANY, &err);
	if (v == NULL) {
		if (len && (json_error_code(&err) == json_error_out_of_memory ||
			    json_error_code(&err) == json_error_stack_overflow))
			return JV_TOO_BIG;
		return was_cut(&err, text, len) ? JV_CUT : JV_MALFORMED;
	}
	if (too_deep(v, JV_DEPTH_MAX)) {
		json_decref(v);
		return JV_TOO_BIG;
	}
	*ret = out(v);
	return JV_OK;
}

void jv_free(struct jv *v)
{
	json_decref(in(v));
}

enum jv_type jv_type(const struct jv *v)
{
	switch (json_typeof(in(v))) {
	case JSON_OBJECT:
		return JV_OBJECT;
	case JSON_ARRAY:
		return JV_ARRAY;
	case JSON_STRING:
		return JV_STRING;
	case JSON_INTEGER:
		return JV_INT;
	case JSON_REAL:
		return JV_REAL;
	case JSON_TRUE:
	case JSON_FALSE:
		return JV_BOOL;
	case JSON_NULL:
		break;
	}
	return JV_NULL;
}

const struct jv *jv_get(const struct jv *object, const char *key)
{
	return out(json_object_get(in(object), key));
}

size_t jv_len(const struct jv *v)
{
	return json_array_size(in(v));
}

const struct jv *jv_at(const struct jv *array, size_t i)
{
	return out(json_array_get(in(array), i));
}

const char *jv_str(const struct jv *v)
{
	return json_string_value(in(v));
}

bool jv_u64(const struct jv *v, uint64_t *ret)
{
	json_t *j = in(v);

	if (!json_is_integer(j) || json_integer_value(j) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(j);
	return true;
}

bool jv_bool(const struct jv *v, bool *ret)
{
	json_t *j = in(v);

	if (!json_is_boolean(j))
		return false;
	*ret = json_is_true(j);
	return true;
}

bool jv_is_null(const struct jv *v)
{
	return v == NULL || json_is_null(in(v));
}

bool jv_equal(const struct jv *a, const struct jv *b)
{
	return json_equal(in(a), in(b)) != 0;
}

struct jv *jv_object(void)
{
	return out(json_object());
}

struct jv *jv_array(void)
{
	return out(json_array());
}

bool jv_set(struct jv *object, const char *key, struct jv *give)
{
	return json_object_set_new(in(object), key, in(give)) == 0;
}

bool jv_set_str(struct jv *object, const char *key, const char *text)
{
	return jv_set(object, key, out(json_string(text)));
}

bool jv_set_u64(struct jv *object, const char *key, uint64_t n)
{
	return jv_set(object, key, out(json_integer((json_int_t)n)));
}

bool jv_set_bool(struct jv *object, const char *key, bool b)
{
	return jv_set(object, key, out(json_boolean(b)));
}

bool jv_set_null(struct jv *object, const char *key)
{
	return jv_set(object, key, out(json_null()));
}

bool jv_push(struct jv *array, struct jv *give)
{
	return json_array_append_new(in(array), in(give)) == 0;
}

bool jv_push_str(struct jv *array, const char *text)
{
	return jv_push(array, out(json_string(text)));
}

struct jv *jv_share(const struct jv *v)
{
	return out(json_incref(in(v)));
}

bool jv_merge(struct jv *object, const struct jv *other)
{
	return json_object_update(in(object), in(other)) == 0;
}

static char *dump(const struct fz_env *env, const struct jv *v, size_t flags, size_t *ret_len)
{
	size_t len = json_dumpb(in(v), NULL, 0, flags);
	char *text = len ? fz_realloc(env, NULL, len + 1) : NULL;

	if (text == NULL)
		return NULL;
	if (json_dumpb(in(v), text, len, flags) != len) {
		fz_free(env, text);
		return NULL;
	}
	text[len] = '\0';
	if (ret_len)
		*ret_len = len;
	return text;
}

char *jv_dump(const struct fz_env *env, const struct jv *v, size_t *ret_len)
{
	return dump(env, v, JSON_COMPACT | JSON_ENCODE_ANY, ret_len);
}

char *jv_dump_sorted(const struct fz_env *env, const struct jv *v, size_t *ret_len)
{
	return dump(env, v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS, ret_len);
}
