/* SPDX-License-Identifier: Apache-2.0 */
/* The two UDP sockets, one per family: source address per datagram, ECN, segmentation and receive offload.
 * IP_RECVERR stays off: with it an ICMP error for one destination fails the next send to any other. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "platform/linux/gso.h"
#include "platform/linux/lx.h"
#include "platform/linux/sockaddr.h"

#define ADDR_PREFERENCES                                                                                     \
	72 /* IPV6_ADDR_PREFERENCES, from linux/in6.h, which does not mix with netinet/in.h */
#define PREFER_SRC_PUBLIC 2 /* temporary addresses rotate, and with them the host candidates */

/* A receive with GRO may return 64 KiB per message, so few messages carry a lot: one peer's bulk traffic
 * needs one or two, and several peers share a call. Only pages that were ever filled count as used memory. */
enum { RX_MSGS = 8, RX_BUF = 65536, ONE_BY_ONE = 32 };

/* Room for the control messages of one datagram: packet info, traffic class, segment size. */
union control {
	uint64_t align;
	uint8_t b[CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int))];
};

struct lx_rx {
	struct mmsghdr msgs[RX_MSGS];
	struct iovec iov[RX_MSGS];
	union sockaddr_any from[RX_MSGS];
	union control control[RX_MSGS];
	uint8_t data[RX_MSGS][RX_BUF];
};

static const uint8_t families[2] = { FZ_FAMILY_INET, FZ_FAMILY_INET6 };

static void set_int(struct lx *lx, int fd, int level, int name, int value, const char *what)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		fz_debug(lx->env, "udp", "%s: %s", what, strerror(errno));
}

static void set_buffer(struct lx *lx, int fd, int force, int plain, uint32_t want, uint32_t standard)
{
	int value = (int)(want ? want : standard);

	if (setsockopt(fd, SOL_SOCKET, force, &value, sizeof(value)) < 0)
		set_int(lx, fd, SOL_SOCKET, plain, value, "socket buffer");
}

static int set_options(struct lx *lx, int fd, uint8_t family)
{
	int err = lx_mark(lx, fd);

	if (err)
		return err; /* our datagrams would be routed into the tunnel */
	if (family == FZ_FAMILY_INET) {
		set_int(lx, fd, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO");
		set_int(lx, fd, IPPROTO_IP, IP_RECVTOS, 1, "IP_RECVTOS");
		set_int(lx, fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, "IP_MTU_DISCOVER");
	} else {
		set_int(lx, fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO");
		set_int(lx, fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS");
		set_int(lx, fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE, "IPV6_MTU_DISCOVER");
		set_int(lx, fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1, "IPV6_DONTFRAG");
		set_int(lx, fd, IPPROTO_IPV6, ADDR_PREFERENCES, PREFER_SRC_PUBLIC, "IPV6_ADDR_PREFERENCES");
	}
	set_buffer(lx, fd, SO_SNDBUFFORCE, SO_SNDBUF, lx->opts.sndbuf, 2u << 20);
	set_buffer(lx, fd, SO_RCVBUFFORCE, SO_RCVBUF, lx->opts.rcvbuf, 16u << 20);
	return 0;
}

static uint16_t bound_port(int fd)
{
	union sockaddr_any a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len) < 0)
		return 0;
	return ntohs(a.sa.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
}

static int bind_any(int fd, uint8_t family, uint16_t port)
{
	struct fz_ip any = { .family = family };
	union sockaddr_any a;
	socklen_t len = to_sockaddr(&any, port, &a);

	if (bind(fd, &a.sa, len) == 0)
		return 0;
	len = to_sockaddr(&any, 0, &a);
	return port != 0 ? bind(fd, &a.sa, len) : -1;
}

static int open_one(struct lx *lx, struct lx_sock *s, uint8_t family, uint16_t port)
{
	int one = 1, zero = 0, err = FZ_ERR_IO;
	int fd = socket(family == FZ_FAMILY_INET ? AF_INET : AF_INET6,
			SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return FZ_ERR_UNSUPPORTED;
	if (family == FZ_FAMILY_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		goto fail;
	err = set_options(lx, fd, family);
	if (err)
		goto fail;
	err = FZ_ERR_IO;
	if (bind_any(fd, family, port) < 0)
		goto fail;
	err = lx_loop_add(lx, fd, family == FZ_FAMILY_INET ? LX_TAG_UDP4 : LX_TAG_UDP6);
	if (err)
		goto fail;
	*s = (struct lx_sock){ .fd = fd, .port = bound_port(fd), .maybe_ready = true };
	if (!lx->opts.no_offload) {
		s->gso = setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &zero, sizeof(zero)) == 0;
		set_int(lx, fd, IPPROTO_UDP, UDP_GRO, 1, "UDP_GRO");
	}
	return 0;
fail:
	close(fd);
	return err;
}

int lx_udp_open(void *p, uint16_t port)
{
	struct lx *lx = p;
	int err[2];

	lx_udp_close(lx);
	lx->rx = lx->env->mem.alloc(lx->env->mem.ctx, sizeof(*lx->rx)); /* untouched pages cost nothing */
	if (lx->rx == NULL)
		return FZ_ERR_NOMEM;
	for (int i = 0; i < 2; i++) {
		err[i] = open_one(lx, &lx->udp[i], families[i], port);
		if (err[i])
			fz_info(lx->env, "udp", "no IPv%u: %s", families[i], fz_strerror(err[i]));
	}
	if (err[0] == 0 || err[1] == 0)
		return 0;
	lx_udp_close(lx);
	return err[0];
}

void lx_udp_close(void *p)
{
	struct lx *lx = p;

	for (int i = 0; i < 2; i++) {
		if (lx->udp[i].fd >= 0) {
			lx_loop_del(lx, lx->udp[i].fd);
			close(lx->udp[i].fd);
		}
		lx->udp[i] = (struct lx_sock){ .fd = -1 };
	}
	fz_free(lx->env, lx->rx);
	lx->rx = NULL;
}

uint16_t lx_udp_port(void *p, uint8_t family)
{
	const struct lx *lx = p;

	return family == FZ_FAMILY_INET ? lx->udp[0].port : family == FZ_FAMILY_INET6 ? lx->udp[1].port : 0;
}

/* Append one control message; control memory was zeroed and is large enough for all three. */
static void put_control(struct msghdr *msg, int level, int type, const void *value, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)msg->msg_control + msg->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
	msg->msg_controllen += CMSG_SPACE(len);
}

/* Header with everything but data: destination, source, traffic class. */
static void prepare(const struct fz_udp_batch *b, struct msghdr *msg, union sockaddr_any *to,
		    union control *control)
{
	int ecn = b->ecn & 3;

	memset(control, 0, sizeof(*control));
	*msg = (struct msghdr){ .msg_name = to, .msg_control = control };
	msg->msg_namelen = to_sockaddr(&b->remote.ip, b->remote.port, to);
	if (b->local.ip.family == FZ_FAMILY_INET) {
		struct in_pktinfo info = { 0 };
		memcpy(&info.ipi_spec_dst, b->local.ip.b, 4);
		put_control(msg, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else if (b->local.ip.family == FZ_FAMILY_INET6) {
		struct in6_pktinfo info = { 0 };
		memcpy(&info.ipi6_addr, b->local.ip.b, 16);
		put_control(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (ecn != 0 && b->remote.ip.family == FZ_FAMILY_INET)
		put_control(msg, IPPROTO_IP, IP_TOS, &ecn, sizeof(ecn));
	else if (ecn != 0)
		put_control(msg, IPPROTO_IPV6, IPV6_TCLASS, &ecn, sizeof(ecn));
}

static void advance(struct lx *lx, struct fz_udp_batch *b, size_t len)
{
	lx->stats.udp_sent += gso_count(len, b->seg_len);
	b->data += len;
	b->len -= len;
}

static int would_block(struct lx *lx, struct lx_sock *s)
{
	if (!s->wants_out) {
		s->wants_out = true;
		lx_loop_want_out(lx, s->fd, s == &lx->udp[0] ? LX_TAG_UDP4 : LX_TAG_UDP6, true);
	}
	return FZ_ERR_AGAIN;
}

/* Send the next `len` bytes of the batch as one datagram each. */
static int send_single(struct lx *lx, struct lx_sock *s, struct fz_udp_batch *b, const struct msghdr *base,
		       size_t len)
{
	struct mmsghdr msgs[ONE_BY_ONE];
	struct iovec iov[ONE_BY_ONE];

	while (len > 0) {
		unsigned n = 0;
		for (size_t at = 0; at < len && n < ONE_BY_ONE; n++) {
			iov[n].iov_base = b->data + at;
			iov[n].iov_len = len - at < b->seg_len ? len - at : b->seg_len;
			at += iov[n].iov_len;
			msgs[n].msg_hdr = *base;
			msgs[n].msg_hdr.msg_iov = &iov[n];
			msgs[n].msg_hdr.msg_iovlen = 1;
		}
		int sent = n == 1 ? (sendmsg(s->fd, &msgs[0].msg_hdr, 0) < 0 ? -1 : 1)
				  : sendmmsg(s->fd, msgs, n, 0);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? FZ_ERR_AGAIN : FZ_ERR_IO;
		for (int i = 0; i < sent; i++) {
			len -= iov[i].iov_len;
			advance(lx, b, iov[i].iov_len);
		}
	}
	return 0;
}

/* The system refused a whole chunk. Only when the same datagrams go through one by one was segmentation to
 * blame: a source address that is gone gives EINVAL as well. */
static int fall_back(struct lx *lx, struct lx_sock *s, struct fz_udp_batch *b, const struct msghdr *base,
		     size_t len)
{
	int cause = errno, err = send_single(lx, s, b, base, len);

	if (err == FZ_ERR_IO)
		return err;
	lx->stats.udp_gso_fallbacks++;
	if (cause != EMSGSIZE && s->gso) { /* EMSGSIZE: the path, not the socket */
		s->gso = false;
		fz_info(lx->env, "udp", "sending without segmentation offload: %s", strerror(cause));
	}
	return err;
}

static int send_chunk(struct lx *lx, struct lx_sock *s, struct fz_udp_batch *b, const struct msghdr *base,
		      size_t len)
{
	struct iovec iov = { b->data, len };
	struct msghdr msg = *base;

	if (!s->gso || len <= b->seg_len)
		return send_single(lx, s, b, base, len);
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	put_control(&msg, IPPROTO_UDP, UDP_SEGMENT, &b->seg_len, sizeof(b->seg_len));
	for (;;) {
		if (sendmsg(s->fd, &msg, 0) >= 0) {
			advance(lx, b, len);
			return 0;
		}
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
			return FZ_ERR_AGAIN;
		case EIO:
		case EINVAL:
		case EMSGSIZE:
		case EOPNOTSUPP:
			return fall_back(lx, s, b, base, len);
		default:
			return FZ_ERR_IO;
		}
	}
}

int lx_udp_send(void *p, struct fz_udp_batch *b)
{
	struct lx *lx = p;
	struct lx_sock *s = &lx->udp[b->remote.ip.family == FZ_FAMILY_INET6];
	union sockaddr_any to;
	union control control;
	struct msghdr base;
	int err = 0;

	if (!fz_addr_set(&b->remote) || b->seg_len == 0 || b->len == 0)
		return FZ_ERR_INVAL;
	if (fz_addr_set(&b->local) && b->local.ip.family != b->remote.ip.family)
		return FZ_ERR_INVAL;
	if (s->fd < 0)
		return FZ_ERR_STATE;
	prepare(b, &base, &to, &control);
	while (err == 0 && b->len > 0)
		err = send_chunk(lx, s, b, &base, gso_chunk(b->len, b->seg_len));
	if (err == FZ_ERR_AGAIN)
		return would_block(lx, s);
	if (err)
		lx->stats.udp_send_failed += gso_count(b->len, b->seg_len);
	return err;
}

static void arm(struct lx_rx *rx, unsigned at, unsigned n)
{
	for (unsigned i = at; i < at + n; i++) {
		rx->iov[i] = (struct iovec){ rx->data[i], RX_BUF };
		rx->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &rx->from[i],
			.msg_namelen = sizeof(rx->from[i]),
			.msg_iov = &rx->iov[i],
			.msg_iovlen = 1,
			.msg_control = &rx->control[i],
			.msg_controllen = sizeof(rx->control[i]),
		};
	}
}

static void read_control(struct msghdr *msg, struct fz_udp_batch *b)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		const uint8_t *value = CMSG_DATA(c);
		int number;
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, value, sizeof(info));
			b->local.ip.family = FZ_FAMILY_INET;
			memcpy(b->local.ip.b, &info.ipi_addr, 4);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			memcpy(&info, value, sizeof(info));
			b->local.ip.family = FZ_FAMILY_INET6;
			memcpy(b->local.ip.b, &info.ipi6_addr, 16);
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			b->ecn = value[0] & 3; /* one byte, unlike when sending */
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			memcpy(&number, value, sizeof(number));
			b->ecn = number & 3;
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&number, value, sizeof(number));
			if (number > 0 && (size_t)number < b->len)
				b->seg_len = (uint16_t)number;
		}
	}
}

static bool read_message(struct lx *lx, const struct lx_sock *s, unsigned i, struct fz_udp_batch *ret)
{
	struct mmsghdr *m = &lx->rx->msgs[i];
	const union sockaddr_any *from = &lx->rx->from[i];
	size_t len = m->msg_len;
	struct fz_udp_batch b = { .data = lx->rx->data[i], .len = len, .seg_len = (uint16_t)len };

	if (len == 0 || m->msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || len > FZ_SUPER_MAX) {
		lx->stats.udp_recv_bad++;
		return false;
	}
	read_control(&m->msg_hdr, &b);
	if (!fz_addr_set(&b.local)) {
		lx->stats.udp_recv_bad++;
		return false;
	}
	b.local.port = s->port;
	if (from->sa.sa_family == AF_INET) {
		b.remote.ip = fz_ip_v4((const uint8_t *)&from->in.sin_addr);
		b.remote.port = ntohs(from->in.sin_port);
	} else {
		b.remote.ip = fz_ip_v6((const uint8_t *)&from->in6.sin6_addr);
		b.remote.port = ntohs(from->in6.sin6_port);
	}
	lx->stats.udp_received += gso_count(b.len, b.seg_len);
	*ret = b;
	return true;
}

/* One system call on one socket, into the messages from `used` on. Returns how many of those it filled. */
static unsigned receive(struct lx *lx, struct lx_sock *s, unsigned used, unsigned want)
{
	int n;

	arm(lx->rx, used, want);
	do
		n = recvmmsg(s->fd, lx->rx->msgs + used, want, 0, NULL);
	while (n < 0 && errno == EINTR);
	if (n < (int)want)
		s->maybe_ready = false; /* it is empty: the next wait will tell when that changes */
	return n < 0 ? 0 : (unsigned)n;
}

int lx_udp_recv(void *p, struct fz_udp_batch *ret, size_t max)
{
	struct lx *lx = p;
	unsigned used = 0;
	int got = 0;

	/* In turns, so that a flood on one socket does not starve the other. */
	lx->udp_first ^= 1;
	for (unsigned turn = 0; turn < 2; turn++) {
		struct lx_sock *s = &lx->udp[lx->udp_first ^ turn];
		size_t want = max - (size_t)got < RX_MSGS - used ? max - (size_t)got : RX_MSGS - used;
		if (!s->maybe_ready || want == 0)
			continue;
		unsigned n = receive(lx, s, used, (unsigned)want);
		for (unsigned i = used; i < used + n; i++)
			got += read_message(lx, s, i, &ret[got]);
		used += n;
	}
	return got;
}
