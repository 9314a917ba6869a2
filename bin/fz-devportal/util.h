/* SPDX-License-Identifier: Apache-2.0 */
/* Small helps of the development portal: memory that is there or ends the program, arrays of pointers,
 * logging. */
#ifndef DEVPORTAL_UTIL_H
#define DEVPORTAL_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* A development tool may stop when memory runs out; it says so and exits with 1. */
void *xcalloc(size_t count, size_t size);
char *xstrdup(const char *text); /* NULL stays NULL */
char *xprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void set_text(char **slot, const char *text); /* frees the old one */

/* Array of pointers that it does not own. */
struct vec {
	void **at;
	size_t len, cap;
};
void vec_push(struct vec *v, void *item);
bool vec_remove(struct vec *v, const void *item); /* keeps the order */
void vec_clear(struct vec *v, void (*item_free)(void *));

enum level { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG };
bool log_set_level(const char *name);
enum level log_level(void);
void say(enum level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* JSON accessors that give NULL (or the fallback) for "absent, null or of another type". */
const char *json_text(const json_t *object, const char *key);
int64_t json_int(const json_t *object, const char *key, int64_t fallback);
bool json_flag(const json_t *object, const char *key, bool fallback);
bool json_list_has(const json_t *list, const char *text); /* array of strings */

bool is_uuid(const char *text); /* 8-4-4-4-12 hex digits */
int64_t unix_now(void);

#endif
