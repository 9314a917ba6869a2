/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarding for a gateway: switches of the kernel, and a table of nf_tables that masquerades what comes from
 * the tunnel. The table belongs to our socket, so it is gone however the program ends; where the kernel
 * cannot do that, the next start takes the old one away. The switches stay as they are: others may have come
 * to rely on them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "platform/linux/lx.h"
#include "platform/linux/nftmsg.h"

#define CONF6 "/proc/sys/net/ipv6/conf"

/* What comes from here is masqueraded: the tunnel addresses of clients. */
static const struct fz_prefix sources[] = {
	{ { FZ_FAMILY_INET, { 100, 64 } }, 11 },
	{ { FZ_FAMILY_INET6, { 0xfd, 0x00, 0x20, 0x21, 0x11, 0x11 } }, 107 },
};

static const struct {
	const char *key, *path, *value;
} switches[] = {
	{ "net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward", "1" },
	{ "net.ipv4.conf.all.src_valid_mark", "/proc/sys/net/ipv4/conf/all/src_valid_mark", "1" },
	{ "net.ipv6.conf.all.disable_ipv6", CONF6 "/all/disable_ipv6", "0" },
	{ "net.ipv6.conf.default.forwarding", CONF6 "/default/forwarding", "1" },
	{ "net.ipv6.conf.all.forwarding", CONF6 "/all/forwarding", "1" },
};

static bool has_value(const char *path, const char *value)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool same;

	if (fd < 0)
		return false;
	same = read(fd, text, sizeof(text) - 1) > 0;
	close(fd);
	text[strcspn(text, "\n")] = '\0';
	return same && strcmp(text, value) == 0;
}

/* 1 = changed, 0 = it was so, negative = not allowed or not there. */
static int set_value(const char *path, const char *value)
{
	int fd, n;

	if (has_value(path, value))
		return 0;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = (int)write(fd, value, strlen(value));
	close(fd);
	return n > 0 ? 1 : -1;
}

/* A host that forwards no longer listens to router advertisements, unless it is told to: it would lose the
 * default route that it has from them. */
static void keep_advertisements(struct lx *lx)
{
	char accept[300], forwarding[300];
	DIR *dir = opendir(CONF6);
	struct dirent *e;

	while (dir && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.' || strcmp(e->d_name, "all") == 0 ||
		    strcmp(e->d_name, "default") == 0 || strcmp(e->d_name, "lo") == 0 ||
		    strcmp(e->d_name, lx->tun.name) == 0)
			continue;
		snprintf(accept, sizeof(accept), CONF6 "/%.200s/accept_ra", e->d_name);
		snprintf(forwarding, sizeof(forwarding), CONF6 "/%.200s/forwarding", e->d_name);
		if (has_value(accept, "1") && has_value(forwarding, "0") && set_value(accept, "2") > 0)
			fz_info(lx->env, "forward", "%s keeps listening to router advertisements", e->d_name);
	}
	if (dir)
		closedir(dir);
}

/* What the administrator has to do where we may not. */
static bool set_switches(struct lx *lx)
{
	bool good = true;

	if (!has_value(CONF6 "/all/forwarding", "1"))
		keep_advertisements(lx);
	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		bool six = strstr(switches[i].path, "ipv6") != NULL;
		int err;
		if (six && access(CONF6, F_OK) != 0)
			continue; /* a kernel without IPv6 */
		err = set_value(switches[i].path, switches[i].value);
		if (err > 0)
			fz_info(lx->env, "forward", "set %s=%s", switches[i].key, switches[i].value);
		if (err >= 0)
			continue;
		fz_warn(lx->env, "forward", "not allowed to do: sysctl -w %s=%s", switches[i].key,
			switches[i].value);
		good = false;
	}
	return good;
}

static const char *table_of(const struct lx *lx, char buf[LX_NAME_MAX + 4])
{
	snprintf(buf, LX_NAME_MAX + 4, "fz-%s", lx->tun.name);
	return buf;
}

static int add_rules(struct lx *lx, bool owned)
{
	char table[LX_NAME_MAX + 4];
	struct nft *n = lx->forward;

	nft_begin(n);
	nft_remove_table(n, table_of(lx, table));
	nft_add_table(n, table, owned);
	nft_add_nat_chain(n, table);
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		nft_add_masquerade(n, table, &sources[i], lx->tun.name);
	return nft_commit(n);
}

static void print_rules(struct lx *lx, int err)
{
	char table[LX_NAME_MAX + 4], net[FZ_PREFIX_STRLEN];

	fz_warn(lx->env, "forward",
		"masquerading cannot be set up (%s); without it resources do not find "
		"the way back, unless they have routes. What is to be done:",
		fz_strerror(err));
	fz_warn(lx->env, "forward", "nft add table inet %s", table_of(lx, table));
	fz_warn(lx->env, "forward",
		"nft add chain inet %s postrouting { type nat hook postrouting priority srcnat ';' }", table);
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		fz_warn(lx->env, "forward",
			"nft add rule inet %s postrouting %s saddr %s oifname != %s masquerade", table,
			sources[i].ip.family == FZ_FAMILY_INET ? "ip" : "ip6",
			fz_prefix_format(&sources[i], net), lx->tun.name);
}

/* A verdict of ours does not save a packet from another table that drops it. */
static void tell_of_drops(void *ctx, const struct nft_chain *c)
{
	static const char *const ways[] = { "iifname", "oifname" };
	struct lx *lx = ctx;

	fz_warn(lx->env, "forward",
		"the chain %s of table %s %s drops what it does not know; let the tunnel pass:", c->name,
		c->family, c->table);
	for (size_t i = 0; i < 2; i++)
		fz_warn(lx->env, "forward", "nft insert rule %s %s %s %s %s accept", c->family, c->table,
			c->name, ways[i], lx->tun.name);
}

static void stop(struct lx *lx)
{
	char table[LX_NAME_MAX + 4];

	if (lx->forward == NULL)
		return;
	nft_begin(lx->forward);
	nft_remove_table(lx->forward, table_of(lx, table));
	(void)nft_commit(lx->forward); /* an owned one goes with the socket anyway */
	nft_close(lx->forward);
	lx->forward = NULL;
}

static int masquerade(struct lx *lx)
{
	int err = nft_open(lx->env, &lx->forward);

	if (err == 0)
		err = add_rules(lx, true);
	if (err == FZ_ERR_UNSUPPORTED)
		err = add_rules(lx, false);
	if (err != 0) {
		nft_close(lx->forward);
		lx->forward = NULL;
	}
	return err;
}

int lx_forward(void *p, bool on)
{
	struct lx *lx = p;
	bool good;
	int err;

	stop(lx);
	if (!on)
		return 0;
	if (lx->tun.fd < 0)
		return FZ_ERR_STATE;
	if (if_nametoindex(lx->tun.name) != lx->tun.ifindex) /* it lives in another network namespace */
		return FZ_ERR_UNSUPPORTED;
	good = set_switches(lx);
	err = masquerade(lx);
	if (err != 0)
		print_rules(lx, err);
	else
		nft_each_dropping_forward(lx->forward, tell_of_drops, lx);
	return err ? err : good ? 0 : FZ_ERR_PERM;
}
