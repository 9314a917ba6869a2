/* SPDX-License-Identifier: Apache-2.0 */
/* The system's name servers. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "platform/linux/lx.h"
#include "platform/linux/resolvconf.h"

#define RESOLV_CONF "/etc/resolv.conf"

size_t lx_dns_servers(void *p, struct fz_ip *ret, size_t cap)
{
	struct lx *lx = p;
	struct resolvconf conf;
	char *text = fz_zalloc(lx->env, RESOLVCONF_MAX);
	int fd = open(RESOLV_CONF, O_RDONLY | O_CLOEXEC);
	ssize_t len = -1;
	size_t n = 0;

	if (text && fd >= 0)
		len = read(fd, text, RESOLVCONF_MAX);
	if (len >= 0) {
		resolvconf_parse(text, (size_t)len, &conf);
		lx->stats.dns_servers_bad += conf.bad;
		n = conf.servers_len < cap ? conf.servers_len : cap;
		if (n)
			memcpy(ret, conf.servers, n * sizeof(*ret));
	} else {
		lx->stats.dns_control_failed++;
	}
	if (fd >= 0)
		close(fd);
	fz_free(lx->env, text);
	return n;
}

void lx_dns_flush(void *p)
{
	(void)p;
}
