/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a WireGuard tunnel over a UDP socket, for tests against other implementations. It needs no TUN
 * device: it makes and answers pings itself. See usage(); exit code 0 = everything came as it should. */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>

#include <fzconn/tunnel.h>

#define COPIES 120 /* more than a node takes in one second without a cookie */

static const char usage_text[] =
	"usage: wg_peer_prog MODE LOCAL_PORT REMOTE_PORT PRIVATE PEER_PUBLIC PSK SECONDS [REKEY_MS]\n"
	"  ping     ping 10.99.0.1 and fd99::1 from 10.99.0.2 and fd99::2 all the time; none may get lost\n"
	"  echo     answer pings; at least one must come\n"
	"  connect  like echo, and start a handshake every second\n"
	"  silent   answer nothing at all until a handshake message came twice, then echo\n"
	"  cookie   be under load: the peer must come back with a cookie\n"
	"  flood    put the peer under load: come back with its cookie\n"
	"It ends after SECONDS, or on SIGTERM.\n";

static const struct fz_ip peer_ip = { FZ_FAMILY_INET, { 127, 0, 0, 1 } };
static struct fz_wg *wg;
static int sock;
static uint64_t start_us, now_us;
static unsigned pings_sent, pongs, echoes, bad, initiations_seen, cookies_seen, cookies_used, sessions;
static bool mac2_seen;
static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	stop = sig;
}

static void die(const char *what)
{
	fprintf(stderr, "wg_peer_prog: %s\n", what);
	exit(1);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint16_t sum16(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void send_dgram(const uint8_t *d, size_t len)
{
	if (len == 148)
		for (size_t i = 132; i < 148; i++)
			mac2_seen |= d[i] != 0;
	(void)!send(sock, d, len, 0); /* a refused one is a lost one */
}

static void drain(bool quiet)
{
	uint8_t buf[FZ_WG_MESSAGE_MAX];
	enum fz_wg_event ev;
	int n;

	while ((n = fz_wg_poll_transmit(wg, buf, sizeof(buf), now_us, clock_ns(CLOCK_REALTIME))) != 0) {
		if (n < 0)
			die("poll_transmit failed");
		if (!quiet || n == 64)
			send_dgram(buf, (size_t)n);
	}
	while (fz_wg_poll_event(wg, &ev))
		sessions += ev == FZ_WG_SESSION;
}

static void send_packet(const uint8_t *packet, size_t len)
{
	uint8_t dgram[1600];
	int n = fz_wg_encapsulate(wg, packet, len, dgram, sizeof(dgram), now_us);

	if (n > 0)
		send_dgram(dgram, (size_t)n);
	else
		drain(false);
}

/* An echo request of len bytes in all, numbered; odd numbers are IPv6. */
static void send_ping(unsigned number, size_t len)
{
	uint8_t p[1280] = { 0 };
	uint8_t *icmp = p + (number & 1 ? 40 : 20);
	size_t icmp_len = len - (size_t)(icmp - p);

	put16(icmp + 4, 0x4657);
	put16(icmp + 6, number);
	if (number & 1) {
		p[0] = 0x60;
		put16(p + 4, (unsigned)icmp_len);
		p[6] = 58;
		p[7] = 64;
		inet_pton(AF_INET6, "fd99::2", p + 8);
		inet_pton(AF_INET6, "fd99::1", p + 24);
		icmp[0] = 128;
		put16(icmp + 2, (uint16_t)~sum16(p + 8, len - 8, (uint32_t)icmp_len + 58));
	} else {
		p[0] = 0x45;
		put16(p + 2, (unsigned)len);
		p[8] = 64;
		p[9] = 1;
		inet_pton(AF_INET, "10.99.0.2", p + 12);
		inet_pton(AF_INET, "10.99.0.1", p + 16);
		put16(p + 10, (uint16_t)~sum16(p, 20, 0));
		icmp[0] = 8;
		put16(icmp + 2, (uint16_t)~sum16(icmp, icmp_len, 0));
	}
	send_packet(p, len);
	pings_sent++;
}

/* Turn an echo request round: swap the addresses, change the type, correct the checksum by the difference. */
static void answer(uint8_t *p, size_t len)
{
	bool six = p[0] >> 4 == 6;
	uint8_t *icmp = p + (six ? 40 : 20), tmp[16];
	size_t at = six ? 8 : 12, n = six ? 16 : 4;

	if ((six ? p[6] != 58 : p[9] != 1) || len < (size_t)(icmp - p) + 8)
		return;
	if (icmp[0] == (six ? 129 : 0)) {
		pongs++;
		return;
	}
	if (icmp[0] != (six ? 128 : 8))
		return; /* neighbour and router solicitations */
	memcpy(tmp, p + at, n);
	memcpy(p + at, p + at + n, n);
	memcpy(p + at + n, tmp, n);
	uint16_t old = (uint16_t)(icmp[0] << 8);
	icmp[0] = six ? 129 : 0;
	uint8_t sums[6] = { (uint8_t)~icmp[2], (uint8_t)~icmp[3], (uint8_t)(~old >> 8),
			    (uint8_t)~old,     icmp[0],           0 };
	put16(icmp + 2, (uint16_t)~sum16(sums, 6, 0));
	echoes++;
	send_packet(p, len);
}

/* Handle it so often that the node is under load; true when the sender could show a cookie. */
static bool overload(const uint8_t *d, size_t len)
{
	int err = 0;

	for (int i = 0; i < COPIES; i++)
		err = fz_wg_decapsulate(wg, &peer_ip, d, len, NULL, 0, now_us);
	return err ==
	       FZ_ERR_AUTH; /* admitted, and then refused as a copy; without a cookie it is FZ_ERR_AGAIN */
}

static void receive(const char *mode)
{
	uint8_t d[2048], p[2048];
	ssize_t got;

	while ((got = recv(sock, d, sizeof(d), MSG_DONTWAIT)) > 0) {
		bool initiation = got == 148 && d[0] == 1;
		initiations_seen += initiation;
		if (strcmp(mode, "silent") == 0 && initiations_seen < 2)
			continue;
		if (strcmp(mode, "cookie") == 0 && initiation && cookies_used == 0) {
			cookies_used += overload(d, (size_t)got);
			drain(cookies_used == 0);
			continue;
		}
		int n = fz_wg_decapsulate(wg, &peer_ip, d, (size_t)got, p, sizeof(p), now_us);
		bad += n < 0;
		if (n < 0 && strcmp(mode, "flood") != 0) /* there, cookies for the copies are expected */
			fprintf(stderr, "wg_peer_prog: datagram of %zd bytes, type %u: %s\n", got, d[0],
				fz_strerror(n));
		cookies_seen += got == 64 && n == 0;
		if (n > 0)
			answer(p, (size_t)n);
		drain(false);
	}
}

/* Thousands of copies of one initiation, from another socket. */
static void flood(uint16_t remote_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(remote_port) };
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	uint8_t init[FZ_WG_MESSAGE_MAX];
	int n;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fz_wg_connect(wg, now_us);
	n = fz_wg_poll_transmit(wg, init, sizeof(init), now_us, clock_ns(CLOCK_REALTIME));
	if (s < 0 || n != 148)
		die("cannot flood");
	for (int i = 0; i < 20000; i++) {
		(void)!sendto(s, init, 148, 0, (struct sockaddr *)&a, sizeof(a));
		if (i % 100 == 0)
			send_dgram(init, 148);
	}
	close(s);
}

static void open_socket(const char *local_port, const char *remote_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(local_port)) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sock = socket(AF_INET, SOCK_DGRAM, 0);
	if (sock < 0 || bind(sock, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("cannot bind");
	a.sin_port = htons((uint16_t)atoi(remote_port));
	if (connect(sock, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("cannot connect");
}

static void turn(const char *mode)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	uint64_t next_us = fz_wg_next_timeout(wg);
	int wait_ms = 20;

	if (next_us < now_us + 20000)
		wait_ms = next_us > now_us ? (int)((next_us - now_us) / 1000) + 1 : 0;
	poll(&p, 1, wait_ms);
	now_us = clock_ns(CLOCK_MONOTONIC) / 1000;
	receive(mode);
	fz_wg_handle_timeout(wg, now_us);
	drain(false);
}

static int verdict(const char *mode)
{
	struct fz_wg_stats st = { .size = sizeof(st) };

	if (fz_wg_get_stats(wg, &st))
		return 1;
	printf("%s: %u sessions, %u pings, %u answers, %u answered, %u initiations seen, %u dropped, %u "
	       "cookies taken, "
	       "%u used by the peer\n",
	       mode, sessions, pings_sent, pongs, echoes, initiations_seen, bad, cookies_seen, cookies_used);
	if (strcmp(mode, "flood") == 0) {
		/* A peer that is quick answers one copy before it feels the load: then nothing is proven. */
		if (cookies_seen == 0 || (st.sessions > 0 && !mac2_seen))
			return 77;
		return st.sessions == 0;
	}
	if (strcmp(mode, "cookie") == 0)
		return cookies_used == 0 || echoes == 0;
	if (bad != 0 || sessions == 0)
		return 1;
	return strcmp(mode, "ping") == 0 ? pings_sent == 0 || pongs != pings_sent : echoes == 0;
}

int main(int argc, char **argv)
{
	struct fz_wg_opts o = { .size = sizeof(o) };
	uint64_t next_ping_us, next_connect_us, end_us;
	const char *mode = argc > 1 ? argv[1] : "";

	if (argc < 8) {
		fputs(usage_text, stderr);
		return 2;
	}
	if (fz_wg_key_parse(argv[4], &o.private_key) || fz_wg_key_parse(argv[5], &o.peer_public) ||
	    fz_wg_key_parse(argv[6], &o.psk))
		die("bad key");
	o.rekey_after_ms = argc > 8 ? (uint32_t)atoi(argv[8]) : 0;
	open_socket(argv[2], argv[3]);
	start_us = now_us = clock_ns(CLOCK_MONOTONIC) / 1000;
	if (fz_wg_new(fz_env_default(), &o, &wg, now_us))
		die("cannot create the tunnel");
	end_us = start_us + (uint64_t)atoi(argv[7]) * 1000000u;
	next_ping_us = next_connect_us = start_us;
	if (strcmp(mode, "flood") == 0)
		flood((uint16_t)atoi(argv[3]));
	if (strcmp(mode, "ping") == 0)
		fz_wg_connect(wg, now_us);
	drain(false);
	signal(SIGTERM, on_term);
	while (now_us < end_us && !stop) {
		if (strcmp(mode, "ping") == 0 && fz_wg_can_send(wg, now_us) && now_us >= next_ping_us &&
		    now_us < end_us - 500000) {
			send_ping(pings_sent, 64 + pings_sent * 37 % 1200);
			next_ping_us = now_us + 10000;
		}
		if (strcmp(mode, "connect") == 0 && now_us >= next_connect_us) {
			fz_wg_connect(wg, now_us);
			next_connect_us = now_us + 1000000;
		}
		if (strcmp(mode, "flood") == 0 && sessions)
			break;
		drain(false);
		turn(mode);
	}
	int failed = verdict(mode);
	fz_wg_free(wg);
	fz_wg_key_wipe(&o.private_key);
	return failed;
}
