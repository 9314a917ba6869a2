/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dns_pattern.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "fzconn/error.h"

/* ---- one pattern ---- */

/* The bracket that closes the class at p ("[" stands there); NULL = none does. The first member may itself be
 * a closing bracket. */
static const char *class_end(const char *p)
{
	p += p[1] == '!' ? 2 : 1;
	return *p ? strchr(p + 1, ']') : NULL;
}

/* The end of the label at p; every class is known to be closed. */
static const char *label_end(const char *p)
{
	for (; *p != '\0' && *p != '.'; p++)
		if (*p == '[')
			p = class_end(p);
	return p;
}

static bool is_any_labels(const char *p, const char *end)
{
	return end - p == 2 && p[0] == '*' && p[1] == '*';
}

static bool label_valid(const char *p, const char *end)
{
	if (p == end)
		return false;
	if (is_any_labels(p, end))
		return true;
	for (; p < end; p++) {
		if (*p == '[')
			p = class_end(p);
		else if (p[0] == '*' && p[1] == '*')
			return false;
	}
	return true;
}

static bool classes_closed(const char *p)
{
	for (; *p != '\0'; p++)
		if (*p == '[' && (p = class_end(p)) == NULL)
			return false;
	return true;
}

bool dns_pattern_valid(const char *pattern)
{
	const char *p = pattern, *end;

	if (strchr(pattern, '\\') != NULL || !classes_closed(pattern))
		return false;
	for (;; p = end + 1) {
		end = label_end(p);
		if (!label_valid(p, end))
			return false;
		if (*end == '\0')
			return true;
	}
}

static bool same_letter(uint8_t a, uint8_t b)
{
	return dns_lower(a) == dns_lower(b);
}

static bool is_letter(uint8_t c)
{
	c = dns_lower(c);
	return c >= 'a' && c <= 'z';
}

/* Members of a class: single characters and ranges. A range of letters of one case takes both cases. */
static bool in_class(const char *p, const char *end, uint8_t c)
{
	while (p < end) {
		uint8_t from = (uint8_t)p[0], to = from;

		if (end - p >= 3 && p[1] == '-') {
			to = (uint8_t)p[2];
			p += 2;
		}
		p++;
		if (from == to ? same_letter(from, c) : from <= c && c <= to)
			return true;
		if (is_letter(from) && is_letter(to) && dns_lower(from) <= dns_lower(c) &&
		    dns_lower(c) <= dns_lower(to) && (from < 'a') == (to < 'a'))
			return true;
	}
	return false;
}

/* Does the element at *at (no star) take this character? Moves behind the element if so. */
static bool element_takes(const char **at, uint8_t c)
{
	const char *p = *at, *end = p;
	bool takes;

	if (*p == '[') {
		bool negated = p[1] == '!';
		end = class_end(p);
		takes = in_class(p + 1 + negated, end, c) != negated;
	} else {
		takes = *p == '?' || same_letter((uint8_t)*p, c);
	}
	if (takes)
		*at = end + 1;
	return takes;
}

/* One label. Only the last star needs to be tried again: what an earlier one took would suit it as well. */
static bool label_matches(const char *p, const char *end, const uint8_t *label)
{
	const uint8_t *s = label + 1, *s_end = s + *label, *again = NULL;
	const char *star = NULL;

	while (s < s_end) {
		if (p < end && *p == '*') {
			star = ++p;
			again = s;
		} else if (p < end && element_takes(&p, *s)) {
			s++;
		} else if (star) {
			p = star;
			s = ++again;
		} else {
			return false;
		}
	}
	while (p < end && *p == '*')
		p++;
	return p == end;
}

static const char *next_label(const char *end)
{
	return *end == '.' ? end + 1 : end;
}

static bool labels_match(const char *p, const uint8_t *s)
{
	const uint8_t *again = NULL;
	const char *star = NULL;

	while (*s != 0) {
		const char *end = label_end(p);

		if (is_any_labels(p, end)) {
			if (*end == '\0')
				return true;
			star = p = end + 1;
			again = s;
		} else if (label_matches(p, end, s)) {
			p = next_label(end);
			s += 1 + *s;
		} else if (star) {
			p = star;
			s = again += 1 + *again;
		} else {
			return false;
		}
	}
	return *p == '\0';
}

/* "*.x" and x: the spelling counts. */
static bool is_apex(const char *p, const uint8_t *s)
{
	if (p[0] != '*' || p[1] != '.')
		return false;
	for (p += 2; *s != 0; p = next_label(p + *s), s += 1 + *s) {
		if (strlen(p) < *s || memcmp(p, s + 1, *s) != 0)
			return false;
		if (p[*s] != (s[1 + *s] == 0 ? '\0' : '.'))
			return false;
	}
	return *p == '\0';
}

/* Octets that would be taken for something else in the text of a name. */
static bool is_plain(const struct dns_name *name)
{
	for (const uint8_t *s = name->b; *s != 0; s += 1 + *s)
		for (uint8_t i = 1; i <= *s; i++)
			if (s[i] == '.' || s[i] == '/' || s[i] == '\\')
				return false;
	return true;
}

static bool valid_matches(const char *pattern, const struct dns_name *name)
{
	return labels_match(pattern, name->b) || is_apex(pattern, name->b);
}

bool dns_pattern_matches(const char *pattern, const struct dns_name *name)
{
	return dns_pattern_valid(pattern) && is_plain(name) && valid_matches(pattern, name);
}

/* Rank of a character in the order of patterns; 0 = the end. */
static int rank(const char *text, size_t left)
{
	uint8_t c = left > 0 ? (uint8_t)text[left - 1] : 0;

	if (left == 0)
		return 0;
	return c == '*' ? 258 : c == '?' ? 257 : 256 - c;
}

int dns_pattern_order(const char *a, const char *b)
{
	size_t x = strlen(a), y = strlen(b);

	while (x > 0 && y > 0 && a[x - 1] == b[y - 1]) {
		x--;
		y--;
	}
	return rank(a, x) - rank(b, y);
}

/* ---- many ---- */

struct entry {
	struct fz_map_link by_end, by_id;
	struct fz_uuid id;
	unsigned tag;
	char text[];
};

struct dns_patterns {
	const struct fz_env *env;
	struct fz_map by_end; /* the labels without wildcards at the end of the pattern, in lower case */
	struct fz_map by_id;
	size_t max;
};

int dns_patterns_new(const struct fz_env *env, size_t max, struct dns_patterns **ret)
{
	struct dns_patterns *p = fz_zalloc(env, sizeof(*p));

	if (p == NULL)
		return FZ_ERR_NOMEM;
	p->env = env;
	p->max = max;
	if (fz_map_init(&p->by_end, env, 16) != 0 || fz_map_init(&p->by_id, env, 16) != 0) {
		dns_patterns_free(p);
		return FZ_ERR_NOMEM;
	}
	*ret = p;
	return 0;
}

void dns_patterns_free(struct dns_patterns *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; p->by_id.buckets && i <= p->by_id.mask; i++) {
		for (struct fz_map_link *l = p->by_id.buckets[i], *next; l; l = next) {
			next = l->next;
			fz_free(p->env, fz_container(l, struct entry, by_id));
		}
	}
	fz_map_clear(&p->by_end, p->env);
	fz_map_clear(&p->by_id, p->env);
	fz_free(p->env, p);
}

size_t dns_patterns_count(const struct dns_patterns *p)
{
	return p->by_id.used;
}

/* FZ_ERR_WIRE: those labels are no part of a name. */
static int plain_end(const char *pattern, struct dns_name *ret)
{
	const char *from = pattern, *end;
	struct dns_name name = { .len = 1 };

	for (const char *p = pattern;; p = end + 1) {
		end = label_end(p);
		if (strcspn(p, "*?[") < (size_t)(end - p))
			from = end;
		if (*end == '\0')
			break;
	}
	from += *from == '.';
	if (*from != '\0' && dns_name_parse(from, &name) != 0)
		return FZ_ERR_WIRE;
	dns_name_fold(&name, ret);
	return 0;
}

static struct entry *find_id(const struct dns_patterns *p, const struct fz_uuid *id, uint64_t hash)
{
	for (struct fz_map_link *l = fz_map_first(&p->by_id, hash); l; l = fz_map_next(l)) {
		struct entry *e = fz_container(l, struct entry, by_id);
		if (fz_uuid_equal(&e->id, id))
			return e;
	}
	return NULL;
}

bool dns_patterns_remove(struct dns_patterns *p, const struct fz_uuid *id)
{
	struct entry *e = find_id(p, id, fz_map_hash(&p->by_id, id, sizeof(*id)));

	if (e == NULL)
		return false;
	fz_map_remove(&p->by_end, &e->by_end);
	fz_map_remove(&p->by_id, &e->by_id);
	fz_free(p->env, e);
	return true;
}

int dns_patterns_add(struct dns_patterns *p, const char *pattern, const struct fz_uuid *id, unsigned tag)
{
	size_t len = strlen(pattern) + 1;
	struct dns_name end;
	struct entry *e;

	dns_patterns_remove(p, id);
	if (!dns_pattern_valid(pattern) || plain_end(pattern, &end) != 0)
		return FZ_ERR_WIRE;
	if (p->by_id.used >= p->max)
		return FZ_ERR_FULL;
	e = fz_zalloc(p->env, sizeof(*e) + len);
	if (e == NULL)
		return FZ_ERR_NOMEM;
	e->id = *id;
	e->tag = tag;
	memcpy(e->text, pattern, len);
	fz_map_insert(&p->by_end, p->env, &e->by_end, fz_map_hash(&p->by_end, end.b, end.len));
	fz_map_insert(&p->by_id, p->env, &e->by_id, fz_map_hash(&p->by_id, id, sizeof(*id)));
	return 0;
}

static int entry_order(const struct entry *e, const struct dns_match *m)
{
	int order = dns_pattern_order(e->text, m->pattern);

	return order ? order : fz_uuid_compare(&m->id, &e->id);
}

/* Put it in its place among the cap best ones. */
static size_t keep(struct dns_match *v, size_t len, size_t cap, const struct entry *e)
{
	size_t at = len;

	while (at > 0 && entry_order(e, &v[at - 1]) < 0)
		at--;
	if (at == cap)
		return len;
	if (len < cap)
		len++;
	memmove(v + at + 1, v + at, (len - at - 1) * sizeof(*v));
	v[at] = (struct dns_match){ e->text, e->id, e->tag };
	return len;
}

size_t dns_patterns_find(const struct dns_patterns *p, const struct dns_name *name, struct dns_match *ret,
			 size_t cap)
{
	struct dns_name low;
	size_t len = 0;

	if (p->by_id.used == 0 || !is_plain(name))
		return 0;
	dns_name_fold(name, &low);
	for (size_t at = 0; at < low.len; at += 1u + low.b[at]) {
		uint64_t hash = fz_map_hash(&p->by_end, low.b + at, low.len - at);

		for (struct fz_map_link *l = fz_map_first(&p->by_end, hash); l; l = fz_map_next(l)) {
			const struct entry *e = fz_container(l, struct entry, by_end);
			if (valid_matches(e->text, name))
				len = keep(ret, len, cap, e);
		}
	}
	return len;
}
