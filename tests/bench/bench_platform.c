/* SPDX-License-Identifier: Apache-2.0 */
/* What the Linux platform costs by itself: datagrams over the loopback, and TCP through two TUN devices whose
 * packets are carried across without encryption. Needs root; makes its own network namespaces. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fzconn/platform.h"

static uint8_t buf[FZ_PKT_HEADROOM + FZ_SUPER_MAX], data[65536];

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static double cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct fz_ip ip(const char *s)
{
	struct fz_ip ret = { 0 };

	need(fz_ip_parse(s, &ret) == 0, s);
	return ret;
}

static void make(struct fz_platform *p, bool offload)
{
	const struct fz_platform_linux_opts o = { .size = sizeof(o), .no_offload = !offload };

	need(fz_platform_linux_new(NULL, &o, p) == 0, "platform");
}

/* Datagrams of 1316 bytes from a to b, a batch at a time. */
static void udp(bool offload, size_t segs)
{
	enum { ROUNDS = 20000 };
	struct fz_platform a, b;
	struct fz_udp_batch got[8];
	uint32_t ready;
	double send = 0, recv = 0;
	size_t n = 0;

	make(&a, offload);
	make(&b, offload);
	need(a.ops->udp_open(a.ctx, 0) == 0 && b.ops->udp_open(b.ctx, 0) == 0, "sockets");
	for (size_t i = 0; i < ROUNDS; i += segs) {
		struct fz_udp_batch out = { .local = { .ip = ip("127.0.0.1") },
					    .remote = { ip("127.0.0.1"), 0,
							b.ops->udp_port(b.ctx, FZ_FAMILY_INET) },
					    .data = data,
					    .len = segs * 1316,
					    .seg_len = 1316 };
		double t0 = cpu_now();
		need(a.ops->udp_send(a.ctx, &out) == 0, "send");
		double t1 = cpu_now();
		b.ops->wait(b.ctx, 0, &ready);
		for (int k; (k = b.ops->udp_recv(b.ctx, got, 8)) > 0;)
			for (int j = 0; j < k; j++)
				n += (got[j].len + 1315) / 1316;
		double t2 = cpu_now();
		send += t1 - t0;
		recv += t2 - t1;
	}
	printf("udp %-8s %2zu a batch: send %5.0f ns, wait and receive %5.0f ns a datagram\n",
	       offload ? "offload" : "plain", segs, send / (double)n * 1e9, recv / (double)n * 1e9);
	fz_platform_free(&a);
	fz_platform_free(&b);
}

struct end {
	struct fz_platform p;
	int ns;
};

static void make_end(struct end *e, const char *self, const char *other, bool offload)
{
	const struct fz_tun_opts to = { .size = sizeof(to), .name = "fzbench" };
	struct fz_prefix route = { ip(other), 32 };
	const struct fz_netcfg cfg = { .ipv4 = ip(self), .routes = &route, .routes_len = 1 };

	need(unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0, "namespace");
	e->ns = open("/proc/thread-self/ns/net", O_RDONLY);
	make(&e->p, offload);
	need(e->p.ops->tun_open(e->p.ctx, &to) == 0 && e->p.ops->net_apply(e->p.ctx, &cfg) == 0, "device");
}

static size_t packets;

static void carry(struct end *from, struct end *to)
{
	struct fz_pkt pkt;

	for (; from->p.ops->tun_read(from->p.ctx, buf, sizeof(buf), &pkt) == 1; packets++)
		(void)to->p.ops->tun_write(to->p.ctx, &pkt);
}

static void tcp(bool offload)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct end a, b;
	size_t got = 0, total = offload ? (size_t)2 << 30 : (size_t)128 << 20;

	make_end(&a, "100.64.0.1", "100.64.0.2", offload);
	make_end(&b, "100.64.0.2", "100.64.0.1", offload);
	memcpy(&sa.sin_addr, ip("100.64.0.2").b, 4);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), in = -1;
	need(bind(listener, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(listener, 1) == 0, "listen");
	need(setns(a.ns, CLONE_NEWNET) == 0, "namespace");
	int out = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	(void)connect(out, (struct sockaddr *)&sa, sizeof(sa));
	while (in < 0) {
		carry(&a, &b);
		carry(&b, &a);
		in = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	}
	packets = 0;
	double t0 = cpu_now();
	while (got < total) {
		(void)!send(out, data, sizeof(data), MSG_NOSIGNAL);
		carry(&a, &b);
		ssize_t n;
		while ((n = recv(in, data, sizeof(data), 0)) > 0)
			got += (size_t)n;
		carry(&b, &a);
	}
	double t = cpu_now() - t0;
	printf("tun %-8s TCP, both ends and their sockets on one core: %.2f Gbit/s, %.0f bytes a packet\n",
	       offload ? "offload" : "plain", (double)got * 8 / t / 1e9, (double)got / (double)packets);
	close(in);
	close(out);
	close(listener);
	fz_platform_free(&a.p);
	fz_platform_free(&b.p);
}

int main(void)
{
	struct rusage ru;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: not root\n");
		return 77;
	}
	need(unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0, "namespace");
	udp(true, 49);
	udp(true, 8);
	udp(true, 1);
	udp(false, 49);
	udp(false, 1);
	tcp(true);
	tcp(false);
	getrusage(RUSAGE_SELF, &ru);
	printf("largest resident size %ld KiB\n", ru.ru_maxrss);
	return 0;
}
