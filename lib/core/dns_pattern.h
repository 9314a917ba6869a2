/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of domain names, as DNS resources and dynamic device pools have them:
 *   ?       one character of a label
 *   *       any characters of one label, or none
 *   **      any labels, or none; at the end of a longer pattern at least one
 *   [a-z] [!x]  one character (not) in the class
 *   *.x     also matches x itself, spelled exactly so
 * Letters match in either case. A pattern that breaks these rules ("**x", "***", "[a") never matches, and
 * neither does any pattern a name with a dot, slash or backslash inside a label. The root matches nothing. */
#ifndef CORE_DNS_PATTERN_H
#define CORE_DNS_PATTERN_H

#include "base/text.h"
#include "fzconn/env.h"
#include "wire/dns_name.h"

bool dns_pattern_valid(const char *pattern);
/* Time is bounded by the product of both lengths. */
bool dns_pattern_matches(const char *pattern, const struct dns_name *name);
/* Negative: a is more specific than b; 0: the same text. Decided by the characters from the end: an end comes
 * before an ordinary character, greater characters before smaller ones, and wildcards last. */
int dns_pattern_order(const char *a, const char *b);

/* Many patterns, each of one resource. A lookup costs a hash per label of the name, and touches only patterns
 * whose labels without wildcards at the end are those of the name. */
struct dns_patterns;

struct dns_match {
	const char *pattern; /* borrowed until the pattern is removed */
	struct fz_uuid id; /* of the resource */
	unsigned tag; /* of the caller */
};

int dns_patterns_new(const struct fz_env *env, size_t max, struct dns_patterns **ret);
void dns_patterns_free(struct dns_patterns *p);
size_t dns_patterns_count(const struct dns_patterns *p);
/* Replaces the pattern of the same resource. FZ_ERR_WIRE: not valid, it would never match. FZ_ERR_FULL,
 * FZ_ERR_NOMEM. After an error the resource has no pattern. */
int dns_patterns_add(struct dns_patterns *p, const char *pattern, const struct fz_uuid *id, unsigned tag);
/* false = there was none. */
bool dns_patterns_remove(struct dns_patterns *p, const struct fz_uuid *id);
/* All that match, the most specific first, then the greater resource id; the first cap of them. */
size_t dns_patterns_find(const struct dns_patterns *p, const struct dns_name *name, struct dns_match *ret,
			 size_t cap);

#endif
