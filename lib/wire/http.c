/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http.h"

#include <string.h>

#include "fzconn/error.h"

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool equal_nocase(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

int http_head_find(const void *data, size_t len)
{
	const char *s = data;
	size_t max = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;

	for (size_t i = 1; i < max; i++) {
		if (s[i] != '\n')
			continue;
		if (s[i - 1] == '\n' || (i >= 2 && s[i - 1] == '\r' && s[i - 2] == '\n'))
			return (int)i + 1;
	}
	return len >= HTTP_HEAD_MAX ? FZ_ERR_WIRE : 0;
}

/* Cut one line off, without its end; NULL after the last. */
static char *next_line(char **at, char *end)
{
	char *line = *at, *nl = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;

	if (nl == NULL)
		return NULL;
	*at = nl + 1;
	if (nl > line && nl[-1] == '\r')
		nl--;
	*nl = '\0';
	return line;
}

static bool read_status(const char *line, unsigned *ret)
{
	if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
		return false;
	unsigned n = 0;
	for (int i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return false;
		n = n * 10 + (unsigned)(line[i] - '0');
	}
	*ret = n;
	return n >= 100 && (line[12] == '\0' || line[12] == ' ');
}

static bool is_token(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' || strchr("\"(),/:;<=>?@[\\]{}", *s))
			return false;
	return true;
}

static bool read_field(char *line, struct http_field *ret)
{
	char *colon = strchr(line, ':'), *end;

	if (colon == NULL)
		return false;
	*colon++ = '\0';
	if (!is_token(line)) /* refuses folded lines as well: they begin with a blank */
		return false;
	colon += strspn(colon, " \t");
	end = colon + strlen(colon);
	while (end > colon && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	*ret = (struct http_field){ line, colon };
	return true;
}

int http_head_decode(char *data, size_t len, struct http_head *ret)
{
	char *at = data, *end = data + len, *line;

	for (size_t i = 0; i < len; i++)
		if ((uint8_t)data[i] < ' ' && strchr("\r\n\t", data[i]) == NULL)
			return FZ_ERR_WIRE;
	if (len && memchr(data, '\0', len))
		return FZ_ERR_WIRE;
	line = next_line(&at, end);
	ret->fields_len = 0;
	if (line == NULL || !read_status(line, &ret->status))
		return FZ_ERR_WIRE;
	while ((line = next_line(&at, end)) != NULL && *line) {
		if (ret->fields_len == HTTP_FIELDS_MAX || strchr(line, '\r') ||
		    !read_field(line, &ret->fields[ret->fields_len]))
			return FZ_ERR_WIRE;
		ret->fields_len++;
	}
	return line ? 0 : FZ_ERR_WIRE;
}

const char *http_field(const struct http_head *h, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < h->fields_len; i++) {
		const char *n = h->fields[i].name;
		if (strlen(n) != strlen(name) || !equal_nocase(n, name, strlen(n)))
			continue;
		if (value)
			return NULL;
		value = h->fields[i].value;
	}
	return value;
}

static bool has_field(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->fields_len; i++)
		if (strlen(h->fields[i].name) == strlen(name) &&
		    equal_nocase(h->fields[i].name, name, strlen(name)))
			return true;
	return false;
}

/* Digits only; above max is refused. */
static bool read_decimal(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;

	if (*s == '\0')
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || n > (max - (uint64_t)(*s - '0')) / 10)
			return false;
		n = n * 10 + (uint64_t)(*s - '0');
	}
	*ret = n;
	return true;
}

int http_body_init(const struct http_head *h, struct http_body *ret)
{
	const char *length = http_field(h, "content-length"), *coding = http_field(h, "transfer-encoding");
	struct http_body b = { .framing = HTTP_UNTIL_CLOSE, .step = HTTP_CHUNK_SIZE };

	if (has_field(h, "transfer-encoding")) {
		if (coding == NULL || strlen(coding) != 7 || !equal_nocase(coding, "chunked", 7))
			return FZ_ERR_WIRE;
		b.framing = HTTP_CHUNKED;
	} else if (has_field(h, "content-length")) {
		if (length == NULL || !read_decimal(length, UINT32_MAX, &b.left))
			return FZ_ERR_WIRE;
		b.framing = HTTP_LENGTH;
	}
	if (h->status < 200 || h->status == 204 || h->status == 304)
		b.framing = HTTP_NO_BODY;
	b.done = b.framing == HTTP_NO_BODY || (b.framing == HTTP_LENGTH && b.left == 0);
	*ret = b;
	return 0;
}

static size_t take(struct http_body *b, const char *s, size_t len, char *out, size_t *out_len, size_t out_cap)
{
	size_t n = b->framing == HTTP_UNTIL_CLOSE || len < b->left ? len : (size_t)b->left;
	size_t room = out_cap - *out_len, keep = n < room ? n : room;

	memcpy(out + *out_len, s, keep);
	*out_len += keep;
	if (b->framing != HTTP_UNTIL_CLOSE)
		b->left -= n;
	return n;
}

static int hex_digit(char c)
{
	c = lower(c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of a chunk's frame. False = malformed. */
static bool frame_char(struct http_body *b, char c)
{
	switch (b->step) {
	case HTTP_CHUNK_SIZE:
		if (hex_digit(c) >= 0 && !b->saw_size) {
			b->left = b->left << 4 | (unsigned)hex_digit(c);
			return b->left <= UINT32_MAX;
		}
		if (c == '\n') {
			b->step = b->left ? HTTP_CHUNK_DATA : HTTP_TRAILER;
			b->saw_size = false;
			return true;
		}
		b->saw_size = true; /* extensions are skipped */
		return c == '\r' || c == ';' || c >= ' ' || c == '\t';
	case HTTP_CHUNK_END:
		if (c == '\n') {
			b->step = HTTP_CHUNK_SIZE;
			b->left = 0;
		}
		return c == '\r' || c == '\n';
	case HTTP_TRAILER:
		if (c == '\n')
			b->done = true;
		else if (c != '\r')
			b->step = HTTP_TRAILER_LINE;
		return true;
	case HTTP_TRAILER_LINE:
		if (c == '\n')
			b->step = HTTP_TRAILER;
		return true;
	case HTTP_CHUNK_DATA:
		break;
	}
	return false;
}

int http_body_handle(struct http_body *b, const void *data, size_t len, char *out, size_t *out_len,
		     size_t out_cap)
{
	const char *s = data;
	size_t at = 0;

	while (at < len && !b->done) {
		if (b->framing != HTTP_CHUNKED) {
			at += take(b, s + at, len - at, out, out_len, out_cap);
			b->done = b->framing == HTTP_LENGTH && b->left == 0;
		} else if (b->step == HTTP_CHUNK_DATA) {
			at += take(b, s + at, len - at, out, out_len, out_cap);
			if (b->left == 0)
				b->step = HTTP_CHUNK_END;
		} else if (!frame_char(b, s[at++])) {
			return FZ_ERR_WIRE;
		}
	}
	return (int)at;
}

bool http_media_type_is(const char *value, const char *type)
{
	size_t n = strlen(type);

	if (value == NULL || strlen(value) < n || !equal_nocase(value, type, n))
		return false;
	value += n + strspn(value + n, " \t");
	return *value == '\0' || *value == ';';
}

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970 of a date of the Gregorian calendar, m from 1. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
	y -= m <= 2;
	int64_t era = y / 400, yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool two(const char *s, int max, int *ret)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return false;
	*ret = (s[0] - '0') * 10 + (s[1] - '0');
	return *ret <= max;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7); the zone may be +0000 too. */
static bool read_date(const char *s, int64_t *ret)
{
	int d, hi, lo, h, m, sec;
	const char *month = NULL;

	if (strlen(s) < 29 || s[3] != ',' || s[4] != ' ' || s[7] != ' ' || s[11] != ' ' || s[16] != ' ' ||
	    s[19] != ':' || s[22] != ':' || s[25] != ' ')
		return false;
	if (strcmp(s + 26, "GMT") != 0 && strcmp(s + 26, "+0000") != 0)
		return false;
	for (const char *p = months; *p; p += 3)
		if (strncmp(p, s + 8, 3) == 0)
			month = p;
	if (month == NULL || !two(s + 5, 31, &d) || !two(s + 12, 99, &hi) || !two(s + 14, 99, &lo) ||
	    !two(s + 17, 23, &h) || !two(s + 20, 59, &m) || !two(s + 23, 60, &sec) || d == 0)
		return false;
	*ret = days_of(hi * 100 + lo, (month - months) / 3 + 1, d) * 86400 + h * 3600 + m * 60 + sec;
	return true;
}

bool http_retry_after(const struct http_head *h, uint64_t *ret_s)
{
	const char *value = http_field(h, "retry-after"), *date = http_field(h, "date");
	int64_t when, sent;

	if (value == NULL)
		return false;
	if (read_decimal(value + (*value == '+'), UINT32_MAX, ret_s))
		return true;
	if (!read_date(value, &when) || date == NULL || !read_date(date, &sent))
		return false;
	*ret_s = when > sent ? (uint64_t)(when - sent) : 0;
	return true;
}
