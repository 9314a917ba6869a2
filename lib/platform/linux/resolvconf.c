/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/linux/resolvconf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "fzconn/error.h"

enum { NAME_MAX_LEN = 253 };

/* A part of the text. */
struct span {
	const char *at, *end;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next line without its end; false at the end of the text. */
static bool take_line(struct span *text, struct span *ret)
{
	if (text->at == text->end)
		return false;
	const char *end = memchr(text->at, '\n', (size_t)(text->end - text->at));
	*ret = (struct span){ text->at, end ? end : text->end };
	text->at = end ? end + 1 : text->end;
	return true;
}

/* The next word of a line; false when only a comment or nothing is left. */
static bool take_word(struct span *line, struct span *ret)
{
	while (line->at < line->end && is_blank(*line->at))
		line->at++;
	if (line->at == line->end || *line->at == '#' || *line->at == ';')
		return false;
	ret->at = line->at;
	while (line->at < line->end && !is_blank(*line->at))
		line->at++;
	ret->end = line->at;
	return true;
}

static bool is_word(const struct span *word, const char *want)
{
	size_t len = (size_t)(word->end - word->at);

	return len == strlen(want) && memcmp(word->at, want, len) == 0;
}

static bool starts_with(const struct span *word, const char *want)
{
	size_t len = strlen(want);

	return (size_t)(word->end - word->at) >= len && memcmp(word->at, want, len) == 0;
}

/* Nobody can be asked at such an address. */
static bool is_unusable(const struct fz_ip *ip)
{
	static const uint8_t zero[16];

	return fz_ip_is_multicast(ip) || memcmp(ip->b, zero, sizeof(zero)) == 0 ||
	       (ip->family == FZ_FAMILY_INET6 && ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80);
}

static void add_server(struct resolvconf *r, const struct span *word)
{
	char text[FZ_IP_STRLEN];
	size_t len = (size_t)(word->end - word->at);
	struct fz_ip ip;

	r->bad++;
	if (len >= sizeof(text))
		return;
	memcpy(text, word->at, len);
	text[len] = '\0';
	if (strlen(text) != len || fz_ip_parse(text, &ip) != 0 || is_unusable(&ip))
		return;
	for (size_t i = 0; i < r->servers_len; i++) {
		if (fz_ip_equal(&r->servers[i], &ip)) {
			r->bad--;
			return;
		}
	}
	if (r->servers_len == FZ_DNS_SERVERS_MAX)
		return;
	r->servers[r->servers_len++] = ip;
	r->bad--;
}

void resolvconf_parse(const char *text, size_t len, struct resolvconf *ret)
{
	struct span all = { text, text + len }, line, word;

	memset(ret, 0, sizeof(*ret));
	while (take_line(&all, &line))
		if (take_word(&line, &word) && is_word(&word, "nameserver") && take_word(&line, &word))
			add_server(ret, &word);
}

bool resolvconf_is_ours(const char *text, size_t len)
{
	size_t n = strlen(RESOLVCONF_MARK);

	return len >= n && memcmp(text, RESOLVCONF_MARK, n) == 0;
}

/* ---- the other way ---- */

struct out {
	char *at;
	size_t len, cap;
	bool full;
};

static void put(struct out *o, const char *fmt, ...) FZ_PRINTF(2, 3);
static void put(struct out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(o->at + o->len, o->cap - o->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= o->cap - o->len)
		o->full = true;
	else
		o->len += (size_t)n;
}

/* It goes into a file that everybody reads: nothing but a name may come out of it. */
bool resolvconf_is_name(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > NAME_MAX_LEN)
		return false;
	for (; *text; text++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", *text))
			return false;
	return true;
}

/* Each option gets a line of its own. */
static void put_options(struct out *o, struct span line)
{
	struct span word;

	while (take_word(&line, &word))
		if (!starts_with(&word, "ndots:"))
			put(o, "options %.*s\n", (int)(word.end - word.at), word.at);
}

/* The lines that stay: the domain, or the others. */
static void put_kept(struct out *o, const char *text, size_t len, bool domain)
{
	struct span all = { text, text + len }, line, word;

	while (take_line(&all, &line)) {
		struct span rest = line;
		if (memchr(line.at, '\0', (size_t)(line.end - line.at)) || !take_word(&rest, &word))
			continue;
		if (domain ? is_word(&word, "domain")
			   : is_word(&word, "sortlist") || is_word(&word, "lookup") ||
				     is_word(&word, "family"))
			put(o, "%.*s\n", (int)(line.end - word.at), word.at);
		else if (!domain && is_word(&word, "options"))
			put_options(o, rest);
	}
}

int resolvconf_print(const char *text, size_t len, const struct fz_ip *dns, size_t dns_len,
		     const char *search, const char *backup, char *ret, size_t cap)
{
	struct out o = { .at = ret, .cap = cap };
	char ip[FZ_IP_STRLEN];

	if (search && !resolvconf_is_name(search))
		return FZ_ERR_INVAL;
	if (text == NULL)
		text = ""; /* there was no file */
	put(&o,
	    RESOLVCONF_MARK "\n"
			    "# The Firezone client wrote this file and puts the old one back when it ends.\n"
			    "# Do not edit it: changes made here while the client runs are lost.\n"
			    "# The old file is kept here meanwhile:\n"
			    "# %s\n",
	    backup);
	for (size_t i = 0; i < dns_len; i++)
		put(&o, "nameserver %s\n", fz_ip_format(&dns[i], ip));
	put_kept(&o, text, len, true); /* the later one of domain and search wins */
	if (search)
		put(&o, "search %s\n", search);
	put_kept(&o, text, len, false);
	put(&o, "\n");
	return o.full ? FZ_ERR_NOSPACE : (int)o.len;
}
