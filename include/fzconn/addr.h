/* SPDX-License-Identifier: Apache-2.0 */
/** @file addr.h
 *  IP addresses, transport addresses and prefixes as plain values, without system headers. */
#ifndef FZCONN_ADDR_H
#define FZCONN_ADDR_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Address family; the value is the IP version. */
enum fz_family {
	FZ_FAMILY_NONE = 0, /**< no address */
	FZ_FAMILY_INET = 4, /**< IPv4 */
	FZ_FAMILY_INET6 = 6 /**< IPv6 */
};

/** An IPv4 or IPv6 address. Unused bytes are zero, so two equal addresses are equal byte by byte. */
struct fz_ip {
	uint8_t family; /**< enum fz_family; ::FZ_FAMILY_NONE = unset */
	uint8_t b[16]; /**< network byte order; IPv4 in the first four */
};

/** A transport address: IP address and port. */
struct fz_addr {
	struct fz_ip ip; /**< the host */
	uint8_t reserved; /**< zero */
	uint16_t port; /**< host byte order */
};

/** A network: address with host bits zero, and prefix length. */
struct fz_prefix {
	struct fz_ip ip; /**< its lowest address */
	uint8_t len; /**< bits, at most 32 or 128 */
};

#define FZ_IP_STRLEN 46 /**< longest IP text with its NUL */
#define FZ_ADDR_STRLEN 54 /**< longest "[ip]:port" text with its NUL */
#define FZ_PREFIX_STRLEN 50 /**< longest "ip/len" text with its NUL */

/** Parse a bare IPv4 or IPv6 literal (no brackets, no zone, no port).
 *  @retval FZ_ERR_INVAL  not an address; @p ret untouched */
FZ_API FZ_MUST_CHECK int fz_ip_parse(const char *text, struct fz_ip *ret);
/** Parse "a.b.c.d:port" or "[v6]:port".
 *  @retval FZ_ERR_INVAL  not a transport address; @p ret untouched */
FZ_API FZ_MUST_CHECK int fz_addr_parse(const char *text, struct fz_addr *ret);
/** Parse "ip/len"; host bits must be zero and the length must be present.
 *  @retval FZ_ERR_INVAL  not a network; @p ret untouched */
FZ_API FZ_MUST_CHECK int fz_prefix_parse(const char *text, struct fz_prefix *ret);

/** Write the RFC 5952 text of @p ip; returns @p buf. "-" for an unset address. */
FZ_API const char *fz_ip_format(const struct fz_ip *ip, char buf[FZ_IP_STRLEN]);
/** Write "ip:port", IPv6 in brackets; returns @p buf. */
FZ_API const char *fz_addr_format(const struct fz_addr *addr, char buf[FZ_ADDR_STRLEN]);
/** Write "ip/len"; returns @p buf. */
FZ_API const char *fz_prefix_format(const struct fz_prefix *net, char buf[FZ_PREFIX_STRLEN]);

/** Same family and bytes. */
FZ_API bool fz_ip_equal(const struct fz_ip *a, const struct fz_ip *b);
/** Same IP and port. */
FZ_API bool fz_addr_equal(const struct fz_addr *a, const struct fz_addr *b);
/** Total order: IPv4 before IPv6, then bytes, then port. Negative, 0, positive. */
FZ_API int fz_addr_compare(const struct fz_addr *a, const struct fz_addr *b);
/** Is @p ip inside @p net? Different families: no. */
FZ_API bool fz_prefix_contains(const struct fz_prefix *net, const struct fz_ip *ip);

#ifdef __cplusplus
}
#endif
#endif
