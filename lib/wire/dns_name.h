/* SPDX-License-Identifier: Apache-2.0 */
/* Domain names (RFC 1035 sections 2.3 and 3.1): labels as on the wire, uncompressed, spelled as they came.
 * Names compare without regard to the case of ASCII letters (RFC 4343). */
#ifndef WIRE_DNS_NAME_H
#define WIRE_DNS_NAME_H

#include "base/rd.h"
#include "fzconn/addr.h"

#define DNS_NAME_MAX 255 /* octets on the wire, the root's zero included */
#define DNS_LABEL_MAX 63
#define DNS_NAME_STRLEN 1010 /* longest text with its NUL: 252 octets as \DDD, and dots */

/* len counts the root's zero octet: 1 is the root, 0 no name at all. */
struct dns_name {
	uint8_t len;
	uint8_t b[DNS_NAME_MAX];
};

/* The name at the cursor, which then stands behind it. Compression pointers lead backwards in msg, which is
 * the whole message, and each one before the last: no loop is possible. false: malformed, the cursor is bad.
 */
bool dns_name_read(struct fz_rd *r, const uint8_t *msg, struct dns_name *ret);
/* "db.example.com", with or without a dot at the end; "\." and "\DDD" are octets. FZ_ERR_WIRE. */
int dns_name_parse(const char *text, struct dns_name *ret);
/* Text without a dot at the end; "." is the root. Space, dot and backslash inside of labels get a backslash,
 * other octets that do not print are written as \DDD. */
const char *dns_name_format(const struct dns_name *n, char buf[DNS_NAME_STRLEN]);
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
/* Lower case, for hashing; the same length. */
void dns_name_fold(const struct dns_name *n, struct dns_name *ret);

static inline uint8_t dns_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* The address that a reverse name under in-addr.arpa or ip6.arpa stands for (RFC 1035 section 3.5, RFC 3596
 * section 2.5): complete names only, and the labels of the suffix in lower case. */
bool dns_name_to_ip(const struct dns_name *n, struct fz_ip *ret);
void dns_name_from_ip(const struct fz_ip *ip, struct dns_name *ret);

#endif
