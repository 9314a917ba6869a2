/* SPDX-License-Identifier: Apache-2.0 */
/* DNS listeners on Linux, and those who ask them: well, badly, slowly, by the hundred. */
#define _GNU_SOURCE
#include "unit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netns.h"
#include "platform/linux/dnsconn.h"

#define PORT 53535
enum { HEADER = 12, BIG = 65535 };

static struct unit_env env;
static struct fz_platform p;
static struct fz_addr here, here6;
static int fds_before;

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

static void set_up(void)
{
	const struct fz_platform_linux_opts o = { .size = sizeof(o), .no_watch = true };

	netns_enter();
	netns_run("ip addr add 100.64.0.1/32 dev lo; ip addr add fd00:2021:1111::1/128 dev lo");
	unit_env_init(&env, 1);
	fds_before = count_fds();
	ck_assert_int_eq(fz_platform_linux_new(&env.env, &o, &p), 0);
	ck_assert_int_eq(fz_addr_parse("100.64.0.1:53535", &here) |
				 fz_addr_parse("[fd00:2021:1111::1]:53535", &here6),
			 0);
}

static void tear_down(void)
{
	fz_platform_free(&p);
	unit_env_check(&env);
	ck_assert_int_eq(count_fds(), fds_before);
}

static void listen_here(void)
{
	ck_assert_int_eq(p.ops->dns_listen(p.ctx, &here, true, true), 0);
}

static struct fz_platform_stats stats(void)
{
	struct fz_platform_stats s;

	p.ops->stats(p.ctx, &s);
	return s;
}

/* Let the platform do what is to be done now. */
static void turn(void)
{
	uint32_t ready;

	ck_assert_int_eq(p.ops->wait(p.ctx, 0, &ready), 0);
}

static bool get_now(struct fz_dns_request *r)
{
	turn();
	return p.ops->dns_request(p.ctx, r);
}

/* Ends what would hang, and decides nothing else: a busy machine may take its time. */
static uint64_t patience(void)
{
	return p.ops->now_us(p.ctx) + FZ_SEC(20);
}

static bool is_late(uint64_t end)
{
	return p.ops->now_us(p.ctx) >= end;
}

static struct fz_dns_request get(void)
{
	struct fz_dns_request r;

	for (uint64_t end = patience(); !is_late(end);) {
		uint32_t ready = 0;
		ck_assert_int_eq(p.ops->wait(p.ctx, p.ops->now_us(p.ctx) + 20000, &ready), 0);
		if (p.ops->dns_request(p.ctx, &r))
			return r;
	}
	ck_abort_msg("no request");
}

static void reply(const struct fz_dns_request *r, const void *data, size_t len)
{
	ck_assert_int_eq(p.ops->dns_reply(p.ctx, r->id, data, len), 0);
}

/* ---- those who ask ---- */

static int client(int type, const struct fz_addr *to)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(to->port) };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(to->port) };
	bool v6 = to->ip.family == FZ_FAMILY_INET6;
	int fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);

	memcpy(&a6.sin6_addr, to->ip.b, 16);
	memcpy(&a4.sin_addr, to->ip.b, 4);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4,
				 v6 ? sizeof(a6) : sizeof(a4)),
			 0);
	turn();
	return fd;
}

static void put(int fd, const void *data, size_t len)
{
	ck_assert_int_eq(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* A request of len bytes whose first says who it is. */
static void ask_tcp(int fd, uint8_t who, size_t len)
{
	uint8_t *m = calloc(1, len + 2);

	m[0] = (uint8_t)(len >> 8);
	m[1] = (uint8_t)len;
	if (len)
		m[2] = who;
	put(fd, m, len + 2);
	free(m);
}

/* Reads that many bytes, however long it takes. */
static void read_all(int fd, void *buf, size_t len)
{
	for (size_t got = 0; got < len;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		turn();
		ck_assert_int_ge(poll(&pfd, 1, 20), 0);
		ssize_t n = recv(fd, (uint8_t *)buf + got, len - got, MSG_DONTWAIT);
		ck_assert(n > 0 || errno == EAGAIN);
		got += n > 0 ? (size_t)n : 0;
	}
}

/* The platform's end of that connection, a descriptor of this process, too; -1 = not accepted yet. */
static int other_end(int fd)
{
	struct sockaddr_storage us = { 0 }, them;
	socklen_t len = sizeof(us);

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&us, &len), 0);
	for (int other = 0; other < 4096; other++) {
		socklen_t other_len = sizeof(them);
		memset(&them, 0, sizeof(them));
		if (getpeername(other, (struct sockaddr *)&them, &other_len) == 0 && other_len == len &&
		    memcmp(&us, &them, len) == 0)
			return other;
	}
	return -1;
}

static int unread(int fd)
{
	int n = 0;

	ck_assert_int_eq(ioctl(fd, FIONREAD, &n), 0);
	return n;
}

/* Bytes that we have sent and that have not arrived. */
static int on_the_way(int fd)
{
	int n = 0;

	ck_assert_int_eq(ioctl(fd, TIOCOUTQ, &n), 0);
	return n;
}

/* Until the platform has accepted the connection, and has read all that was sent. */
static void be_noticed(int fd)
{
	struct fz_dns_request r;
	int other;

	for (uint64_t end = patience();
	     (other = other_end(fd)) < 0 || on_the_way(fd) > 0 || unread(other) > 0;) {
		ck_assert(!is_late(end));
		ck_assert(!get_now(&r)); /* what was asked before is let go */
	}
}

/* The connection comes to its end. */
static bool is_over(int fd)
{
	struct fz_dns_request r;
	uint8_t byte;

	for (uint64_t end = patience(); !is_late(end);) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		if (get_now(&r))
			return false;
		if (poll(&pfd, 1, 10) == 1)
			return recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
	}
	return false;
}

static bool is_open(int fd)
{
	uint8_t byte;

	turn();
	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* Let time pass until no deadline is left, or one is there. */
static bool has_deadline(bool want)
{
	for (uint64_t end = patience();
	     (p.ops->next_timeout(p.ctx) != FZ_NEVER_US) != want && !is_late(end);) {
		struct fz_dns_request r;
		uint32_t ready;
		ck_assert_int_eq(p.ops->wait(p.ctx, p.ops->now_us(p.ctx) + 20000, &ready), 0);
		ck_assert(!p.ops->dns_request(p.ctx, &r));
	}
	return p.ops->next_timeout(p.ctx) != FZ_NEVER_US;
}

START_TEST(udp_is_answered)
{
	const struct fz_addr *const places[] = { &here, &here6 };
	uint8_t in[100], m[HEADER] = "hello";

	listen_here();
	ck_assert_int_eq(p.ops->dns_listen(p.ctx, &here6, true, false), 0);
	for (int i = 0; i < 2; i++) {
		int fd = client(SOCK_DGRAM, places[i]); /* connected: takes answers from there alone */
		put(fd, m, HEADER);
		struct fz_dns_request r = get();
		ck_assert(!r.tcp);
		ck_assert_uint_eq(r.len, HEADER);
		ck_assert_mem_eq(r.data, m, HEADER);
		ck_assert(fz_addr_equal(&r.local, places[i]));
		ck_assert(r.peer.ip.family == places[i]->ip.family && r.peer.port != 0);
		reply(&r, "world", 5);
		read_all(fd, in, 5);
		ck_assert_mem_eq(in, "world", 5);
		ck_assert_int_eq(p.ops->dns_reply(p.ctx, r.id, "world", 5), FZ_ERR_NOT_FOUND);
		close(fd);
	}
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
}
END_TEST

START_TEST(udp_nonsense_is_counted)
{
	static uint8_t big[FZ_DNS_REQUEST_MAX + 1];
	struct fz_dns_request r;
	int fd;

	listen_here();
	fd = client(SOCK_DGRAM, &here);
	put(fd, big, HEADER - 1);
	put(fd, "", 0);
	put(fd, big, sizeof(big));
	put(fd, big, FZ_DNS_REQUEST_MAX);
	r = get();
	ck_assert_uint_eq(r.len, FZ_DNS_REQUEST_MAX);
	ck_assert_uint_eq(stats().dns_refused, 3);
	reply(&r, NULL, 0); /* no answer */
	ck_assert_int_eq(p.ops->dns_reply(p.ctx, r.id, "x", 1), FZ_ERR_NOT_FOUND);
	close(fd);
}
END_TEST

/* More requests than are remembered: the oldest have nobody left to answer. */
START_TEST(udp_forgets_the_oldest)
{
	uint8_t m[HEADER] = { 0 };
	struct fz_dns_request first, r = { 0 };
	int fd;

	listen_here();
	fd = client(SOCK_DGRAM, &here);
	put(fd, m, HEADER);
	first = get();
	for (int i = 0; i < 1024; i++) {
		put(fd, m, HEADER);
		r = get();
	}
	ck_assert_int_eq(p.ops->dns_reply(p.ctx, first.id, "x", 1), FZ_ERR_NOT_FOUND);
	reply(&r, "x", 1);
	close(fd);
}
END_TEST

START_TEST(tcp_in_single_bytes)
{
	uint8_t m[2 + HEADER] = { 0, HEADER, 'w', 'h', 'o' }, in[7];
	struct fz_dns_request r;
	int fd;

	listen_here();
	fd = client(SOCK_STREAM, &here);
	for (size_t i = 0; i + 1 < sizeof(m); i++) {
		put(fd, m + i, 1);
		ck_assert(!get_now(&r));
	}
	put(fd, m + sizeof(m) - 1, 1);
	r = get();
	ck_assert(r.tcp);
	ck_assert(fz_addr_equal(&r.local, &here));
	ck_assert_uint_eq(r.len, HEADER);
	ck_assert_mem_eq(r.data, "who", 3);
	reply(&r, "me, me", 5);
	read_all(fd, in, 7);
	ck_assert_mem_eq(in, "\0\5me, m", 7);
	close(fd);
}
END_TEST

/* Several open requests on one connection, answered backwards; the ninth is not read before an answer. */
START_TEST(tcp_pipelining)
{
	struct fz_dns_request r[DNSCONN_REQUESTS_MAX + 1];
	uint8_t in[3];
	int fd;

	listen_here();
	fd = client(SOCK_STREAM, &here);
	for (uint8_t i = 0; i <= DNSCONN_REQUESTS_MAX; i++)
		ask_tcp(fd, i, HEADER + i);
	for (uint8_t i = 0; i < DNSCONN_REQUESTS_MAX; i++) {
		r[i] = get();
		ck_assert_uint_eq(r[i].data[0], i);
	}
	ck_assert(!get_now(&r[DNSCONN_REQUESTS_MAX]));
	for (int i = DNSCONN_REQUESTS_MAX; i-- > 0;) {
		uint8_t who = (uint8_t)i;
		reply(&r[i], &who, 1);
		read_all(fd, in, 3);
		ck_assert_mem_eq(in, "\0\1", 2);
		ck_assert_uint_eq(in[2], who);
	}
	r[0] = get();
	ck_assert_uint_eq(r[0].data[0], DNSCONN_REQUESTS_MAX);
	reply(&r[0], "x", 1);
	ck_assert_int_eq(p.ops->dns_reply(p.ctx, r[0].id, "x", 1), FZ_ERR_NOT_FOUND);
	close(fd);
}
END_TEST

START_TEST(tcp_bad_lengths_close)
{
	static const size_t bad[] = { 0, HEADER - 1, FZ_DNS_REQUEST_MAX + 1, BIG };
	struct fz_dns_request r;
	uint8_t in[3];

	listen_here();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t prefix[2] = { (uint8_t)(bad[i] >> 8), (uint8_t)bad[i] };
		int fd = client(SOCK_STREAM, &here);
		ask_tcp(fd, 1, HEADER);
		r = get();
		put(fd, prefix, 2);
		turn();
		ck_assert(!p.ops->dns_request(p.ctx, &r));
		reply(&r, "a", 1); /* what was asked before is answered still */
		read_all(fd, in, 3);
		ck_assert(is_over(fd));
		close(fd);
		ck_assert_uint_eq(stats().dns_refused, i + 1);
	}
}
END_TEST

/* A peer that is done with asking waits for its answers all the same. */
START_TEST(tcp_half_close_is_answered)
{
	struct fz_dns_request r;
	uint8_t in[3];
	int fd;

	listen_here();
	fd = client(SOCK_STREAM, &here);
	ask_tcp(fd, 1, HEADER);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	r = get();
	for (int i = 0; i < 5; i++)
		ck_assert(!get_now(&(struct fz_dns_request){ 0 }));
	reply(&r, "a", 1);
	read_all(fd, in, 3);
	ck_assert(is_over(fd));
	close(fd);
	ck_assert_uint_eq(stats().dns_refused, 0);
}
END_TEST

START_TEST(tcp_without_an_answer_it_ends)
{
	struct fz_dns_request r;
	int fd;

	listen_here();
	fd = client(SOCK_STREAM, &here);
	ask_tcp(fd, 1, HEADER);
	r = get();
	reply(&r, NULL, 0);
	ck_assert(is_over(fd));
	close(fd);
}
END_TEST

START_TEST(tcp_who_has_gone_is_not_found)
{
	const struct linger reset = { 1, 0 };
	struct fz_dns_request r;
	int fd;

	listen_here();
	fd = client(SOCK_STREAM, &here);
	ask_tcp(fd, 1, HEADER);
	r = get();
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(fd);
	ck_assert(!has_deadline(false));
	ck_assert_int_eq(p.ops->dns_reply(p.ctx, r.id, "x", 1), FZ_ERR_NOT_FOUND);
}
END_TEST

/* ---- time ---- */

static void pass_ms(uint64_t ms)
{
	lx_dns_listen_run(p.ctx, p.ops->now_us(p.ctx) + FZ_MS(ms));
}

START_TEST(tcp_slow_peers_time_out)
{
	int idle, half, asking;

	listen_here();
	idle = client(SOCK_STREAM, &here);
	half = client(SOCK_STREAM, &here);
	asking = client(SOCK_STREAM, &here);
	put(half, "\0\20abc", 5);
	ask_tcp(asking, 1, HEADER);
	(void)get();
	be_noticed(idle);
	be_noticed(half);
	ck_assert_uint_ne(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
	pass_ms(DNSCONN_IDLE_MS - 1000);
	put(half, "d", 1); /* it goes on, but never ends */
	turn();
	pass_ms(DNSCONN_IDLE_MS + 1);
	ck_assert(is_over(idle));
	ck_assert(is_over(half));
	ck_assert_uint_eq(stats().dns_refused, 1); /* to be idle is no crime */
	ck_assert(is_open(asking));
	pass_ms(DNSCONN_ANSWER_MS + 1);
	ck_assert(is_over(asking));
	ck_assert_uint_eq(stats().dns_refused, 2);
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
	close(idle);
	close(half);
	close(asking);
}
END_TEST

/* It asks and asks, and never reads: in the end we do not read either. */
START_TEST(tcp_a_peer_that_does_not_read)
{
	static uint8_t big[BIG], ask[2 + FZ_DNS_REQUEST_MAX] = { FZ_DNS_REQUEST_MAX >> 8 };
	struct fz_dns_request r;
	int fd, small = 4096, requests = 0;
	bool is_blocked = false;

	listen_here();
	fd = client(SOCK_STREAM, &here);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	be_noticed(fd);
	for (size_t at = 0; !is_blocked;) {
		struct pollfd pfd = { .fd = fd, .events = POLLOUT };
		bool is_full = poll(&pfd, 1, 10) == 0;
		int before = unread(other_end(fd));
		ssize_t n = send(fd, ask + at, sizeof(ask) - at, MSG_NOSIGNAL | MSG_DONTWAIT);
		ck_assert(n > 0 || errno == EAGAIN);
		at = (at + (n > 0 ? (size_t)n : 0)) % sizeof(ask);
		while (get_now(&r)) {
			requests++;
			ck_assert_int_eq(p.ops->dns_reply(p.ctx, r.id, big, sizeof(big)), 0);
		}
		/* what is there is left there */
		is_blocked = is_full && before > 0 && unread(other_end(fd)) == before;
	}
	ck_assert_int_gt(requests, 0);
	ck_assert(!get_now(&r));
	ck_assert_uint_eq(stats().dns_refused, 0);
	pass_ms(DNSCONN_IDLE_MS + 1);
	ck_assert_uint_eq(stats().dns_refused, 1);
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
	close(fd);
}
END_TEST

/* Eight requests at once, answered with the longest answers: more than waits for a peer that does not read.
 * What the kernel keeps for it comes off, so that it takes several rounds. */
START_TEST(tcp_too_many_answers_at_once)
{
	static uint8_t big[BIG], in[4096];
	struct fz_dns_request r[DNSCONN_REQUESTS_MAX];
	int fd, small = 4096, err = 0;

	listen_here();
	fd = client(SOCK_STREAM, &here);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	for (int round = 0; round < 1000 && err == 0; round++) {
		for (int i = 0; i < DNSCONN_REQUESTS_MAX; i++)
			ask_tcp(fd, 1, HEADER);
		for (int i = 0; i < DNSCONN_REQUESTS_MAX; i++)
			while (!get_now(&r[i])) { /* take a little, so that we are read again */
				struct pollfd pfd = { .fd = fd, .events = POLLIN };
				if (poll(&pfd, 1, 5) == 1)
					ck_assert_int_gt(recv(fd, in, sizeof(in), MSG_DONTWAIT), 0);
			}
		for (int i = 0; i < DNSCONN_REQUESTS_MAX && err == 0; i++)
			err = p.ops->dns_reply(p.ctx, r[i].id, big, sizeof(big));
	}
	ck_assert_int_eq(err, FZ_ERR_FULL);
	ck_assert_uint_eq(stats().dns_refused, 1);
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
	close(fd);
}
END_TEST

/* ---- crowds ---- */

START_TEST(tcp_crowds)
{
	enum { N = DNSCONNS_PEER_MAX };
	struct fz_dns_request r[N];
	const struct rlimit files = { 4096, 4096 };
	int fds[N], extra;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	listen_here();
	for (int i = 0; i < N; i++) {
		fds[i] = client(SOCK_STREAM, &here);
		be_noticed(fds[i]); /* one after the other: the first has been idle for longest */
	}
	ck_assert_uint_eq(stats().dns_refused, 0);
	extra = client(SOCK_STREAM, &here); /* the one that is idle for longest goes */
	ck_assert(is_over(fds[0]));
	ck_assert_uint_eq(stats().dns_refused, 1);
	close(fds[0]);
	fds[0] = extra;
	for (int i = 0; i < N; i++) {
		ask_tcp(fds[i], 1, HEADER);
		r[i] = get();
	}
	extra = client(SOCK_STREAM, &here); /* nobody is idle: the newcomer goes */
	ck_assert(is_over(extra));
	ck_assert_uint_eq(stats().dns_refused, 2);
	close(extra);
	for (int i = 0; i < N; i++) {
		uint8_t in[3];
		reply(&r[i], "a", 1);
		read_all(fds[i], in, 3);
		close(fds[i]);
	}
	ck_assert(!has_deadline(false)); /* they have gone */
}
END_TEST

/* From so many addresses that the table is full. */
START_TEST(tcp_the_table_is_full)
{
	const struct rlimit files = { 4096, 4096 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) }, from = a;
	int fds[DNSCONNS_MAX + 8];

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	listen_here();
	memcpy(&a.sin_addr, here.ip.b, 4);
	from.sin_port = 0;
	for (int i = 0; i < DNSCONNS_MAX + 8; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		from.sin_addr.s_addr = htonl(0x7f000001u + (uint32_t)i % 10);
		ck_assert_int_eq(bind(fds[i], (struct sockaddr *)&from, sizeof(from)), 0);
		ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&a, sizeof(a)), 0);
		turn();
	}
	for (uint64_t end = patience(); stats().dns_refused < 8 && !is_late(end);) {
		poll(NULL, 0, 10);
		turn();
	}
	ck_assert_uint_eq(stats().dns_refused, 8);
	for (int i = 0; i < DNSCONNS_MAX + 8; i++)
		close(fds[i]);
}
END_TEST

START_TEST(without_descriptors_it_waits)
{
	const struct rlimit few = { 64, 4096 };
	int taken[64], n = 0, fd;

	listen_here();
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	while ((taken[n] = dup(0)) >= 0)
		n++;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	memcpy(&a.sin_addr, here.ip.b, 4);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert(has_deadline(true)); /* not told again and again */
	while (n > 0)
		close(taken[--n]);
	pass_ms(2000);
	ask_tcp(fd, 1, HEADER);
	struct fz_dns_request r = get();
	ck_assert(r.tcp);
	close(fd);
}
END_TEST

/* ---- places ---- */

START_TEST(a7_7_places_come_and_go)
{
	struct fz_addr later;
	struct fz_dns_request r;
	int udp, tcp, fd;

	listen_here();
	listen_here(); /* the same again */
	ck_assert_int_eq(p.ops->dns_listen(p.ctx, &here6, true, true), 0);
	udp = client(SOCK_DGRAM, &here6);
	tcp = client(SOCK_STREAM, &here6);
	ask_tcp(tcp, 1, HEADER);
	r = get();
	ck_assert(fz_addr_equal(&r.local, &here6));
	p.ops->dns_unlisten(p.ctx, &here6);
	p.ops->dns_unlisten(p.ctx, &here6);
	ck_assert_int_eq(p.ops->dns_reply(p.ctx, r.id, "x", 1), FZ_ERR_NOT_FOUND);
	ck_assert(is_over(tcp));
	close(tcp);
	for (uint64_t end = patience(); send(udp, "hello, world", 12, 0) >= 0 && !is_late(end);)
		poll(NULL, 0, 10);
	ck_assert_int_eq(errno, ECONNREFUSED);
	close(udp);

	ck_assert_int_eq(p.ops->dns_listen(p.ctx, &here, true, false), 0); /* by UDP alone from now on */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	memcpy(&a.sin_addr, here.ip.b, 4);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), -1);
	close(fd);

	ck_assert_int_eq(fz_addr_parse("100.64.0.2:53535", &later), 0); /* the address comes later */
	ck_assert_int_eq(p.ops->dns_listen(p.ctx, &later, true, true), 0);
	netns_run("ip addr add 100.64.0.2/32 dev lo");
	udp = client(SOCK_DGRAM, &later);
	put(udp, "hello, world", 12);
	r = get();
	ck_assert(fz_addr_equal(&r.local, &later));
	close(udp);
}
END_TEST

START_TEST(places_are_limited)
{
	struct fz_addr a = here;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(p.ops->dns_listen(p.ctx, &here, true, true), FZ_ERR_STATE); /* it is taken */
	close(fd);
	ck_assert_int_eq(p.ops->dns_listen(p.ctx, &here, false, false), FZ_ERR_INVAL);
	a.port = 0;
	ck_assert_int_eq(p.ops->dns_listen(p.ctx, &a, true, true), FZ_ERR_INVAL);
	for (uint16_t i = 0; i < 8; i++) {
		a.port = (uint16_t)(PORT + i);
		ck_assert_int_eq(p.ops->dns_listen(p.ctx, &a, true, true), 0);
	}
	a.port++;
	ck_assert_int_eq(p.ops->dns_listen(p.ctx, &a, true, true), FZ_ERR_FULL);
	p.ops->ask_close(p.ctx);
	ck_assert_int_eq(p.ops->dns_listen(p.ctx, &a, true, true), 0);
}
END_TEST

START_TEST(memory_may_fail)
{
	bool answered = false;

	for (long n = 1; !answered; n++) {
		ck_assert_int_lt(n, 100);
		p.ops->ask_close(p.ctx);
		env.fail_at = env.allocs + n;
		int err = p.ops->dns_listen(p.ctx, &here, true, true);
		if (err != 0) {
			ck_assert_int_eq(err, FZ_ERR_NOMEM);
			continue;
		}
		int fd = client(SOCK_STREAM, &here);
		struct fz_dns_request r;
		ask_tcp(fd, 1, 100);
		for (int i = 0; i < 20 && !answered; i++)
			if (get_now(&r))
				answered = p.ops->dns_reply(p.ctx, r.id, "x", 1) == 0;
		close(fd);
	}
	env.fail_at = 0;
}
END_TEST

/* ---- real programs ---- */

/* dig asks; what it prints ends up in text. */
static void dig(const char *args, const uint8_t *rdata, char *text, size_t cap)
{
	char command[200], path[] = "/tmp/dig-XXXXXX";
	int fd = mkstemp(path), status = 0;

	ck_assert_int_ge(fd, 0);
	snprintf(command, sizeof(command), "exec dig @100.64.0.1 -p 53535 +tries=1 +time=10 +short %s > %s",
		 args, path);
	pid_t child = fork();
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	while (waitpid(child, &status, WNOHANG) == 0) {
		static uint8_t m[FZ_DNS_REQUEST_MAX + 16];
		struct fz_dns_request r;
		uint32_t ready;
		ck_assert_int_eq(p.ops->wait(p.ctx, p.ops->now_us(p.ctx) + 20000, &ready), 0);
		while (p.ops->dns_request(p.ctx, &r)) { /* one A record behind the question */
			size_t len = HEADER;
			while (r.data[len] != 0)
				len += 1u + r.data[len];
			len += 5;
			memcpy(m, r.data, len);
			m[2] |= 0x80;
			m[7] = 1;
			m[11] = 0; /* no OPT */
			memcpy(m + len, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4", 12);
			memcpy(m + len + 12, rdata, 4);
			reply(&r, m, len + 16);
		}
	}
	ck_assert_int_eq(status, 0);
	ssize_t n = read(fd, text, cap - 1);
	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	close(fd);
	unlink(path);
}

START_TEST(a7_1_dig_asks)
{
	static const uint8_t rdata[4] = { 192, 0, 2, 5 };
	char text[200];

	if (access("/usr/bin/dig", X_OK) < 0)
		return;
	listen_here();
	dig("name.test A", rdata, text, sizeof(text));
	ck_assert_str_eq(text, "192.0.2.5\n");
	dig("+tcp name.test A", rdata, text, sizeof(text));
	ck_assert_str_eq(text, "192.0.2.5\n");
	dig("+tcp +keepopen one.test A two.test A", rdata, text, sizeof(text));
	ck_assert_str_eq(text, "192.0.2.5\n192.0.2.5\n");
}
END_TEST

Suite *unit_suite(void)
{
	const TTest *const tests[] = { udp_is_answered,
				       udp_nonsense_is_counted,
				       udp_forgets_the_oldest,
				       tcp_in_single_bytes,
				       tcp_pipelining,
				       tcp_bad_lengths_close,
				       tcp_half_close_is_answered,
				       tcp_without_an_answer_it_ends,
				       tcp_who_has_gone_is_not_found,
				       tcp_slow_peers_time_out,
				       tcp_a_peer_that_does_not_read,
				       tcp_too_many_answers_at_once,
				       tcp_crowds,
				       tcp_the_table_is_full,
				       without_descriptors_it_waits,
				       a7_7_places_come_and_go,
				       places_are_limited,
				       memory_may_fail,
				       a7_1_dig_asks };
	Suite *s = suite_create("linux_listen");
	TCase *tc = tcase_create("listen");

	netns_probe();
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return s;
}
