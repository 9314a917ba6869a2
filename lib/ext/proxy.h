/* SPDX-License-Identifier: Apache-2.0 */
/* Which proxy the environment names for a connection, by the rules that curl's users know: http_proxy, or
 * https_proxy and HTTPS_PROXY, then all_proxy and ALL_PROXY; no_proxy and NO_PROXY list exceptions. Known
 * here so that the proxy's name can be resolved before libcurl needs it. Adapter of libcurl's URL parser. */
#ifndef EXT_PROXY_H
#define EXT_PROXY_H

#include "fzconn/types.h"

struct proxy {
	char url[1024]; /* with a scheme that leaves names to the proxy, and a port */
	char host[256]; /* of the proxy; a literal without brackets; empty = the URL is malformed */
	uint16_t port;
};

/* False: connect directly; *ret is untouched. */
bool proxy_find(const char *host, bool tls, struct proxy *ret);

#endif
