/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <string.h>

#include "fzconn/error.h"

/* Branch-free so that base64 of a key leaks nothing through caches or branches. */
static char b64_char(unsigned v)
{
	int c = (int)v + 'A';

	c += ((25 - (int)v) >> 8) & 6; /* 'a' - 'Z' - 1 */
	c -= ((51 - (int)v) >> 8) & 75; /* to '0' */
	c -= ((61 - (int)v) >> 8) & 15; /* to '+' */
	c += ((62 - (int)v) >> 8) & 3; /* to '/' */
	return (char)c;
}

/* -1 for anything but the alphabet. */
static int b64_value(char ch)
{
	int c = (unsigned char)ch, v = -1;

	v += (((('A' - 1) - c) & (c - ('Z' + 1))) >> 8) & (c - 64);
	v += (((('a' - 1) - c) & (c - ('z' + 1))) >> 8) & (c - 70);
	v += (((('0' - 1) - c) & (c - ('9' + 1))) >> 8) & (c + 5);
	v += (((('+' - 1) - c) & (c - ('+' + 1))) >> 8) & 63;
	v += (((('/' - 1) - c) & (c - ('/' + 1))) >> 8) & 64;
	return v;
}

static size_t encode(char *dst, const void *src, size_t len, bool pad)
{
	const uint8_t *s = src;
	char *d = dst;

	for (; len >= 3; s += 3, len -= 3) {
		*d++ = b64_char(s[0] >> 2);
		*d++ = b64_char((s[0] & 3u) << 4 | s[1] >> 4);
		*d++ = b64_char((s[1] & 15u) << 2 | s[2] >> 6);
		*d++ = b64_char(s[2] & 63u);
	}
	if (len) {
		unsigned second = len == 2 ? s[1] : 0;
		*d++ = b64_char(s[0] >> 2);
		*d++ = b64_char((s[0] & 3u) << 4 | second >> 4);
		if (len == 2)
			*d++ = b64_char((second & 15u) << 2);
		while (pad && (d - dst) % 4)
			*d++ = '=';
	}
	*d = '\0';
	return (size_t)(d - dst);
}

size_t fz_b64_encode(char *dst, const void *src, size_t len)
{
	return encode(dst, src, len, true);
}

size_t fz_b64_encode_nopad(char *dst, const void *src, size_t len)
{
	return encode(dst, src, len, false);
}

int fz_b64_decode(void *dst, size_t want, const char *text)
{
	uint8_t *d = dst;
	size_t len = strlen(text), got = 0;
	uint32_t acc = 0;
	int bits = 0, bad = 0;

	if (len != FZ_B64_LEN(want))
		return FZ_ERR_WIRE;
	for (size_t i = 0; i < (want * 4 + 2) / 3; i++) {
		int v = b64_value(text[i]);
		bad |= v;
		acc = acc << 6 | ((uint32_t)v & 63u);
		bits += 6;
		if (bits >= 8 && got < want) {
			bits -= 8;
			d[got++] = (uint8_t)(acc >> bits);
		}
	}
	bad |= acc & ((1u << bits) - 1) ? -1 : 0; /* left-over bits must be zero */
	for (size_t i = (want * 4 + 2) / 3; i < len; i++)
		bad |= text[i] == '=' ? 0 : -1;
	return bad < 0 ? FZ_ERR_WIRE : 0;
}

void fz_hex_encode(char *dst, const void *src, size_t len)
{
	const uint8_t *s = src;

	for (size_t i = 0; i < len; i++) {
		unsigned hi = s[i] >> 4, lo = s[i] & 15u;
		*dst++ = (char)(hi < 10 ? '0' + hi : 'a' + hi - 10);
		*dst++ = (char)(lo < 10 ? '0' + lo : 'a' + lo - 10);
	}
	*dst = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int fz_hex_decode(void *dst, size_t want, const char *text)
{
	uint8_t *d = dst;

	if (strlen(text) != 2 * want)
		return FZ_ERR_WIRE;
	for (size_t i = 0; i < want; i++) {
		int hi = hex_value(text[2 * i]), lo = hex_value(text[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return FZ_ERR_WIRE;
		d[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

void fz_text_printable(char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)text[0], next = (unsigned char)text[1];
		if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			text[0] = text[1] = '?';
		else if (c < ' ' || c == 127)
			text[0] = '?';
	}
}

int fz_uuid_parse(const char *text, struct fz_uuid *ret)
{
	char digits[33];
	size_t n = 0;

	if (strlen(text) != FZ_UUID_STRLEN - 1)
		return FZ_ERR_WIRE;
	for (size_t i = 0; i < FZ_UUID_STRLEN - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if ((text[i] == '-') != dash)
			return FZ_ERR_WIRE;
		if (!dash)
			digits[n++] = text[i];
	}
	digits[n] = '\0';
	struct fz_uuid id;
	if (fz_hex_decode(id.b, sizeof(id.b), digits) != 0)
		return FZ_ERR_WIRE;
	*ret = id;
	return 0;
}

const char *fz_uuid_format(const struct fz_uuid *id, char buf[FZ_UUID_STRLEN])
{
	static const uint8_t groups[] = { 4, 2, 2, 2, 6 };
	char *at = buf;
	size_t from = 0;

	for (size_t g = 0; g < sizeof(groups); g++) {
		fz_hex_encode(at, id->b + from, groups[g]);
		at += 2 * groups[g];
		from += groups[g];
		*at++ = '-';
	}
	at[-1] = '\0';
	return buf;
}

bool fz_uuid_equal(const struct fz_uuid *a, const struct fz_uuid *b)
{
	return fz_uuid_compare(a, b) == 0;
}

int fz_uuid_compare(const struct fz_uuid *a, const struct fz_uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}
