/* SPDX-License-Identifier: Apache-2.0 */
/* Places where others ask us for DNS, by UDP and TCP. The kernel's buffers are the queues: a request is read
 * when somebody asks for it. Sockets are bound to the address that they serve, which may not exist yet, so
 * answers leave from it; they are not marked, since those who ask are behind the tunnel. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "platform/linux/dnsconn.h"
#include "platform/linux/lx.h"
#include "platform/linux/sockaddr.h"

enum { PLACES_MAX = 8, ASKED_MAX = 1024, BACKLOG = 64, READS = 64, HEADER = 12, PAUSE_MS = 1000 };
/* Ids of requests: a serial number, and in these bits which connection it is, 0 = UDP. */
enum { CONN_BITS = 8 };
static_assert(DNSCONNS_MAX < 1 << CONN_BITS, "a connection's number fits");

struct place {
	struct fz_addr addr; /* family none = free */
	int udp, tcp; /* -1 = closed */
	bool maybe_ready; /* a datagram may be there */
};

/* Who asked by UDP. The oldest is forgotten first, so nothing needs a time-out. */
struct asked {
	uint64_t id;
	struct fz_addr local, peer;
};

struct lx_listens {
	struct place places[PLACES_MAX];
	struct dnsconns conns;
	struct asked asked[ASKED_MAX];
	uint64_t serial;
	uint64_t paused_us; /* out of descriptors: nobody is accepted until then */
	unsigned next; /* place or connection that is looked at first */
	uint8_t buf[FZ_DNS_REQUEST_MAX + 1];
};

static int open_listens(struct lx *lx)
{
	struct lx_listens *t;

	if (lx->listens)
		return 0;
	t = fz_zalloc(lx->env, sizeof(*t));
	if (t == NULL)
		return FZ_ERR_NOMEM;
	for (int i = 0; i < PLACES_MAX; i++)
		t->places[i].udp = t->places[i].tcp = -1;
	t->paused_us = FZ_NEVER_US;
	dnsconns_init(&t->conns, lx);
	lx->listens = t;
	return 0;
}

static struct place *find(struct lx_listens *t, const struct fz_addr *addr)
{
	for (int i = 0; i < PLACES_MAX; i++)
		if (fz_addr_equal(&t->places[i].addr, addr))
			return &t->places[i];
	return NULL;
}

/* ---- sockets ---- */

static void set_options(int fd, uint8_t family, bool tcp)
{
	int one = 1;

	/* What the last process left behind must not keep us from the port. */
	if (tcp)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == FZ_FAMILY_INET) {
		(void)setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
		return;
	}
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
}

static int open_socket(struct lx *lx, const struct fz_addr *addr, bool tcp, uint32_t key, int *ret)
{
	union sockaddr_any sa;
	socklen_t len = to_sockaddr(&addr->ip, addr->port, &sa);
	int fd = socket(sa.sa.sa_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? FZ_ERR_FULL : FZ_ERR_IO;
	set_options(fd, addr->ip.family, tcp);
	if (bind(fd, &sa.sa, len) < 0 || (tcp && listen(fd, BACKLOG) < 0)) {
		fz_debug(lx->env, "dns", "no listener at port %u: %s", addr->port, strerror(errno));
		err = errno == EADDRINUSE ? FZ_ERR_STATE : errno == EACCES ? FZ_ERR_PERM : FZ_ERR_IO;
		close(fd);
		return err;
	}
	err = lx_loop_add_key(lx, fd, tcp ? LX_TAG_DNS_TCP : LX_TAG_DNS_UDP, key, LX_READ);
	if (err) {
		close(fd);
		return err;
	}
	*ret = fd;
	return 0;
}

static void close_socket(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_place(struct lx_listens *t, struct place *p)
{
	close_socket(&p->udp);
	close_socket(&p->tcp);
	dnsconns_close_of(&t->conns, &p->addr);
	*p = (struct place){ .udp = -1, .tcp = -1 };
}

int lx_dns_listen(void *ctx, const struct fz_addr *addr, bool udp, bool tcp)
{
	static const struct fz_addr none;
	struct lx *lx = ctx;
	struct place *p;
	int err;

	if (addr->ip.family == FZ_FAMILY_NONE || addr->port == 0 || (!udp && !tcp))
		return FZ_ERR_INVAL;
	err = open_listens(lx);
	if (err)
		return err;
	p = find(lx->listens, addr);
	bool is_new = p == NULL;
	if (is_new)
		p = find(lx->listens, &none);
	if (p == NULL)
		return FZ_ERR_FULL;
	p->addr = *addr;
	uint32_t key = (uint32_t)(p - lx->listens->places);
	if (udp && p->udp < 0)
		err = open_socket(lx, addr, false, key, &p->udp);
	if (err == 0 && tcp && p->tcp < 0)
		err = open_socket(lx, addr, true, key, &p->tcp);
	if (err) {
		if (is_new)
			close_place(lx->listens, p);
		return err;
	}
	if (!udp)
		close_socket(&p->udp);
	if (!tcp) {
		close_socket(&p->tcp);
		dnsconns_close_of(&lx->listens->conns, addr);
	}
	return 0;
}

void lx_dns_unlisten(void *ctx, const struct fz_addr *addr)
{
	struct lx *lx = ctx;
	struct place *p = lx->listens && addr->ip.family ? find(lx->listens, addr) : NULL;

	if (p)
		close_place(lx->listens, p);
}

/* ---- requests ---- */

/* The next datagram of a place that may be a request. */
static bool read_udp(struct lx *lx, struct place *p, struct fz_dns_request *ret)
{
	struct lx_listens *t = lx->listens;
	union sockaddr_any from;

	for (int i = 0; i < READS && p->maybe_ready; i++) {
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(p->udp, t->buf, sizeof(t->buf), 0, &from.sa, &from_len);
		if (n < 0) {
			p->maybe_ready = errno == EINTR;
			continue;
		}
		lx->stats.dns_requests++;
		if (n < HEADER || (size_t)n > FZ_DNS_REQUEST_MAX) {
			lx->stats.dns_refused++;
			continue;
		}
		uint64_t serial = ++t->serial;
		struct asked *a = &t->asked[serial % ASKED_MAX];
		*a = (struct asked){ serial << CONN_BITS, p->addr, from_sockaddr(&from) };
		*ret = (struct fz_dns_request){
			.id = a->id, .data = t->buf, .len = (size_t)n, .local = a->local, .peer = a->peer
		};
		return true;
	}
	return false;
}

static bool read_tcp(struct lx *lx, unsigned slot, struct fz_dns_request *ret)
{
	struct lx_listens *t = lx->listens;
	uint64_t id = (t->serial + 1) << CONN_BITS | (slot + 1);
	size_t len = dnsconns_read(&t->conns, slot, id, t->buf, lx_now_us(lx));

	if (len == 0)
		return false;
	t->serial++;
	lx->stats.dns_requests++;
	*ret = (struct fz_dns_request){ .id = id, .data = t->buf, .len = len, .tcp = true };
	dnsconns_addrs(&t->conns, slot, &ret->local, &ret->peer);
	return true;
}

/* Everybody's turn comes: nobody can keep the others from being heard. */
bool lx_dns_request(void *ctx, struct fz_dns_request *ret)
{
	struct lx *lx = ctx;
	struct lx_listens *t = lx->listens;
	enum { ALL = PLACES_MAX + DNSCONNS_MAX };

	for (unsigned i = 0; t && i < ALL; i++) {
		unsigned at = (t->next + i) % ALL;
		bool got = at < PLACES_MAX ? read_udp(lx, &t->places[at], ret)
					   : read_tcp(lx, at - PLACES_MAX, ret);
		if (got) {
			t->next = (at + 1) % ALL;
			return true;
		}
	}
	return false;
}

static int reply_udp(struct lx_listens *t, uint64_t id, const void *data, size_t len)
{
	struct asked *a = &t->asked[(id >> CONN_BITS) % ASKED_MAX];
	union sockaddr_any to;
	struct place *p;

	if (id == 0 || a->id != id)
		return FZ_ERR_NOT_FOUND;
	a->id = 0;
	if (len == 0)
		return 0;
	p = find(t, &a->local);
	if (p == NULL || p->udp < 0)
		return FZ_ERR_NOT_FOUND;
	socklen_t to_len = to_sockaddr(&a->peer.ip, a->peer.port, &to);
	return sendto(p->udp, data, len, MSG_NOSIGNAL, &to.sa, to_len) < 0 ? FZ_ERR_IO : 0;
}

int lx_dns_reply(void *ctx, uint64_t request, const void *data, size_t len)
{
	struct lx *lx = ctx;
	unsigned conn = request & ((1u << CONN_BITS) - 1);

	if (lx->listens == NULL)
		return FZ_ERR_NOT_FOUND;
	if (len > FZ_DNS_MESSAGE_MAX)
		return FZ_ERR_INVAL;
	if (conn == 0)
		return reply_udp(lx->listens, request, data, len);
	return dnsconns_reply(&lx->listens->conns, conn - 1, request, data, len, lx_now_us(lx));
}

/* ---- events ---- */

/* Without a descriptor to spare, who waits for us would be told of again and again. */
static void pause_accepting(struct lx *lx, bool on, uint64_t now_us)
{
	struct lx_listens *t = lx->listens;

	t->paused_us = on ? now_us + FZ_MS(PAUSE_MS) : FZ_NEVER_US;
	for (uint32_t i = 0; i < PLACES_MAX; i++)
		if (t->places[i].tcp >= 0)
			lx_loop_mod_key(lx, t->places[i].tcp, LX_TAG_DNS_TCP, i, on ? 0 : LX_READ);
}

static void accept_all(struct lx *lx, struct place *p, uint64_t now_us)
{
	for (int i = 0; i < BACKLOG; i++) {
		union sockaddr_any from;
		socklen_t len = sizeof(from);
		int fd = accept4(p->tcp, &from.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
				pause_accepting(lx, true, now_us);
			return;
		}
		struct fz_addr peer = from_sockaddr(&from);
		dnsconns_add(&lx->listens->conns, fd, &p->addr, &peer, now_us);
	}
}

bool lx_dns_listen_event(struct lx *lx, enum lx_tag tag, uint32_t key, unsigned ready)
{
	struct lx_listens *t = lx->listens;

	if (t == NULL)
		return false;
	if (tag == LX_TAG_DNS_CONN)
		return dnsconns_event(&t->conns, key, ready, lx_now_us(lx));
	if (tag == LX_TAG_DNS_UDP)
		t->places[key].maybe_ready = t->places[key].udp >= 0;
	else if (t->places[key].tcp >= 0)
		accept_all(lx, &t->places[key], lx_now_us(lx));
	return tag == LX_TAG_DNS_UDP;
}

uint64_t lx_dns_listen_next(const struct lx *lx)
{
	const struct lx_listens *t = lx->listens;

	return t ? fz_min_us(dnsconns_next(&t->conns), t->paused_us) : FZ_NEVER_US;
}

void lx_dns_listen_run(struct lx *lx, uint64_t now_us)
{
	if (lx->listens == NULL)
		return;
	dnsconns_run(&lx->listens->conns, now_us);
	if (lx->listens->paused_us <= now_us)
		pause_accepting(lx, false, now_us);
}

void lx_dns_listen_close(struct lx *lx)
{
	struct lx_listens *t = lx->listens;

	if (t == NULL)
		return;
	for (int i = 0; i < PLACES_MAX; i++)
		close_place(t, &t->places[i]);
	fz_free(lx->env, t);
	lx->listens = NULL;
}
