/* SPDX-License-Identifier: Apache-2.0 */
/* Two platforms in one network namespace; the kernel around them is the rest of the world. */
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netns.h"
#include "rig.h"

struct rig rig;
static struct unit_env env;
static int kernel = -1, listener = -1, server = -1;
static uint8_t echo[1 << 16];
static size_t echo_at, echo_len;

void rig_probe(void)
{
	netns_probe();
}

void rig_open(bool offload)
{
	const struct fz_platform_linux_opts o = { .size = sizeof(o), .no_offload = !offload };

	netns_enter();
	netns_run("ip addr add 192.0.2.1/32 dev lo; ip addr add 192.0.2.2/32 dev lo;"
		  "ip addr add 2001:db8::1/128 dev lo; ip addr add 2001:db8::2/128 dev lo");
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	unit_env_init(&env, 1);
	ck_assert_int_eq(fz_ip_parse("192.0.2.1", &rig.a4) | fz_ip_parse("192.0.2.2", &rig.b4), 0);
	ck_assert_int_eq(fz_ip_parse("2001:db8::1", &rig.a6) | fz_ip_parse("2001:db8::2", &rig.b6), 0);
	ck_assert_int_eq(fz_platform_linux_new(&env.env, &o, &rig.a), 0);
	ck_assert_int_eq(fz_platform_linux_new(&env.env, &o, &rig.b), 0);
}

void rig_close(void)
{
	fz_platform_free(&rig.a);
	fz_platform_free(&rig.b);
	unit_env_check(&env);
}

void rig_pass(uint64_t us)
{
	(void)us;
}

static struct sockaddr_in sockaddr_of(const char *text, uint16_t port)
{
	struct fz_ip ip;
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };

	ck_assert_int_eq(fz_ip_parse(text, &ip), 0);
	memcpy(&sa.sin_addr, ip.b, 4);
	return sa;
}

/* The program on host a that talks through the tunnel. */
static void open_kernel(void)
{
	struct sockaddr_in near = sockaddr_of(RIG_TUN4, RIG_NEAR_PORT);

	if (kernel >= 0)
		return;
	kernel = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(kernel, 0);
	ck_assert_int_eq(bind(kernel, (struct sockaddr *)&near, sizeof(near)), 0);
}

void rig_feed(const uint8_t *payload, size_t len, uint16_t seg)
{
	struct sockaddr_in far = sockaddr_of(RIG_FAR4, RIG_FAR_PORT);
	int size = len > seg ? seg : 0;

	open_kernel();
	ck_assert_int_eq(setsockopt(kernel, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)), 0);
	ck_assert_int_eq(sendto(kernel, payload, len, 0, (struct sockaddr *)&far, sizeof(far)), (ssize_t)len);
}

size_t rig_collect(uint8_t *buf, size_t cap)
{
	struct sockaddr_in far;
	socklen_t far_len = sizeof(far);
	ssize_t n;

	open_kernel();
	n = recvfrom(kernel, buf, cap, 0, (struct sockaddr *)&far, &far_len);
	return n > 0 ? (size_t)n : 0;
}

void rig_server_open(void)
{
	struct sockaddr_in sa = sockaddr_of(RIG_SERVER, RIG_SERVER_PORT);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(listener, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
}

void rig_server_step(void)
{
	if (listener >= 0 && server < 0)
		server = accept(listener, NULL, NULL);
	for (int i = 0; server >= 0 && i < 1000; i++) {
		if (echo_len == 0) {
			ssize_t n = recv(server, echo, sizeof(echo), MSG_DONTWAIT);
			if (n <= 0)
				return;
			echo_at = 0;
			echo_len = (size_t)n;
		}
		ssize_t n = send(server, echo + echo_at, echo_len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			return;
		echo_at += (size_t)n;
		echo_len -= (size_t)n;
	}
}

void rig_server_hangup(void)
{
	close(server);
	server = -1;
	close(listener);
	listener = -1;
}

void rig_change_network(void)
{
	netns_run("ip addr add 198.51.100.9/32 dev lo");
}

void rig_delete_tun(void)
{
	netns_run("ip link del fztest");
}
