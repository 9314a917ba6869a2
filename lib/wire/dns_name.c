/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dns_name.h"

#include <string.h>

#include "fzconn/error.h"

/* One for each label that a name can have: more lead from pointer to pointer to waste time. */
#define JUMPS_MAX 127

bool dns_name_read(struct fz_rd *r, const uint8_t *msg, struct dns_name *ret)
{
	struct fz_rd at = *r;
	const uint8_t *limit = r->at; /* pointers must lead before this */
	size_t len = 0, jumps = 0;

	for (;;) {
		uint8_t n = fz_rd_u8(&at);
		const uint8_t *label;

		if (!at.bad && n >= 0xc0) {
			size_t off = (size_t)(n & 0x3f) << 8 | fz_rd_u8(&at);

			if (at.bad || off >= (size_t)(limit - msg) || jumps == JUMPS_MAX)
				break;
			if (jumps++ == 0)
				r->at = at.at;
			at.end = limit; /* what it leads to was complete before this name began */
			limit = at.at = msg + off;
			continue;
		}
		label = fz_rd_take(&at, n);
		if (at.bad || n > DNS_LABEL_MAX || len + 1 + n + (n != 0) > DNS_NAME_MAX)
			break;
		ret->b[len++] = n;
		memcpy(ret->b + len, label, n);
		len += n;
		if (n != 0)
			continue;
		if (jumps == 0)
			r->at = at.at;
		ret->len = (uint8_t)len;
		return true;
	}
	r->bad = true;
	return false;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One octet of a text; 0 when there is none left, negative on a bad escape. */
static int next_octet(const char **at, bool *ret_escaped)
{
	const char *s = *at;

	*ret_escaped = *s == '\\';
	if (*s != '\\') {
		*at += *s != '\0';
		return (uint8_t)*s;
	}
	if (digit(s[1]) && digit(s[2]) && digit(s[3])) {
		int v = (s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0');
		*at += 4;
		return v < 256 ? v : -1;
	}
	if (s[1] == '\0' || digit(s[1]))
		return -1;
	*at += 2;
	return (uint8_t)s[1];
}

int dns_name_parse(const char *text, struct dns_name *ret)
{
	struct dns_name got = { 0 };
	size_t len = 1, label = 0; /* the label's length octet stands at `label` */

	if (strcmp(text, ".") == 0)
		text++;
	else if (*text == '\0')
		return FZ_ERR_WIRE;
	while (*text != '\0') {
		bool escaped;
		int c = next_octet(&text, &escaped);

		if (c < 0)
			return FZ_ERR_WIRE;
		if (c == '.' && !escaped) {
			if (len == label + 1)
				return FZ_ERR_WIRE;
			if (len > DNS_NAME_MAX - 1)
				return FZ_ERR_WIRE;
			label = len++;
			continue;
		}
		if (len > DNS_NAME_MAX - 1 || got.b[label] == DNS_LABEL_MAX)
			return FZ_ERR_WIRE;
		got.b[len++] = (uint8_t)c;
		got.b[label]++;
	}
	if (got.b[label] != 0) {
		if (len > DNS_NAME_MAX - 1)
			return FZ_ERR_WIRE;
		got.b[len++] = 0;
	}
	got.len = (uint8_t)len;
	*ret = got;
	return 0;
}

static char *put_octet(char *out, uint8_t c)
{
	if (c == ' ' || c == '.' || c == '\\') {
		*out++ = '\\';
	} else if (c < 0x21 || c > 0x7e) {
		*out++ = '\\';
		*out++ = (char)('0' + c / 100);
		*out++ = (char)('0' + c / 10 % 10);
		c = (uint8_t)('0' + c % 10);
	}
	*out++ = (char)c;
	return out;
}

const char *dns_name_format(const struct dns_name *n, char buf[DNS_NAME_STRLEN])
{
	char *out = buf;

	for (const uint8_t *p = n->b; p < n->b + n->len && *p != 0; p += 1 + *p) {
		if (p != n->b)
			*out++ = '.';
		for (uint8_t i = 1; i <= *p; i++)
			out = put_octet(out, p[i]);
	}
	if (out == buf)
		*out++ = '.';
	*out = '\0';
	return buf;
}

/* Length octets are below 'A', so they may be folded along. */
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++)
		if (dns_lower(a->b[i]) != dns_lower(b->b[i]))
			return false;
	return true;
}

void dns_name_fold(const struct dns_name *n, struct dns_name *ret)
{
	ret->len = n->len;
	for (size_t i = 0; i < n->len; i++)
		ret->b[i] = dns_lower(n->b[i]);
}

static const uint8_t in_addr[] = "\7in-addr\4arpa";
static const uint8_t ip6[] = "\3ip6\4arpa";
#define NIBBLES_LEN 64

/* A label of one to three digits without needless zeros, below 256. */
static int decimal_label(const uint8_t *label)
{
	int v = 0;

	if (*label < 1 || *label > 3 || (*label > 1 && label[1] == '0'))
		return -1;
	for (uint8_t i = 1; i <= *label; i++) {
		if (label[i] < '0' || label[i] > '9')
			return -1;
		v = v * 10 + (label[i] - '0');
	}
	return v < 256 ? v : -1;
}

static bool reverse_v4(const struct dns_name *n, struct fz_ip *ret)
{
	struct fz_ip ip = { .family = FZ_FAMILY_INET };
	const uint8_t *p = n->b, *end = n->b + n->len;

	for (int i = 3; i >= 0; i--) {
		int v = decimal_label(p);
		if (v < 0)
			return false;
		ip.b[i] = (uint8_t)v;
		p += 1 + *p;
	}
	if ((size_t)(end - p) != sizeof(in_addr) || memcmp(p, in_addr, sizeof(in_addr)) != 0)
		return false;
	*ret = ip;
	return true;
}

static int nibble(uint8_t c)
{
	c = dns_lower(c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool reverse_v6(const struct dns_name *n, struct fz_ip *ret)
{
	struct fz_ip ip = { .family = FZ_FAMILY_INET6 };

	if (n->len != NIBBLES_LEN + sizeof(ip6) || memcmp(n->b + NIBBLES_LEN, ip6, sizeof(ip6)) != 0)
		return false;
	for (size_t i = 0; i < 32; i++) {
		int v = n->b[2 * i] == 1 ? nibble(n->b[2 * i + 1]) : -1;
		if (v < 0)
			return false;
		ip.b[15 - i / 2] |= (uint8_t)(v << (i % 2 * 4));
	}
	*ret = ip;
	return true;
}

bool dns_name_to_ip(const struct dns_name *n, struct fz_ip *ret)
{
	return reverse_v4(n, ret) || reverse_v6(n, ret);
}

void dns_name_from_ip(const struct fz_ip *ip, struct dns_name *ret)
{
	uint8_t *p = ret->b;

	if (ip->family == FZ_FAMILY_INET6) {
		for (size_t i = 0; i < 32; i++) {
			*p++ = 1;
			*p++ = (uint8_t) "0123456789abcdef"[ip->b[15 - i / 2] >> (i % 2 * 4) & 15];
		}
		memcpy(p, ip6, sizeof(ip6));
		ret->len = NIBBLES_LEN + sizeof(ip6);
		return;
	}
	for (int i = 3; i >= 0; i--) {
		uint8_t v = ip->b[i], *len = p++;
		if (v > 99)
			*p++ = (uint8_t)('0' + v / 100);
		if (v > 9)
			*p++ = (uint8_t)('0' + v / 10 % 10);
		*p++ = (uint8_t)('0' + v % 10);
		*len = (uint8_t)(p - len - 1);
	}
	memcpy(p, in_addr, sizeof(in_addr));
	ret->len = (uint8_t)(p - ret->b + (ptrdiff_t)sizeof(in_addr));
}
