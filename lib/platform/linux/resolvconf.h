/* SPDX-License-Identifier: Apache-2.0 */
/* The text of resolv.conf(5): its name servers, and the text that sends a system to other ones. Pure
 * functions; files are dnsctl_file.c's. */
#ifndef PLATFORM_LINUX_RESOLVCONF_H
#define PLATFORM_LINUX_RESOLVCONF_H

#include "fzconn/platform.h"

/* The first line of a file that a client wrote; Firezone's own program looks for the same. */
#define RESOLVCONF_MARK "# BEGIN Firezone DNS configuration"

enum { RESOLVCONF_MAX = 65536 }; /* bytes that are looked at */

struct resolvconf {
	struct fz_ip servers[FZ_DNS_SERVERS_MAX]; /* each once, in order; link-local ones need a zone and are
						   * left out */
	size_t servers_len;
	unsigned bad; /* name servers left out: no address, unusable, too many */
};

/* Any bytes will do; what makes no sense is skipped, as the C library does. */
void resolvconf_parse(const char *text, size_t len, struct resolvconf *ret);
/* A domain name as it may stand in the file? */
bool resolvconf_is_name(const char *text);
/* Did a client write this? */
bool resolvconf_is_ours(const char *text, size_t len);
/* The text that replaces `text` (which may be empty): `dns` instead of its servers, `search` (NULL = none)
 * instead of its search list, no minimum of dots; its other options stay. `backup` is where the comment says
 * that the old text went. Returns the length, FZ_ERR_NOSPACE, or FZ_ERR_INVAL when `search` is no name. */
int resolvconf_print(const char *text, size_t len, const struct fz_ip *dns, size_t dns_len,
		     const char *search, const char *backup, char *ret, size_t cap);

#endif
