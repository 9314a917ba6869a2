/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/linux/netmsg.h"

#include <net/if.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "fzconn/error.h"

static uint8_t af_of(uint8_t family)
{
	return family == FZ_FAMILY_INET6 ? AF_INET6 : AF_INET;
}

static struct nl_msg *start(int type, int flags, const void *header, size_t len)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags | NLM_F_REQUEST);

	if (msg != NULL && nlmsg_append(msg, (void *)(uintptr_t)header, len, NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static int flags_of(enum netmsg_verb verb)
{
	return verb == NETMSG_ADD ? NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL : NLM_F_ACK;
}

/* libnl's messages start with a page: attributes of the sizes here always fit. */
static struct nl_msg *done(struct nl_msg *msg, int err)
{
	if (err == 0)
		return msg;
	nlmsg_free(msg);
	return NULL;
}

struct nl_msg *netmsg_rule(enum netmsg_verb verb, uint8_t family, uint32_t mark, uint32_t table,
			   uint32_t priority)
{
	struct fib_rule_hdr h = { .family = af_of(family),
				  .table = RT_TABLE_MAIN,
				  .action = FR_ACT_TO_TBL,
				  .flags = FIB_RULE_INVERT };
	struct nl_msg *msg =
		start(verb == NETMSG_ADD ? RTM_NEWRULE : RTM_DELRULE, flags_of(verb), &h, sizeof(h));
	int err;

	if (msg == NULL)
		return NULL;
	err = nla_put_u32(msg, FRA_FWMARK, mark);
	err |= nla_put_u32(msg, FRA_TABLE, table);
	err |= nla_put_u32(msg, FRA_PRIORITY, priority);
	if (verb == NETMSG_ADD) /* network managers leave alone what claims to be the kernel's */
		err |= nla_put_u8(msg, FRA_PROTOCOL, RTPROT_KERNEL);
	return done(msg, err);
}

struct nl_msg *netmsg_route(enum netmsg_verb verb, const struct netmsg_route *r)
{
	struct rtmsg h = { .rtm_family = af_of(r->dst.ip.family),
			   .rtm_dst_len = r->dst.len,
			   .rtm_table = RT_TABLE_MAIN,
			   .rtm_protocol = RTPROT_STATIC,
			   .rtm_type = RTN_UNICAST,
			   .rtm_scope = r->scope_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE };
	struct nl_msg *msg =
		start(verb == NETMSG_ADD ? RTM_NEWROUTE : RTM_DELROUTE, flags_of(verb), &h, sizeof(h));
	int err;

	if (msg == NULL)
		return NULL;
	err = nla_put_u32(msg, RTA_OIF, r->oif);
	err |= nla_put_u32(msg, RTA_TABLE, r->table);
	err |= nla_put(msg, RTA_DST, (int)fz_ip_len(&r->dst.ip), r->dst.ip.b);
	if (r->src.family != FZ_FAMILY_NONE)
		err |= nla_put(msg, RTA_PREFSRC, (int)fz_ip_len(&r->src), r->src.b);
	if (r->metric != 0)
		err |= nla_put_u32(msg, RTA_PRIORITY, r->metric);
	return done(msg, err);
}

struct nl_msg *netmsg_addr(enum netmsg_verb verb, const struct fz_ip *ip, uint32_t ifindex)
{
	int len = (int)fz_ip_len(ip), err;
	struct ifaddrmsg h = { .ifa_family = af_of(ip->family),
			       .ifa_prefixlen = (uint8_t)(len * 8),
			       .ifa_flags = IFA_F_NODAD, /* nobody else is there: usable at once */
			       .ifa_index = ifindex };
	struct nl_msg *msg =
		start(verb == NETMSG_ADD ? RTM_NEWADDR : RTM_DELADDR, flags_of(verb), &h, sizeof(h));

	if (msg == NULL)
		return NULL;
	err = nla_put(msg, IFA_LOCAL, len, ip->b);
	err |= nla_put(msg, IFA_ADDRESS, len, ip->b);
	return done(msg, err);
}

struct nl_msg *netmsg_link_sizes(uint32_t ifindex, uint32_t mtu, uint32_t queue)
{
	struct ifinfomsg h = { .ifi_index = (int)ifindex };
	struct nl_msg *msg = start(RTM_SETLINK, NLM_F_ACK, &h, sizeof(h));
	int err = 0;

	if (msg == NULL)
		return NULL;
	if (mtu != 0)
		err |= nla_put_u32(msg, IFLA_MTU, mtu);
	if (queue != 0)
		err |= nla_put_u32(msg, IFLA_TXQLEN, queue);
	return done(msg, err);
}

struct nl_msg *netmsg_link_gso_segs(uint32_t ifindex, uint32_t segs)
{
	struct ifinfomsg h = { .ifi_index = (int)ifindex };
	struct nl_msg *msg = start(RTM_SETLINK, NLM_F_ACK, &h, sizeof(h));

	return msg == NULL ? NULL : done(msg, nla_put_u32(msg, IFLA_GSO_MAX_SEGS, segs));
}

struct nl_msg *netmsg_link_up(uint32_t ifindex, bool up)
{
	struct ifinfomsg h = { .ifi_index = (int)ifindex, .ifi_change = IFF_UP };

	h.ifi_flags = up ? IFF_UP : 0;
	return start(RTM_SETLINK, NLM_F_ACK, &h, sizeof(h));
}

struct nl_msg *netmsg_link_no_autoconf(uint32_t ifindex)
{
	struct ifinfomsg h = { .ifi_index = (int)ifindex };
	struct nl_msg *msg = start(RTM_SETLINK, NLM_F_ACK, &h, sizeof(h));
	struct nlattr *spec, *inet6;

	if (msg == NULL)
		return NULL;
	spec = nla_nest_start(msg, IFLA_AF_SPEC);
	inet6 = spec ? nla_nest_start(msg, AF_INET6) : NULL;
	if (inet6 == NULL || nla_put_u8(msg, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	nla_nest_end(msg, inet6);
	nla_nest_end(msg, spec);
	return msg;
}

struct nl_msg *netmsg_addrs(void)
{
	struct ifaddrmsg h = { .ifa_family = AF_UNSPEC };

	return start(RTM_GETADDR, NLM_F_DUMP, &h, sizeof(h));
}

struct nl_msg *netmsg_routes(uint8_t family, uint32_t table)
{
	struct rtmsg h = { .rtm_family = af_of(family) };
	struct nl_msg *msg = start(RTM_GETROUTE, NLM_F_DUMP, &h, sizeof(h));

	return msg ? done(msg, nla_put_u32(msg, RTA_TABLE, table)) : NULL;
}

struct nl_msg *netmsg_link(uint32_t ifindex, const char *name)
{
	struct ifinfomsg h = { .ifi_index = (int)ifindex };
	struct nl_msg *msg = start(RTM_GETLINK, 0, &h, sizeof(h));

	return msg && ifindex == 0 ? done(msg, nla_put_string(msg, IFLA_IFNAME, name)) : msg;
}

struct nl_msg *netmsg_lookup(const struct fz_ip *dst, uint32_t mark)
{
	int len = (int)fz_ip_len(dst), err;
	struct rtmsg h = { .rtm_family = af_of(dst->family), .rtm_dst_len = (uint8_t)(len * 8) };
	struct nl_msg *msg = start(RTM_GETROUTE, 0, &h, sizeof(h));

	if (msg == NULL)
		return NULL;
	err = nla_put(msg, RTA_DST, len, dst->b);
	if (mark != 0)
		err |= nla_put_u32(msg, RTA_MARK, mark);
	return done(msg, err);
}

const struct nlmsghdr *netmsg_bytes(struct nl_msg *msg)
{
	return nlmsg_hdr(msg);
}

static uint32_t u32_of(struct nlattr *a)
{
	return a && nla_len(a) >= 4 ? nla_get_u32(a) : 0;
}

static void ip_of(struct nlattr *a, struct fz_ip *ret)
{
	if (a && nla_len(a) == 4)
		*ret = fz_ip_v4(nla_data(a));
	else if (a && nla_len(a) == 16)
		*ret = fz_ip_v6(nla_data(a));
}

static bool parse_route(struct nlmsghdr *msg, struct netmsg_info *i)
{
	struct nlattr *a[RTA_MAX + 1];
	const struct rtmsg *h = nlmsg_data(msg);

	if (nlmsg_parse(msg, sizeof(*h), a, RTA_MAX, NULL) < 0)
		return false;
	i->family = h->rtm_family;
	i->flags = h->rtm_flags;
	i->scope = h->rtm_scope;
	i->route_type = h->rtm_type;
	i->table = a[RTA_TABLE] ? u32_of(a[RTA_TABLE]) : h->rtm_table;
	i->ifindex = u32_of(a[RTA_OIF]);
	i->metric = u32_of(a[RTA_PRIORITY]);
	i->indirect = a[RTA_GATEWAY] || a[RTA_VIA] || a[RTA_MULTIPATH];
	ip_of(a[RTA_DST], &i->dst.ip);
	ip_of(a[RTA_GATEWAY], &i->gateway);
	ip_of(a[RTA_PREFSRC], &i->src);
	if (i->dst.ip.family == FZ_FAMILY_NONE) /* a default route has no destination */
		i->dst.ip.family = h->rtm_family == AF_INET ? FZ_FAMILY_INET : FZ_FAMILY_INET6;
	i->dst.len = h->rtm_dst_len;
	return h->rtm_family == AF_INET || h->rtm_family == AF_INET6;
}

static bool parse_addr(struct nlmsghdr *msg, struct netmsg_info *i)
{
	struct nlattr *a[IFA_MAX + 1];
	const struct ifaddrmsg *h = nlmsg_data(msg);

	if (nlmsg_parse(msg, sizeof(*h), a, IFA_MAX, NULL) < 0)
		return false;
	i->family = h->ifa_family;
	i->flags = a[IFA_FLAGS] ? u32_of(a[IFA_FLAGS]) : h->ifa_flags;
	i->scope = h->ifa_scope;
	i->ifindex = h->ifa_index;
	ip_of(a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS], &i->dst.ip);
	i->dst.len = h->ifa_prefixlen;
	return i->dst.ip.family != FZ_FAMILY_NONE;
}

static bool parse_link(struct nlmsghdr *msg, struct netmsg_info *i)
{
	struct nlattr *a[IFLA_MAX + 1];
	const struct ifinfomsg *h = nlmsg_data(msg);

	if (nlmsg_parse(msg, sizeof(*h), a, IFLA_MAX, NULL) < 0)
		return false;
	i->family = h->ifi_family;
	i->flags = h->ifi_flags;
	i->ifindex = (uint32_t)h->ifi_index;
	i->operstate = a[IFLA_OPERSTATE] ? nla_get_u8(a[IFLA_OPERSTATE]) : 0;
	return true;
}

bool netmsg_parse(struct nlmsghdr *msg, struct netmsg_info *ret)
{
	*ret = (struct netmsg_info){ .type = msg->nlmsg_type };
	switch (msg->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return parse_route(msg, ret);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return parse_addr(msg, ret);
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return parse_link(msg, ret);
	default:
		return false;
	}
}
