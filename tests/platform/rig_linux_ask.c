/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig_ask.h"

static int udp = -1, tcp = -1, silent = -1, http = -1; /* servers */
static int asker = -1, client = -1,
	   page = -1; /* their peers: the last that asked, that is asked, that gets */
static bool by_tcp, client_tcp;
static struct sockaddr_in from;

static int bound(int type, const char *where)
{
	struct fz_addr a;
	struct sockaddr_in sa = { .sin_family = AF_INET };
	int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0), on = 1;

	ck_assert_int_eq(fz_addr_parse(where, &a), 0);
	sa.sin_port = htons(a.port);
	memcpy(&sa.sin_addr, a.ip.b, 4);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, 8), 0);
	return fd;
}

static void serve(void)
{
	if (udp >= 0)
		return;
	udp = bound(SOCK_DGRAM, RIG_DNS);
	tcp = bound(SOCK_STREAM, RIG_DNS);
	silent = bound(SOCK_DGRAM, RIG_NO_DNS);
	http = bound(SOCK_STREAM, RIG_SERVER ":8080");
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A message behind its length, which is known to come whole on the loopback; 0 = none now. */
static size_t read_framed(int fd, uint8_t *buf, size_t cap)
{
	uint8_t in[600];
	ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);

	if (n < 2)
		return 0;
	ck_assert_int_eq(n, 2 + (in[0] << 8 | in[1]));
	ck_assert_uint_le((size_t)n - 2, cap);
	memcpy(buf, in + 2, (size_t)n - 2);
	return (size_t)n - 2;
}

static void write_framed(int fd, const uint8_t *m, size_t len)
{
	uint8_t out[600] = { (uint8_t)(len >> 8), (uint8_t)len };

	ck_assert_uint_le(len + 2, sizeof(out));
	memcpy(out + 2, m, len);
	ck_assert_int_eq(send(fd, out, len + 2, MSG_NOSIGNAL), (ssize_t)len + 2);
}

size_t rig_query(uint8_t *buf, size_t cap)
{
	socklen_t len = sizeof(from);
	ssize_t n;

	serve();
	if (asker < 0)
		asker = accept(tcp, NULL, NULL);
	if (asker >= 0) {
		by_tcp = true;
		return read_framed(asker, buf, cap);
	}
	by_tcp = false;
	n = recvfrom(udp, buf, cap, 0, (struct sockaddr *)&from, &len);
	return n > 0 ? (size_t)n : 0;
}

void rig_answer(const uint8_t *m, size_t len)
{
	if (by_tcp) {
		write_framed(asker, m, len);
		drop(&asker);
		return;
	}
	ck_assert_int_eq(sendto(udp, m, len, 0, (struct sockaddr *)&from, sizeof(from)), (ssize_t)len);
}

bool rig_request(bool tcp_, const uint8_t *m, size_t len)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(RIG_LISTEN_PORT) };

	memcpy(&sa.sin_addr, rig.a4.b, 4);
	drop(&client);
	client_tcp = tcp_;
	client = socket(AF_INET, tcp_ ? SOCK_STREAM : SOCK_DGRAM, 0);
	ck_assert_int_ge(client, 0);
	if (connect(client, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return false;
	if (tcp_) {
		write_framed(client, m, len);
		return true;
	}
	int probe = socket(AF_INET, SOCK_DGRAM, 0);
	bool taken = bind(probe, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno == EADDRINUSE;
	close(probe);
	if (taken)
		ck_assert_int_eq(send(client, m, len, 0), (ssize_t)len);
	return taken;
}

size_t rig_reply(uint8_t *buf, size_t cap)
{
	ssize_t n;

	if (client_tcp)
		return read_framed(client, buf, cap);
	n = recv(client, buf, cap, MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

void rig_ask_step(void)
{
	static char text[2000];
	static size_t got;

	serve();
	if (page < 0) {
		page = accept(http, NULL, NULL);
		got = 0;
		return;
	}
	ssize_t n = recv(page, text + got, sizeof(text) - 1 - got, MSG_DONTWAIT);
	if (n == 0)
		drop(&page);
	if (n <= 0)
		return;
	got += (size_t)n;
	text[got] = '\0';
	char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
	if (body == NULL)
		return;
	body += 4;
	size_t want = length ? (size_t)atoi(length + 16) : 0;
	if ((size_t)(text + got - body) < want)
		return;
	dprintf(page,
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nRetry-After: 7\r\nContent-Length: "
		"%zu\r\n\r\n%.*s",
		want, (int)want, body);
	got = 0;
}

void rig_ask_close(void)
{
	drop(&udp);
	drop(&tcp);
	drop(&silent);
	drop(&http);
	drop(&asker);
	drop(&client);
	drop(&page);
}
