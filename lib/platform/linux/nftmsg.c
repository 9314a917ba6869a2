/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/linux/nftmsg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/addr.h"
#include "base/mem.h"
#include "fzconn/error.h"

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 2
#endif

#define CHAIN "postrouting"
#define SRCNAT_PRIORITY 100
#define NAME_LEN 16 /* IFNAMSIZ */

struct nft {
	const struct fz_env *env;
	struct nl_sock *sk;
	uint8_t buf[8192];
	size_t used;
	uint32_t seq;
	bool failed;
};

static int error_of(int err)
{
	switch (err) {
	case 0:
		return 0;
	case EPERM:
	case EACCES:
		return FZ_ERR_PERM;
	case ENOENT:
		return FZ_ERR_NOT_FOUND;
	case EEXIST:
		return FZ_ERR_STATE;
	case ENOMEM:
		return FZ_ERR_NOMEM;
	case EINVAL:
	case EOPNOTSUPP:
	case EPROTONOSUPPORT:
	case EAFNOSUPPORT:
		return FZ_ERR_UNSUPPORTED;
	default:
		return FZ_ERR_IO;
	}
}

int nft_open(const struct fz_env *env, struct nft **ret)
{
	/* The kernel answers within the call; this is for one that does not. */
	const struct timeval patience = { .tv_sec = 2 };
	struct nft *n = fz_zalloc(env, sizeof(*n));

	if (n == NULL)
		return FZ_ERR_NOMEM;
	n->env = env;
	n->sk = nl_socket_alloc();
	if (n->sk == NULL || nl_connect(n->sk, NETLINK_NETFILTER) < 0) {
		nft_close(n);
		return FZ_ERR_UNSUPPORTED;
	}
	(void)setsockopt(nl_socket_get_fd(n->sk), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	*ret = n;
	return 0;
}

void nft_close(struct nft *n)
{
	if (n == NULL)
		return;
	if (n->sk)
		nl_socket_free(n->sk);
	fz_free(n->env, n);
}

/* ---- messages ---- */

static struct nl_msg *begin(struct nft *n, uint16_t type, uint16_t flags, uint8_t family, uint16_t res_id)
{
	struct nfgenmsg head = { .nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(res_id) };
	struct nl_msg *m = nlmsg_alloc();

	if (m && (nlmsg_put(m, 0, ++n->seq, type, 0, NLM_F_REQUEST | flags) == NULL ||
		  nlmsg_append(m, &head, sizeof(head), NLMSG_ALIGNTO) < 0)) {
		nlmsg_free(m);
		m = NULL;
	}
	n->failed |= m == NULL;
	return m;
}

static struct nl_msg *request(struct nft *n, uint16_t what, uint16_t flags)
{
	return begin(n, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | what), flags | NLM_F_ACK, NFPROTO_INET, 0);
}

/* Into the transaction. */
static void finish(struct nft *n, struct nl_msg *m)
{
	size_t len = m ? NLMSG_ALIGN(nlmsg_hdr(m)->nlmsg_len) : 0;

	if (n->failed || len > sizeof(n->buf) - n->used) {
		n->failed = true;
	} else {
		memcpy(n->buf + n->used, nlmsg_hdr(m), nlmsg_hdr(m)->nlmsg_len);
		n->used += len;
	}
	nlmsg_free(m);
}

static void put(struct nft *n, struct nl_msg *m, int type, const void *data, size_t len)
{
	n->failed |= m == NULL || nla_put(m, type, (int)len, data) < 0;
}

static void put_text(struct nft *n, struct nl_msg *m, int type, const char *text)
{
	put(n, m, type, text, strlen(text) + 1);
}

static void put_u32(struct nft *n, struct nl_msg *m, int type, uint32_t value)
{
	value = htonl(value);
	put(n, m, type, &value, sizeof(value));
}

static struct nlattr *nest(struct nft *n, struct nl_msg *m, int type)
{
	struct nlattr *at = m ? nla_nest_start(m, type) : NULL;

	n->failed |= at == NULL;
	return at;
}

static void end(struct nl_msg *m, struct nlattr *at)
{
	if (at)
		nla_nest_end(m, at);
}

void nft_begin(struct nft *n)
{
	n->used = 0;
	n->failed = false;
	memset(n->buf, 0, sizeof(n->buf));
	finish(n, begin(n, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

static void table_request(struct nft *n, uint16_t what, uint16_t flags, const char *table, bool owned)
{
	struct nl_msg *m = request(n, what, flags);

	put_text(n, m, NFTA_TABLE_NAME, table);
	if (owned)
		put_u32(n, m, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
	finish(n, m);
}

void nft_add_table(struct nft *n, const char *table, bool owned)
{
	table_request(n, NFT_MSG_NEWTABLE, NLM_F_CREATE, table, owned);
}

/* Adding it first is how one that is not there can be removed. */
void nft_remove_table(struct nft *n, const char *table)
{
	table_request(n, NFT_MSG_NEWTABLE, NLM_F_CREATE, table, false);
	table_request(n, NFT_MSG_DELTABLE, 0, table, false);
}

void nft_add_nat_chain(struct nft *n, const char *table)
{
	struct nl_msg *m = request(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	struct nlattr *hook;

	put_text(n, m, NFTA_CHAIN_TABLE, table);
	put_text(n, m, NFTA_CHAIN_NAME, CHAIN);
	hook = nest(n, m, NFTA_CHAIN_HOOK);
	put_u32(n, m, NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
	put_u32(n, m, NFTA_HOOK_PRIORITY, SRCNAT_PRIORITY);
	end(m, hook);
	put_text(n, m, NFTA_CHAIN_TYPE, "nat");
	put_u32(n, m, NFTA_CHAIN_POLICY, NF_ACCEPT);
	finish(n, m);
}

/* ---- expressions of a rule ---- */

struct expr {
	struct nlattr *elem, *data;
};

static struct expr expr(struct nft *n, struct nl_msg *m, const char *name)
{
	struct expr e = { .elem = nest(n, m, NFTA_LIST_ELEM) };

	put_text(n, m, NFTA_EXPR_NAME, name);
	e.data = nest(n, m, NFTA_EXPR_DATA);
	return e;
}

static void expr_end(struct nl_msg *m, struct expr e)
{
	end(m, e.data);
	end(m, e.elem);
}

static void put_value(struct nft *n, struct nl_msg *m, int type, const void *value, size_t len)
{
	struct nlattr *at = nest(n, m, type);

	put(n, m, NFTA_DATA_VALUE, value, len);
	end(m, at);
}

static void load_meta(struct nft *n, struct nl_msg *m, uint32_t key)
{
	struct expr e = expr(n, m, "meta");

	put_u32(n, m, NFTA_META_KEY, key);
	put_u32(n, m, NFTA_META_DREG, NFT_REG_1);
	expr_end(m, e);
}

static void compare(struct nft *n, struct nl_msg *m, uint32_t op, const void *value, size_t len)
{
	struct expr e = expr(n, m, "cmp");

	put_u32(n, m, NFTA_CMP_SREG, NFT_REG_1);
	put_u32(n, m, NFTA_CMP_OP, op);
	put_value(n, m, NFTA_CMP_DATA, value, len);
	expr_end(m, e);
}

static void load_source(struct nft *n, struct nl_msg *m, const struct fz_prefix *net)
{
	size_t len = fz_ip_len(&net->ip);
	uint8_t mask[16] = { 0 }, none[16] = { 0 };
	struct expr e = expr(n, m, "payload");

	put_u32(n, m, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put_u32(n, m, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	put_u32(n, m, NFTA_PAYLOAD_OFFSET, len == 4 ? 12 : 8);
	put_u32(n, m, NFTA_PAYLOAD_LEN, (uint32_t)len);
	expr_end(m, e);
	for (unsigned i = 0; i < net->len; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
	e = expr(n, m, "bitwise");
	put_u32(n, m, NFTA_BITWISE_SREG, NFT_REG_1);
	put_u32(n, m, NFTA_BITWISE_DREG, NFT_REG_1);
	put_u32(n, m, NFTA_BITWISE_LEN, (uint32_t)len);
	put_value(n, m, NFTA_BITWISE_MASK, mask, len);
	put_value(n, m, NFTA_BITWISE_XOR, none, len);
	expr_end(m, e);
	compare(n, m, NFT_CMP_EQ, net->ip.b, len);
}

void nft_add_masquerade(struct nft *n, const char *table, const struct fz_prefix *source,
			const char *not_interface)
{
	struct nl_msg *m = request(n, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	uint8_t family = source->ip.family == FZ_FAMILY_INET ? NFPROTO_IPV4 : NFPROTO_IPV6;
	char name[NAME_LEN] = "";
	struct nlattr *list;

	strncpy(name, not_interface, sizeof(name) - 1);
	put_text(n, m, NFTA_RULE_TABLE, table);
	put_text(n, m, NFTA_RULE_CHAIN, CHAIN);
	list = nest(n, m, NFTA_RULE_EXPRESSIONS);
	load_meta(n, m, NFT_META_NFPROTO);
	compare(n, m, NFT_CMP_EQ, &family, 1);
	load_source(n, m, source);
	load_meta(n, m, NFT_META_OIFNAME);
	compare(n, m, NFT_CMP_NEQ, name, sizeof(name));
	expr_end(m, expr(n, m, "masq"));
	end(m, list);
	finish(n, m);
}

/* ---- exchange ---- */

/* The next answer of the kernel: its length, or a negative errno. */
static int receive(struct nft *n, uint8_t *buf, size_t cap)
{
	ssize_t got;

	do
		got = recv(nl_socket_get_fd(n->sk), buf, cap, 0);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : (int)got;
}

/* Each request is acknowledged, in order; the first error is why nothing was done. */
int nft_commit(struct nft *n)
{
	struct { /* for the alignment */
		struct nlmsghdr first;
		uint8_t rest[8192];
	} in;
	uint32_t last = n->seq;
	int err = 0, got;

	finish(n, begin(n, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	if (n->failed)
		return FZ_ERR_NOMEM;
	if (nl_sendto(n->sk, n->buf, n->used) < 0)
		return FZ_ERR_IO;
	for (;;) {
		got = receive(n, (uint8_t *)&in, sizeof(in));
		if (got < 0)
			return err ? error_of(err) : got == -EAGAIN ? FZ_ERR_IO : error_of(-got);
		struct nlmsghdr *h = &in.first;
		for (int left = got; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
			const struct nlmsgerr *e = nlmsg_data(h);
			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			if (e->error && err == 0)
				err = -e->error;
			/* A transaction that is refused as a whole is answered once, for its beginning. */
			if (h->nlmsg_seq == last || (err && e->msg.nlmsg_type == NFNL_MSG_BATCH_BEGIN))
				return error_of(err);
		}
	}
}

/* ---- chains of others ---- */

struct found {
	nft_each each;
	void *ctx;
};

static const char *family_name(uint8_t family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	default:
		return NULL;
	}
}

static int on_chain(struct nl_msg *msg, void *ctx)
{
	struct nlattr *at[NFTA_CHAIN_MAX + 1], *hook[NFTA_HOOK_MAX + 1];
	const struct nfgenmsg *head = nlmsg_data(nlmsg_hdr(msg));
	const struct found *f = ctx;
	struct nft_chain chain = { .family = family_name(head->nfgen_family) };

	if (nlmsg_parse(nlmsg_hdr(msg), sizeof(*head), at, NFTA_CHAIN_MAX, NULL) < 0 ||
	    chain.family == NULL || !at[NFTA_CHAIN_HOOK] || !at[NFTA_CHAIN_POLICY] || !at[NFTA_CHAIN_TABLE] ||
	    !at[NFTA_CHAIN_NAME] || nla_parse_nested(hook, NFTA_HOOK_MAX, at[NFTA_CHAIN_HOOK], NULL) < 0 ||
	    !hook[NFTA_HOOK_HOOKNUM])
		return NL_OK;
	if (ntohl(nla_get_u32(hook[NFTA_HOOK_HOOKNUM])) != NF_INET_FORWARD ||
	    ntohl(nla_get_u32(at[NFTA_CHAIN_POLICY])) != NF_DROP)
		return NL_OK;
	chain.table = nla_get_string(at[NFTA_CHAIN_TABLE]);
	chain.name = nla_get_string(at[NFTA_CHAIN_NAME]);
	f->each(f->ctx, &chain);
	return NL_OK;
}

static int any_sequence(struct nl_msg *msg, void *ctx)
{
	(void)msg;
	(void)ctx;
	return NL_OK;
}

void nft_each_dropping_forward(struct nft *n, nft_each each, void *ctx)
{
	struct found f = { each, ctx };
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	struct nl_msg *m =
		begin(n, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, NLM_F_DUMP, NFPROTO_UNSPEC, 0);

	if (cb && m) {
		nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_chain, &f);
		nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, any_sequence, NULL);
		if (nl_sendto(n->sk, nlmsg_hdr(m), nlmsg_hdr(m)->nlmsg_len) >= 0)
			(void)nl_recvmsgs(n->sk, cb);
	}
	nl_cb_put(cb);
	nlmsg_free(m);
}
