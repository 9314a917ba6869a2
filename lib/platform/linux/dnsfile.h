/* SPDX-License-Identifier: Apache-2.0 */
/* DNS control by /etc/resolv.conf: the file is replaced whole, and the old one, be it a file or a link, waits
 * beside it under another name. The files are the only state, so that whoever comes after a crash can go on.
 */
#ifndef PLATFORM_LINUX_DNSFILE_H
#define PLATFORM_LINUX_DNSFILE_H

#include "fzconn/env.h"
#include "platform/linux/resolvconf.h"

#define DNSFILE_PATH "/etc/resolv.conf"
#define DNSFILE_BACKUP DNSFILE_PATH ".before-firezone"

/* A whole file of at most RESOLVCONF_MAX bytes; what is longer is cut. Free *ret. FZ_ERR_NOT_FOUND,
 * FZ_ERR_IO: there, but it cannot be read. */
int dnsfile_load(const struct fz_env *env, const char *path, char **ret, size_t *ret_len);
/* Send the system to these servers. Called again it repairs what others did to the file; what they wrote is
 * the old file from then on. 1 = had to write, 0 = all was well, or a negative enum fz_err. */
int dnsfile_set(const struct fz_env *env, const struct fz_ip *dns, size_t dns_len, const char *search);
/* Put the old file back, unless others have replaced ours. Does nothing when nothing was set. */
int dnsfile_restore(const struct fz_env *env);

#endif
