/* SPDX-License-Identifier: Apache-2.0 */
/* Streams against listeners on the loopback of this machine. */
#include "unit.h"

#include <stdio.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ext/stream.h"

struct loop {
	struct unit_env u;
	struct stream_set *set;
	unsigned want[64]; /* by descriptor */
	int prepare_result;
	int prepared;
};

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void watch(void *ctx, int fd, unsigned want)
{
	struct loop *l = ctx;

	ck_assert_int_lt(fd, 64);
	l->want[fd] = want;
}

static int prepare(void *ctx, int fd)
{
	struct loop *l = ctx;

	ck_assert_int_ge(fd, 0);
	l->prepared++;
	return l->prepare_result;
}

static void loop_init(struct loop *l)
{
	memset(l, 0, sizeof(*l));
	unit_env_init(&l->u, 1);
	ck_assert_int_eq(stream_set_new(&l->u.env, watch, prepare, l, &l->set), 0);
}

static void loop_clear(struct loop *l)
{
	stream_set_free(l->set);
	for (int i = 0; i < 64; i++)
		ck_assert_msg(l->want[i] == 0, "descriptor %d is still watched", i);
	unit_env_check(&l->u);
}

/* One turn of a loop, at most 100 ms. */
static void turn(struct loop *l)
{
	struct pollfd p[64];
	int n = 0;
	uint64_t now = clock_us(), next = stream_set_next_timeout(l->set);
	int ms = next <= now ? 0 : next - now > 100000 ? 100 : (int)((next - now) / 1000) + 1;

	for (int fd = 0; fd < 64; fd++)
		if (l->want[fd])
			p[n++] = (struct pollfd){ .fd = fd,
						  .events = (short)((l->want[fd] & STREAM_READ ? POLLIN : 0) |
								    (l->want[fd] & STREAM_WRITE ? POLLOUT
												: 0)) };
	poll(p, (nfds_t)n, ms);
	for (int i = 0; i < n; i++) {
		unsigned ready = (p[i].revents & (POLLIN | POLLHUP | POLLERR) ? STREAM_READ : 0) |
				 (p[i].revents & (POLLOUT | POLLERR) ? STREAM_WRITE : 0);
		if (ready)
			stream_set_handle_ready(l->set, p[i].fd, ready, clock_us());
	}
	stream_set_handle_timeout(l->set, clock_us());
}

static int listener(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void settle(struct loop *l, struct stream *s)
{
	for (int i = 0; i < 200 && stream_state(s) == STREAM_CONNECTING; i++)
		turn(l);
}

START_TEST(bytes_both_ways_and_end)
{
	struct loop l;
	struct stream *s;
	uint16_t port;
	char buf[16];
	int lfd = listener(&port), n = FZ_ERR_AGAIN;

	loop_init(&l);
	struct stream_opts o = { .host = "127.0.0.1", .port = port };
	ck_assert_int_eq(stream_open(l.set, &o, &s, clock_us()), 0);
	ck_assert_int_eq(stream_send(s, "x", 1), FZ_ERR_STATE);
	settle(&l, s);
	ck_assert_msg(stream_state(s) == STREAM_OPEN, "%s", stream_error(s));
	ck_assert_int_eq(l.prepared, 1);
	int peer = accept(lfd, NULL, NULL);
	ck_assert_int_eq(stream_recv(s, buf, sizeof(buf)), FZ_ERR_AGAIN);
	ck_assert_int_eq(stream_send(s, "hello", 5), 5);
	ck_assert_int_eq(read(peer, buf, sizeof(buf)), 5);
	ck_assert_int_eq(write(peer, "world!", 6), 6);
	for (int i = 0; i < 50 && n == FZ_ERR_AGAIN; i++) {
		turn(&l);
		n = stream_recv(s, buf, sizeof(buf));
	}
	ck_assert_int_eq(n, 6);
	close(peer);
	n = FZ_ERR_AGAIN;
	for (int i = 0; i < 50 && n == FZ_ERR_AGAIN; i++) {
		turn(&l);
		n = stream_recv(s, buf, sizeof(buf));
	}
	ck_assert_int_eq(n, 0);
	stream_close(s);
	close(lfd);
	loop_clear(&l);
}
END_TEST

START_TEST(full_socket_says_again_and_is_watched)
{
	struct loop l;
	struct stream *s;
	uint16_t port;
	static char block[65536];
	int lfd = listener(&port), n = 0;
	size_t sent = 0, got = 0;

	loop_init(&l);
	struct stream_opts o = { .host = "127.0.0.1", .port = port };
	ck_assert_int_eq(stream_open(l.set, &o, &s, clock_us()), 0);
	settle(&l, s);
	int peer = accept(lfd, NULL, NULL);
	while ((n = stream_send(s, block, sizeof(block))) > 0)
		sent += (size_t)n;
	ck_assert_int_eq(n, FZ_ERR_AGAIN);
	while (got < sent)
		got += (size_t)read(peer, block, sizeof(block));
	for (int i = 0; i < 50 && (n = stream_send(s, block, 1)) == FZ_ERR_AGAIN; i++)
		turn(&l);
	ck_assert_int_eq(n, 1);
	close(peer);
	close(lfd);
	loop_clear(&l); /* closes the stream too */
}
END_TEST

START_TEST(failures_say_why)
{
	struct loop l;
	struct stream *s;
	uint16_t port;
	int lfd = listener(&port);

	loop_init(&l);
	struct stream_opts o = { .host = "127.0.0.1", .port = port };
	struct stream_opts bad = { .host = "a/b", .port = 1 };
	ck_assert_int_eq(stream_open(l.set, &bad, &s, clock_us()), FZ_ERR_INVAL);
	l.prepare_result = FZ_ERR_PERM;
	ck_assert_int_eq(stream_open(l.set, &o, &s, clock_us()), 0);
	settle(&l, s);
	ck_assert_int_eq(stream_state(s), STREAM_FAILED);
	ck_assert_ptr_nonnull(strstr(stream_error(s), "marked"));
	stream_close(s);
	l.prepare_result = 0;
	close(lfd);
	ck_assert_int_eq(stream_open(l.set, &o, &s, clock_us()), 0);
	settle(&l, s);
	ck_assert_int_eq(stream_state(s), STREAM_FAILED);
	ck_assert_ptr_nonnull(strstr(stream_error(s), "127.0.0.1"));
	ck_assert_int_eq(stream_send(s, "x", 1), FZ_ERR_STATE);
	stream_close(s);
	loop_clear(&l);
}
END_TEST

START_TEST(tls_to_a_server_without_tls_fails)
{
	struct loop l;
	struct stream *s;
	uint16_t port;
	int lfd = listener(&port), peer = -1;

	loop_init(&l);
	struct stream_opts o = { .host = "localhost", .port = port, .tls = true };
	ck_assert_int_eq(fz_ip_parse("127.0.0.1", &(struct fz_ip){ 0 }), 0);
	ck_assert_int_eq(stream_open(l.set, &o, &s, clock_us()), 0);
	for (int i = 0; i < 300 && stream_state(s) == STREAM_CONNECTING; i++) {
		struct pollfd p = { .fd = lfd, .events = POLLIN };
		turn(&l);
		if (peer < 0 && poll(&p, 1, 0) > 0) {
			peer = accept(lfd, NULL, NULL);
			ck_assert_int_gt(write(peer, "HTTP/1.1 400 Bad\r\n\r\n", 20), 0);
		}
	}
	ck_assert_int_eq(stream_state(s), STREAM_FAILED);
	stream_close(s);
	if (peer >= 0)
		close(peer);
	close(lfd);
	loop_clear(&l);
}
END_TEST

/* A literal needs nobody who resolves it. */
START_TEST(a8_35_literals)
{
	static const char *const literals[] = { "127.0.0.1", "::1" };

	for (int v6 = 0; v6 < 2; v6++) {
		struct loop l;
		struct stream *s;
		struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
		socklen_t len = sizeof(a);
		uint16_t port;
		int lfd = v6 ? socket(AF_INET6, SOCK_STREAM, 0) : listener(&port);
		if (v6 && bind(lfd, (struct sockaddr *)&a, len) != 0) {
			close(lfd); /* a machine without IPv6 */
			continue;
		}
		if (v6) {
			ck_assert_int_eq(listen(lfd, 4), 0);
			ck_assert_int_eq(getsockname(lfd, (struct sockaddr *)&a, &len), 0);
			port = ntohs(a.sin6_port);
		}
		loop_init(&l);
		struct stream_opts o = { .host = literals[v6], .port = port };
		ck_assert_int_eq(stream_open(l.set, &o, &s, clock_us()), 0);
		settle(&l, s);
		ck_assert_msg(stream_state(s) == STREAM_OPEN, "%s: %s", literals[v6], stream_error(s));
		close(lfd);
		loop_clear(&l);
	}
}
END_TEST

/* Acceptance 8.13: the first address is bogus. */
START_TEST(a8_13_good_address_behind_a_bogus_one)
{
	struct loop l;
	struct stream *s;
	uint16_t port;
	struct fz_ip ips[2];
	int lfd = listener(&port);

	loop_init(&l);
	ck_assert_int_eq(fz_ip_parse("127.0.0.77", &ips[0]), 0);
	ck_assert_int_eq(fz_ip_parse("127.0.0.1", &ips[1]), 0);
	struct stream_opts o = { .host = "portal.test", .port = port, .addrs = ips, .addrs_len = 2 };
	ck_assert_int_eq(stream_open(l.set, &o, &s, clock_us()), 0);
	settle(&l, s);
	ck_assert_msg(stream_state(s) == STREAM_OPEN, "%s", stream_error(s));
	close(lfd);
	loop_clear(&l);
}
END_TEST

/* A listener that never answers the SYN is a full backlog; the TCP deadline ends the attempt. */
START_TEST(tcp_deadline)
{
	struct loop l;
	struct stream *s;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int lfd = socket(AF_INET, SOCK_STREAM, 0), filler[4];

	ck_assert_int_eq(bind(lfd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(lfd, 0), 0);
	ck_assert_int_eq(getsockname(lfd, (struct sockaddr *)&a, &len), 0);
	for (int i = 0; i < 4; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(filler[i], (struct sockaddr *)&a, sizeof(a));
	}
	loop_init(&l);
	struct stream_opts o = { .host = "127.0.0.1", .port = ntohs(a.sin_port), .connect_ms = 200 };
	uint64_t before = clock_us();
	ck_assert_int_eq(stream_open(l.set, &o, &s, before), 0);
	settle(&l, s);
	ck_assert_int_eq(stream_state(s), STREAM_FAILED);
	ck_assert_ptr_nonnull(strstr(stream_error(s), "no answer"));
	ck_assert_uint_lt(clock_us() - before, 3000000);
	for (int i = 0; i < 4; i++)
		close(filler[i]);
	close(lfd);
	loop_clear(&l);
}
END_TEST

/* Plain streams are tunnelled too: what we bring is not HTTP for a proxy to read. */
START_TEST(proxy_from_the_environment)
{
	static const char *const answers[] = { "HTTP/1.1 200 OK\r\n\r\n",
					       "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n" };

	for (int i = 0; i < 2; i++) {
		struct loop l;
		struct stream *s;
		uint16_t port;
		char url[64], request[500] = "";
		int lfd = listener(&port), peer = -1;

		loop_init(&l);
		snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
		setenv("http_proxy", url, 1);
		struct stream_opts o = { .host = "portal.test", .port = 8081 };
		ck_assert_int_eq(stream_open(l.set, &o, &s, clock_us()), 0);
		for (int n = 0; n < 100 && stream_state(s) == STREAM_CONNECTING; n++) {
			struct pollfd p = { .fd = peer < 0 ? lfd : peer, .events = POLLIN };
			turn(&l);
			if (poll(&p, 1, 0) <= 0)
				continue;
			if (peer < 0) {
				peer = accept(lfd, NULL, NULL);
			} else if (request[0] == '\0') {
				ck_assert_int_gt(read(peer, request, sizeof(request) - 1), 0);
				ck_assert_int_gt(write(peer, answers[i], strlen(answers[i])), 0);
			}
		}
		unsetenv("http_proxy");
		ck_assert_int_eq(stream_state(s), i == 0 ? STREAM_OPEN : STREAM_FAILED);
		ck_assert_int_eq(strncmp(request, "CONNECT portal.test:8081 HTTP/1.1\r\n", 35), 0);
		close(peer);
		close(lfd);
		loop_clear(&l);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("stream");

	unsetenv("http_proxy"), unsetenv("https_proxy"), unsetenv("HTTPS_PROXY"), unsetenv("all_proxy"),
		unsetenv("ALL_PROXY");
	unit_case(s, "stream", bytes_both_ways_and_end, full_socket_says_again_and_is_watched,
		  failures_say_why, tls_to_a_server_without_tls_fails, a8_35_literals,
		  a8_13_good_address_behind_a_bogus_one, tcp_deadline, proxy_from_the_environment);
	return s;
}
