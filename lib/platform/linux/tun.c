/* SPDX-License-Identifier: Apache-2.0 */
/* The tunnel device. With IFF_VNET_HDR a packet and its header pass in one read or write: the header lies in
 * the headroom, right in front of the packet. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/opts.h"
#include "platform/linux/lx.h"
#include "platform/vnet.h"

/* Younger than the headers of Debian 12. */
#define F_USO4 0x20
#define F_USO6 0x40

static const char node[] = "/dev/net/tun";
/* A kernel takes the same header for each packet of a kind: a series of refusals means that it takes none. */
enum { REFUSALS_MAX = 4 };

static_assert(VNET_LEN <= FZ_PKT_HEADROOM, "the header lies in the headroom");
static_assert((int)FZ_GSO_TCP4 == 1 && (int)FZ_GSO_TCP6 == 4 && (int)FZ_GSO_UDP == 5, "values of the header");

static int error_of(struct lx *lx, const char *what, const char *name)
{
	int e = errno;

	fz_warn(lx->env, "tun", "%s %s: %s", what, name, strerror(e));
	switch (e) {
	case EPERM:
	case EACCES:
		return FZ_ERR_PERM;
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return FZ_ERR_NOT_FOUND;
	case EBUSY:
	case EINVAL: /* a device of that name with other flags, such as multi-queue */
		return FZ_ERR_STATE;
	case ENOMEM:
		return FZ_ERR_NOMEM;
	default:
		return FZ_ERR_IO;
	}
}

/* Containers often have the driver but not its node. */
static int open_node(const struct lx *lx)
{
	int fd = open(node, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 || errno != ENOENT || lx->opts.no_create_node)
		return fd;
	if ((mkdir("/dev/net", 0755) < 0 && errno != EEXIST) ||
	    mknod(node, S_IFCHR | 0600, makedev(10, 200)) < 0) {
		errno = ENOENT;
		return -1;
	}
	return open(node, O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

static int create(struct lx *lx, const char *name, struct lx_tun *tun)
{
	struct ifreq ifr = { 0 };

	strcpy(ifr.ifr_name, name);
	ifr.ifr_flags = IFF_TUN | IFF_NO_PI;
	if (!lx->opts.no_offload)
		ifr.ifr_flags |= IFF_VNET_HDR;
	tun->fd = open_node(lx);
	if (tun->fd < 0)
		return error_of(lx, "open", node);
	if (ioctl(tun->fd, TUNSETIFF, &ifr) < 0)
		return error_of(lx, "create", name);
	memcpy(tun->name, ifr.ifr_name, sizeof(tun->name)); /* a name with %d has got its number */
	tun->has_header = (ifr.ifr_flags & IFF_VNET_HDR) != 0;
	return 0;
}

static int adopt(struct lx *lx, int fd, struct lx_tun *tun)
{
	struct ifreq ifr = { 0 };
	int flags, size = VNET_LEN;

	tun->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (tun->fd < 0 || ioctl(tun->fd, TUNGETIFF, &ifr) < 0) {
		fz_warn(lx->env, "tun", "descriptor %d is no tunnel device: %s", fd, strerror(errno));
		return FZ_ERR_INVAL;
	}
	if (!(ifr.ifr_flags & IFF_TUN)) { /* IFF_NO_PI is reported whether it was asked for or not */
		fz_warn(lx->env, "tun", "descriptor %d carries Ethernet frames", fd);
		return FZ_ERR_INVAL;
	}
	memcpy(tun->name, ifr.ifr_name, sizeof(tun->name));
	tun->has_header = (ifr.ifr_flags & IFF_VNET_HDR) != 0;
	if (tun->has_header && ioctl(tun->fd, TUNSETVNETHDRSZ, &size) < 0)
		return error_of(lx, "set header size of", tun->name);
	flags = fcntl(tun->fd, F_GETFL);
	if (flags < 0 || fcntl(tun->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_of(lx, "set non-blocking", tun->name);
	return 0;
}

/* Kernels before 6.2 refuse a mask with USO as a whole. */
static void set_offloads(struct lx *lx, struct lx_tun *tun)
{
	const unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, uso = F_USO4 | F_USO6;

	if (!tun->has_header)
		return;
	if (!lx->opts.no_offload && ioctl(tun->fd, TUNSETOFFLOAD, tso | uso) == 0)
		tun->takes_tcp = tun->takes_udp = true;
	else if (!lx->opts.no_offload && ioctl(tun->fd, TUNSETOFFLOAD, tso) == 0)
		tun->takes_tcp = true;
	else if (ioctl(tun->fd, TUNSETOFFLOAD, 0) < 0) /* an adopted device may have some on */
		fz_warn(lx->env, "tun", "cannot set offloads: %s", strerror(errno));
	fz_debug(lx->env, "tun", "%s: offloads tcp %d udp %d", tun->name, tun->takes_tcp, tun->takes_udp);
}

int lx_tun_open(void *p, const struct fz_tun_opts *opts)
{
	struct lx *lx = p;
	struct lx_tun tun = { .fd = -1 };
	struct fz_tun_opts o;
	int err = fz_opts_import(&o, sizeof(o), opts, opts->size);

	if (err)
		return err;
	if (lx->tun.fd >= 0)
		return FZ_ERR_STATE;
	const char *name = o.name ? o.name : "tun-firezone";
	if (name[0] == '\0' || strlen(name) >= LX_NAME_MAX)
		return FZ_ERR_INVAL;
	tun.mtu = o.mtu ? o.mtu : FZ_TUNNEL_MTU;
	err = o.fd >= 1 ? adopt(lx, o.fd, &tun) : create(lx, name, &tun);
	if (err == 0) {
		set_offloads(lx, &tun);
		err = lx_loop_add(lx, tun.fd, LX_TAG_TUN);
	}
	if (err) {
		if (tun.fd >= 0)
			close(tun.fd);
		return err;
	}
	lx->tun = tun;
	lx->tun_lost = lx->tun_dead = false;
	err = lx_net_open(lx);
	if (err)
		lx_tun_close(lx);
	return err;
}

int lx_tun_read(void *p, uint8_t *buf, size_t cap, struct fz_pkt *ret)
{
	struct lx *lx = p;
	const size_t hdr = lx->tun.has_header ? VNET_LEN : 0;
	uint8_t *data = buf + FZ_PKT_HEADROOM;

	if (cap < FZ_PKT_HEADROOM + FZ_SUPER_MAX)
		return FZ_ERR_NOSPACE;
	if (lx->tun.fd < 0 || lx->tun_dead)
		return FZ_ERR_DEAD;
	for (;;) {
		ssize_t n = read(lx->tun.fd, data - hdr, cap - FZ_PKT_HEADROOM + hdr);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0) {
			fz_warn(lx->env, "tun", "read: %s", n < 0 ? strerror(errno) : "end of file");
			lx_tun_mark_lost(lx);
			return FZ_ERR_DEAD;
		}
		size_t len = (size_t)n > hdr ? (size_t)n - hdr : 0;
		if ((hdr ? vnet_decode(data - hdr, data, len, ret) : vnet_decode_plain(data, len, ret)) ==
		    0) {
			lx->stats.tun_read++;
			return 1;
		}
		lx->stats.tun_read_bad++;
	}
}

static int write_failed(struct lx *lx, const struct fz_pkt *pkt)
{
	switch (errno) {
	case EAGAIN:
		if (!lx->tun.wants_out)
			lx_loop_want_out(lx, lx->tun.fd, LX_TAG_TUN, true);
		lx->tun.wants_out = true;
		return FZ_ERR_AGAIN;
	case EBADFD:
		lx_tun_mark_lost(lx);
		return FZ_ERR_DEAD;
	case EINVAL:
		if (pkt->gso == FZ_GSO_NONE)
			break;
		lx->stats.tun_super_refused++;
		if (++lx->tun.refused == REFUSALS_MAX) {
			lx->tun.takes_tcp = lx->tun.takes_udp = false;
			fz_warn(lx->env, "tun", "the kernel refuses super-packets: going on without");
		}
		return FZ_ERR_UNSUPPORTED;
	default: /* EIO: the interface is down */
		break;
	}
	lx->stats.tun_write_failed++;
	return FZ_ERR_IO;
}

int lx_tun_write(void *p, const struct fz_pkt *pkt)
{
	struct lx *lx = p;
	const size_t hdr = lx->tun.has_header ? VNET_LEN : 0;
	ssize_t n;

	if (lx->tun.fd < 0 || lx->tun_dead)
		return FZ_ERR_DEAD;
	if (pkt->gso != FZ_GSO_NONE && !(pkt->gso == FZ_GSO_UDP ? lx->tun.takes_udp : lx->tun.takes_tcp))
		return FZ_ERR_UNSUPPORTED;
	if (hdr ? vnet_encode(pkt, pkt->data - hdr) : pkt->needs_csum ? vnet_complete_csum(pkt) : 0)
		return FZ_ERR_INVAL;
	do
		n = write(lx->tun.fd, pkt->data - hdr, pkt->len + hdr);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return write_failed(lx, pkt);
	if (pkt->gso != FZ_GSO_NONE)
		lx->tun.refused = 0;
	lx->stats.tun_written++;
	return 0;
}

bool lx_tun_offload(void *p)
{
	const struct lx *lx = p;

	return lx->tun.takes_tcp;
}

void lx_tun_mark_lost(struct lx *lx)
{
	if (lx->tun_dead)
		return;
	lx->tun_dead = lx->tun_lost = true;
	lx_loop_del(lx, lx->tun.fd); /* it would report an error for ever */
}

void lx_tun_close(void *p)
{
	struct lx *lx = p;

	if (lx->tun.fd < 0)
		return;
	lx_net_close(lx);
	if (!lx->tun_dead)
		lx_loop_del(lx, lx->tun.fd);
	close(lx->tun.fd);
	lx->tun = (struct lx_tun){ .fd = -1 };
	lx->tun_lost = lx->tun_dead = false;
}
