/* SPDX-License-Identifier: Apache-2.0 */
/* stun-probe ADDRESS:PORT [ADDRESS:PORT]...
 *
 * Asks STUN servers, all from one socket, as which address they see it. If two servers see the same one, the
 * NAT keeps one mapping for all destinations, and peers can reach it there. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <fzconn/nat.h>

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The library has an address type of its own; this example serves IPv4 only, to stay short. */
static struct sockaddr_in to_socket(const struct fz_addr *a)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(a->port) };

	memcpy(&in.sin_addr, a->ip.b, 4);
	return in;
}

static struct fz_addr from_socket(const struct sockaddr_in *in)
{
	struct fz_addr a = { .ip.family = FZ_FAMILY_INET, .port = ntohs(in->sin_port) };

	memcpy(a.ip.b, &in->sin_addr, 4);
	return a;
}

static int report(const char *server, const struct fz_stun_probe_event *ev)
{
	char text[FZ_ADDR_STRLEN];

	if (ev->type == FZ_STUN_PROBE_MAPPED)
		printf("%s sees us as %s (%.1f ms)\n", server, fz_addr_format(&ev->mapped, text),
		       (double)ev->rtt_us / 1000);
	else if (ev->type == FZ_STUN_PROBE_REFUSED)
		printf("%s answers with error %u\n", server, ev->code);
	else
		printf("%s does not answer\n", server);
	return ev->type == FZ_STUN_PROBE_MAPPED ? 0 : 1;
}

/* Send what is due, sleep until an answer or the next deadline, feed what came: until there is an event. */
static void run(struct fz_stun_probe *p, int fd, struct fz_stun_probe_event *ret)
{
	unsigned char buf[FZ_NAT_TRANSMIT_MAX];

	while (!fz_stun_probe_poll_event(p, ret)) {
		struct fz_addr addr;
		struct sockaddr_in in;
		socklen_t in_len = sizeof(in);
		int n;
		while ((n = fz_stun_probe_poll_transmit(p, buf, sizeof(buf), &addr, clock_us())) > 0) {
			in = to_socket(&addr);
			sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&in, sizeof(in));
		}
		uint64_t now = clock_us(), next = fz_stun_probe_next_timeout(p);
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		poll(&wait, 1, next > now ? (int)((next - now) / 1000) + 1 : 0);
		ssize_t got = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&in, &in_len);
		if (got > 0) {
			addr = from_socket(&in);
			(void)fz_stun_probe_handle_datagram(p, &addr, buf, (size_t)got, clock_us());
		}
		fz_stun_probe_handle_timeout(p, clock_us());
	}
}

int main(int argc, char **argv)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), failed = argc < 2 || fd < 0;

	for (int i = 1; i < argc; i++) {
		struct fz_stun_probe_opts opts = { .size = sizeof(opts), .rto_ms = 250, .max_sends = 3 };
		struct fz_stun_probe *p;
		struct fz_stun_probe_event ev;
		struct fz_addr server;
		if (fz_addr_parse(argv[i], &server) != 0 || server.ip.family != FZ_FAMILY_INET ||
		    fz_stun_probe_new(fz_env_default(), &opts, &server, &p, clock_us()) != 0) {
			fprintf(stderr, "%s: not an IPv4 address with port\n", argv[i]);
			return 2;
		}
		run(p, fd, &ev);
		failed |= report(argv[i], &ev);
		fz_stun_probe_free(p);
	}
	close(fd);
	return failed;
}
