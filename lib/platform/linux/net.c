/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, routes and policy rules of the tunnel interface. Three tables and one rule for each: whoever is
 * not marked as our own socket looks them up before the main table. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "platform/linux/lx.h"
#include "platform/linux/netmsg.h"
#include "platform/linux/routes.h"

enum { QUEUE_LEN = 10000, ADDRS_MAX = 32, ROUTES_MAX = 1 << 17, LINK_ROUTES_MAX = 4096, OPERSTATE_UP = 6 };

struct lx_net {
	struct nl_sock *sk; /* in the network namespace of the device; NULL: we may not enter that */
	uint32_t ifindex; /* 0 = no device */
	bool foreign; /* the device lives in another namespace */
	bool rules[2]; /* added, IPv4 and IPv6 */
	struct netmsg_route *routes; /* added, normalised */
	size_t routes_len;
	bool internet[2]; /* the default route is among them */
};

struct list { /* routes collected from a dump */
	const struct fz_env *env;
	struct netmsg_route *at;
	size_t n, cap;
	uint32_t table, own;
	bool failed;
};

static const uint8_t families[2] = { FZ_FAMILY_INET, FZ_FAMILY_INET6 };
static const struct {
	uint32_t table, priority;
} rules[] = { { LX_TABLE_USER, 100 }, { LX_TABLE_LINK, 200 }, { LX_TABLE_INTERNET, 300 } };

static bool uses_policy(const struct lx *lx)
{
	return !lx->opts.no_policy && !lx->net->foreign;
}

bool lx_net_has_policy(const struct lx *lx)
{
	return lx->net != NULL && (lx->net->rules[0] || lx->net->rules[1]);
}

/* Namespace of the device when it is another one than ours; -1 = ours, or nobody can tell. */
static int foreign_namespace(int tun_fd)
{
	struct stat theirs, ours;
	int ns = ioctl(tun_fd, TUNGETDEVNETNS);

	if (ns < 0)
		return -1;
	if (fstat(ns, &theirs) < 0 || stat("/proc/thread-self/ns/net", &ours) < 0 ||
	    (theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev)) {
		close(ns);
		return -1;
	}
	return ns;
}

/* A socket stays in the namespace it was made in: step over, make it, step back. */
static int open_in(int ns, struct nl_sock **ret)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), err = FZ_ERR_PERM;

	if (home >= 0 && setns(ns, CLONE_NEWNET) == 0) {
		err = netsock_open(ret);
		if (setns(home, CLONE_NEWNET) < 0 && err == 0) {
			netsock_close(*ret);
			*ret = NULL;
			err = FZ_ERR_IO;
		}
	}
	if (home >= 0)
		close(home);
	return err;
}

static void collect(void *ctx, struct nlmsghdr *msg)
{
	struct list *l = ctx;
	struct netmsg_info i;

	if (!netmsg_parse(msg, &i) || i.type != RTM_NEWROUTE || i.table != l->table)
		return;
	if (fz_grow(l->env, &l->at, &l->cap, l->n, sizeof(*l->at), ROUTES_MAX) < 0) {
		l->failed = true;
		return;
	}
	l->at[l->n++] = (struct netmsg_route){ .dst = i.dst,
					       .src = i.src,
					       .table = i.table,
					       .oif = i.ifindex,
					       .metric = i.metric,
					       .scope_link = i.scope == RT_SCOPE_LINK };
}

/* All routes of a table; the list is empty when there is no such table. Free list->at. */
static int list_table(struct lx *lx, uint8_t family, uint32_t table, struct list *ret)
{
	*ret = (struct list){ .env = lx->env, .table = table };
	int err = netsock_ask(lx->net->sk, netmsg_routes(family, table), collect, ret);
	return err == FZ_ERR_NOT_FOUND ? 0 : err;
}

static bool table_is_empty(struct lx *lx, uint32_t table)
{
	bool empty = true;

	for (int f = 0; f < 2; f++) {
		struct list l;
		if (list_table(lx, families[f], table, &l) < 0 || l.n > 0)
			empty = false;
		fz_free(lx->env, l.at);
	}
	return empty;
}

static void del_route(void *ctx, const struct netmsg_route *r)
{
	struct lx *lx = ctx;
	int err = netsock_do(lx->net->sk, netmsg_route(NETMSG_DEL, r));

	if (err && err != FZ_ERR_NOT_FOUND)
		fz_warn(lx->env, "net", "cannot remove a route: %s", fz_strerror(err));
}

static void add_route(void *ctx, const struct netmsg_route *r)
{
	struct lx *lx = ctx;
	char text[FZ_PREFIX_STRLEN];
	int err = netsock_do(lx->net->sk, netmsg_route(NETMSG_ADD, r));

	if (err && err != FZ_ERR_STATE) {
		fz_warn(lx->env, "net", "cannot add a route: %s", fz_strerror(err));
		fz_debug(lx->env, "net", "the route is %s", fz_prefix_format(&r->dst, text));
	}
}

static void del_rules(struct lx *lx, int f)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		(void)netsock_do(lx->net->sk, netmsg_rule(NETMSG_DEL, families[f], LX_MARK, rules[i].table,
							  rules[i].priority));
	lx->net->rules[f] = false;
}

static void add_rules(struct lx *lx, int f)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		int err = netsock_do(lx->net->sk, netmsg_rule(NETMSG_ADD, families[f], LX_MARK,
							      rules[i].table, rules[i].priority));
		if (err && err != FZ_ERR_STATE)
			fz_warn(lx->env, "net", "cannot add an IPv%u rule: %s", families[f],
				fz_strerror(err));
	}
	lx->net->rules[f] = true;
}

/* The tables and rules are shared with other programs of this kind on the host: while one of them has routes
 * there, only ours go. A killed program leaves rules and copies of connected networks: this removes those
 * too. */
static void clean_tables(struct lx *lx)
{
	if (!table_is_empty(lx, LX_TABLE_USER) || !table_is_empty(lx, LX_TABLE_INTERNET))
		return;
	for (int f = 0; f < 2; f++) {
		struct list l;
		if (list_table(lx, families[f], LX_TABLE_LINK, &l) == 0)
			for (size_t i = 0; i < l.n; i++)
				del_route(lx, &l.at[i]);
		fz_free(lx->env, l.at);
		del_rules(lx, f);
	}
}

static void read_link(void *ctx, struct nlmsghdr *msg)
{
	struct netmsg_info *ret = ctx, i;

	if (netmsg_parse(msg, &i) && i.type == RTM_NEWLINK)
		*ret = i;
}

static bool host_forwards(void)
{
	static const char *const switches[] = { "/proc/sys/net/ipv4/ip_forward",
						"/proc/sys/net/ipv6/conf/all/forwarding" };
	bool yes = false;

	for (size_t i = 0; i < sizeof(switches) / sizeof(*switches); i++) {
		char on = '0';
		int fd = open(switches[i], O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, &on, 1) == 1)
			yes |= on != '0';
		if (fd >= 0)
			close(fd);
	}
	return yes;
}

/* Super-packets of the local stack as large as one batch of datagrams, so that each leaves by one system
 * call. Not where packets are forwarded: larger ones from elsewhere would be cut by the kernel before we see
 * them. */
static void fit_super_packets(struct lx *lx)
{
	uint32_t segs = (FZ_SUPER_MAX - 68) / (lx->tun.mtu + FZ_DATAGRAM_MAX - FZ_TUNNEL_MTU);
	int err;

	if (lx->opts.no_offload || host_forwards())
		return;
	err = netsock_do(lx->net->sk, netmsg_link_gso_segs(lx->net->ifindex, segs));
	if (err)
		fz_debug(lx->env, "net", "cannot set the size of super-packets: %s", fz_strerror(err));
}

static void prepare_link(struct lx *lx)
{
	struct lx_net *net = lx->net;
	int err = netsock_do(net->sk, netmsg_link_no_autoconf(net->ifindex));

	if (err) /* no IPv6 on this host */
		fz_debug(lx->env, "net", "cannot set address generation: %s", fz_strerror(err));
	err = netsock_do(net->sk, netmsg_link_sizes(net->ifindex, lx->tun.mtu, 0));
	if (err)
		fz_warn(lx->env, "net", "cannot set the MTU: %s", fz_strerror(err));
	err = netsock_do(net->sk, netmsg_link_sizes(net->ifindex, 0, QUEUE_LEN));
	if (err)
		fz_warn(lx->env, "net", "cannot set the queue length: %s", fz_strerror(err));
	fit_super_packets(lx);
}

static int open_socket(struct lx *lx, struct lx_net *net)
{
	int ns = foreign_namespace(lx->tun.fd), err;

	if (net->sk != NULL && (ns >= 0 || net->foreign)) {
		netsock_close(net->sk);
		net->sk = NULL;
	}
	net->foreign = ns >= 0;
	if (ns < 0)
		return net->sk ? 0 : netsock_open(&net->sk);
	err = open_in(ns, &net->sk);
	close(ns);
	if (err == FZ_ERR_PERM) {
		fz_info(lx->env, "net",
			"the device is in a namespace that we may not enter: its maker configures it");
		return 0;
	}
	return err;
}

int lx_net_open(struct lx *lx)
{
	struct netmsg_info link = { 0 };
	int err;

	if (lx->net == NULL)
		lx->net = fz_zalloc(lx->env, sizeof(*lx->net));
	if (lx->net == NULL)
		return FZ_ERR_NOMEM;
	err = open_socket(lx, lx->net);
	if (err || lx->net->sk == NULL)
		return err;
	err = netsock_ask(lx->net->sk, netmsg_link(0, lx->tun.name), read_link, &link);
	if (err || link.ifindex == 0) {
		fz_warn(lx->env, "net", "cannot find interface %s: %s", lx->tun.name, fz_strerror(err));
		return err ? err : FZ_ERR_NOT_FOUND;
	}
	lx->net->ifindex = link.ifindex;
	if (!lx->net->foreign) {
		lx->tun.ifindex = link.ifindex;
		clean_tables(lx);
		lx_dns_recover(lx);
	}
	prepare_link(lx);
	return 0;
}

static void forget_routes(struct lx *lx)
{
	fz_free(lx->env, lx->net->routes);
	lx->net->routes = NULL;
	lx->net->routes_len = 0;
	lx->net->internet[0] = lx->net->internet[1] = false;
}

void lx_net_close(struct lx *lx)
{
	if (lx->net == NULL)
		return;
	lx->net->ifindex = 0; /* routes and addresses go with the device */
	forget_routes(lx);
}

void lx_net_free(struct lx *lx)
{
	if (lx->net == NULL)
		return;
	lx_net_close(lx);
	netsock_close(lx->net->sk);
	fz_free(lx->env, lx->net);
	lx->net = NULL;
}

struct addrs {
	struct fz_ip at[ADDRS_MAX];
	size_t n;
	uint32_t ifindex;
};

static void collect_addr(void *ctx, struct nlmsghdr *msg)
{
	struct addrs *a = ctx;
	struct netmsg_info i;

	if (netmsg_parse(msg, &i) && i.type == RTM_NEWADDR && i.ifindex == a->ifindex && a->n < ADDRS_MAX)
		a->at[a->n++] = i.dst.ip;
}

/* Remove the addresses of the interface, those in `keep` apart. */
static int del_addrs(struct lx *lx, const struct fz_ip keep[2])
{
	struct addrs now = { .ifindex = lx->net->ifindex };
	int err = netsock_ask(lx->net->sk, netmsg_addrs(), collect_addr, &now);

	for (size_t i = 0; err == 0 && i < now.n; i++)
		if (keep == NULL ||
		    (!fz_ip_equal(&now.at[i], &keep[0]) && !fz_ip_equal(&now.at[i], &keep[1])))
			(void)netsock_do(lx->net->sk, netmsg_addr(NETMSG_DEL, &now.at[i], lx->net->ifindex));
	return err;
}

/* Set both addresses; have[] tells which families are on afterwards. The error of the last one that failed
 * when none is. */
static int set_addrs(struct lx *lx, const struct fz_ip want[2], bool have[2])
{
	int err = del_addrs(lx, want), failed = 0;

	if (err)
		return err;
	have[0] = have[1] = false;
	for (int f = 0; f < 2; f++) {
		if (want[f].family == FZ_FAMILY_NONE)
			continue;
		err = netsock_do(lx->net->sk, netmsg_addr(NETMSG_ADD, &want[f], lx->net->ifindex));
		have[f] = err == 0 || err == FZ_ERR_STATE;
		if (!have[f]) {
			failed = err;
			fz_warn(lx->env, "net", "no IPv%u in the tunnel: %s", families[f], fz_strerror(err));
		}
	}
	return have[0] || have[1] ? 0 : failed;
}

/* The wanted routes as they will be in the kernel, normalised; NULL without memory. */
static struct netmsg_route *wanted_routes(struct lx *lx, const struct fz_netcfg *cfg, const bool have[2],
					  size_t *ret_n)
{
	struct netmsg_route *set = fz_calloc(lx->env, cfg->routes_len + 1, sizeof(*set));
	size_t n = 0;

	if (set == NULL)
		return NULL;
	for (size_t i = 0; i < cfg->routes_len; i++) {
		const struct fz_prefix *dst = &cfg->routes[i];
		uint32_t table = !uses_policy(lx) ? RT_TABLE_MAIN
				 : dst->len == 0  ? LX_TABLE_INTERNET
						  : LX_TABLE_USER;
		if (have[dst->ip.family == FZ_FAMILY_INET6])
			set[n++] =
				(struct netmsg_route){ .dst = *dst, .table = table, .oif = lx->net->ifindex };
	}
	*ret_n = routes_normalise(set, n);
	return set;
}

static int set_routes(struct lx *lx, const struct fz_netcfg *cfg, const bool have[2])
{
	struct lx_net *net = lx->net;
	size_t n = 0;
	struct netmsg_route *set = wanted_routes(lx, cfg, have, &n);

	if (set == NULL)
		return FZ_ERR_NOMEM;
	routes_minus(net->routes, net->routes_len, set, n, del_route, lx);
	forget_routes(lx);
	for (size_t i = 0; i < n; i++) { /* all of them: someone may have removed an old one */
		add_route(lx, &set[i]);
		if (set[i].dst.len == 0)
			net->internet[set[i].dst.ip.family == FZ_FAMILY_INET6] = true;
	}
	net->routes = set;
	net->routes_len = n;
	return 0;
}

int lx_net_apply(void *p, const struct fz_netcfg *cfg)
{
	struct lx *lx = p;
	struct lx_net *net = lx->net;
	const struct fz_ip want[2] = { cfg->ipv4, cfg->ipv6 };
	bool have[2];
	int err;

	if (lx->tun.fd < 0 || lx->tun_dead || net == NULL)
		return FZ_ERR_STATE;
	if (cfg->routes_len > ROUTES_MAX || cfg->dns_len > FZ_DNS_SERVERS_MAX)
		return FZ_ERR_INVAL;
	if (net->sk == NULL)
		return 0;
	err = set_addrs(lx, want, have);
	if (err)
		return err;
	err = netsock_do(net->sk, netmsg_link_up(net->ifindex, true));
	if (err) {
		fz_warn(lx->env, "net", "cannot set the interface up: %s", fz_strerror(err));
		return err;
	}
	for (int f = 0; f < 2 && uses_policy(lx); f++) {
		if (have[f])
			add_rules(lx, f);
		else if (net->rules[f])
			del_rules(lx, f);
	}
	err = set_routes(lx, cfg, have);
	if (!net->foreign)
		lx_dns_apply(lx, cfg);
	lx_net_sync_links(lx);
	return err;
}

void lx_net_clear(void *p)
{
	struct lx *lx = p;
	struct lx_net *net = lx->net;

	lx_dns_clear(lx);
	if (net == NULL || net->sk == NULL)
		return;
	if (net->ifindex != 0 && !lx->tun_dead) {
		for (size_t i = 0; i < net->routes_len; i++)
			del_route(lx, &net->routes[i]);
		(void)del_addrs(lx, NULL);
		(void)netsock_do(net->sk, netmsg_link_up(net->ifindex, false));
	}
	forget_routes(lx);
	if (lx_net_has_policy(lx))
		clean_tables(lx);
	net->rules[0] = net->rules[1] = false;
}

/* A directly connected network, as the main table has it? */
static bool is_connected(const struct netmsg_route *r, uint8_t family)
{
	if (r->dst.len == 0)
		return false;
	if (family == FZ_FAMILY_INET)
		return r->scope_link;
	return r->dst.ip.b[0] != 0xff && !(r->dst.ip.b[0] == 0xfe && (r->dst.ip.b[1] & 0xc0) == 0x80);
}

static void collect_connected(void *ctx, struct nlmsghdr *msg)
{
	struct list *l = ctx;
	struct netmsg_info i;
	size_t n = l->n;

	if (!netmsg_parse(msg, &i) || i.indirect || i.route_type != RTN_UNICAST || i.ifindex == 0 ||
	    i.ifindex == l->own)
		return;
	collect(l, msg);
	if (l->n > n && !is_connected(&l->at[n], i.dst.ip.family))
		l->n = n;
}

/* Tunnels of other kinds have no such state and are left out. */
static bool link_is_up(struct lx *lx, uint32_t ifindex)
{
	struct netmsg_info link = { 0 };

	return netsock_ask(lx->net->sk, netmsg_link(ifindex, NULL), read_link, &link) == 0 &&
	       link.operstate == OPERSTATE_UP;
}

static size_t keep_links_up(struct lx *lx, struct netmsg_route *set, size_t n)
{
	uint32_t known = 0;
	bool up = false;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (set[i].oif != known) {
			known = set[i].oif;
			up = link_is_up(lx, known);
		}
		if (!up)
			continue;
		set[kept] = set[i];
		set[kept++].table = LX_TABLE_LINK;
	}
	return kept;
}

static void sync_family(struct lx *lx, int f)
{
	struct list want = { .env = lx->env, .table = RT_TABLE_MAIN, .own = lx->net->ifindex }, have;
	int err = 0;

	if (lx->net->internet[f])
		err = netsock_ask(lx->net->sk, netmsg_routes(families[f], RT_TABLE_MAIN), collect_connected,
				  &want);
	if (err == FZ_ERR_NOT_FOUND)
		err = 0;
	int err2 = list_table(lx, families[f], LX_TABLE_LINK, &have);
	if (err == 0 && err2 == 0 && !want.failed && want.n <= LINK_ROUTES_MAX) {
		want.n = routes_normalise(want.at, keep_links_up(lx, want.at, want.n));
		have.n = routes_normalise(have.at, have.n);
		routes_minus(have.at, have.n, want.at, want.n, del_route, lx);
		routes_minus(want.at, want.n, have.at, have.n, add_route, lx);
	} else {
		fz_warn(lx->env, "net", "cannot copy connected networks");
	}
	fz_free(lx->env, want.at);
	fz_free(lx->env, have.at);
}

void lx_net_sync_links(struct lx *lx)
{
	if (lx->net == NULL || lx->net->sk == NULL || lx->tun_dead || lx->net->ifindex == 0 ||
	    !uses_policy(lx))
		return;
	for (int f = 0; f < 2; f++)
		if (lx->net->rules[f])
			sync_family(lx, f);
}
