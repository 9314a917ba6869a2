/* SPDX-License-Identifier: Apache-2.0 */
/* What only the Linux platform does: addresses, routes and rules without a trace afterwards, devices of other
 * namespaces, changes of the network, the fall-back from segmentation offload. Each test has a network
 * namespace. */
#define _GNU_SOURCE
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fzconn/platform.h"
#include "netns.h"
#include "platform/linux/lx.h"

#define DUMP                                                                                                 \
	"ip rule; ip -6 rule; ip -o addr | sed 's/ valid_lft.*//'; ip route show table all;"                 \
	" ip -6 route show table all | grep -v 'dev v[01] .*\\(fe80\\|ff00\\)'; ip -br link"

static struct unit_env env;
static struct fz_platform p;
static uint8_t buf[FZ_PKT_HEADROOM + FZ_SUPER_MAX];
static char before[1 << 16], after[1 << 16];

static struct fz_ip ip(const char *s)
{
	struct fz_ip ret;

	ck_assert_int_eq(fz_ip_parse(s, &ret), 0);
	return ret;
}

static struct fz_prefix net(const char *s)
{
	struct fz_prefix ret;

	ck_assert_int_eq(fz_prefix_parse(s, &ret), 0);
	return ret;
}

static void set_up(void)
{
	netns_enter();
	netns_run(
		"sysctl -qw net.ipv6.conf.default.accept_dad=0;" /* link-local addresses are there at once */
		"ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up;"
		"ip addr add 192.168.5.1/24 dev v0; ip addr add 2001:db8:5::1/64 dev v0 nodad;"
		"ip route add default via 192.168.5.254; ip -6 route add default via 2001:db8:5::ff;"
		"ip route add 172.30.0.0/24 via 192.168.5.253");
	unit_env_init(&env, 1);
	netns_output(DUMP, before, sizeof(before));
}

static void tear_down(void)
{
	fz_platform_free(&p);
	unit_env_check(&env);
}

static void make(bool no_policy)
{
	const struct fz_platform_linux_opts o = { .size = sizeof(o), .no_policy = no_policy };

	ck_assert_int_eq(fz_platform_linux_new(&env.env, &o, &p), 0);
}

static int open_tun(int fd)
{
	const struct fz_tun_opts o = { .size = sizeof(o), .name = "fztest", .fd = fd };

	return p.ops->tun_open(p.ctx, &o);
}

static int apply(const char *const *routes)
{
	struct fz_prefix set[8];
	struct fz_netcfg cfg = { .ipv4 = ip("100.64.0.1"), .ipv6 = ip("fd00:2021:1111::1"), .routes = set };

	for (; routes[cfg.routes_len]; cfg.routes_len++)
		set[cfg.routes_len] = net(routes[cfg.routes_len]);
	return p.ops->net_apply(p.ctx, &cfg);
}

static const char *const all[] = { "10.0.0.0/8", "100.64.0.0/11", "fd00:2021:1111::/107",
				   "0.0.0.0/0",  "::/0",          NULL };
static const char *const some[] = { "10.0.0.0/8", "10.5.0.0/16", NULL };
static const char *const none[] = { NULL };

static void expect(const char *command, const char *want)
{
	static char got[1 << 14];

	netns_output(command, got, sizeof(got));
	ck_assert_msg(strcmp(got, want) == 0, "%s\ngave:\n%s\nexpected:\n%s", command, got, want);
}

static void expect_as_before(void)
{
	netns_output(DUMP, after, sizeof(after));
	ck_assert_msg(strcmp(before, after) == 0, "before:\n%s\nafter:\n%s", before, after);
}

#define USER "ip route show table 539098368"
#define LINK "ip route show table 539098369"
#define INET "ip route show table 539098370"
#define USER6 "ip -6 route show table 539098368"
#define LINK6 "ip -6 route show table 539098369"
#define INET6 "ip -6 route show table 539098370"
#define RULES                                                                                                \
	"100:\tnot from all fwmark 0xfd002021 lookup 539098368\n"                                            \
	"200:\tnot from all fwmark 0xfd002021 lookup 539098369\n"                                            \
	"300:\tnot from all fwmark 0xfd002021 lookup 539098370\n"

START_TEST(apply_and_clear)
{
	make(false);
	ck_assert_int_eq(apply(all), FZ_ERR_STATE);
	ck_assert_int_eq(open_tun(0), 0);
	expect("ip -br link show fztest | awk '{print $2}'", "DOWN\n");
	for (int i = 0; i < 2; i++) { /* a second time changes nothing */
		ck_assert_int_eq(apply(all), 0);
		expect("ip rule | grep 0xfd002021 | sed 's/ proto kernel//'", RULES);
		expect("ip -6 rule | grep 0xfd002021 | sed 's/ proto kernel//'", RULES);
		expect(USER, "10.0.0.0/8 dev fztest proto static \n100.64.0.0/11 dev fztest proto static \n");
		expect(INET, "default dev fztest proto static \n");
		expect(LINK, "192.168.5.0/24 dev v0 proto static scope link src 192.168.5.1 \n");
		expect(USER6, "fd00:2021:1111::/107 dev fztest proto static metric 1024 pref medium\n");
		expect(INET6, "default dev fztest proto static metric 1024 pref medium\n");
		expect(LINK6, "2001:db8:5::/64 dev v0 proto static metric 256 pref medium\n");
		expect("ip -o addr show dev fztest | awk '{print $4}'",
		       "100.64.0.1/32\nfd00:2021:1111::1/128\n");
		expect("ip link show fztest | head -1 | grep -o 'mtu 1280\\|qlen 10000\\|,UP'",
		       ",UP\nmtu 1280\nqlen 10000\n");
	}
	ck_assert_int_eq(apply(some), 0);
	expect(USER, "10.0.0.0/8 dev fztest proto static \n10.5.0.0/16 dev fztest proto static \n");
	expect(INET, "");
	expect(LINK, ""); /* of use only beside an Internet route */
	expect(USER6, "");
	expect(LINK6, "");
	ck_assert_int_eq(apply(none), 0);
	expect(USER, "");
	ck_assert_int_eq(apply(all), 0);
	p.ops->net_clear(p.ctx);
	p.ops->tun_close(p.ctx);
	expect_as_before();
	p.ops->net_clear(p.ctx);
}
END_TEST

START_TEST(clear_after_close)
{
	make(false);
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(all), 0);
	p.ops->tun_close(p.ctx);
	p.ops->net_clear(p.ctx);
	expect_as_before();
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(some), 0);
	netns_run("ip link del fztest");
	p.ops->net_clear(p.ctx);
	p.ops->tun_close(p.ctx);
	expect_as_before();
}
END_TEST

/* A process that ends without clearing anything. */
static void crash(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		make(false);
		if (open_tun(0) == 0 && apply(all) == 0)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	netns_output(DUMP, after, sizeof(after));
	ck_assert_str_ne(before, after); /* else the test shows nothing */
}

START_TEST(clean_after_crash)
{
	crash();
	make(false);
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(some), 0);
	expect(LINK, "");
	p.ops->net_clear(p.ctx);
	p.ops->tun_close(p.ctx);
	expect_as_before();
	fz_platform_free(&p);
	crash();
	make(true); /* without a policy of its own it tidies up as well */
	ck_assert_int_eq(open_tun(0), 0);
	p.ops->tun_close(p.ctx);
	expect_as_before();
}
END_TEST

START_TEST(tables_of_another_program_stay)
{
	make(false);
	netns_run("ip route add 10.99.0.0/16 dev v0 table 539098368");
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(all), 0);
	p.ops->net_clear(p.ctx);
	expect(USER, "10.99.0.0/16 dev v0 scope link \n");
	expect("ip rule | grep 0xfd002021 | sed 's/ proto kernel//'", RULES);
	netns_run("ip route del 10.99.0.0/16 table 539098368");
	ck_assert_int_eq(apply(all), 0);
	p.ops->net_clear(p.ctx);
	p.ops->tun_close(p.ctx);
	expect_as_before();
}
END_TEST

START_TEST(without_policy)
{
	make(true);
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(some), 0);
	expect("ip rule | grep -c 0xfd002021", "0\n");
	expect("ip route show dev fztest", "10.0.0.0/8 proto static \n10.5.0.0/16 proto static \n");
	p.ops->net_clear(p.ctx);
	p.ops->tun_close(p.ctx);
	expect_as_before();
}
END_TEST

START_TEST(one_family_is_enough)
{
	netns_run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1");
	make(false);
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(all), 0);
	expect("ip -o addr show dev fztest | awk '{print $4}'", "100.64.0.1/32\n");
	expect("ip -6 rule | grep -c 0xfd002021", "0\n");
	p.ops->net_clear(p.ctx);
}
END_TEST

START_TEST(a14_8_own_sockets_bypass_the_tunnel)
{
	struct fz_pkt pkt;
	uint32_t ready;
	struct fz_udp_batch b = {
		.data = buf, .len = 10, .seg_len = 10, .remote = { .ip = ip("203.0.113.9"), .port = 9 }
	};

	make(false);
	netns_run("ip neigh add 192.168.5.254 lladdr 02:00:00:00:00:01 dev v0");
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(all), 0);
	ck_assert_int_eq(p.ops->udp_open(p.ctx, FZ_UDP_PORT), 0);
	ck_assert_int_eq(p.ops->udp_send(p.ctx, &b), 0);
	for (int i = 0; i < 10; i++)
		p.ops->wait(p.ctx, p.ops->now_us(p.ctx) + 5000, &ready);
	while (p.ops->tun_read(p.ctx, buf, sizeof(buf), &pkt) == 1) /* router solicitations of the kernel */
		ck_assert(!(pkt.data[0] == 0x45 && pkt.data[9] == 17));
	expect("ip route get 203.0.113.9 | grep -c fztest; ip route get 203.0.113.9 mark 0xfd002021 | grep "
	       "-c v0;"
	       "ip route get 192.168.5.7 | grep -c v0; ip route get 10.1.1.1 | grep -c fztest",
	       "1\n1\n1\n1\n");
	p.ops->net_clear(p.ctx);
}
END_TEST

/* A device as somebody else makes it, in the namespace of the moment. */
static int make_device(short flags)
{
	struct ifreq ifr = { .ifr_name = "other", .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

/* The kernel of this namespace sends one datagram to 10.1.1.1. */
static int send_datagram(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(7),
				  .sin_addr.s_addr = htonl(0x0a010101) };
	int s = socket(AF_INET, SOCK_DGRAM, 0),
	    ret = (int)sendto(s, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to));

	close(s);
	return ret;
}

static bool readable(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1;
}

static void read_hello(void)
{
	struct fz_pkt pkt;
	uint32_t ready;

	for (int i = 0; i < 1000; i++) {
		while (p.ops->tun_read(p.ctx, buf, sizeof(buf), &pkt) == 1)
			if (pkt.len == 33 && memcmp(pkt.data + 28, "hello", 5) == 0)
				return;
		p.ops->wait(p.ctx, p.ops->now_us(p.ctx) + 20000, &ready);
	}
	ck_abort_msg("nothing came");
}

static void adopt_from_elsewhere(short flags, bool offload)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY), there, fd;

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	there = open("/proc/thread-self/ns/net", O_RDONLY);
	fd = make_device(flags);
	ck_assert_int_eq(setns(home, CLONE_NEWNET), 0);
	make(false);
	ck_assert_int_eq(open_tun(fd), 0);
	close(fd); /* it was duplicated */
	ck_assert_int_eq(p.ops->tun_offload(p.ctx), offload);
	ck_assert_int_eq(apply(some), 0);
	expect_as_before(); /* here */
	ck_assert_int_eq(setns(there, CLONE_NEWNET), 0);
	expect("ip rule | grep -c 0xfd002021", "0\n");
	expect("ip route show dev other", "10.0.0.0/8 proto static \n10.5.0.0/16 proto static \n");
	expect("ip -o -4 addr show dev other | awk '{print $4}'", "100.64.0.1/32\n");
	ck_assert_int_eq(send_datagram(), 5);
	ck_assert_int_eq(setns(home, CLONE_NEWNET), 0);
	read_hello();
	p.ops->net_clear(p.ctx);
	ck_assert_int_eq(setns(there, CLONE_NEWNET), 0);
	expect("ip route show dev other; ip -o -4 addr show dev other", "");
	ck_assert_int_eq(setns(home, CLONE_NEWNET), 0);
	p.ops->tun_close(p.ctx);
	ck_assert_int_eq(open_tun(0), 0); /* and back to a device of our own */
	ck_assert_int_eq(apply(some), 0);
	p.ops->net_clear(p.ctx);
	p.ops->tun_close(p.ctx);
	expect_as_before();
}

START_TEST(adopted_device)
{
	adopt_from_elsewhere(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, true);
}
END_TEST

START_TEST(adopted_plain_device)
{
	adopt_from_elsewhere(IFF_TUN | IFF_NO_PI, false);
}
END_TEST

START_TEST(devices_that_do_not_fit)
{
	int fd;

	make(false);
	fd = open("/dev/null", O_RDWR);
	ck_assert_int_eq(open_tun(fd), FZ_ERR_INVAL);
	close(fd);
	fd = make_device(IFF_TAP | IFF_NO_PI);
	ck_assert_int_eq(open_tun(fd), FZ_ERR_INVAL);
	close(fd);
	struct fz_tun_opts o = { .size = sizeof(o), .name = "other" };
	fd = make_device(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	ck_assert_int_eq(p.ops->tun_open(p.ctx, &o), FZ_ERR_STATE); /* in use */
	close(fd);
	fd = make_device(IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE);
	ck_assert_int_eq(p.ops->tun_open(p.ctx, &o), FZ_ERR_STATE);
	close(fd);
	o.name = "a-name-that-is-too-long";
	ck_assert_int_eq(p.ops->tun_open(p.ctx, &o), FZ_ERR_INVAL);
	o.name = "";
	ck_assert_int_eq(p.ops->tun_open(p.ctx, &o), FZ_ERR_INVAL);
	expect_as_before();
}
END_TEST

START_TEST(missing_node)
{
	struct fz_platform_linux_opts o = { .size = sizeof(o), .no_create_node = true };

	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("tmpfs", "/dev/net", "tmpfs", 0, NULL), 0);
	ck_assert_int_eq(fz_platform_linux_new(&env.env, &o, &p), 0);
	ck_assert_int_eq(open_tun(0), FZ_ERR_NOT_FOUND);
	fz_platform_free(&p);
	make(false);
	int err = open_tun(0); /* made where the kernel lets us: not in a user namespace */
	ck_assert(err == 0 || err == FZ_ERR_NOT_FOUND);
}
END_TEST

START_TEST(no_privileges)
{
	struct fz_udp_batch b = { .data = buf,
				  .len = 10,
				  .seg_len = 10,
				  .remote = { .ip = ip("192.168.5.1") } },
			    got;

	make(false);
	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return; /* a user namespace has nobody else */
	ck_assert_int_eq(open_tun(0), FZ_ERR_PERM);
	ck_assert_int_eq(p.ops->udp_open(p.ctx, 0),
			 0); /* without a mark: there is no tunnel that it would loop into */
	b.remote.port = p.ops->udp_port(p.ctx, FZ_FAMILY_INET);
	ck_assert_int_eq(p.ops->udp_send(p.ctx, &b), 0);
	ck_assert(readable(p.ops->wait_fd(p.ctx), 20000));
	ck_assert_int_eq(p.ops->udp_recv(p.ctx, &got, 1), 1);
}
END_TEST

START_TEST(privileges_dropped_later)
{
	make(false);
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(all), 0);
	ck_assert_int_eq(p.ops->udp_open(p.ctx, 0), 0);
	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return;
	ck_assert_int_eq(p.ops->udp_open(p.ctx, 0), FZ_ERR_PERM); /* unmarked it would loop */
}
END_TEST

/* Two segments of TCP to a closed port: the kernel has taken them as one packet when it answers with one RST.
 */
START_TEST(tcp_super_packet)
{
	static const uint8_t head[40] = { 0x45, 0, 0, 240, 0,   1,  0x40, 0, 64,   6,    0,    0,
					  10,   1, 1, 1,   100, 64, 0,    1, 0,    80,   0x30, 0x39,
					  0,    0, 0, 1,   0,   0,  0,    1, 0x50, 0x10, 1,    0 };
	uint8_t *d = buf + FZ_PKT_HEADROOM;
	struct fz_pkt pkt = { .data = d,
			      .len = 240,
			      .gso = FZ_GSO_TCP4,
			      .gso_size = 100,
			      .needs_csum = 1,
			      .csum_start = 20,
			      .csum_offset = 16 };
	uint32_t sum = 0, seed = 6 + 220, ready;
	bool reset = false;

	make(false);
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(some), 0);
	memset(d, 0, 240);
	memcpy(d, head, 40);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)d[i] << 8 | d[i + 1];
	for (int i = 12; i < 20; i += 2)
		seed += (uint32_t)d[i] << 8 | d[i + 1];
	sum = ~((sum & 0xffff) + (sum >> 16));
	seed = (seed & 0xffff) + (seed >> 16);
	d[10] = (uint8_t)(sum >> 8);
	d[11] = (uint8_t)sum;
	d[36] = (uint8_t)(seed >> 8);
	d[37] = (uint8_t)seed;
	ck_assert_int_eq(p.ops->tun_write(p.ctx, &pkt), 0);
	for (int i = 0; i < 1000 && !reset; i++) {
		while (!reset && p.ops->tun_read(p.ctx, buf, sizeof(buf), &pkt) == 1)
			reset = pkt.data[0] == 0x45 && pkt.data[9] == 6 && pkt.data[33] & 4;
		p.ops->wait(p.ctx, p.ops->now_us(p.ctx) + 20000, &ready);
	}
	ck_assert(reset);
	p.ops->net_clear(p.ctx);
}
END_TEST

START_TEST(refused_super_packets_end_the_offload)
{
	uint8_t *d = buf + FZ_PKT_HEADROOM;
	struct fz_platform_stats st;

	make(false);
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(some), 0);
	for (int i = 0; i < 4; i++) {
		struct fz_pkt pkt = { .data = d,
				      .len = 240,
				      .gso = FZ_GSO_TCP4,
				      .gso_size = 100,
				      .needs_csum = 1,
				      .csum_start = 20,
				      .csum_offset = 6 };
		ck_assert(p.ops->tun_offload(p.ctx));
		memset(d, 0, 240);
		d[0] = 0x45;
		d[9] = 6;
		d[32] = 0x50;
		ck_assert_int_eq(p.ops->tun_write(p.ctx, &pkt), FZ_ERR_UNSUPPORTED);
	}
	ck_assert(!p.ops->tun_offload(p.ctx));
	p.ops->stats(p.ctx, &st);
	ck_assert_uint_eq(st.tun_super_refused, 4);
	ck_assert_uint_eq(st.tun_write_failed, 0);
	p.ops->net_clear(p.ctx); /* down: refused as well, but that is another matter */
	struct fz_pkt pkt = { .data = d, .len = 40 };
	ck_assert_int_eq(p.ops->tun_write(p.ctx, &pkt), FZ_ERR_IO);
	p.ops->stats(p.ctx, &st);
	ck_assert_uint_eq(st.tun_write_failed, 1);
}
END_TEST

/* Host and peer of a TCP connection through two devices, whose packets this test carries across. */
struct end {
	struct fz_platform p;
	int ns, listener, tcp;
};

static void make_end(struct end *e, const char *self, const char *other, const char *self6,
		     const char *other6, bool offload)
{
	const struct fz_platform_linux_opts o = { .size = sizeof(o), .no_offload = !offload };
	const struct fz_tun_opts to = { .size = sizeof(to), .name = "fztest" };
	struct fz_prefix routes[2] = { { ip(other), 32 }, { ip(other6), 128 } };
	const struct fz_netcfg cfg = {
		.ipv4 = ip(self), .ipv6 = ip(self6), .routes = routes, .routes_len = 2
	};

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	netns_run("ip link set lo up");
	e->ns = open("/proc/thread-self/ns/net", O_RDONLY);
	ck_assert_int_eq(fz_platform_linux_new(&env.env, &o, &e->p), 0);
	ck_assert_int_eq(e->p.ops->tun_open(e->p.ctx, &to), 0);
	ck_assert_int_eq(e->p.ops->net_apply(e->p.ctx, &cfg), 0);
}

/* Everything that waits at one end goes to the other; true when some of it were super-packets. */
static bool carry(struct end *from, struct end *to)
{
	struct fz_pkt pkt;
	bool super = false;

	while (from->p.ops->tun_read(from->p.ctx, buf, sizeof(buf), &pkt) == 1) {
		super |= pkt.gso != FZ_GSO_NONE;
		ck_assert_int_eq(to->p.ops->tun_write(to->p.ctx, &pkt), 0);
	}
	return super;
}

static void connect_ends(struct end *a, struct end *b, int family)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(80) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct fz_ip to = ip(family == AF_INET ? "100.64.0.2" : "fd00:2021:1111::2");
	struct sockaddr *sa = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	socklen_t len = family == AF_INET ? sizeof(v4) : sizeof(v6);

	memcpy(&v4.sin_addr, to.b, 4);
	memcpy(&v6.sin6_addr, to.b, 16);
	ck_assert_int_eq(setns(b->ns, CLONE_NEWNET), 0);
	b->listener = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_msg(bind(b->listener, sa, len) == 0, "bind: %s", strerror(errno));
	ck_assert_int_eq(listen(b->listener, 1), 0);
	ck_assert_int_eq(setns(a->ns, CLONE_NEWNET), 0);
	a->tcp = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	(void)connect(a->tcp, sa, len);
	b->tcp = -1;
	for (int i = 0; i < 20000 && b->tcp < 0; i++) {
		carry(a, b);
		carry(b, a);
		b->tcp = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK);
		usleep(1000);
	}
	ck_assert_int_ge(b->tcp, 0);
}

static void tcp_between(int family, bool offload)
{
	enum { TOTAL = 16 << 20, CHUNK = 1 << 16 };
	static uint8_t out[CHUNK + 251], in[CHUNK];
	struct end a = { 0 }, b = { 0 };
	size_t sent = 0, got = 0;
	bool super = false;
	int idle = 0;

	make_end(&a, "100.64.0.1", "100.64.0.2", "fd00:2021:1111::1", "fd00:2021:1111::2", offload);
	make_end(&b, "100.64.0.2", "100.64.0.1", "fd00:2021:1111::2", "fd00:2021:1111::1", offload);
	connect_ends(&a, &b, family);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i % 251); /* so the byte at any offset of the stream is known */
	while (got < TOTAL && idle < 20000) {
		ssize_t n = sent < TOTAL ? send(a.tcp, out + sent % 251,
						TOTAL - sent < CHUNK ? TOTAL - sent : CHUNK, 0)
					 : 0;
		sent += n > 0 ? (size_t)n : 0;
		super |= carry(&a, &b);
		n = recv(b.tcp, in, sizeof(in), 0);
		if (n > 0) {
			ck_assert_int_eq(memcmp(in, out + got % 251, (size_t)n), 0);
			got += (size_t)n;
		}
		carry(&b, &a);
		if (n > 0)
			idle = 0;
		else if (++idle > 10)
			usleep(1000);
	}
	ck_assert_uint_eq(got, TOTAL);
	ck_assert_int_eq(super, offload);
	fz_platform_free(&a.p);
	fz_platform_free(&b.p);
}

START_TEST(tcp_between_devices)
{
	tcp_between(AF_INET, true);
	tcp_between(AF_INET6, true);
}
END_TEST

START_TEST(tcp_between_plain_devices)
{
	tcp_between(AF_INET, false);
	tcp_between(AF_INET6, false);
}
END_TEST

/* A socket without checksums refuses segmentation with EINVAL, as some drivers do with EIO. */
START_TEST(a21_3_segmentation_is_given_up)
{
	struct fz_udp_batch b = { .data = buf,
				  .len = 5005,
				  .seg_len = 1000,
				  .remote = { .ip = ip("192.168.5.1") } },
			    got[8];
	struct fz_platform_stats st;
	size_t have = 0;
	int one = 1;

	make(false);
	ck_assert_int_eq(p.ops->udp_open(p.ctx, 0), 0);
	struct lx *lx = p.ctx;
	ck_assert(lx->udp[0].gso);
	ck_assert_int_eq(setsockopt(lx->udp[0].fd, SOL_SOCKET, SO_NO_CHECK, &one, sizeof(one)), 0);
	b.remote.port = p.ops->udp_port(p.ctx, FZ_FAMILY_INET);
	ck_assert_int_eq(p.ops->udp_send(p.ctx, &b), 0);
	ck_assert_uint_eq(b.len, 0);
	ck_assert(!lx->udp[0].gso);
	ck_assert(lx->udp[1].gso);
	p.ops->stats(p.ctx, &st);
	ck_assert_uint_eq(st.udp_gso_fallbacks, 1);
	ck_assert_uint_eq(st.udp_sent, 6);
	while (have < 5005) {
		ck_assert(readable(p.ops->wait_fd(p.ctx), 20000));
		int n = p.ops->udp_recv(p.ctx, got, 8);
		for (int i = 0; i < n; i++)
			have += got[i].len;
	}
	ck_assert_uint_eq(have, 5005);
}
END_TEST

/* A full send buffer: what was taken is not sent again. */
START_TEST(blocked_sends_go_on)
{
	const struct fz_platform_linux_opts o = { .size = sizeof(o), .sndbuf = 4608, .no_offload = true };
	struct fz_udp_batch b = { .remote = { .ip = ip("192.168.5.9"), .port = 9 } };
	uint32_t ready = 0;
	int err = 0;

	/* Unanswered neighbour queries hold the datagrams back. */
	netns_run("sysctl -qw net.ipv4.neigh.v0.unres_qlen_bytes=1000000");
	ck_assert_int_eq(fz_platform_linux_new(&env.env, &o, &p), 0);
	ck_assert_int_eq(p.ops->udp_open(p.ctx, 0), 0);
	for (int i = 0; i < 100 && err == 0; i++) {
		b.data = buf;
		b.len = 9999;
		b.seg_len = 1000;
		err = p.ops->udp_send(p.ctx, &b);
	}
	ck_assert_int_eq(err, FZ_ERR_AGAIN);
	ck_assert_uint_gt(b.len, 0);
	ck_assert_ptr_eq(b.data + b.len, buf + 9999);
	ck_assert_int_eq(p.ops->wait(p.ctx, 0, &ready), 0);
	ck_assert_uint_eq(ready & FZ_READY_UDP_SEND, 0);
	netns_run("ip neigh replace 192.168.5.9 lladdr 02:00:00:00:00:01 dev v0");
	for (int i = 0; i < 1000 && !(ready & FZ_READY_UDP_SEND); i++)
		p.ops->wait(p.ctx, p.ops->now_us(p.ctx) + 20000, &ready);
	ck_assert_uint_ne(ready & FZ_READY_UDP_SEND, 0);
	while ((err = p.ops->udp_send(p.ctx, &b)) == FZ_ERR_AGAIN)
		p.ops->wait(p.ctx, p.ops->now_us(p.ctx) + 20000, &ready);
	ck_assert_int_eq(err, 0);
}
END_TEST

START_TEST(port_taken)
{
	struct fz_platform q;

	make(false);
	ck_assert_int_eq(fz_platform_linux_new(&env.env, NULL, &q), 0);
	ck_assert_int_eq(p.ops->udp_open(p.ctx, FZ_UDP_PORT), 0);
	ck_assert_int_eq(q.ops->udp_open(q.ctx, FZ_UDP_PORT), 0);
	for (uint8_t f = 4; f <= 6; f += 2) {
		ck_assert_uint_eq(p.ops->udp_port(p.ctx, f), FZ_UDP_PORT);
		ck_assert_uint_ne(q.ops->udp_port(q.ctx, f), FZ_UDP_PORT);
		ck_assert_uint_ne(q.ops->udp_port(q.ctx, f), 0);
	}
	fz_platform_free(&q);
}
END_TEST

START_TEST(descriptor_for_a_foreign_loop)
{
	struct fz_udp_batch b = { .data = buf,
				  .len = 10,
				  .seg_len = 10,
				  .remote = { .ip = ip("192.168.5.1") } },
			    got;
	uint32_t ready;

	make(false);
	int fd = p.ops->wait_fd(p.ctx);
	ck_assert_int_eq(p.ops->udp_open(p.ctx, 0), 0);
	b.remote.port = p.ops->udp_port(p.ctx, FZ_FAMILY_INET);
	ck_assert(!readable(fd, 0));
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
	ck_assert_int_eq(p.ops->udp_send(p.ctx, &b), 0);
	ck_assert(readable(fd, 20000));
	ck_assert_int_eq(p.ops->wait(p.ctx, 0, &ready), 0);
	ck_assert_uint_eq(ready, FZ_READY_UDP);
	ck_assert(readable(fd, 0));
	ck_assert_int_eq(p.ops->udp_recv(p.ctx, &got, 1), 1);
	ck_assert(!readable(fd, 0));
	/* Deadlines: not early, not much too late. */
	uint64_t until = p.ops->now_us(p.ctx) + 30500;
	ck_assert_int_eq(p.ops->wait(p.ctx, until, &ready), 0);
	ck_assert_uint_eq(ready, 0);
	ck_assert_uint_ge(p.ops->now_us(p.ctx), until);
}
END_TEST

/* Events until there were none for that time; how long the first took. */
static int events(uint64_t us, uint64_t *ret_first)
{
	uint64_t start = p.ops->now_us(p.ctx), from = start;
	uint32_t ready;
	int n = 0;

	while (p.ops->now_us(p.ctx) < from + us) {
		ck_assert_int_eq(p.ops->wait(p.ctx, from + us, &ready), 0);
		while (p.ops->net_event(p.ctx) == FZ_NET_CHANGED)
			if (from = p.ops->now_us(p.ctx), n++ == 0 && ret_first)
				*ret_first = from - start;
	}
	return n;
}

START_TEST(changes_that_matter)
{
	static const char *const commands[] = {
		"ip addr add 192.168.5.2/24 dev v0",
		"ip addr del 192.168.5.2/24 dev v0",
		"ip route replace default via 192.168.5.252",
		"ip route del default",
		"ip route add default via 192.168.5.254",
		"ip -6 route del default",
		"ip link set v1 down", /* the carrier of v0 */
		"ip link set v1 up",
		"ip addr flush v0; ip addr add 192.168.5.7/24 dev v0; ip route add default via 192.168.5.254",
	};
	uint64_t first = 0;

	make(false);
	ck_assert_int_eq(events(100000, NULL), 0);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		netns_run(commands[i]);
		int n = events(300000, &first);
		ck_assert_msg(n == 1, "%s: %d events", commands[i], n);
		ck_assert_msg(first < 250000, "%s: after %u ms", commands[i], (unsigned)(first / 1000));
	}
}
END_TEST

START_TEST(changes_that_do_not)
{
	static const char *const commands[] = {
		"ip route add 10.77.0.0/16 via 192.168.5.254",
		"ip addr change 192.168.5.1/24 dev v0 valid_lft 1000 preferred_lft 1000",
		"ip link set v0 txqueuelen 77",
		"ip link add w0 type veth peer name w1",
		"ip link set w0 up; ip link set w1 up; sleep 0.2; ip link del w0",
		"ip addr add 192.168.5.2/24 dev v0; ip addr del 192.168.5.2/24 dev v0", /* undone before
											   anyone looked */
		"ip route add default via 192.168.5.251 metric 500", /* not the best one */
	};

	make(false);
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(all), 0);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		netns_run(commands[i]);
		int n = events(300000, NULL);
		ck_assert_msg(n == 0, "%s: %d events", commands[i], n);
	}
	p.ops->net_clear(p.ctx);
	p.ops->tun_close(p.ctx);
}
END_TEST

START_TEST(connected_networks_are_followed)
{
	make(false);
	ck_assert_int_eq(open_tun(0), 0);
	ck_assert_int_eq(apply(all), 0);
	netns_run("ip addr add 192.168.6.1/24 dev v0; ip addr del 192.168.5.1/24 dev v0");
	(void)events(400000, NULL);
	expect(LINK, "192.168.6.0/24 dev v0 proto static scope link src 192.168.6.1 \n");
	p.ops->net_clear(p.ctx);
	expect(LINK, "");
}
END_TEST

/* Allocation 1, 2, 3... fails, until nothing does any more. */
START_TEST(without_memory)
{
	struct fz_tun_opts o = { .size = sizeof(o), .name = "fztest" };
	const struct fz_prefix route = net("10.0.0.0/8");
	struct fz_netcfg cfg = { .ipv4 = ip("100.64.0.1"), .routes = &route, .routes_len = 1 };
	bool done = false;

	for (int at = 1; !done; at++) {
		env.allocs = 0;
		env.fail_at = at;
		int err = fz_platform_linux_new(&env.env, NULL, &p);
		if (err == 0)
			err = p.ops->udp_open(p.ctx, 0);
		if (err == 0)
			err = p.ops->tun_open(p.ctx, &o);
		if (err == 0)
			err = p.ops->net_apply(p.ctx, &cfg);
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		done = err == 0;
		if (p.ctx)
			p.ops->net_clear(p.ctx);
		fz_platform_free(&p);
		expect_as_before();
		ck_assert_int_eq(env.blocks, 0);
		ck_assert_int_lt(at, 50);
	}
}
END_TEST

START_TEST(options_of_other_ages)
{
	struct {
		struct fz_platform_linux_opts o;
		uint32_t more[4];
	} newer = { .o.size = sizeof(newer) };

	ck_assert_int_eq(fz_platform_linux_new(&env.env, &newer.o, &p), 0);
	fz_platform_free(&p);
	newer.more[1] = 1;
	ck_assert_int_eq(fz_platform_linux_new(&env.env, &newer.o, &p), FZ_ERR_ABI);
}
END_TEST

Suite *unit_suite(void)
{
	const TTest *const tests[] = { apply_and_clear,
				       clear_after_close,
				       clean_after_crash,
				       tables_of_another_program_stay,
				       without_policy,
				       one_family_is_enough,
				       a14_8_own_sockets_bypass_the_tunnel,
				       adopted_device,
				       adopted_plain_device,
				       devices_that_do_not_fit,
				       missing_node,
				       no_privileges,
				       privileges_dropped_later,
				       tcp_super_packet,
				       refused_super_packets_end_the_offload,
				       a21_3_segmentation_is_given_up,
				       blocked_sends_go_on,
				       port_taken,
				       descriptor_for_a_foreign_loop,
				       changes_that_matter,
				       changes_that_do_not,
				       connected_networks_are_followed,
				       without_memory,
				       options_of_other_ages };
	const TTest *const pairs[] = { tcp_between_devices, tcp_between_plain_devices };
	Suite *s = suite_create("platform linux");
	TCase *tc = tcase_create("namespace"), *two = tcase_create("two namespaces");

	netns_probe();
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_checked_fixture(two, set_up, tear_down);
	tcase_set_timeout(tc, 30);
	tcase_set_timeout(two, 30);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		tcase_add_test(two, pairs[i]);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, two);
	return s;
}
