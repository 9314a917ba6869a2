/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the host's network. Notifications only say that something may have changed: after they have
 * settled, a fingerprint of what our paths depend on is compared with the last one. So renewed leases, router
 * advertisements and containers that come and go wake nobody further up. */
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/addr.h"
#include "platform/linux/lx.h"
#include "platform/linux/netmsg.h"

/* Changes come in bursts (address away, address there, route there): wait for silence, but not for long. */
#define SETTLE_US FZ_MS(100)
#define SETTLE_MAX_US FZ_MS(500)

#ifndef IFA_F_TEMPORARY
#define IFA_F_TEMPORARY 0x01
#endif

struct lx_watch {
	struct nl_sock *notes, *ask;
	uint64_t first_us; /* of the burst; FZ_NEVER_US = none */
	uint64_t due_us;
	uint64_t print; /* fingerprint at the last look */
	bool changed; /* to be told */
};

/* FNV-1a */
static uint64_t hash(uint64_t h, const void *data, size_t len)
{
	const uint8_t *b = data;

	while (len--)
		h = (h ^ *b++) * UINT64_C(1099511628211);
	return h;
}

struct sum {
	struct lx *lx;
	uint64_t value;
	uint32_t oif;
};

/* Parts are added up: the order of a dump means nothing. */
static void add_part(struct sum *s, const struct netmsg_info *i)
{
	uint64_t h = hash(UINT64_C(14695981039346656037), &i->type, sizeof(i->type));

	h = hash(h, &i->ifindex, sizeof(i->ifindex));
	h = hash(h, &i->dst, sizeof(i->dst));
	h = hash(h, &i->gateway, sizeof(i->gateway));
	h = hash(h, &i->src, sizeof(i->src));
	s->value += h;
}

static void sum_addr(void *ctx, struct nlmsghdr *msg)
{
	struct sum *s = ctx;
	struct netmsg_info i;

	if (!netmsg_parse(msg, &i) || i.type != RTM_NEWADDR || i.ifindex == s->lx->tun.ifindex)
		return;
	if (i.scope == RT_SCOPE_UNIVERSE && !(i.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) &&
	    !(i.dst.ip.family == FZ_FAMILY_INET6 && i.flags & IFA_F_TEMPORARY))
		add_part(s, &i);
}

static void sum_route(void *ctx, struct nlmsghdr *msg)
{
	struct sum *s = ctx;
	struct netmsg_info i;

	if (!netmsg_parse(msg, &i) || i.type != RTM_NEWROUTE || i.ifindex == s->lx->tun.ifindex)
		return;
	s->oif = i.ifindex;
	add_part(s, &i);
}

static void sum_link(void *ctx, struct nlmsghdr *msg)
{
	struct sum *s = ctx;
	struct netmsg_info i;

	if (netmsg_parse(msg, &i) && i.type == RTM_NEWLINK && i.flags & IFF_RUNNING)
		add_part(s, &i);
}

/* Own addresses, and how the kernel would route our sockets to the Internet: the addresses stand for any
 * there, nothing is sent. */
static uint64_t fingerprint(struct lx *lx)
{
	static const struct fz_ip far[2] = {
		{ FZ_FAMILY_INET, { 9, 9, 9, 9 } },
		{ FZ_FAMILY_INET6, { 0x26, 0x20, 0, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe } },
	};
	struct nl_sock *sk = lx->watch->ask;
	struct sum s = { .lx = lx };

	(void)netsock_ask(sk, netmsg_addrs(), sum_addr, &s);
	for (int f = 0; f < 2; f++) {
		s.oif = 0;
		(void)netsock_ask(sk, netmsg_lookup(&far[f], lx->opts.no_policy ? 0 : LX_MARK), sum_route,
				  &s);
		if (s.oif != 0)
			(void)netsock_ask(sk, netmsg_link(s.oif, NULL), sum_link, &s);
	}
	return s.value;
}

int lx_watch_open(struct lx *lx)
{
	struct lx_watch *w = fz_zalloc(lx->env, sizeof(*w));
	int err;

	if (w == NULL)
		return FZ_ERR_NOMEM;
	w->first_us = w->due_us = FZ_NEVER_US;
	lx->watch = w;
	err = netsock_open(&w->ask);
	if (err == 0)
		err = netsock_watch(&w->notes);
	if (err == 0)
		err = lx_loop_add(lx, netsock_fd(w->notes), LX_TAG_WATCH);
	if (err == 0) {
		w->print = fingerprint(lx);
		return 0;
	}
	lx_watch_close(lx);
	if (err == FZ_ERR_NOMEM)
		return err;
	fz_warn(lx->env, "net", "cannot watch the network for changes: %s", fz_strerror(err));
	return 0;
}

void lx_watch_close(struct lx *lx)
{
	if (lx->watch == NULL)
		return;
	netsock_close(lx->watch->notes);
	netsock_close(lx->watch->ask);
	fz_free(lx->env, lx->watch);
	lx->watch = NULL;
}

static bool concerns_us(struct lx *lx, const struct netmsg_info *i)
{
	if (lx->tun.ifindex != 0 && i->ifindex == lx->tun.ifindex) {
		if (i->type == RTM_DELLINK &&
		    i->family == 0) /* bridges send another one, with their family */
			lx_tun_mark_lost(lx);
		return false;
	}
	if (i->type != RTM_NEWROUTE && i->type != RTM_DELROUTE)
		return true;
	return !(i->flags & RTM_F_CLONED) && i->table == RT_TABLE_MAIN;
}

static void note(void *ctx, struct nlmsghdr *msg)
{
	struct lx *lx = ctx;
	struct netmsg_info i;

	if (netmsg_parse(msg, &i) && concerns_us(lx, &i))
		lx->watch->due_us = 0; /* filled in with the time once the burst is read */
}

void lx_watch_read(struct lx *lx)
{
	struct lx_watch *w = lx->watch;
	uint64_t due_us = w->due_us, now_us;

	if (!netsock_drain(w->notes, note, lx))
		w->due_us = 0;
	if (w->due_us != 0)
		return;
	now_us = lx_now_us(lx);
	if (due_us == FZ_NEVER_US)
		w->first_us = now_us;
	w->due_us = fz_min_us(now_us + SETTLE_US, w->first_us + SETTLE_MAX_US);
}

uint64_t lx_watch_next(const struct lx *lx)
{
	if (lx->tun_lost)
		return 0;
	if (lx->watch == NULL)
		return FZ_NEVER_US;
	return lx->watch->changed ? 0 : lx->watch->due_us;
}

void lx_watch_run(struct lx *lx, uint64_t now_us)
{
	struct lx_watch *w = lx->watch;

	if (w == NULL || w->due_us > now_us)
		return;
	w->due_us = w->first_us = FZ_NEVER_US;
	uint64_t print = fingerprint(lx);
	if (print != w->print)
		w->changed = true;
	w->print = print;
	lx_net_sync_links(lx);
	lx_dns_look(lx, now_us);
}

bool lx_watch_pending(const struct lx *lx)
{
	return lx->tun_lost || (lx->watch != NULL && lx->watch->changed) || lx_dns_pending(lx);
}

int lx_net_event(void *p)
{
	struct lx *lx = p;

	if (lx->tun_lost) {
		lx->tun_lost = false;
		return FZ_NET_TUN_LOST;
	}
	if (lx->watch != NULL && lx->watch->changed) {
		lx->watch->changed = false;
		return FZ_NET_CHANGED;
	}
	return lx_dns_take_change(lx) ? FZ_NET_DNS_CHANGED : 0;
}
