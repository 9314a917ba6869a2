/* SPDX-License-Identifier: Apache-2.0 */
/* Streams to hosts by name on Linux: the name server and the host lie behind the default route, which the
 * tunnel has taken; both must be reached around it. They live in a network namespace of their own. */
#define _GNU_SOURCE
#include "unit.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fzconn/platform.h"
#include "netns.h"

#define SERVER "198.51.100.7" /* of names and of streams */
#define PORT 4433

static struct unit_env env;
static struct fz_platform p;
static uint8_t buf[FZ_PKT_HEADROOM + FZ_SUPER_MAX];
static pid_t far;

/* The far side. */

static int bound(int type, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, type, 0);

	a.sin_addr.s_addr = inet_addr(SERVER);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 8) < 0))
		_exit(1);
	return fd;
}

/* "portal.test" has one IPv4 address; names that begin with s meet silence; others do not exist. */
static void answer(int fd)
{
	static const uint8_t record[16] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 7 };
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t msg[600];
	ssize_t n = recvfrom(fd, msg, 512, 0, (struct sockaddr *)&from, &from_len);

	if (n < 29 || msg[13] == 's')
		return;
	bool known = memcmp(msg + 12, "\6portal\4test", 13) == 0;
	msg[2] = 0x81;
	msg[3] = known ? 0x80 : 0x83;
	if (known && msg[n - 3] == 1) {
		msg[7] = 1;
		memcpy(msg + n, record, sizeof(record));
		n += (ssize_t)sizeof(record);
	}
	(void)!sendto(fd, msg, (size_t)n, 0, (struct sockaddr *)&from, from_len);
}

static void be_far(int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0 || write(ready, "n", 1) != 1 || read(ready, buf, 1) != 1)
		_exit(1); /* v1 is here now */
	if (system("ip link set lo up; ip link set v1 up; ip addr add 192.168.5.254/24 dev v1;"
		   "ip addr add " SERVER "/32 dev lo") != 0)
		_exit(1);
	int names = bound(SOCK_DGRAM, 53), streams = bound(SOCK_STREAM, PORT);
	if (write(ready, "r", 1) != 1)
		_exit(1);
	for (;;) {
		struct pollfd fds[2] = { { .fd = names, .events = POLLIN },
					 { .fd = streams, .events = POLLIN } };
		poll(fds, 2, -1);
		if (fds[0].revents)
			answer(names);
		if (fds[1].revents)
			(void)!write(accept(streams, NULL, NULL), "welcome", 7);
	}
}

static void make_far(void)
{
	int pair[2];
	char command[100], byte;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	far = fork();
	if (far == 0)
		be_far(pair[1]);
	close(pair[1]);
	ck_assert_int_eq(read(pair[0], &byte, 1), 1);
	snprintf(command, sizeof(command), "ip link set v1 netns %d", (int)far);
	netns_run(command);
	ck_assert_int_eq(write(pair[0], "v", 1), 1);
	ck_assert_int_eq(read(pair[0], &byte, 1), 1);
	close(pair[0]);
}

/* The near side. */

static void use_resolv_conf(void)
{
	char path[] = "/tmp/resolv-XXXXXX";
	static const char text[] = "nameserver " SERVER "\n";
	int fd = mkstemp(path);

	ck_assert_int_eq(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
	close(fd);
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL), 0);
	unlink(path);
}

static void set_up(void)
{
	const struct fz_platform_linux_opts quiet = { .size = sizeof(quiet), .no_watch = true };
	const struct fz_tun_opts o = { .size = sizeof(o), .name = "fztest" };
	struct fz_prefix all;
	struct fz_netcfg cfg = { .routes = &all, .routes_len = 1 };

	unsetenv("http_proxy"), unsetenv("all_proxy"), unsetenv("ALL_PROXY"), unsetenv("no_proxy");
	netns_enter();
	use_resolv_conf();
	netns_run("ip link add v0 type veth peer name v1; ip link set v0 up;"
		  "ip addr add 192.168.5.1/24 dev v0; ip route add default via 192.168.5.254");
	make_far();
	unit_env_init(&env, 1);
	ck_assert_int_eq(fz_platform_linux_new(&env.env, &quiet, &p), 0);
	ck_assert_int_eq(p.ops->tun_open(p.ctx, &o), 0);
	ck_assert_int_eq(fz_ip_parse("100.64.0.1", &cfg.ipv4), 0);
	ck_assert_int_eq(fz_prefix_parse("0.0.0.0/0", &all), 0);
	ck_assert_int_eq(p.ops->net_apply(p.ctx, &cfg), 0);
}

static void tear_down(void)
{
	fz_platform_free(&p);
	unit_env_check(&env);
	kill(far, SIGKILL);
	waitpid(far, NULL, 0);
}

static struct fz_stream *start(const char *host, uint32_t total_ms)
{
	const struct fz_stream_opts o = {
		.size = sizeof(o), .host = host, .port = PORT, .handshake_ms = total_ms
	};
	struct fz_stream *s;

	ck_assert_int_eq(p.ops->stream_open(p.ctx, &o, &s), 0);
	return s;
}

/* Time until it is open, or failed, in ms. Nothing may have come to the tunnel. */
static unsigned settle(struct fz_stream *s)
{
	uint64_t began = p.ops->now_us(p.ctx), end = began + 20000000u;
	struct fz_pkt pkt;
	uint32_t ready;

	while (p.ops->stream_state(p.ctx, s) == FZ_STREAM_CONNECTING && p.ops->now_us(p.ctx) < end) {
		ck_assert_int_eq(p.ops->wait(p.ctx, end, &ready), 0);
		while (p.ops->tun_read(p.ctx, buf, sizeof(buf), &pkt) == 1)
			ck_assert_msg((pkt.data[0] >> 4) == 6, "a packet went into the tunnel");
	}
	return (unsigned)((p.ops->now_us(p.ctx) - began) / 1000);
}

/* Does a socket without our mark lose its packets to the tunnel? Else the tests prove nothing. */
START_TEST(the_tunnel_takes_the_rest)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), n = 0;
	struct fz_pkt pkt = { .len = 0 };

	a.sin_addr.s_addr = inet_addr(SERVER);
	ck_assert_int_eq(sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), 1);
	while ((n = p.ops->tun_read(p.ctx, buf, sizeof(buf), &pkt)) == 1 && pkt.data[0] != 0x45)
		;
	ck_assert_int_eq(n, 1);
	ck_assert_uint_eq(pkt.len, 29);
	close(fd);
}
END_TEST

START_TEST(stream_by_name)
{
	char text[16];
	int n;

	for (int i = 0; i < 2; i++) {
		struct fz_stream *s = start("portal.test", 0);
		ck_assert_int_eq(p.ops->stream_state(p.ctx, s), FZ_STREAM_CONNECTING);
		ck_assert_int_eq(p.ops->stream_send(p.ctx, s, "x", 1), FZ_ERR_STATE);
		ck_assert_int_eq(p.ops->stream_recv(p.ctx, s, text, 1), FZ_ERR_STATE);
		settle(s);
		ck_assert_msg(p.ops->stream_state(p.ctx, s) == FZ_STREAM_OPEN, "%s",
			      p.ops->stream_error(p.ctx, s));
		uint32_t ready;
		while ((n = p.ops->stream_recv(p.ctx, s, text, sizeof(text))) == FZ_ERR_AGAIN)
			ck_assert_int_eq(p.ops->wait(p.ctx, p.ops->now_us(p.ctx) + 100000, &ready), 0);
		ck_assert_int_eq(n, 7);
		p.ops->stream_close(p.ctx, s);
	}
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
	netns_output("ls /proc/$PPID/task | wc -l", text, sizeof(text));
	ck_assert_str_eq(text, "1\n"); /* no thread */
}
END_TEST

START_TEST(names_without_address)
{
	struct fz_stream *s = start("nobody.test", 0);

	settle(s);
	ck_assert_int_eq(p.ops->stream_state(p.ctx, s), FZ_STREAM_FAILED);
	ck_assert_str_eq(p.ops->stream_error(p.ctx, s),
			 "nobody.test: no address found: the name does not exist");
	p.ops->stream_close(p.ctx, s);
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
}
END_TEST

/* The time for everything counts from the start. */
START_TEST(deadline_while_resolving)
{
	struct fz_stream *s = start("silent.test", 300);
	unsigned ms = settle(s);

	ck_assert_uint_ge(ms, 200);
	ck_assert_uint_lt(ms, 15000); /* which is less than without a limit */
	ck_assert_int_eq(p.ops->stream_state(p.ctx, s), FZ_STREAM_FAILED);
	ck_assert_uint_gt(strlen(p.ops->stream_error(p.ctx, s)), 0);
	ck_assert_uint_eq(p.ops->next_timeout(p.ctx), FZ_NEVER_US);
	p.ops->stream_close(p.ctx, s);
	start("silent.test", 0); /* closed with the platform */
}
END_TEST

START_TEST(without_memory)
{
	const struct fz_stream_opts o = { .size = sizeof(o), .host = "portal.test", .port = PORT };
	struct fz_stream *s;
	bool done = false;

	for (int at = 1; !done; at++) {
		env.allocs = 0;
		env.fail_at = at;
		int err = p.ops->stream_open(p.ctx, &o, &s);
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		if (err)
			continue;
		settle(s);
		done = p.ops->stream_state(p.ctx, s) == FZ_STREAM_OPEN;
		p.ops->stream_close(p.ctx, s);
		ck_assert_int_lt(at, 50);
	}
	env.fail_at = 0;
}
END_TEST

Suite *unit_suite(void)
{
	const TTest *const tests[] = { the_tunnel_takes_the_rest, stream_by_name, names_without_address,
				       deadline_while_resolving, without_memory };
	Suite *s = suite_create("platform linux names");
	TCase *tc = tcase_create("namespaces");

	netns_probe();
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 30);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return s;
}
