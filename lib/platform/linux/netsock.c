/* SPDX-License-Identifier: Apache-2.0 */
/* libnl sockets behind netmsg.h. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <sys/socket.h>

#include "fzconn/error.h"
#include "platform/linux/netmsg.h"

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

static int error_of(int nlerr)
{
	switch (nlerr < 0 ? -nlerr : nlerr) {
	case 0:
		return 0;
	case NLE_EXIST:
		return FZ_ERR_STATE;
	case NLE_OBJ_NOTFOUND:
	case NLE_NODEV:
	case NLE_NOADDR:
		return FZ_ERR_NOT_FOUND;
	case NLE_PERM:
	case NLE_NOACCESS:
		return FZ_ERR_PERM;
	case NLE_OPNOTSUPP:
	case NLE_AF_NOSUPPORT:
		return FZ_ERR_UNSUPPORTED;
	case NLE_NOMEM:
		return FZ_ERR_NOMEM;
	default:
		return FZ_ERR_IO;
	}
}

int netsock_open(struct nl_sock **ret)
{
	struct nl_sock *sk = nl_socket_alloc();
	int err, one = 1;

	if (sk == NULL)
		return FZ_ERR_NOMEM;
	err = nl_connect(sk, NETLINK_ROUTE);
	if (err < 0) {
		nl_socket_free(sk);
		return error_of(err);
	}
	/* Lets the kernel filter dumps by table; without it the callers filter. */
	(void)setsockopt(nl_socket_get_fd(sk), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	*ret = sk;
	return 0;
}

void netsock_close(struct nl_sock *sk)
{
	if (sk)
		nl_socket_free(sk);
}

int netsock_do(struct nl_sock *sk, struct nl_msg *msg)
{
	return msg ? error_of(nl_send_sync(sk, msg)) : FZ_ERR_NOMEM;
}

struct receiver {
	netsock_each each;
	void *ctx;
};

static int on_valid(struct nl_msg *msg, void *ctx)
{
	struct receiver *r = ctx;

	r->each(r->ctx, nlmsg_hdr(msg));
	return NL_OK;
}

int netsock_ask(struct nl_sock *sk, struct nl_msg *query, netsock_each each, void *ctx)
{
	struct receiver r = { each, ctx };
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int err = -NLE_NOMEM;

	if (query != NULL && cb != NULL) {
		nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, &r);
		err = nl_send_auto(sk, query);
		if (err >= 0)
			err = nl_recvmsgs(sk, cb);
		/* A single answer is followed by an acknowledgement, a dump ends by itself. */
		if (err >= 0 && !(nlmsg_hdr(query)->nlmsg_flags & NLM_F_DUMP))
			err = nl_wait_for_ack(sk);
	}
	nl_cb_put(cb);
	nlmsg_free(query);
	return err < 0 ? error_of(err) : 0;
}

int netsock_watch(struct nl_sock **ret)
{
	struct nl_sock *sk = NULL;
	int err = netsock_open(&sk);

	if (err)
		return err;
	err = nl_socket_add_memberships(sk, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
					RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NONE);
	if (err == 0)
		err = nl_socket_set_nonblocking(sk);
	if (err < 0) {
		nl_socket_free(sk);
		return error_of(err);
	}
	*ret = sk;
	return 0;
}

int netsock_fd(const struct nl_sock *sk)
{
	return nl_socket_get_fd(sk);
}

static int any_sequence(struct nl_msg *msg, void *ctx)
{
	(void)msg;
	(void)ctx;
	return NL_OK;
}

bool netsock_drain(struct nl_sock *sk, netsock_each each, void *ctx)
{
	struct receiver r = { each, ctx };
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int err = 0, lost = 0;

	if (cb == NULL)
		return false;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, &r);
	nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, any_sequence, NULL);
	while (err != -NLE_AGAIN && lost < 2) {
		err = nl_recvmsgs(sk, cb);
		lost += err < 0 && err != -NLE_AGAIN; /* an overrun is told once, then comes what is left */
	}
	nl_cb_put(cb);
	return lost == 0;
}
