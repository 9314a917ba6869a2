/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/cand.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "fzconn/error.h"

static const char *const kind_names[CAND_KINDS] = { "host", "prflx", "srflx", "relay" };

const char *cand_kind_name(enum cand_kind kind)
{
	return kind_names[kind];
}

/* Whitespace-separated tokens of a text; views, not terminated. */
struct tokens {
	const char *at;
};

struct token {
	const char *p;
	size_t len;
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool next(struct tokens *t, struct token *ret)
{
	while (is_space(*t->at))
		t->at++;
	ret->p = t->at;
	while (*t->at != '\0' && !is_space(*t->at))
		t->at++;
	ret->len = (size_t)(t->at - ret->p);
	return ret->len > 0;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool token_is(const struct token *t, const char *word)
{
	return strlen(word) == t->len && memcmp(t->p, word, t->len) == 0;
}

static bool token_is_nocase(const struct token *t, const char *word)
{
	size_t i = 0;

	while (i < t->len && word[i] != '\0' && lower(t->p[i]) == word[i])
		i++;
	return i == t->len && word[i] == '\0';
}

static bool token_number(const struct token *t, uint32_t max, uint32_t *ret)
{
	uint64_t n = 0;

	if (t->len == 0)
		return false;
	for (size_t i = 0; i < t->len; i++) {
		if (t->p[i] < '0' || t->p[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(t->p[i] - '0');
		if (n > max)
			return false;
	}
	*ret = (uint32_t)n;
	return true;
}

static bool token_ip(const struct token *t, struct fz_ip *ret)
{
	char text[FZ_IP_STRLEN];

	if (t->len >= sizeof(text))
		return false;
	memcpy(text, t->p, t->len);
	text[t->len] = '\0';
	return fz_ip_parse(text, ret) == 0;
}

static bool next_number(struct tokens *t, uint32_t max, uint32_t *ret)
{
	struct token tok;

	return next(t, &tok) && token_number(&tok, max, ret);
}

static bool next_ip(struct tokens *t, struct fz_ip *ret)
{
	struct token tok;

	return next(t, &tok) && token_ip(&tok, ret);
}

static bool next_port(struct tokens *t, uint16_t *ret)
{
	uint32_t n;

	if (!next_number(t, UINT16_MAX, &n))
		return false;
	*ret = (uint16_t)n;
	return true;
}

/* The prefix and the foundation, which nobody interprets. */
static bool skip_foundation(struct tokens *t)
{
	static const char prefix[] = "candidate:";
	struct token tok;

	if (strncmp(t->at, prefix, sizeof(prefix) - 1) != 0)
		return false;
	t->at += sizeof(prefix) - 1;
	return !is_space(*t->at) && next(t, &tok);
}

static bool next_transport(struct tokens *t, bool *ret_is_udp)
{
	static const char *const others[] = { "tcp", "ssltcp", "tls" };
	struct token tok;

	if (!next(t, &tok))
		return false;
	*ret_is_udp = token_is_nocase(&tok, "udp");
	for (size_t i = 0; !*ret_is_udp && i < sizeof(others) / sizeof(*others); i++)
		if (token_is_nocase(&tok, others[i]))
			return true;
	return *ret_is_udp;
}

static bool next_kind(struct tokens *t, enum cand_kind *ret)
{
	struct token tok;

	if (!next(t, &tok))
		return false;
	for (unsigned i = 0; i < CAND_KINDS; i++)
		if (token_is(&tok, kind_names[i])) {
			*ret = (enum cand_kind)i;
			return true;
		}
	return false;
}

/* Keys behind the type. An unknown key takes the token that follows with it. */
static bool read_extensions(struct tokens *t, struct fz_addr *related, struct cand_extra *extra)
{
	struct token key, value;
	bool has_ip = false;

	while (next(t, &key)) {
		if (token_is(&key, "raddr")) {
			if (!next_ip(t, &related->ip))
				return false;
			has_ip = true;
		} else if (token_is(&key, "rport")) {
			if (!next_port(t, &related->port))
				return false;
		} else if (!next(t, &value)) {
			return !token_is(&key, "ufrag") && !token_is(&key, "tcptype");
		} else if (token_is(&key, "ufrag")) {
			if (value.len >= sizeof(extra->ufrag))
				return false;
			memcpy(extra->ufrag, value.p, value.len);
			extra->ufrag[value.len] = '\0';
		}
	}
	if (!has_ip)
		related->port = 0;
	return true;
}

int cand_parse_ice(const char *text, struct cand *ret, struct cand_extra *ret_extra)
{
	struct tokens t = { text };
	struct cand c = { 0 };
	struct cand_extra extra = { 0 };
	struct token tok;

	if (!skip_foundation(&t) || !next_number(&t, UINT16_MAX, &extra.component) ||
	    !next_transport(&t, &extra.is_udp) || !next_number(&t, UINT32_MAX, &c.priority) ||
	    !next_ip(&t, &c.addr.ip) || !next_port(&t, &c.addr.port) || !next(&t, &tok) ||
	    !token_is(&tok, "typ") || !next_kind(&t, &c.kind) || !read_extensions(&t, &c.base, &extra))
		return FZ_ERR_WIRE;
	*ret = c;
	*ret_extra = extra;
	return 0;
}

int cand_parse_plain(const char *text, struct cand *ret)
{
	struct tokens t = { text };
	struct cand c = { 0 };
	struct token tok;
	bool is_udp;

	/* Component: any token. The priority must be a number, because every receiver demands that of any
	 * text. */
	if (!skip_foundation(&t) || !next(&t, &tok) || !next_transport(&t, &is_udp) || !is_udp ||
	    !next_number(&t, UINT32_MAX, &c.priority) || !next_ip(&t, &c.addr.ip) ||
	    !next_port(&t, &c.addr.port) || !next(&t, &tok) || !token_is(&tok, "typ") || !next(&t, &tok))
		return FZ_ERR_WIRE;
	if (token_is(&tok, kind_names[CAND_HOST]))
		c.kind = CAND_HOST;
	else if (token_is(&tok, kind_names[CAND_SRFLX]))
		c.kind = CAND_SRFLX;
	else if (token_is(&tok, kind_names[CAND_RELAY]))
		c.kind = CAND_RELAY;
	else
		return FZ_ERR_UNSUPPORTED;

	bool has_ip = false, has_port = false;
	while (c.kind != CAND_HOST && next(&t, &tok)) {
		if (token_is(&tok, "raddr"))
			has_ip = next_ip(&t, &c.base.ip);
		else if (token_is(&tok, "rport"))
			has_port = next_port(&t, &c.base.port);
		else
			(void)next(&t, &tok);
	}
	if (c.kind != CAND_HOST && !(has_ip && has_port))
		return FZ_ERR_WIRE;
	if (c.kind == CAND_SRFLX && c.base.ip.family != c.addr.ip.family)
		return FZ_ERR_WIRE;
	*ret = c;
	return 0;
}

static uint64_t fnv64(uint64_t h, const void *data, size_t len)
{
	for (const uint8_t *b = data; len > 0; len--)
		h = (h ^ *b++) * 0x100000001b3u;
	return h;
}

static uint64_t fnv64_addr(uint64_t h, const struct fz_addr *a)
{
	uint8_t port[2] = { (uint8_t)(a->port >> 8), (uint8_t)a->port };

	return fnv64(fnv64(h, a->ip.b, fz_ip_len(&a->ip)), port, sizeof(port));
}

#define FNV64_BASIS 0xcbf29ce484222325u

/* snprintf that goes on where the last one ended; *at stays at cap once something did not fit. */
static void FZ_PRINTF(4, 5) append(char *buf, size_t cap, size_t *at, const char *fmt, ...)
{
	va_list args;

	if (*at >= cap)
		return;
	va_start(args, fmt);
	int n = vsnprintf(buf + *at, cap - *at, fmt, args);
	va_end(args);
	*at = n < 0 || (size_t)n >= cap - *at ? cap : *at + (size_t)n;
}

static void append_related(const struct fz_addr *related, char *buf, size_t cap, size_t *at)
{
	char ip[FZ_IP_STRLEN];

	append(buf, cap, at, " raddr %s rport %u", fz_ip_format(&related->ip, ip), (unsigned)related->port);
}

int cand_format_ice(const struct cand *c, const char *ufrag, char *buf, size_t cap)
{
	/* RFC 8445 section 5.1.1.3: equal for candidates of the same type, base IP and server. */
	uint8_t kind = (uint8_t)c->kind;
	uint64_t h = fnv64(fnv64(FNV64_BASIS, &kind, 1), c->base.ip.b, fz_ip_len(&c->base.ip));
	const struct fz_addr hidden = { .ip.family = c->addr.ip.family };
	char ip[FZ_IP_STRLEN];
	size_t at = 0;

	append(buf, cap, &at, "candidate:%08lx%08lx 1 udp %lu %s %u typ %s", (unsigned long)(h >> 32),
	       (unsigned long)(h & UINT32_MAX), (unsigned long)c->priority, fz_ip_format(&c->addr.ip, ip),
	       (unsigned)c->addr.port, kind_names[c->kind]);
	/* Our private addresses are nobody's business: RFC 8839 section 5.1 allows zeros. */
	if (c->kind == CAND_SRFLX || c->kind == CAND_RELAY)
		append_related(&hidden, buf, cap, &at);
	if (ufrag != NULL)
		append(buf, cap, &at, " ufrag %s", ufrag);
	return at < cap ? (int)at : FZ_ERR_NOSPACE;
}

int cand_format_plain(const struct cand *c, char *buf, size_t cap)
{
	static const uint8_t kind_bytes[CAND_KINDS] = { [CAND_HOST] = 0, [CAND_SRFLX] = 1, [CAND_RELAY] = 2 };
	uint64_t h = fnv64_addr(fnv64(FNV64_BASIS, &kind_bytes[c->kind], 1), &c->addr);
	char ip[FZ_IP_STRLEN];
	size_t at = 0;

	if (c->kind == CAND_PRFLX)
		return FZ_ERR_UNSUPPORTED;
	if (c->kind != CAND_HOST)
		h = fnv64_addr(h, &c->base);
	append(buf, cap, &at, "candidate:%llu 1 udp %lu %s %u typ %s", (unsigned long long)h,
	       (unsigned long)c->priority, fz_ip_format(&c->addr.ip, ip), (unsigned)c->addr.port,
	       kind_names[c->kind]);
	if (c->kind != CAND_HOST)
		append_related(&c->base, buf, cap, &at);
	return at < cap ? (int)at : FZ_ERR_NOSPACE;
}

int cand_text_priority(const char *text, uint32_t *ret)
{
	struct tokens t = { text };
	struct token tok;

	if (!skip_foundation(&t) || !next(&t, &tok) || !next(&t, &tok) || !next_number(&t, UINT32_MAX, ret))
		return FZ_ERR_WIRE;
	return 0;
}

int cand_text_compare(const char *a, const char *b)
{
	uint32_t pa, pb;
	bool a_good = cand_text_priority(a, &pa) == 0, b_good = cand_text_priority(b, &pb) == 0;

	if (a_good != b_good)
		return a_good ? -1 : 1;
	if (a_good && pa != pb)
		return pa > pb ? -1 : 1;
	return strcmp(a, b);
}

bool cand_addr_usable(const struct fz_addr *addr)
{
	static const struct fz_ip unspecified = { 0 };
	const uint8_t *b = addr->ip.b;

	if (addr->port == 0 || fz_ip_len(&addr->ip) == 0 || fz_ip_is_multicast(&addr->ip) ||
	    memcmp(b, unspecified.b, sizeof(unspecified.b)) == 0)
		return false;
	if (addr->ip.family != FZ_FAMILY_INET)
		return true;
	return !(b[0] == 169 && b[1] == 254) && !(b[0] == 255 && b[1] == 255 && b[2] == 255 && b[3] == 255);
}
