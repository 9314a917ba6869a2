/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/addr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "fzconn/error.h"

static bool parse_v4(const char *s, const char *end, uint8_t out[4])
{
	for (int i = 0; i < 4; i++) {
		unsigned v = 0;
		const char *start = s;
		while (s < end && *s >= '0' && *s <= '9' && s - start < 3)
			v = v * 10 + (unsigned)(*s++ - '0');
		if (s == start || v > 255 || (s - start > 1 && *start == '0'))
			return false;
		out[i] = (uint8_t)v;
		if (i < 3 && (s == end || *s++ != '.'))
			return false;
	}
	return s == end;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_v6(const char *s, const char *end, uint8_t out[16])
{
	uint8_t b[16] = { 0 };
	size_t n = 0;
	int gap = -1;

	if (end - s >= 2 && s[0] == ':' && s[1] == ':') {
		gap = 0;
		s += 2;
	} else if (s < end && *s == ':') {
		return false;
	}
	while (s < end) {
		const char *start = s;
		unsigned v = 0;
		while (s < end && hex_digit(*s) >= 0 && s - start < 4)
			v = v << 4 | (unsigned)hex_digit(*s++);
		if (s == start)
			return false;
		if (s < end && *s == '.') {
			if (n > 12 || !parse_v4(start, end, b + n))
				return false;
			n += 4;
			s = end;
			break;
		}
		if (n > 14)
			return false;
		b[n++] = (uint8_t)(v >> 8);
		b[n++] = (uint8_t)v;
		if (s == end)
			break;
		if (*s++ != ':' || s == end)
			return false;
		if (*s == ':') {
			if (gap >= 0)
				return false;
			gap = (int)n;
			s++;
		}
	}
	if (gap < 0 ? n != 16 : n > 14)
		return false;
	memset(out, 0, 16);
	size_t head = gap < 0 ? n : (size_t)gap;
	memcpy(out, b, head);
	memcpy(out + 16 - (n - head), b + head, n - head);
	return true;
}

static bool parse_ip(const char *s, const char *end, struct fz_ip *ret)
{
	struct fz_ip ip = { 0 };

	if (memchr(s, ':', (size_t)(end - s)) != NULL) {
		ip.family = FZ_FAMILY_INET6;
		if (!parse_v6(s, end, ip.b))
			return false;
	} else {
		ip.family = FZ_FAMILY_INET;
		if (!parse_v4(s, end, ip.b))
			return false;
	}
	*ret = ip;
	return true;
}

int fz_ip_parse(const char *text, struct fz_ip *ret)
{
	return parse_ip(text, text + strlen(text), ret) ? 0 : FZ_ERR_INVAL;
}

/* Decimal without sign, blanks or leading zeros, at most max. */
static bool parse_number(const char *s, unsigned long max, unsigned long *ret)
{
	unsigned long v = 0;

	if (*s == '\0' || (s[0] == '0' && s[1] != '\0'))
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (unsigned long)(*s - '0');
		if (v > max)
			return false;
	}
	*ret = v;
	return true;
}

int fz_addr_parse(const char *text, struct fz_addr *ret)
{
	struct fz_addr a = { 0 };
	const char *colon = strrchr(text, ':');
	const char *from = text, *to = colon;
	unsigned long port;

	if (colon == NULL || !parse_number(colon + 1, 65535, &port))
		return FZ_ERR_INVAL;
	if (*text == '[') {
		from = text + 1;
		to = colon - 1;
		if (to < from || *to != ']' || memchr(from, ':', (size_t)(to - from)) == NULL)
			return FZ_ERR_INVAL;
	} else if (memchr(from, ':', (size_t)(to - from)) != NULL) {
		return FZ_ERR_INVAL;
	}
	if (!parse_ip(from, to, &a.ip))
		return FZ_ERR_INVAL;
	a.port = (uint16_t)port;
	*ret = a;
	return 0;
}

int fz_prefix_parse(const char *text, struct fz_prefix *ret)
{
	struct fz_prefix net = { 0 };
	const char *slash = strchr(text, '/');
	unsigned long len;

	if (slash == NULL || !parse_ip(text, slash, &net.ip))
		return FZ_ERR_INVAL;
	if (!parse_number(slash + 1, net.ip.family == FZ_FAMILY_INET ? 32 : 128, &len))
		return FZ_ERR_INVAL;
	net.len = (uint8_t)len;
	for (unsigned bit = net.len; bit < fz_ip_len(&net.ip) * 8; bit++)
		if (net.ip.b[bit / 8] & 0x80u >> bit % 8)
			return FZ_ERR_INVAL;
	*ret = net;
	return 0;
}

/* RFC 5952: the longest run of two or more zero groups becomes "::", the first one among equals. */
static void format_v6(const uint8_t b[16], char *buf)
{
	int best = -1, best_len = 1;
	char *at = buf;

	for (int i = 0; i < 8; i++) {
		int n = 0;
		while (i + n < 8 && b[2 * (i + n)] == 0 && b[2 * (i + n) + 1] == 0)
			n++;
		if (n > best_len) {
			best = i;
			best_len = n;
		}
		i += n;
	}
	for (int i = 0; i < 8; i++) {
		if (i == best) {
			at += sprintf(at, "::");
			i += best_len - 1;
			continue;
		}
		if (at != buf && at[-1] != ':')
			*at++ = ':';
		at += sprintf(at, "%x", (unsigned)(b[2 * i] << 8 | b[2 * i + 1]));
	}
	*at = '\0';
}

const char *fz_ip_format(const struct fz_ip *ip, char buf[FZ_IP_STRLEN])
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	if (ip->family == FZ_FAMILY_INET)
		sprintf(buf, "%u.%u.%u.%u", ip->b[0], ip->b[1], ip->b[2], ip->b[3]);
	else if (ip->family == FZ_FAMILY_INET6 && memcmp(ip->b, mapped, 12) == 0)
		sprintf(buf, "::ffff:%u.%u.%u.%u", ip->b[12], ip->b[13], ip->b[14], ip->b[15]);
	else if (ip->family == FZ_FAMILY_INET6)
		format_v6(ip->b, buf);
	else
		strcpy(buf, "-");
	return buf;
}

const char *fz_addr_format(const struct fz_addr *addr, char buf[FZ_ADDR_STRLEN])
{
	char ip[FZ_IP_STRLEN];

	fz_ip_format(&addr->ip, ip);
	if (addr->ip.family == FZ_FAMILY_INET6)
		sprintf(buf, "[%s]:%u", ip, addr->port);
	else
		sprintf(buf, "%s:%u", ip, addr->port);
	return buf;
}

const char *fz_prefix_format(const struct fz_prefix *net, char buf[FZ_PREFIX_STRLEN])
{
	char ip[FZ_IP_STRLEN];

	sprintf(buf, "%s/%u", fz_ip_format(&net->ip, ip), net->len);
	return buf;
}

bool fz_ip_equal(const struct fz_ip *a, const struct fz_ip *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool fz_addr_equal(const struct fz_addr *a, const struct fz_addr *b)
{
	return a->port == b->port && fz_ip_equal(&a->ip, &b->ip);
}

int fz_addr_compare(const struct fz_addr *a, const struct fz_addr *b)
{
	int c = memcmp(&a->ip, &b->ip, sizeof(a->ip));

	return c ? c : (int)a->port - (int)b->port;
}

bool fz_prefix_contains(const struct fz_prefix *net, const struct fz_ip *ip)
{
	unsigned whole = net->len / 8, rest = net->len % 8;

	if (net->ip.family != ip->family || memcmp(net->ip.b, ip->b, whole) != 0)
		return false;
	return rest == 0 || ((net->ip.b[whole] ^ ip->b[whole]) & (0xffu << (8 - rest) & 0xffu)) == 0;
}
