/* SPDX-License-Identifier: Apache-2.0 */
#include "values.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include <fzconn/addr.h>

static const struct {
	const char *names; /* a blank after each */
	double us;
} units[] = {
	{ "ns nsec nanos ", 1e-3 },
	{ "us usec micros ", 1 },
	{ "ms msec millis ", 1e3 },
	{ "s sec secs second seconds ", 1e6 },
	{ "m min mins minute minutes ", 60e6 },
	{ "h hr hrs hour hours ", 3600e6 },
	{ "d day days ", 86400e6 },
	{ "w wk wks week weeks ", 7 * 86400e6 },
	{ "M month months ", 2630016e6 },
	{ "y yr yrs year years ", 31557600e6 },
};

/* Beyond that no deadline is an uint64_t any more, and none is meant. */
#define DURATION_MAX_US 3.2e17

static double unit_us(const char *unit, size_t len)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		for (const char *at = units[i].names; *at;) {
			size_t n = strcspn(at, " ");
			if (n == len && memcmp(at, unit, len) == 0)
				return units[i].us;
			at += n + 1;
		}
	}
	return 0;
}

/* Digits, perhaps a point and more digits; NULL: something else. */
static const char *read_number(const char *at, double *ret)
{
	double scale = 1;

	if (!isdigit((unsigned char)*at))
		return NULL;
	for (*ret = 0; isdigit((unsigned char)*at); at++)
		*ret = *ret * 10 + (*at - '0');
	if (*at != '.')
		return at;
	if (!isdigit((unsigned char)*++at))
		return NULL;
	for (; isdigit((unsigned char)*at); at++)
		*ret += (*at - '0') * (scale /= 10);
	return at;
}

const char *value_duration(const char *text, uint64_t *ret_us)
{
	double total = 0, value;

	if (strcmp(text, "0") == 0) {
		*ret_us = 0;
		return NULL;
	}
	do {
		size_t len = 0;
		text = read_number(text, &value);
		if (text == NULL)
			return "is no duration: write for example 30s, 10m or \"1h 30m\"";
		text += strspn(text, " ");
		while (isalpha((unsigned char)text[len]))
			len++;
		double unit = unit_us(text, len);
		if (unit == 0)
			return len ? "has an unknown unit of time: use ms, s, m, h, d or w"
				   : "needs a unit of time, as in 30s, 10m or 24h";
		total += value * unit;
		text += len;
		text += strspn(text, " ");
	} while (*text);
	if (total > DURATION_MAX_US)
		return "is too long a time";
	*ret_us = (uint64_t)total;
	return NULL;
}

const char *value_url(const char *text)
{
	static const char *const schemes[] = { "wss://", "ws://", "https://", "http://" };

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t n = strlen(schemes[i]);
		if (strncasecmp(text, schemes[i], n) == 0)
			return strchr("/?#:", text[n]) ? "names no host" : NULL;
	}
	return strstr(text, "://") ? "has a scheme other than wss, ws, https or http"
				   : "is no URL: write for example wss://api.firezone.dev/";
}

const char *value_address(const char *text)
{
	struct fz_addr addr;

	if (strchr(text, ':') == NULL || fz_addr_parse(text, &addr) != 0)
		return "is no address and port: write for example 127.0.0.1:8080 or [::1]:8080";
	return NULL;
}

bool value_is_choice(const char *text, const char *choices)
{
	size_t len = strlen(text);

	for (const char *at = choices; *at;) {
		size_t n = strcspn(at, "|");
		if (n == len && memcmp(at, text, n) == 0)
			return true;
		at += n + (at[n] == '|');
	}
	return false;
}

bool value_is_utf8(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	while (*at) {
		int more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : (*at & 0xf0) == 0xe0 ? 2 : 3;
		if (*at >= 0xf5 || (*at >= 0x80 && *at < 0xc2))
			return false;
		if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
		    (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
			return false;
		for (at++; more > 0; more--, at++)
			if ((*at & 0xc0) != 0x80)
				return false;
	}
	return true;
}
