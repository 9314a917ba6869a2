/* SPDX-License-Identifier: Apache-2.0 */
#include "logger.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 64
#define FILTER_MAX 1024
#define AREAS_MAX 64
#define LEVEL_OFF (FZ_LOG_ERROR - 1)

/* "area=level"; len 0 = for all areas. */
struct rule {
	const char *area;
	size_t len;
	int level;
};

struct filter {
	char text[FILTER_MAX];
	struct rule rules[RULES_MAX]; /* they point into the text */
	size_t rules_len;
	int max_level;
};

/* How many more warnings of an area may be shown; refilled as time passes. */
struct allowance {
	const char *area; /* static text; NULL = free */
	uint64_t tokens, held; /* held: not shown since the last one that was */
	time_t at;
};

static struct {
	const char *program;
	bool as_json, colour;
	struct filter filter;
	struct fz_env env;
	struct allowance allowances[AREAS_MAX];
	uint64_t suppressed;
} config = { .program = "", .filter.max_level = FZ_LOG_INFO };

static const char *const level_names[] = { "ERROR", "WARN", "INFO", "DEBUG", "TRACE" };

/* ---- filter ---- */

static bool level_of(const char *word, size_t len, int *ret)
{
	if (len == 3 && strncasecmp(word, "off", 3) == 0) {
		*ret = LEVEL_OFF;
		return true;
	}
	for (int i = FZ_LOG_ERROR; i <= FZ_LOG_TRACE; i++) {
		const char *name = level_names[i - FZ_LOG_ERROR];
		if (strlen(name) == len && strncasecmp(word, name, len) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* One directive. Those that name spans are for other programs: accepted, of no effect. */
static bool take_directive(struct filter *f, const char *at, size_t len)
{
	const char *bracket = memchr(at, '[', len), *end = bracket ? memchr(at, ']', len) : NULL;
	const char *equals = memchr(end ? end : at, '=', len - (size_t)((end ? end : at) - at));
	struct rule r = { at, len, FZ_LOG_TRACE };

	if (len == 0)
		return true;
	if (bracket && end == NULL)
		return false;
	if (equals) {
		r.len = (size_t)(equals - at);
		if (!level_of(equals + 1, len - r.len - 1, &r.level))
			return false;
	} else if (level_of(at, len, &r.level)) {
		r.len = 0;
	}
	if (bracket == NULL && f->rules_len < RULES_MAX)
		f->rules[f->rules_len++] = r;
	return true;
}

/* The text that `f` holds, taken apart. */
static bool take_filter(struct filter *f)
{
	const char *rest = f->text;
	bool good = true;

	while (*rest) {
		/* commas inside of brackets belong to a span */
		size_t len = 0, depth = 0;
		while (rest[len] && (rest[len] != ',' || depth > 0)) {
			depth += rest[len] == '[';
			depth -= rest[len] == ']' && depth > 0;
			len++;
		}
		const char *at = rest;
		rest += len + (rest[len] == ',');
		while (len > 0 && *at == ' ') {
			at++;
			len--;
		}
		while (len > 0 && at[len - 1] == ' ')
			len--;
		good &= take_directive(f, at, len);
	}
	f->max_level = LEVEL_OFF;
	for (size_t i = 0; i < f->rules_len; i++)
		if (f->rules[i].level > f->max_level)
			f->max_level = f->rules[i].level;
	return good;
}

bool logger_set_filter(const char *filter)
{
	static struct filter next; /* not on the stack; swapped in as a whole */
	const char *base = next.text;

	if (filter == NULL || *filter == '\0')
		filter = "info";
	next = (struct filter){ 0 };
	if (strlen(filter) >= sizeof(next.text))
		return false;
	strcpy(next.text, filter);
	if (!take_filter(&next))
		return false;
	config.filter = next;
	for (size_t i = 0; i < next.rules_len; i++)
		config.filter.rules[i].area = config.filter.text + (next.rules[i].area - base);
	config.env.log.max_level = next.max_level;
	return true;
}

const char *logger_filter(void)
{
	return config.filter.text;
}

static int level_for(const char *area)
{
	const struct rule *best = NULL;

	for (size_t i = 0; i < config.filter.rules_len; i++) {
		const struct rule *r = &config.filter.rules[i];
		if (strncmp(area, r->area, r->len) == 0 && (best == NULL || r->len >= best->len))
			best = r;
	}
	return best ? best->level : FZ_LOG_ERROR;
}

/* ---- lines ---- */

/* A whole line is built first and written at once, so that lines of several processes do not mix in a pipe.
 */
struct line {
	char text[8192];
	size_t len;
};

static void add(struct line *l, const char *fmt, ...) FZ_PRINTF(2, 3);
static void add(struct line *l, const char *fmt, ...)
{
	size_t room = sizeof(l->text) - l->len;
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(l->text + l->len, room, fmt, ap);
	va_end(ap);
	l->len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

/* Bytes of the UTF-8 sequence at `s`, 0 = none is there. Stricter than needed for nothing but logs. */
static int utf8_len(const unsigned char *s)
{
	int n = *s < 0x80                 ? 1
		: *s >= 0xc2 && *s < 0xe0 ? 2
		: *s >= 0xe0 && *s < 0xf0 ? 3
		: *s >= 0xf0 && *s < 0xf5 ? 4
					  : 0;

	for (int i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* What a peer sent may be in it: no control character reaches the terminal, no quote ends the JSON text. */
static void add_safe(struct line *l, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s && l->len < sizeof(l->text) - 16) {
		int n = utf8_len(s);
		if (n == 0)
			add(l, "\xef\xbf\xbd");
		else if (*s < 0x20 || *s == 0x7f)
			add(l, config.as_json ? "\\u%04x" : "\\x%02x", *s);
		else if (config.as_json && (*s == '"' || *s == '\\'))
			add(l, "\\%c", *s);
		else
			add(l, "%.*s", n, (const char *)s);
		s += n ? n : 1;
	}
}

static void put(const char *at, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, at, len);
		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };
			if (poll(&p, 1, 1000) <= 0)
				return;
		} else if (n < 0 && errno != EINTR) {
			return; /* nobody reads: the tunnel is worth more than its log */
		} else if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
}

static void write_line(enum fz_log_level level, const char *area, const char *text)
{
	static const char *const colours[] = { "31", "33", "32", "34", "35" };
	const char *name = level_names[level - FZ_LOG_ERROR];
	struct line l = { .len = 0 };
	struct timespec now;
	struct tm utc;
	char stamp[40];

	if ((int)level > level_for(area))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
	if (config.as_json && strcmp(area, "flow_logs") == 0) {
		/* The line is an object already: its members become ours. */
		add(&l, "{\"timestamp\":\"%s.%06ldZ\",\"level\":\"%s\",%.*s,\"target\":\"%s\"}\n", stamp,
		    now.tv_nsec / 1000, name, (int)strlen(text) - 2, text + 1, area);
	} else if (config.as_json) {
		add(&l, "{\"timestamp\":\"%s.%06ldZ\",\"level\":\"%s\",\"message\":\"", stamp,
		    now.tv_nsec / 1000, name);
		add_safe(&l, text);
		add(&l, "\",\"target\":\"%s\"}\n", area);
	} else {
		add(&l, config.colour ? "%s.%03ldZ \033[%sm%5s\033[0m %s: " : "%s.%03ldZ %.0s%5s %s: ", stamp,
		    now.tv_nsec / 1000000, colours[level - FZ_LOG_ERROR], name, area);
		add_safe(&l, text);
		add(&l, "\n");
	}
	put(l.text, l.len);
}

/* ---- no flood of warnings ---- */

static struct allowance *allowance_of(const char *area, time_t now)
{
	struct allowance *free_one = NULL;

	for (size_t i = 0; i < AREAS_MAX; i++) {
		struct allowance *a = &config.allowances[i];
		if (a->area && strcmp(a->area, area) == 0)
			return a;
		if (a->area == NULL && free_one == NULL)
			free_one = a;
	}
	if (free_one)
		*free_one = (struct allowance){ area, LOGGER_BURST, 0, now };
	return free_one;
}

/* May it be shown? Says first how many were not. */
static bool is_allowed(const char *area)
{
	struct timespec now;
	struct allowance *a;
	char text[96];

	clock_gettime(CLOCK_BOOTTIME, &now);
	a = allowance_of(area, now.tv_sec);
	if (a == NULL)
		return true;
	a->tokens += (uint64_t)(now.tv_sec - a->at) * LOGGER_PER_S;
	a->at = now.tv_sec;
	if (a->tokens > LOGGER_BURST)
		a->tokens = LOGGER_BURST;
	if (a->tokens == 0) {
		a->held++;
		config.suppressed++;
		return false;
	}
	a->tokens--;
	if (a->held > 0) {
		snprintf(text, sizeof(text), "%" PRIu64 " warnings were not shown", a->held);
		write_line(FZ_LOG_WARN, area, text);
		a->held = 0;
	}
	return true;
}

uint64_t logger_suppressed(void)
{
	return config.suppressed;
}

/* Lines of the library. */
static void write_env(void *ctx, enum fz_log_level level, const char *area, const char *text)
{
	(void)ctx;
	if (level != FZ_LOG_WARN || (int)level > level_for(area) || is_allowed(area))
		write_line(level, area, text);
}

/* ---- for the program ---- */

static bool want_colour(void)
{
	const char *term = getenv("TERM"), *force = getenv("FORCE_COLOR");

	if (force && strcmp(force, "1") == 0)
		return true;
	return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 && getenv("NO_COLOR") == NULL;
}

void logger_name(const char *program)
{
	config.program = program;
}

bool logger_init(const char *program, bool as_json, const char *filter)
{
	config.program = program;
	config.as_json = as_json;
	config.colour = !as_json && want_colour();
	config.env = *fz_env_default();
	config.env.log = (struct fz_log){ .write = write_env };
	return logger_set_filter(filter);
}

const struct fz_env *logger_env(void)
{
	return &config.env;
}

void say(enum fz_log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if ((int)level > config.filter.max_level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	write_line(level, "main", text);
}

void complain(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s: %s\n", config.program, text);
	if (config.as_json)
		write_line(FZ_LOG_ERROR, "main", text);
}
