/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values: a thin adapter of jansson, whose types stay inside. Values live in jansson's memory (the C
 * library's heap); what must outlive them is copied out. The prefix is jv, since jansson owns json_.
 *
 * Bounds of a text: JV_TEXT_MAX bytes, JV_DEPTH_MAX levels, JV_VALUES_MAX values, so that one message cannot
 * take more than about 100 MB however it is built. Of equal keys in one object the last one counts. */
#ifndef EXT_JSON_H
#define EXT_JSON_H

#include "fzconn/env.h"

#define JV_TEXT_MAX (16u << 20)
#define JV_DEPTH_MAX 64
#define JV_VALUES_MAX 300000u

struct jv;

enum jv_parsed {
	JV_OK = 0,
	JV_CUT, /* the text ends too early */
	JV_MALFORMED, /* no JSON, or not UTF-8 */
	JV_TOO_BIG, /* beyond a bound above, or no memory */
};
enum jv_parsed jv_parse(const char *text, size_t len, struct jv **ret);
void jv_free(struct jv *v); /* NULL is fine */

enum jv_type { JV_NULL, JV_BOOL, JV_INT, JV_REAL, JV_STRING, JV_ARRAY, JV_OBJECT };
enum jv_type jv_type(const struct jv *v);

/* Borrowed from the value they are part of. NULL: v is NULL, no object, or has no such key. */
const struct jv *jv_get(const struct jv *object, const char *key);
/* Elements of an array; 0 for everything else. */
size_t jv_len(const struct jv *v);
const struct jv *jv_at(const struct jv *array, size_t i);
/* NULL: v is NULL or no string. The text has no NUL inside. */
const char *jv_str(const struct jv *v);
/* False, ret untouched: v is NULL, of another type, or negative. */
bool jv_u64(const struct jv *v, uint64_t *ret);
bool jv_bool(const struct jv *v, bool *ret);
/* NULL counts as null: an absent key and a null value mean the same to most readers. */
bool jv_is_null(const struct jv *v);
bool jv_equal(const struct jv *a, const struct jv *b);

/* Building. NULL or false without memory; the setters also when the container or value is NULL, so that a
 * chain of them needs one check at the end. Values given away are freed on failure too. */
struct jv *jv_object(void);
struct jv *jv_array(void);
bool jv_set(struct jv *object, const char *key, struct jv *give);
bool jv_set_str(struct jv *object, const char *key, const char *text);
bool jv_set_u64(struct jv *object, const char *key, uint64_t n);
bool jv_set_bool(struct jv *object, const char *key, bool b);
bool jv_set_null(struct jv *object, const char *key);
/* All keys of another object, which keeps them. */
bool jv_merge(struct jv *object, const struct jv *other);
bool jv_push(struct jv *array, struct jv *give);
bool jv_push_str(struct jv *array, const char *text);
/* One more owner of the same value, to be freed as well. */
struct jv *jv_share(const struct jv *v);

/* Compact text, keys in the order they were set; free with fz_free(). NULL without memory. */
char *jv_dump(const struct fz_env *env, const struct jv *v, size_t *ret_len);
/* The same with the keys of every object in the order of their bytes. */
char *jv_dump_sorted(const struct fz_env *env, const struct jv *v, size_t *ret_len);

#endif
