/* SPDX-License-Identifier: Apache-2.0 */
/* Where and as whom a device connects: portal URL, request target, device id, user agent. */
#ifndef WIRE_PORTAL_URL_H
#define WIRE_PORTAL_URL_H

#include "base/secret.h"
#include "fzconn/env.h"
#include "wire/portal_events.h"

/* A configured portal URL, taken apart. User info, query and fragment are of no use and left out. */
struct portal_url {
	char host[254]; /* without brackets */
	uint16_t port;
	bool tls;
	bool is_ipv6; /* host is an IPv6 literal */
	char path[512]; /* "" or "/base": what the socket's path is appended to */
};

/* Schemes: ws and http are plain, wss and https use TLS. Without a port it is 443, for the plain schemes too:
 * where a scheme's default port is written out, it counts as not written, as URL parsers have it.
 * FZ_ERR_INVAL, with static text in *ret_reason. */
int portal_url_parse(const char *text, struct portal_url *ret, const char **ret_reason);

#define PORTAL_PARAM_MAX 255 /* bytes of external_id, name, serial and uuid */

struct portal_login {
	const char *external_id; /* as it goes out: see portal_device_id() */
	const char *name;
	const char *device_serial, *device_uuid; /* NULL = unknown */
};
/* Path and query of the upgrade request; free with fz_free(). NULL without memory. */
char *portal_target(const struct fz_env *env, const struct portal_url *url, enum portal_role role,
		    const struct portal_login *login, const struct fz_key *public_key);

/* The id that a configured one stands for: the SHA-256 in hex of one that reads as a UUID in any spelling,
 * everything else as it is. FZ_ERR_INVAL: longer than PORTAL_PARAM_MAX. */
int portal_device_id(const char *configured, char ret[PORTAL_PARAM_MAX + 1]);
/* The id of a machine that has none stored: from the content of /etc/machine-id with its line end. */
int portal_device_id_of_machine(enum portal_role role, const void *machine_id, size_t len, char ret[65]);

/* "Debian/12.0.0 gateway/1.6.1 (x86_64; 6.1.0)"; arch and kernel may be NULL. What HTTP cannot carry is left
 * out. FZ_ERR_NOSPACE. */
struct portal_agent {
	const char *os, *os_version; /* "Debian", "12.0.0" */
	const char *component,
		*version; /* "headless-client" or "gateway"; three numbers, the second above 0 */
	const char *arch, *kernel;
};
int portal_user_agent(const struct portal_agent *agent, char *ret, size_t cap);

#endif
