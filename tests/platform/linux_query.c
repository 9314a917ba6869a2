/* SPDX-License-Identifier: Apache-2.0 */
/* DNS queries on Linux against servers that the test plays itself, well and badly. */
#define _GNU_SOURCE
#include "unit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "fzconn/platform.h"
#include "netns.h"

#define SERVER "127.0.0.2"
#define OTHER "127.0.0.3"
#define PORT 53
#define TUN4 "100.64.0.1"
#define FAR4 "10.9.0.7"
enum { HEADER = 12, BIG = 65535 };

static struct unit_env env;
static struct fz_platform p;
static uint8_t msg[BIG + 2], pkt_buf[FZ_PKT_HEADROOM + FZ_SUPER_MAX];
static int udp, tcp, fds_before;

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static struct sockaddr_in sockaddr_of(const char *ip, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	a.sin_addr.s_addr = inet_addr(ip);
	return a;
}

static int bound(int type, const char *ip, uint16_t port)
{
	struct sockaddr_in a = sockaddr_of(ip, port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, 1024), 0);
	return fd;
}

static void set_up(void)
{
	const struct fz_platform_linux_opts o = { .size = sizeof(o), .no_watch = true };

	netns_enter();
	unit_env_init(&env, 1);
	fds_before = count_fds();
	ck_assert_int_eq(fz_platform_linux_new(&env.env, &o, &p), 0);
	udp = bound(SOCK_DGRAM, SERVER, PORT);
	tcp = bound(SOCK_STREAM, SERVER, PORT);
}

static void tear_down(void)
{
	fz_platform_free(&p);
	unit_env_check(&env);
	close(udp);
	close(tcp);
	ck_assert_int_eq(count_fds(), fds_before);
}

static uint32_t await(uint32_t bits)
{
	/* ends a hang; the test's own limit comes later */
	for (uint64_t end = p.ops->now_us(p.ctx) + FZ_SEC(20); p.ops->now_us(p.ctx) < end;) {
		uint32_t ready = 0;
		ck_assert_int_eq(p.ops->wait(p.ctx, end, &ready), 0);
		if (ready & bits)
			return ready;
	}
	return 0;
}

/* A query for name.test with this id; its length. */
static size_t make_query(uint8_t *m, uint16_t id, const char *name)
{
	size_t len = strlen(name), at = HEADER;
	const uint8_t head[HEADER] = { (uint8_t)(id >> 8), (uint8_t)id, 1, 0, 0, 1 };

	memcpy(m, head, HEADER);
	m[at++] = (uint8_t)len;
	memcpy(m + at, name, len);
	memcpy(m + at + len, "\4test\0\0\1\0\1", 10);
	return at + len + 10;
}

static struct fz_dns_query query_of(uint64_t id, uint8_t transport, const uint8_t *m, size_t len)
{
	struct fz_dns_query q = {
		.size = sizeof(q), .id = id, .transport = transport, .data = m, .len = len
	};

	ck_assert_int_eq(fz_addr_parse(SERVER ":53", &q.server), 0);
	return q;
}

static void ask(uint64_t id, uint8_t transport, uint16_t dns_id)
{
	uint8_t m[64];
	size_t len = make_query(m, dns_id, "host");
	struct fz_dns_query q = query_of(id, transport, m, len);

	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), 0);
}

/* The server's side. */
struct asker {
	struct sockaddr_in from;
	uint8_t m[64];
	size_t len;
};

static struct asker take(void)
{
	struct asker a = { .len = 0 };
	socklen_t len = sizeof(a.from);
	struct pollfd pfd = { .fd = udp, .events = POLLIN };

	ck_assert_int_eq(poll(&pfd, 1, 20000), 1);
	ssize_t n = recvfrom(udp, a.m, sizeof(a.m), 0, (struct sockaddr *)&a.from, &len);
	ck_assert_int_gt(n, HEADER);
	a.len = (size_t)n;
	return a;
}

static void say_from(int fd, const struct asker *a, const uint8_t *m, size_t len)
{
	ck_assert_int_eq(sendto(fd, m, len, 0, (const struct sockaddr *)&a->from, sizeof(a->from)),
			 (ssize_t)len);
}

static void answer_to(const struct asker *a, size_t padding)
{
	memcpy(msg, a->m, a->len);
	msg[2] |= 0x80;
	memset(msg + a->len, 'x', padding);
	say_from(udp, a, msg, a->len + padding);
}

static struct fz_dns_answer get(void)
{
	struct fz_dns_answer a;

	ck_assert_uint_ne(await(FZ_READY_DNS) & FZ_READY_DNS, 0);
	ck_assert(p.ops->dns_answer(p.ctx, &a));
	return a;
}

static void expect_nothing(void)
{
	struct fz_dns_answer a;
	uint32_t ready = 0;

	ck_assert_int_eq(p.ops->wait(p.ctx, 0, &ready), 0);
	ck_assert_uint_eq(ready & FZ_READY_DNS, 0);
	ck_assert(!p.ops->dns_answer(p.ctx, &a));
}

static struct fz_platform_stats stats(void)
{
	struct fz_platform_stats s;

	p.ops->stats(p.ctx, &s);
	return s;
}

START_TEST(answers_come_back)
{
	struct asker a;
	struct fz_dns_answer r;

	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
	ask(77, FZ_DNS_UDP, 0x1234);
	ck_assert_uint_ne(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
	a = take();
	ck_assert(a.m[0] != 0x12 || a.m[1] != 0x34); /* the seed decides */
	answer_to(&a, 16);
	r = get();
	ck_assert_uint_eq(r.id, 77);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.len, a.len + 16);
	ck_assert_uint_eq(r.data[0] << 8 | r.data[1], 0x1234);
	ck_assert_uint_eq(r.data[2], 0x81);
	expect_nothing();
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US); /* idle: no wake-up */
}
END_TEST

START_TEST(nonsense_is_refused)
{
	uint8_t m[64];
	size_t len = make_query(m, 1, "host");
	struct fz_dns_query good = query_of(1, FZ_DNS_UDP, m, len), q = good;

	q.len = HEADER - 1;
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), FZ_ERR_INVAL);
	q = good;
	q.transport = 3;
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), FZ_ERR_INVAL);
	q = good;
	q.server.ip.family = FZ_FAMILY_NONE;
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), FZ_ERR_INVAL);
	q = good;
	ck_assert_int_eq(fz_ip_parse("::1", &q.bind), 0);
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), FZ_ERR_INVAL);
	q = good;
	q.transport = FZ_DNS_HTTPS;
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), FZ_ERR_INVAL);
	q.url = "ftp://example.com/";
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), FZ_ERR_INVAL);
	expect_nothing();
}
END_TEST

/* A server that lies about the id, the question, the direction; and somebody else. */
START_TEST(lies_are_ignored)
{
	int other = bound(SOCK_DGRAM, OTHER, PORT);
	struct asker a, lie;

	ask(1, FZ_DNS_UDP, 7);
	a = take();
	lie = a;
	lie.m[1] ^= 1;
	answer_to(&lie, 0);
	lie = a;
	lie.m[HEADER + 1] ^= 1;
	answer_to(&lie, 0);
	say_from(udp, &a, a.m, a.len); /* QR = 0 */
	say_from(udp, &a, (const uint8_t *)"short", 5);
	memcpy(msg, a.m, a.len);
	msg[2] |= 0x80;
	say_from(other, &a, msg, a.len);
	while (stats().dns_strange < 4)
		expect_nothing();
	ck_assert_uint_eq(stats().dns_strange, 4); /* the fifth was the kernel's affair */
	lie = a;
	lie.m[HEADER + 1] ^= 0x20; /* another case of letters is the same name */
	answer_to(&lie, 0);
	ck_assert_int_eq(get().err, 0);
	close(other);
}
END_TEST

/* A server that understood nothing repeats no question. */
START_TEST(format_errors_pass)
{
	struct asker a;
	struct fz_dns_answer r;

	ask(1, FZ_DNS_UDP, 7);
	a = take();
	a.m[2] |= 0x80;
	a.m[3] = 1; /* FORMERR */
	a.m[5] = 0;
	say_from(udp, &a, a.m, HEADER);
	r = get();
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.len, HEADER);
}
END_TEST

START_TEST(truncated_and_big_answers_pass)
{
	static const size_t sizes[] = { 0, 1500, 4096, 65000 };
	struct asker a;
	struct fz_dns_answer r;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ask(i, FZ_DNS_UDP, 7);
		a = take();
		a.m[2] |= 2; /* TC */
		answer_to(&a, sizes[i]);
		r = get();
		ck_assert_int_eq(r.err, 0);
		ck_assert_uint_eq(r.len, a.len + sizes[i]);
		ck_assert_uint_eq(r.data[2] & 2, 2);
	}
}
END_TEST

START_TEST(closed_ports_fail_at_once)
{
	struct fz_dns_answer r;

	close(udp);
	close(tcp);
	ask(5, FZ_DNS_UDP, 7);
	r = get();
	ck_assert_uint_eq(r.id, 5);
	ck_assert_int_eq(r.err, FZ_ERR_IO);
	ck_assert_uint_eq(r.len, 0);
	ask(6, FZ_DNS_TCP, 7);
	r = get();
	ck_assert_uint_eq(r.id, 6);
	ck_assert_int_eq(r.err, FZ_ERR_IO);
	ck_assert_uint_eq(stats().dns_failed, 2);
	udp = bound(SOCK_DGRAM, SERVER, PORT);
	tcp = bound(SOCK_STREAM, SERVER, PORT);
}
END_TEST

START_TEST(silence_is_a_timeout)
{
	uint8_t m[64];
	size_t len = make_query(m, 1, "host");

	for (uint8_t transport = FZ_DNS_UDP; transport <= FZ_DNS_TCP; transport++) {
		struct fz_dns_query q = query_of(transport, transport, m, len);
		q.timeout_ms = 30;
		ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), 0);
		struct fz_dns_answer r = get();
		ck_assert_uint_eq(r.id, transport);
		ck_assert_int_eq(r.err, FZ_ERR_TIMEOUT);
	}
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
	take();
}
END_TEST

START_TEST(a_network_change_ends_them)
{
	ask(1, FZ_DNS_UDP, 7);
	p.ops->ask_reset(p.ctx);
	ck_assert_int_eq(get().err, FZ_ERR_IO);
	take();
}
END_TEST

/* ---- TCP ---- */

static int take_tcp(struct asker *a)
{
	struct pollfd pfd = { .fd = tcp, .events = POLLIN };
	uint8_t in[66];

	ck_assert_int_eq(poll(&pfd, 1, 20000), 1);
	int fd = accept(tcp, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	pfd.fd = fd;
	for (size_t got = 0; got < 2 || got < 2u + (unsigned)(in[0] << 8 | in[1]);) {
		expect_nothing(); /* lets it write */
		poll(&pfd, 1, 20);
		ssize_t n = recv(fd, in + got, sizeof(in) - got, MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
	}
	a->len = (size_t)(in[0] << 8 | in[1]);
	memcpy(a->m, in + 2, a->len);
	a->m[2] |= 0x80;
	return fd;
}

static void write_framed(int fd, const uint8_t *m, size_t len, size_t step)
{
	uint8_t *all = malloc(len + 2);

	all[0] = (uint8_t)(len >> 8);
	all[1] = (uint8_t)len;
	memcpy(all + 2, m, len);
	for (size_t at = 0; at < len + 2; at += step) {
		size_t n = len + 2 - at < step ? len + 2 - at : step;
		ck_assert_int_eq(send(fd, all + at, n, MSG_NOSIGNAL), (ssize_t)n);
		if (at + n < len + 2)
			expect_nothing();
	}
	free(all);
}

START_TEST(tcp_answers_come_in_pieces)
{
	struct asker a;
	struct fz_dns_answer r;

	ask(3, FZ_DNS_TCP, 0x4321);
	int fd = take_tcp(&a);
	write_framed(fd, a.m, a.len, 1);
	r = get();
	ck_assert_uint_eq(r.id, 3);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.len, a.len);
	ck_assert_uint_eq(r.data[0] << 8 | r.data[1], 0x4321);
	close(fd);
}
END_TEST

START_TEST(tcp_carries_the_biggest)
{
	struct asker a;
	struct fz_dns_answer r;

	ask(3, FZ_DNS_TCP, 1);
	int fd = take_tcp(&a);
	memset(msg, 'y', sizeof(msg));
	memcpy(msg, a.m, a.len);
	write_framed(fd, msg, BIG, 8000);
	r = get();
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.len, BIG);
	ck_assert_uint_eq(r.data[BIG - 1], 'y');
	close(fd);
}
END_TEST

START_TEST(tcp_liars_fail)
{
	struct asker a;
	int fd;

	ask(1, FZ_DNS_TCP, 7);
	fd = take_tcp(&a);
	a.m[0] ^= 1; /* id */
	write_framed(fd, a.m, a.len, 100);
	ck_assert_int_eq(get().err, FZ_ERR_WIRE);
	close(fd);

	ask(2, FZ_DNS_TCP, 7);
	fd = take_tcp(&a);
	write_framed(fd, a.m, 0, 100);
	ck_assert_int_eq(get().err, FZ_ERR_WIRE);
	close(fd);

	ask(3, FZ_DNS_TCP, 7); /* ends in the middle */
	fd = take_tcp(&a);
	ck_assert_int_eq(send(fd, "\0\x20 half", 7, MSG_NOSIGNAL), 7);
	close(fd);
	ck_assert_int_eq(get().err, FZ_ERR_IO);
}
END_TEST

/* ---- many ---- */

START_TEST(a7_3_same_ids_at_once)
{
	enum { N = 10 };
	struct asker a[N];
	int fds[N];
	bool seen[2 * N] = { false };

	for (unsigned i = 0; i < N; i++)
		ask(i, FZ_DNS_UDP, 1);
	for (int i = 0; i < N; i++) {
		a[i] = take();
		for (int k = 0; k < i; k++) /* a port of its own for each */
			ck_assert_uint_ne(a[i].from.sin_port, a[k].from.sin_port);
	}
	for (int i = N; i-- > 0;)
		answer_to(&a[i], (size_t)i);
	for (unsigned i = 0; i < N; i++)
		ask(N + i, FZ_DNS_TCP, 1);
	for (int i = 0; i < N; i++) {
		struct pollfd pfd = { .fd = tcp, .events = POLLIN };
		ck_assert_int_eq(poll(&pfd, 1, 20000), 1);
		fds[i] = accept(tcp, NULL, NULL);
	}
	for (int got = 0; got < 2 * N;) {
		struct fz_dns_answer r;
		uint32_t ready;
		ck_assert_int_eq(p.ops->wait(p.ctx, p.ops->now_us(p.ctx) + 10000, &ready), 0);
		for (int i = 0; i < N; i++) {
			ssize_t n = fds[i] >= 0 ? recv(fds[i], msg, 66, MSG_DONTWAIT) : -1;
			if (n < 0)
				continue;
			ck_assert_int_gt(n, HEADER + 2); /* written in one go */
			msg[4] |= 0x80;
			ck_assert_int_eq(send(fds[i], msg, (size_t)n, MSG_NOSIGNAL), n);
			close(fds[i]);
			fds[i] = -1;
		}
		while (p.ops->dns_answer(p.ctx, &r)) {
			ck_assert_int_eq(r.err, 0);
			ck_assert_uint_eq(r.data[0] << 8 | r.data[1], 1);
			ck_assert_uint_lt(r.id, 2 * N);
			ck_assert(!seen[r.id]);
			seen[r.id] = true;
			got++;
		}
	}
}
END_TEST

START_TEST(a_thousand_and_no_more)
{
	struct rlimit files = { 4096, 4096 };
	struct fz_dns_answer r;
	uint8_t m[64];
	size_t len = make_query(m, 1, "host");
	struct fz_dns_query q = query_of(1, FZ_DNS_UDP, m, len);

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	q.timeout_ms = 60000;
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), 0);
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), FZ_ERR_FULL);
	p.ops->ask_reset(p.ctx);
	for (int i = 0; i < 1000; i++)
		ck_assert(p.ops->dns_answer(p.ctx, &r));
	ck_assert(!p.ops->dns_answer(p.ctx, &r));
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), 0);
}
END_TEST

START_TEST(without_descriptors_it_says_so)
{
	const struct rlimit few = { 64, 4096 };
	uint8_t m[64];
	size_t len = make_query(m, 1, "host");
	struct fz_dns_query q = query_of(1, FZ_DNS_UDP, m, len);
	int taken[64], n = 0;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	while ((taken[n] = dup(0)) >= 0)
		n++;
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), FZ_ERR_FULL);
	while (n > 0)
		close(taken[--n]);
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), 0);
}
END_TEST

START_TEST(memory_may_fail)
{
	uint8_t m[64];
	size_t len = make_query(m, 1, "host");
	bool failed = true;

	for (long n = 1; failed; n++) {
		ck_assert_int_lt(n, 100);
		p.ops->ask_close(p.ctx);
		env.fail_at = env.allocs + n;
		struct fz_dns_query q = query_of(1, FZ_DNS_UDP, m, len);
		int err = p.ops->dns_query(p.ctx, &q);
		failed = err != 0;
		if (err == 0) {
			struct asker a = take();
			answer_to(&a, 0);
			struct fz_dns_answer r = get();
			failed = r.err != 0;
			err = r.err;
		}
		ck_assert_int_eq(err, failed ? FZ_ERR_NOMEM : 0);
	}
	env.fail_at = 0;
}
END_TEST

/* ---- through the tunnel ---- */

static void open_tun(void)
{
	const struct fz_tun_opts o = { .size = sizeof(o), .name = "fztest" };
	struct fz_prefix routes[2];
	struct fz_netcfg cfg = { .routes = routes, .routes_len = 2 };

	ck_assert_int_eq(fz_prefix_parse("10.9.0.0/24", &routes[0]) |
				 fz_prefix_parse("0.0.0.0/0", &routes[1]) | fz_ip_parse(TUN4, &cfg.ipv4),
			 0);
	ck_assert_int_eq(p.ops->tun_open(p.ctx, &o), 0);
	ck_assert_int_eq(p.ops->net_apply(p.ctx, &cfg), 0);
}

/* The next UDP packet from the tunnel. */
static struct fz_pkt read_tun(void)
{
	struct fz_pkt pkt;

	for (int i = 0; i < 1000; i++) {
		while (p.ops->tun_read(p.ctx, pkt_buf, sizeof(pkt_buf), &pkt) == 1)
			if (pkt.data[0] == 0x45 && pkt.data[9] == 17)
				return pkt;
		await(FZ_READY_TUN);
	}
	ck_abort_msg("no packet");
}

static void fix_ip_sum(uint8_t *d)
{
	uint32_t sum = 0;

	d[10] = d[11] = 0;
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)d[i] << 8 | d[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
	d[10] = (uint8_t)(sum >> 8);
	d[11] = (uint8_t)sum;
}

static void ask_through_tunnel(uint64_t id)
{
	uint8_t m[64];
	size_t len = make_query(m, 1, "host");
	struct fz_dns_query q = query_of(id, FZ_DNS_UDP, m, len);

	ck_assert_int_eq(fz_addr_parse(FAR4 ":53", &q.server) | fz_ip_parse(TUN4, &q.bind), 0);
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), 0);
}

static void swap(uint8_t *a, uint8_t *b, size_t n)
{
	for (; n > 0; n--, a++, b++) {
		uint8_t t = *a;
		*a = *b;
		*b = t;
	}
}

START_TEST(a7_8_through_the_tunnel)
{
	struct fz_pkt pkt;
	struct fz_dns_answer r;
	struct fz_ip near;

	open_tun();
	ask_through_tunnel(9);
	pkt = read_tun();
	ck_assert_int_eq(fz_ip_parse(TUN4, &near), 0);
	ck_assert_int_eq(memcmp(pkt.data + 12, near.b, 4), 0);
	ck_assert_uint_eq(pkt.data[22] << 8 | pkt.data[23], 53);
	swap(pkt.data + 12, pkt.data + 16, 4);
	swap(pkt.data + 20, pkt.data + 22, 2);
	pkt.data[30] |= 0x80;
	fix_ip_sum(pkt.data);
	pkt.data[26] = pkt.data[27] = 0; /* no checksum */
	pkt.needs_csum = 0;
	ck_assert_int_eq(p.ops->tun_write(p.ctx, &pkt), 0);
	r = get();
	ck_assert_uint_eq(r.id, 9);
	ck_assert_int_eq(r.err, 0);
}
END_TEST

/* ICMP for a query that is under way: it fails at once, whatever the code. */
static void refuse_with(uint8_t code)
{
	struct fz_pkt pkt, icmp;
	uint8_t *d;

	ask_through_tunnel(code);
	pkt = read_tun();
	d = pkt.data;
	memmove(d + 28, d, 28); /* the packet that it is about */
	memcpy(d + 12, d + 28 + 16, 4);
	memcpy(d + 16, d + 28 + 12, 4);
	d[2] = 0;
	d[3] = 56;
	d[9] = 1;
	memset(d + 20, 0, 8);
	d[20] = 3;
	d[21] = code;
	fix_ip_sum(d);
	uint32_t sum = 0;
	for (int i = 20; i < 56; i += 2)
		sum += (uint32_t)d[i] << 8 | d[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
	d[22] = (uint8_t)(sum >> 8);
	d[23] = (uint8_t)sum;
	icmp = (struct fz_pkt){ .data = d, .len = 56 };
	ck_assert_int_eq(p.ops->tun_write(p.ctx, &icmp), 0);
	struct fz_dns_answer r = get();
	ck_assert_uint_eq(r.id, code);
	ck_assert_int_eq(r.err, FZ_ERR_IO);
}

START_TEST(a7_4_icmp_fails_the_query)
{
	open_tun();
	refuse_with(3); /* port */
	refuse_with(13); /* prohibited */
	refuse_with(1); /* host */
	refuse_with(0); /* network */
}
END_TEST

/* The default route is the tunnel's: what bypasses it must not appear there, and what shall not, does. */
START_TEST(around_the_tunnel)
{
	uint8_t m[64];
	size_t len = make_query(m, 1, "host");
	struct fz_dns_query q = query_of(1, FZ_DNS_UDP, m, len);
	struct fz_pkt pkt;

	open_tun();
	ck_assert_int_eq(fz_addr_parse("203.0.113.9:53", &q.server), 0);
	/* nothing but the tunnel leads there */
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), FZ_ERR_IO);
	ck_assert_int_eq(fz_ip_parse(TUN4, &q.bind), 0);
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), 0);
	pkt = read_tun();
	ck_assert_uint_eq(pkt.data[16], 203);
	ck_assert_int_eq(fz_ip_parse("100.64.0.99", &q.bind), 0); /* not ours */
	ck_assert_int_eq(p.ops->dns_query(p.ctx, &q), FZ_ERR_IO);
}
END_TEST

START_TEST(a7_6_patience)
{
	uint64_t before = p.ops->now_us(p.ctx);

	open_tun();
	ask_through_tunnel(1);
	ck_assert_uint_ge(p.ops->next_timeout(p.ctx), before + 10000000);
	ck_assert_uint_le(p.ops->next_timeout(p.ctx), p.ops->now_us(p.ctx) + 10000000);
	p.ops->ask_reset(p.ctx); /* of the network around the tunnel */
	expect_nothing();
	p.ops->ask_close(p.ctx);
	before = p.ops->now_us(p.ctx);
	ask(2, FZ_DNS_TCP, 1);
	ck_assert_uint_ge(p.ops->next_timeout(p.ctx), before + 5000000);
	ck_assert_uint_le(p.ops->next_timeout(p.ctx), p.ops->now_us(p.ctx) + 5000000);
}
END_TEST

/* ---- names ---- */

static void give_name(uint64_t id, const char *name, int want)
{
	ck_assert_int_eq(p.ops->resolve(p.ctx, id, name), want);
}

START_TEST(names_of_this_host)
{
	struct fz_resolved r;

	give_name(4, "localhost", 0);
	ck_assert_uint_ne(await(FZ_READY_DNS), 0);
	ck_assert(p.ops->resolved(p.ctx, &r));
	ck_assert_uint_eq(r.id, 4);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_ge(r.len, 1);
	ck_assert(!p.ops->resolved(p.ctx, &r));
	give_name(1, "", FZ_ERR_INVAL);
	give_name(1, "two words", FZ_ERR_INVAL);
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
}
END_TEST

/* More than are looked up at a time; those that nobody answers for end with the network. */
START_TEST(names_wait_for_their_turn)
{
	enum { N = 100 };
	bool seen[N] = { false };
	struct fz_resolved r;
	int done = 0;

	for (unsigned i = 0; i < N; i++) {
		char name[32];
		snprintf(name, sizeof(name), i % 2 ? "localhost" : "a%u.example.org", i);
		give_name(i, name, 0);
	}
	p.ops->ask_reset(p.ctx);
	ck_assert_uint_ne(await(FZ_READY_DNS), 0);
	while (p.ops->resolved(p.ctx, &r)) {
		ck_assert_uint_lt(r.id, N);
		ck_assert(!seen[r.id]);
		seen[r.id] = true;
		ck_assert(r.err != 0 || r.len > 0);
		done++;
	}
	ck_assert_int_eq(done, N);
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
}
END_TEST

/* ---- a real server ---- */

START_TEST(a7_1_dnsmasq_answers)
{
	struct fz_dns_answer r;
	int status;
	pid_t server;

	if (access("/usr/sbin/dnsmasq", X_OK) < 0)
		return;
	close(udp);
	close(tcp);
	server = fork();
	if (server == 0) {
		execl("/usr/sbin/dnsmasq", "dnsmasq", "-k", "-C", "/dev/null", "-R", "-h",
		      "--bind-interfaces", "--user=root", "--listen-address=" SERVER,
		      "--address=/host.test/192.0.2.77", NULL);
		_exit(1);
	}
	for (uint8_t transport = FZ_DNS_UDP; transport <= FZ_DNS_TCP; transport++) {
		do { /* until it listens */
			ask(1, transport, 0x55aa);
			r = get();
			usleep(20000);
		} while (r.err == FZ_ERR_IO || r.err == FZ_ERR_TIMEOUT);
		ck_assert_int_eq(r.err, 0);
		ck_assert_uint_eq(r.data[0] << 8 | r.data[1], 0x55aa);
		ck_assert_uint_eq(r.data[7], 1);
		ck_assert_mem_eq(r.data + r.len - 4, "\xc0\0\2\x4d", 4);
	}
	ck_assert_int_eq(kill(server, SIGTERM), 0);
	ck_assert_int_eq(waitpid(server, &status, 0), server);
	udp = bound(SOCK_DGRAM, SERVER, PORT);
	tcp = bound(SOCK_STREAM, SERVER, PORT);
}
END_TEST

Suite *unit_suite(void)
{
	const TTest *const tests[] = { answers_come_back,
				       nonsense_is_refused,
				       lies_are_ignored,
				       format_errors_pass,
				       truncated_and_big_answers_pass,
				       closed_ports_fail_at_once,
				       silence_is_a_timeout,
				       a_network_change_ends_them,
				       tcp_answers_come_in_pieces,
				       tcp_carries_the_biggest,
				       tcp_liars_fail,
				       a7_3_same_ids_at_once,
				       a_thousand_and_no_more,
				       without_descriptors_it_says_so,
				       memory_may_fail,
				       a7_8_through_the_tunnel,
				       a7_4_icmp_fails_the_query,
				       a7_6_patience,
				       around_the_tunnel,
				       names_of_this_host,
				       names_wait_for_their_turn,
				       a7_1_dnsmasq_answers };
	Suite *s = suite_create("linux_query");
	TCase *tc = tcase_create("dns");

	netns_probe();
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return s;
}
