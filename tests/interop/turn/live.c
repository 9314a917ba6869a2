/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../platform/netns.h"

#define SERVER4 "203.0.113.101"
#define SERVER6 "2001:db8::101"
#define CLIENT4 "203.0.113.7"
#define CLIENT6 "2001:db8::7"
#define PEER4 "203.0.113.9"
#define PEER6 "2001:db8::9"

double live_wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void live_namespace(void)
{
	static const char *const v4[] = { SERVER4, CLIENT4, PEER4 }, *const v6[] = { SERVER6, CLIENT6,
										     PEER6 };
	char command[128];

	netns_enter();
	for (size_t i = 0; i < 3; i++) {
		snprintf(command, sizeof(command), "ip addr add %s/32 dev lo", v4[i]);
		netns_run(command);
		snprintf(command, sizeof(command), "ip addr add %s/128 dev lo nodad", v6[i]);
		netns_run(command);
	}
}

/* ---- processes ---- */

pid_t live_spawn(const char *const argv[], const char *log_file)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int fd = open(log_file, O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(fd, 1);
		dup2(fd, 2);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

void live_kill(pid_t pid, int signal)
{
	kill(pid, signal);
	waitpid(pid, NULL, 0);
}

/* ---- sockets ---- */

static socklen_t to_sockaddr(const struct fz_addr *a, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (a->ip.family == FZ_FAMILY_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(a->port);
		memcpy(&in6->sin6_addr, a->ip.b, 16);
		return sizeof(*in6);
	}
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	in->sin_family = AF_INET;
	in->sin_port = htons(a->port);
	memcpy(&in->sin_addr, a->ip.b, 4);
	return sizeof(*in);
}

static struct fz_addr from_sockaddr(const struct sockaddr_storage *ss)
{
	struct fz_addr a = { 0 };

	if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
		a.ip = fz_ip_v6(in6->sin6_addr.s6_addr);
		a.port = ntohs(in6->sin6_port);
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
		uint8_t b[4];
		memcpy(b, &in->sin_addr, 4);
		a.ip = fz_ip_v4(b);
		a.port = ntohs(in->sin_port);
	}
	return a;
}

static struct fz_addr addr_of(const char *ip, uint16_t port)
{
	struct fz_addr a = { .port = port };

	ck_assert_int_eq(fz_ip_parse(ip, &a.ip), 0);
	return a;
}

static int udp_socket(const char *ip, uint16_t port, struct fz_addr *ret_local)
{
	struct fz_addr a = addr_of(ip, port);
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(&a, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_msg(bind(fd, (struct sockaddr *)&ss, len) == 0, "bind %s: %s", ip, strerror(errno));
	len = sizeof(ss);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	*ret_local = from_sockaddr(&ss);
	return fd;
}

static void udp_send(int fd, const struct fz_addr *to, const void *data, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = to_sockaddr(to, &ss);

	(void)!sendto(fd, data, len, 0, (struct sockaddr *)&ss,
		      ss_len); /* a lost datagram is a lost datagram */
}

static int udp_recv(int fd, struct fz_addr *ret_from, uint8_t *buf, size_t cap)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	ssize_t n = recvfrom(fd, buf, cap, 0, (struct sockaddr *)&ss, &len);

	if (n < 0)
		return -1;
	*ret_from = from_sockaddr(&ss);
	return (int)n;
}

void live_wait_for_stun(void)
{
	uint8_t buf[STUN_MSG_MAX];
	struct stun_txid id = { { 1 } };
	struct stun_enc e;
	struct fz_addr local, from, server4 = addr_of(SERVER4, 3478), server6 = addr_of(SERVER6, 3478);
	int fd4 = udp_socket(CLIENT4, 0, &local), fd6 = udp_socket(CLIENT6, 0, &local);
	bool has4 = false, has6 = false;

	for (int i = 0; i < 100 && !(has4 && has6); i++) {
		stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &id);
		int n = stun_enc_end(&e);
		udp_send(fd4, &server4, buf, (size_t)n);
		udp_send(fd6, &server6, buf, (size_t)n);
		usleep(100000);
		has4 |= udp_recv(fd4, &from, buf, sizeof(buf)) > 0;
		has6 |= udp_recv(fd6, &from, buf, sizeof(buf)) > 0;
	}
	close(fd4);
	close(fd6);
	ck_assert_msg(has4 && has6, "the server does not come up (IPv4 %d, IPv6 %d)", has4, has6);
}

/* ---- client ---- */

static void log_line(void *ctx, enum fz_log_level level, const char *area, const char *line)
{
	struct live *l = ctx;
	size_t used = strlen(l->log);

	snprintf(l->log + used, sizeof(l->log) - used, "%.3f %s: %s\n", live_wall(), area, line);
}

static uint64_t client_now(const struct live *l)
{
	return (uint64_t)(live_wall() * 1e6) * l->speed;
}

void live_open(struct live *l, const char *username, const char *password, uint16_t port, unsigned speed)
{
	struct turn_alloc_opts opts = { .username = username,
					.password = password,
					.software = "fzconn-test",
					.server4 = addr_of(SERVER4, 3478),
					.server6 = addr_of(SERVER6, 3478) };

	memset(l, 0, sizeof(*l));
	l->env = *fz_env_default();
	l->env.log = (struct fz_log){ log_line, l, FZ_LOG_DEBUG };
	l->speed = speed;
	l->fd4 = udp_socket(CLIENT4, port, &l->local4);
	l->fd6 = udp_socket(CLIENT6, port, &l->local6);
	l->peer[0].fd = udp_socket(PEER4, 0, &l->peer[0].addr);
	l->peer[1].fd = udp_socket(PEER6, 0, &l->peer[1].addr);
	ck_assert_int_eq(turn_alloc_new(&l->env, &opts, client_now(l), &l->a), 0);
}

void live_close(struct live *l)
{
	turn_alloc_free(l->a);
	close(l->fd4);
	close(l->fd6);
	close(l->peer[0].fd);
	close(l->peer[1].fd);
}

static void drain_output(struct live *l)
{
	uint8_t buf[TURN_TRANSMIT_MAX];
	struct fz_addr to;
	struct turn_event ev;
	int n;

	while ((n = turn_alloc_poll_transmit(l->a, buf, sizeof(buf), &to, client_now(l))) > 0)
		udp_send(to.ip.family == FZ_FAMILY_INET6 ? l->fd6 : l->fd4, &to, buf, (size_t)n);
	while (turn_alloc_poll_event(l->a, &ev)) {
		l->n_mapped += ev.type == TURN_MAPPED;
		l->n_relayed += ev.type == TURN_RELAYED;
		l->n_lost += ev.type == TURN_RELAYED_LOST;
		l->n_failed += ev.type == TURN_FAILED;
		l->n_refused += ev.type == TURN_REFUSED;
		if (ev.type == TURN_FAILED)
			l->reason = ev.reason;
		if (ev.type == TURN_REFUSED)
			l->code = ev.code;
	}
}

static void handle_input(struct live *l, int fd, const struct fz_addr *local)
{
	uint8_t buf[2048];
	struct fz_addr from, peer, relayed;
	int n;

	while ((n = udp_recv(fd, &from, buf, sizeof(buf))) >= 0) {
		if (turn_channel_looks_like(buf, (size_t)n)) {
			int len = turn_alloc_unwrap(l->a, &from, buf, (size_t)n, &peer, &relayed,
						    client_now(l));
			l->n_back += len >= 0;
		} else {
			(void)turn_alloc_handle_datagram(l->a, local, &from, buf, (size_t)n, client_now(l));
		}
	}
}

static void echo(struct live_peer *p)
{
	uint8_t buf[2048];
	struct fz_addr from;
	int n;

	while ((n = udp_recv(p->fd, &from, buf, sizeof(buf))) >= 0) {
		udp_send(p->fd, &from, buf, (size_t)n);
		p->echoed++;
	}
}

/* Input before timers: after a stall of the machine the answers are there, and nothing is given up. */
static void handle_all_input(struct live *l)
{
	handle_input(l, l->fd4, &l->local4);
	handle_input(l, l->fd6, &l->local6);
	echo(&l->peer[0]);
	echo(&l->peer[1]);
}

bool live_run(struct live *l, double wall_s, bool (*done)(struct live *l))
{
	double end = live_wall() + wall_s;

	for (;;) {
		struct pollfd fds[] = {
			{ l->fd4, POLLIN, 0 },
			{ l->fd6, POLLIN, 0 },
			{ l->peer[0].fd, POLLIN, 0 },
			{ l->peer[1].fd, POLLIN, 0 },
		};
		double now, wait;
		uint64_t next;
		handle_all_input(l);
		turn_alloc_handle_timeout(l->a, client_now(l));
		drain_output(l);
		if (done && done(l))
			return true;
		now = live_wall();
		wait = end - now;
		if (wait <= 0)
			return false;
		next = turn_alloc_next_timeout(l->a);
		if (next != FZ_NEVER_US && (double)next / 1e6 / l->speed - now < wait)
			wait = (double)next / 1e6 / l->speed - now;
		poll(fds, 4, wait < 0 ? 0 : (int)(wait * 1000) + 1);
	}
}

bool live_send(struct live *l, unsigned peer, const char *text)
{
	uint8_t buf[256];
	size_t len = strlen(text);
	uint16_t number = turn_alloc_channel(l->a, &l->peer[peer].addr, client_now(l));
	const struct fz_addr *server = turn_alloc_server(l->a);

	drain_output(l); /* CHANNEL-BIND goes first */
	if (number == 0 || server == NULL)
		return false;
	turn_channel_encode(buf, number, (uint16_t)len);
	memcpy(buf + TURN_CHANNEL_HEADER_LEN, text, len);
	udp_send(server->ip.family == FZ_FAMILY_INET6 ? l->fd6 : l->fd4, server, buf,
		 TURN_CHANNEL_HEADER_LEN + len);
	turn_alloc_note_sent(l->a, client_now(l));
	return true;
}

bool live_is_ready(struct live *l)
{
	return turn_alloc_state(l->a) == TURN_READY;
}

bool live_failed(struct live *l)
{
	return l->n_failed != 0;
}

unsigned live_chat(struct live *l, double wall_s, unsigned *ret_sent)
{
	double end = live_wall() + wall_s;
	unsigned back = l->n_back;

	*ret_sent = 0;
	while (live_wall() < end) {
		for (unsigned i = 0; i < 2; i++)
			*ret_sent += live_send(l, i, "hello");
		live_run(l, 0.1, NULL);
	}
	live_run(l, 0.2, NULL);
	return l->n_back - back;
}
