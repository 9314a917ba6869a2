/* SPDX-License-Identifier: Apache-2.0 */
#include "logger.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool as_json;
static int max_level = FZ_LOG_INFO;

static const char *const level_names[] = { "ERROR", "WARN", "INFO", "DEBUG", "TRACE" };

/* "debug", "info,hyper=warn", "fz=trace": the first word that names a level. */
static int level_of(const char *filter)
{
	while (filter && *filter) {
		size_t n = strcspn(filter, ",=");
		for (int i = FZ_LOG_ERROR; i <= FZ_LOG_TRACE; i++) {
			const char *name = level_names[i];
			size_t k = 0;
			while (k < n && name[k] && toupper((unsigned char)filter[k]) == name[k])
				k++;
			if (k == n && name[k] == '\0')
				return i;
		}
		filter += n + (filter[n] != '\0');
	}
	return FZ_LOG_INFO;
}

bool logger_init(const char *format)
{
	max_level = level_of(getenv("RUST_LOG"));
	setvbuf(stdout, NULL, _IOLBF, 0);
	as_json = format && strcmp(format, "json") == 0;
	return format == NULL || as_json || strcmp(format, "human") == 0;
}

static void print_json_text(const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
}

static void write_line(void *ctx, enum fz_log_level level, const char *area, const char *line)
{
	struct timespec now;
	struct tm utc;
	char stamp[40];

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
	if (!as_json) {
		printf("%s.%03ldZ %-5s %s: %s\n", stamp, now.tv_nsec / 1000000, level_names[level], area,
		       line);
		return;
	}
	printf("{\"time\":\"%s.%06ldZ\",\"severity\":\"%s\",\"target\":\"%s\",\"message\":\"", stamp,
	       now.tv_nsec / 1000, level_names[level], area);
	print_json_text(line);
	printf("\"}\n");
}

struct fz_env logger_env(void)
{
	struct fz_env env = *fz_env_default();

	env.log = (struct fz_log){ write_line, NULL, max_level };
	return env;
}

void say(enum fz_log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if ((int)level > max_level)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	write_line(NULL, level, "main", line);
}
