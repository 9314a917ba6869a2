/* SPDX-License-Identifier: Apache-2.0 */
#include "util.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static void *or_exit(void *block)
{
	if (block != NULL)
		return block;
	fputs("fz-devportal: out of memory\n", stderr);
	exit(1);
}

void *xcalloc(size_t count, size_t size)
{
	return or_exit(calloc(count, size));
}

char *xstrdup(const char *text)
{
	return text == NULL ? NULL : or_exit(strdup(text));
}

char *xprintf(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *text = xcalloc((size_t)len + 1, 1);
	va_start(args, format);
	vsnprintf(text, (size_t)len + 1, format, args);
	va_end(args);
	return text;
}

void set_text(char **slot, const char *text)
{
	char *copy = xstrdup(text);
	free(*slot);
	*slot = copy;
}

void vec_push(struct vec *v, void *item)
{
	if (v->len == v->cap) {
		v->cap = v->cap == 0 ? 8 : v->cap * 2;
		v->at = or_exit(realloc(v->at, v->cap * sizeof(*v->at)));
	}
	v->at[v->len++] = item;
}

bool vec_remove(struct vec *v, const void *item)
{
	for (size_t i = 0; i < v->len; i++) {
		if (v->at[i] != item)
			continue;
		v->len--;
		memmove(v->at + i, v->at + i + 1, (v->len - i) * sizeof(*v->at));
		return true;
	}
	return false;
}

void vec_clear(struct vec *v, void (*item_free)(void *))
{
	for (size_t i = 0; item_free != NULL && i < v->len; i++)
		item_free(v->at[i]);
	free(v->at);
	*v = (struct vec){ 0 };
}

static enum level verbosity = LEVEL_INFO; /* the program's, set once from its options */
static const char *const level_names[] = { "error", "warn", "info", "debug" };

bool log_set_level(const char *name)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcasecmp(name, level_names[i]) == 0) {
			verbosity = (enum level)i;
			return true;
		}
	}
	return false;
}

enum level log_level(void)
{
	return verbosity;
}

void say(enum level level, const char *format, ...)
{
	if (level > verbosity)
		return;
	struct timespec now;
	struct tm broken;
	char stamp[16];
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &broken);
	strftime(stamp, sizeof(stamp), "%H:%M:%S", &broken);
	fprintf(stderr, "%s.%03ld %-5s ", stamp, now.tv_nsec / 1000000, level_names[level]);
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

const char *json_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

int64_t json_int(const json_t *object, const char *key, int64_t fallback)
{
	const json_t *value = json_object_get(object, key);
	return json_is_integer(value) ? (int64_t)json_integer_value(value) : fallback;
}

bool json_flag(const json_t *object, const char *key, bool fallback)
{
	const json_t *value = json_object_get(object, key);
	return json_is_boolean(value) ? json_is_true(value) : fallback;
}

bool json_list_has(const json_t *list, const char *text)
{
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		if (json_is_string(item) && strcmp(json_string_value(item), text) == 0)
			return true;
	}
	return false;
}

bool is_uuid(const char *text)
{
	if (text == NULL || strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++) {
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
		if (hyphen ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
	}
	return true;
}

int64_t unix_now(void)
{
	return (int64_t)time(NULL);
}
