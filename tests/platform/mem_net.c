/* SPDX-License-Identifier: Apache-2.0 */
/* What only the in-memory network does: time, delay, loss, rewriting, limits. */
#include "unit.h"

#include "fzconn/platform.h"

static struct unit_env env;
static struct fz_memnet *net;
static struct fz_platform a, b;
static struct fz_ip a4, b4, c4;
static uint8_t data[70000];

static void set_up(void)
{
	unit_env_init(&env, 1);
	ck_assert_int_eq(fz_ip_parse("192.0.2.1", &a4) | fz_ip_parse("192.0.2.2", &b4), 0);
	ck_assert_int_eq(fz_ip_parse("192.0.2.3", &c4), 0);
	ck_assert_int_eq(fz_memnet_new(&env.env, &net), 0);
	ck_assert_int_eq(fz_memnet_host(net, &a4, NULL, &a), 0);
	ck_assert_int_eq(fz_memnet_host(net, &b4, NULL, &b), 0);
	ck_assert_int_eq(a.ops->udp_open(a.ctx, FZ_UDP_PORT) | b.ops->udp_open(b.ctx, FZ_UDP_PORT), 0);
}

static void tear_down(void)
{
	fz_memnet_free(net);
	unit_env_check(&env);
}

static int send_to(struct fz_ip ip, size_t len, uint16_t seg)
{
	struct fz_udp_batch out = {
		.remote = { ip, 0, FZ_UDP_PORT }, .data = data, .len = len, .seg_len = seg
	};

	return a.ops->udp_send(a.ctx, &out);
}

static int receive(struct fz_udp_batch *ret)
{
	return b.ops->udp_recv(b.ctx, ret, 1);
}

/* What the hook of a test does. */
struct plan {
	uint64_t delays[4];
	unsigned n;
	struct fz_addr from, to; /* rewritten when set */
};

static uint64_t follow(void *ctx, struct fz_addr *from, struct fz_addr *to, const uint8_t *bytes, size_t len)
{
	struct plan *p = ctx;

	(void)bytes;
	(void)len;
	if (p->from.port)
		*from = p->from;
	if (p->to.port)
		*to = p->to;
	return p->delays[p->n++ % 4];
}

START_TEST(delays_reorder)
{
	struct plan p = { .delays = { 300, 100, FZ_NEVER_US, 100 } };
	struct fz_udp_batch got;

	fz_memnet_set_hook(net, follow, &p);
	for (size_t i = 1; i <= 4; i++)
		ck_assert_int_eq(send_to(b4, i, (uint16_t)i), 0);
	ck_assert_uint_eq(fz_memnet_next_us(net), 100);
	ck_assert_int_eq(receive(&got), 0);
	fz_memnet_advance(net, 99);
	ck_assert_int_eq(receive(&got), 0);
	fz_memnet_advance(net, 1);
	ck_assert_uint_eq(fz_memnet_now(net), 100);
	ck_assert_uint_eq(fz_memnet_next_us(net), 300);
	ck_assert_int_eq(receive(&got), 1); /* equal delays keep their order */
	ck_assert_uint_eq(got.len, 2);
	ck_assert_int_eq(receive(&got), 1);
	ck_assert_uint_eq(got.len, 4);
	fz_memnet_advance(net, 1000);
	ck_assert_int_eq(receive(&got), 1);
	ck_assert_uint_eq(got.len, 1);
	ck_assert_uint_eq(fz_memnet_next_us(net), FZ_NEVER_US);
}
END_TEST

START_TEST(addresses_are_rewritten)
{
	struct plan p = { .from = { c4, 0, 1234 }, .to = { b4, 0, FZ_UDP_PORT } };
	struct fz_udp_batch got;

	fz_memnet_set_hook(net, follow, &p);
	ck_assert_int_eq(send_to(c4, 10, 10), 0); /* a NAT in front of b */
	ck_assert_int_eq(receive(&got), 1);
	ck_assert(fz_addr_equal(&got.remote, &p.from));
	ck_assert(fz_addr_equal(&got.local, &p.to));
}
END_TEST

START_TEST(datagrams_join)
{
	struct fz_udp_batch got[4];

	ck_assert_int_eq(send_to(b4, 3050, 1000), 0);
	ck_assert_int_eq(send_to(b4, 1000, 1000), 0);
	ck_assert_int_eq(b.ops->udp_recv(b.ctx, got, 4), 2); /* the short one ends a batch */
	ck_assert_uint_eq(got[0].len, 3050);
	ck_assert_uint_eq(got[0].seg_len, 1000);
	ck_assert_uint_eq(got[1].len, 1000);
	ck_assert_int_eq(send_to(b4, 70 * 10, 10), 0);
	ck_assert_int_eq(b.ops->udp_recv(b.ctx, got, 4), 2);
	ck_assert_uint_eq(got[0].len, 640); /* 64 at most */
	fz_memnet_set_offload(net, false);
	ck_assert_int_eq(send_to(b4, 3050, 1000), 0);
	ck_assert_int_eq(b.ops->udp_recv(b.ctx, got, 4), 4);
	ck_assert_uint_eq(got[3].len, 50);
	ck_assert_uint_eq(got[3].seg_len, 50);
	for (int i = 0; i < 100; i++) /* more than the buffer holds: nothing is lost */
		ck_assert_int_eq(send_to(b4, 1300, 1300), 0);
	size_t n = 0;
	for (int k; (k = b.ops->udp_recv(b.ctx, got, 4)) > 0;)
		n += (size_t)k;
	ck_assert_uint_eq(n, 100);
}
END_TEST

START_TEST(networks_change)
{
	struct fz_udp_batch got;
	struct plan p = { .delays = { 10, 10, 10, 10 } };

	fz_memnet_set_hook(net, follow, &p);
	ck_assert_int_eq(send_to(b4, 10, 10), 0);
	fz_memnet_set_addrs(&b, &c4, NULL);
	fz_memnet_advance(net, 10);
	ck_assert_int_eq(receive(&got), 0); /* under way to where nobody is any more */
	ck_assert_int_eq(send_to(c4, 10, 10), 0);
	fz_memnet_advance(net, 10);
	ck_assert_int_eq(receive(&got), 1);
	ck_assert(fz_ip_equal(&got.local.ip, &c4));
	fz_memnet_set_addrs(&a, NULL, NULL);
	ck_assert_int_eq(send_to(c4, 10, 10), FZ_ERR_STATE);
}
END_TEST

START_TEST(queues_have_limits)
{
	const struct fz_tun_opts o = { .size = sizeof(o) };
	struct fz_pkt pkt = { .data = data + FZ_PKT_HEADROOM, .len = 20 };
	struct fz_udp_batch got[4];
	uint32_t ready;
	int n = 0, err = 0;

	for (int i = 0; i < 5000; i++)
		ck_assert_int_eq(send_to(b4, 1, 1), 0);
	for (int k; (k = b.ops->udp_recv(b.ctx, got, 4)) > 0;)
		for (int i = 0; i < k; i++)
			n += (int)got[i].len;
	ck_assert_int_eq(n, 4096);

	ck_assert_int_eq(fz_memnet_tun_put(&a, &pkt), FZ_ERR_STATE);
	ck_assert_int_eq(a.ops->tun_open(a.ctx, &o), 0);
	for (n = 0; (err = fz_memnet_tun_put(&a, &pkt)) == 0; n++)
		;
	ck_assert_int_eq(err, FZ_ERR_FULL);
	ck_assert_int_eq(n, 1024);
	for (n = 0; (err = a.ops->tun_write(a.ctx, &pkt)) == 0; n++)
		;
	ck_assert_int_eq(err, FZ_ERR_AGAIN);
	ck_assert_int_eq(n, 4096);
	a.ops->wait(a.ctx, 0, &ready);
	ck_assert_uint_eq(ready & FZ_READY_TUN_WRITE, 0);
	ck_assert(fz_memnet_tun_take(&a, &pkt));
	a.ops->wait(a.ctx, 0, &ready);
	ck_assert_uint_ne(ready & FZ_READY_TUN_WRITE, 0);
}
END_TEST

START_TEST(configuration_is_kept)
{
	const struct fz_tun_opts o = { .size = sizeof(o) };
	struct fz_prefix routes[2] = { { a4, 32 }, { b4, 32 } };
	struct fz_netcfg cfg = { .ipv4 = c4, .routes = routes, .routes_len = 2 };

	ck_assert_ptr_null(fz_memnet_netcfg(&a));
	ck_assert_int_eq(a.ops->net_apply(a.ctx, &cfg), FZ_ERR_STATE);
	ck_assert_int_eq(a.ops->tun_open(a.ctx, &o), 0);
	ck_assert_int_eq(a.ops->net_apply(a.ctx, &cfg), 0);
	memset(routes, 0, sizeof(routes));
	ck_assert_uint_eq(fz_memnet_netcfg(&a)->routes_len, 2);
	ck_assert(fz_ip_equal(&fz_memnet_netcfg(&a)->routes[1].ip, &b4));
	a.ops->net_clear(a.ctx);
	ck_assert_ptr_null(fz_memnet_netcfg(&a));
}
END_TEST

static struct fz_stream *far;

static bool accept_all(void *ctx, struct fz_stream *s, const struct fz_stream_opts *o)
{
	(void)ctx;
	ck_assert_str_eq(o->host, "portal");
	far = s;
	return true;
}

START_TEST(streams_end_on_either_side)
{
	const struct fz_stream_opts o = { .size = sizeof(o), .host = "portal", .port = 443, .tls = true };
	struct fz_stream *s;
	char text[16];

	fz_memnet_set_accept(net, accept_all, NULL);
	ck_assert_int_eq(a.ops->stream_open(a.ctx, &o, &s), 0);
	ck_assert_int_eq(a.ops->stream_send(a.ctx, s, "last", 4), 4);
	a.ops->stream_close(a.ctx, s);
	ck_assert_int_eq(fz_memnet_stream_put(far, "late", 4), FZ_ERR_STATE);
	ck_assert_int_eq(fz_memnet_stream_take(far, text, sizeof(text)), 4);
	ck_assert_int_eq(fz_memnet_stream_take(far, text, sizeof(text)), FZ_ERR_DEAD);
	ck_assert_int_eq(a.ops->stream_open(a.ctx, &o, &s), 0);
	ck_assert_int_eq(fz_memnet_stream_put(far, "last", 4), 0);
	fz_memnet_stream_hangup(far);
	ck_assert_int_eq(a.ops->stream_recv(a.ctx, s, text, sizeof(text)), 4);
	ck_assert_int_eq(a.ops->stream_recv(a.ctx, s, text, sizeof(text)), 0);
	ck_assert_int_eq(a.ops->stream_send(a.ctx, s, "x", 1), FZ_ERR_IO);
	fz_platform_free(&a); /* closes it */
	ck_assert_int_eq(fz_memnet_stream_take(far, text, sizeof(text)), FZ_ERR_DEAD);
	ck_assert_int_eq(fz_memnet_host(net, &a4, NULL, &a), 0);
}
END_TEST

/* One run of everything that allocates; 0 = nothing failed. */
static int use_all(void)
{
	const struct fz_tun_opts to = { .size = sizeof(to) };
	const struct fz_stream_opts so = { .size = sizeof(so), .host = "portal" };
	struct fz_prefix route = { a4, 32 };
	struct fz_netcfg cfg = { .routes = &route, .routes_len = 1 };
	struct fz_pkt pkt = { .data = data + FZ_PKT_HEADROOM, .len = 20 };
	struct fz_stream *s;
	int err = fz_memnet_new(&env.env, &net);

	if (err)
		return err;
	fz_memnet_set_accept(net, accept_all, NULL);
	err = fz_memnet_host(net, &a4, NULL, &a);
	if (err == 0)
		err = a.ops->udp_open(a.ctx, 0);
	if (err == 0)
		err = send_to(a4, 3000, 1000);
	if (err == 0)
		err = a.ops->tun_open(a.ctx, &to);
	if (err == 0)
		err = a.ops->net_apply(a.ctx, &cfg);
	if (err == 0)
		err = fz_memnet_tun_put(&a, &pkt);
	if (err == 0)
		err = a.ops->tun_write(a.ctx, &pkt);
	if (err == 0)
		err = a.ops->stream_open(a.ctx, &so, &s);
	if (err == 0)
		err = a.ops->stream_send(a.ctx, s, data, 5000) == 5000 ? 0 : FZ_ERR_NOMEM;
	if (err == 0)
		err = fz_memnet_stream_put(far, data, 5000);
	return err;
}

START_TEST(without_memory)
{
	bool done = false;

	for (int at = 1; !done; at++) {
		fz_memnet_free(net);
		net = NULL;
		ck_assert_int_eq(env.blocks, 0);
		env.allocs = 0;
		env.fail_at = at;
		int err = use_all();
		ck_assert(err == 0 || err == FZ_ERR_NOMEM || err == FZ_ERR_IO);
		done = err == 0;
		ck_assert_int_lt(at, 50);
	}
}
END_TEST

Suite *unit_suite(void)
{
	const TTest *const tests[] = { delays_reorder,
				       addresses_are_rewritten,
				       datagrams_join,
				       networks_change,
				       queues_have_limits,
				       configuration_is_kept,
				       streams_end_on_either_side,
				       without_memory };
	Suite *s = suite_create("in-memory network");
	TCase *tc = tcase_create("network");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return s;
}
