/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_turn.h"

#include "base/time.h"
#include "fzconn/nat.h"

static struct fz_addr addr_of(const char *text)
{
	struct fz_addr a;

	ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

/* ---- fz_stun_probe ---- */

struct probe {
	struct unit_env u;
	struct fz_stun_probe *p;
	struct fz_addr server, to;
	uint8_t buf[FZ_NAT_TRANSMIT_MAX];
	struct stun_msg request;
};

static void probe_open(struct probe *t, const struct fz_stun_probe_opts *opts)
{
	unit_env_init(&t->u, 9);
	t->server = addr_of("192.0.2.1:3478");
	ck_assert_int_eq(fz_stun_probe_new(&t->u.env, opts, &t->server, &t->p, FZ_SEC(1)), 0);
}

static void probe_send(struct probe *t, uint64_t now_us)
{
	int n = fz_stun_probe_poll_transmit(t->p, t->buf, sizeof(t->buf), &t->to, now_us);

	ck_assert_int_gt(n, 0);
	ck_assert(fz_addr_equal(&t->to, &t->server));
	ck_assert_int_eq(stun_decode(t->buf, (size_t)n, &t->request), 0);
	ck_assert(t->request.method == STUN_BINDING && t->request.cls == STUN_REQUEST);
	ck_assert_int_eq(fz_stun_probe_poll_transmit(t->p, t->buf, sizeof(t->buf), &t->to, now_us), 0);
}

static int probe_answer(struct probe *t, enum stun_class cls, const struct fz_addr *mapped, uint64_t now_us)
{
	uint8_t buf[128];
	struct stun_enc e;

	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, cls, &t->request.txid);
	if (mapped)
		stun_put_xor_addr(&e, STUN_XOR_MAPPED_ADDRESS, mapped);
	else
		stun_put_error(&e, 500, "no");
	return fz_stun_probe_handle_datagram(t->p, &t->server, buf, (size_t)stun_enc_end(&e), now_us);
}

static void probe_close(struct probe *t)
{
	fz_stun_probe_free(t->p);
	unit_env_check(&t->u);
}

START_TEST(probe_is_answered)
{
	struct probe t;
	struct fz_stun_probe_event ev;
	struct fz_addr mapped = addr_of("198.51.100.7:4321"), other = addr_of("192.0.2.2:3478");

	probe_open(&t, NULL);
	probe_send(&t, FZ_SEC(1));
	ck_assert_uint_eq(fz_stun_probe_next_timeout(t.p), FZ_SEC(1) + FZ_MS(500));
	ck_assert(!fz_stun_probe_poll_event(t.p, &ev));
	ck_assert_int_eq(fz_stun_probe_handle_datagram(t.p, &other, t.buf, 20, FZ_SEC(1)), FZ_ERR_NOT_MINE);
	ck_assert_int_eq(fz_stun_probe_handle_datagram(t.p, &t.server, t.buf, 19, FZ_SEC(1)), FZ_ERR_WIRE);
	ck_assert_int_eq(fz_stun_probe_handle_datagram(t.p, &t.server, t.buf, 20, FZ_SEC(1)),
			 FZ_ERR_NOT_MINE);
	ck_assert_int_eq(probe_answer(&t, STUN_SUCCESS, &mapped, FZ_SEC(1) + FZ_MS(30)), 0);
	ck_assert(fz_stun_probe_poll_event(t.p, &ev) && ev.type == FZ_STUN_PROBE_MAPPED);
	ck_assert(fz_addr_equal(&ev.mapped, &mapped) && ev.rtt_us == FZ_MS(30));
	ck_assert(!fz_stun_probe_poll_event(t.p, &ev));
	ck_assert(fz_stun_probe_next_timeout(t.p) == FZ_NEVER_US);
	ck_assert_int_eq(probe_answer(&t, STUN_SUCCESS, &mapped, FZ_SEC(2)), FZ_ERR_NOT_MINE); /* repeated */
	probe_close(&t);
}
END_TEST

START_TEST(probe_is_refused)
{
	struct probe t;
	struct fz_stun_probe_event ev;

	probe_open(&t, NULL);
	probe_send(&t, FZ_SEC(1));
	ck_assert_int_eq(probe_answer(&t, STUN_ERROR, NULL, FZ_SEC(2)), 0);
	ck_assert(fz_stun_probe_poll_event(t.p, &ev) && ev.type == FZ_STUN_PROBE_REFUSED && ev.code == 500);
	probe_close(&t);
}
END_TEST

START_TEST(probe_times_out)
{
	struct fz_stun_probe_opts opts = {
		.size = sizeof(opts), .rto_ms = 100, .max_sends = 3, .software = "test"
	};
	static const uint32_t at_ms[] = { 0, 100, 300 };
	struct probe t;
	struct fz_stun_probe_event ev;

	probe_open(&t, &opts);
	for (size_t i = 0; i < 3; i++) {
		uint64_t now = FZ_SEC(1) + FZ_MS(at_ms[i]);
		ck_assert_uint_eq(fz_stun_probe_next_timeout(t.p), now);
		fz_stun_probe_handle_timeout(t.p, now);
		probe_send(&t, now);
		ck_assert(t.request.software.len == 4);
	}
	ck_assert_uint_eq(fz_stun_probe_next_timeout(t.p), FZ_SEC(1) + FZ_MS(300 + 1600));
	fz_stun_probe_handle_timeout(t.p, FZ_SEC(1) + FZ_MS(1899));
	ck_assert(!fz_stun_probe_poll_event(t.p, &ev));
	fz_stun_probe_handle_timeout(t.p, FZ_SEC(1) + FZ_MS(1900));
	ck_assert(fz_stun_probe_poll_event(t.p, &ev) && ev.type == FZ_STUN_PROBE_TIMEOUT);
	probe_close(&t);
}
END_TEST

START_TEST(probe_options)
{
	struct unit_env u;
	struct fz_stun_probe *p;
	struct fz_addr good = addr_of("192.0.2.1:3478"), none = { 0 }, no_port = addr_of("192.0.2.1:0");
	struct fz_stun_probe_opts o = { .size = sizeof(o), .max_sends = 17 };

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_stun_probe_new(&u.env, &o, &good, &p, 0), FZ_ERR_INVAL);
	o.max_sends = 16;
	o.rto_ms = 60001;
	ck_assert_int_eq(fz_stun_probe_new(&u.env, &o, &good, &p, 0), FZ_ERR_INVAL);
	ck_assert_int_eq(fz_stun_probe_new(&u.env, NULL, &none, &p, 0), FZ_ERR_INVAL);
	ck_assert_int_eq(fz_stun_probe_new(&u.env, NULL, &no_port, &p, 0), FZ_ERR_INVAL);
	o.size = 3;
	ck_assert_int_eq(fz_stun_probe_new(&u.env, &o, &good, &p, 0), FZ_ERR_ABI);
	u.fail_at = 1;
	ck_assert_int_eq(fz_stun_probe_new(&u.env, NULL, &good, &p, 0), FZ_ERR_NOMEM);
	fz_stun_probe_free(NULL);
	unit_env_check(&u);
}
END_TEST

/* ---- fz_turn ---- */

static void carry(struct fz_turn *t, struct fake_turn *f, const struct fz_addr *local, uint64_t now_us)
{
	uint8_t out[FZ_NAT_TRANSMIT_MAX], in[FZ_NAT_TRANSMIT_MAX];
	struct fz_addr to;
	struct fz_turn_data data;
	int n;

	while ((n = fz_turn_poll_transmit(t, out, sizeof(out), &to, now_us)) > 0) {
		int len = fake_turn_handle(f, &to, out, (size_t)n, in, sizeof(in), now_us);
		if (len > 0)
			ck_assert_int_eq(
				fz_turn_handle_datagram(t, local, &to, in, (size_t)len, &data, now_us), 0);
	}
	ck_assert_int_eq(n, 0);
}

START_TEST(turn_end_to_end)
{
	struct unit_env u;
	struct fake_turn f;
	struct fz_turn *t;
	struct fz_turn_event ev;
	struct fz_turn_data data;
	struct fz_turn_stats stats;
	struct fz_addr local = addr_of("192.168.1.2:52625"), peer = addr_of("198.51.100.9:7"), to;
	uint8_t dgram[FZ_TURN_HEADER_LEN + 5] = "....hello";
	uint64_t now = FZ_SEC(1);

	unit_env_init(&u, 4);
	fake_turn_init(&f);
	struct fz_turn_opts opts = { .size = sizeof(opts),
				     .username = f.username,
				     .password = f.password,
				     .realm = "firezone",
				     .server4 = f.addr4 };
	ck_assert_int_eq(fz_turn_new(&u.env, &opts, &t, now), 0);
	ck_assert(!fz_turn_server(t, &to) && !fz_turn_relayed(t, FZ_FAMILY_INET, &to));
	ck_assert_int_eq(fz_turn_wrap(t, &peer, 5, dgram, &to, now), FZ_ERR_STATE); /* and a bind is queued */
	carry(t, &f, &local, now);
	ck_assert(fz_turn_poll_event(t, &ev) && ev.type == FZ_TURN_MAPPED &&
		  fz_addr_equal(&ev.mapped, &f.mapped4));
	ck_assert(fz_turn_poll_event(t, &ev) && ev.type == FZ_TURN_RELAYED &&
		  fz_addr_equal(&ev.relayed, &f.relayed4));
	ck_assert(fz_turn_poll_event(t, &ev) && ev.type == FZ_TURN_RELAYED &&
		  fz_addr_equal(&ev.relayed, &f.relayed6));
	ck_assert(!fz_turn_poll_event(t, &ev));
	ck_assert_uint_eq(f.n_channels, 1);
	ck_assert_int_eq(fz_turn_bind(t, &peer, now), 0);
	ck_assert_int_eq(fz_turn_wrap(t, &peer, 5, dgram, &to, now), 0);
	ck_assert(fz_addr_equal(&to, &f.addr4));
	unit_assert_hex(dgram, 4, "40000005");
	ck_assert_int_eq(fz_turn_wrap(t, &peer, 65536, dgram, &to, now), FZ_ERR_INVAL);
	/* and back */
	ck_assert_int_eq(fz_turn_handle_datagram(t, &local, &f.addr4, dgram, sizeof(dgram), &data, now),
			 FZ_TURN_DATA);
	ck_assert(fz_addr_equal(&data.peer, &peer) && fz_addr_equal(&data.relayed, &f.relayed4));
	ck_assert(data.len == 5 && data.data == dgram + 4);
	dgram[1] = 7;
	ck_assert_int_eq(fz_turn_handle_datagram(t, &local, &f.addr4, dgram, sizeof(dgram), &data, now),
			 FZ_ERR_STATE);
	ck_assert_int_eq(fz_turn_handle_datagram(t, &local, &peer, dgram, sizeof(dgram), &data, now),
			 FZ_ERR_NOT_MINE);
	fz_turn_stats(t, &stats);
	ck_assert(stats.allocations == 1 && stats.data == 1 && stats.unexpected == 1 && stats.requests == 4);
	ck_assert(fz_turn_server(t, &to) && fz_turn_rtt_us(t) > 0);

	f.fail_refresh = 441;
	f.fail_count = 1;
	fz_turn_refresh(t, now);
	carry(t, &f, &local, now);
	ck_assert(fz_turn_poll_event(t, &ev) && ev.type == FZ_TURN_RELAYED_LOST);
	ck_assert(fz_turn_poll_event(t, &ev) && ev.type == FZ_TURN_RELAYED_LOST);
	ck_assert(fz_turn_poll_event(t, &ev) && ev.type == FZ_TURN_REFUSED && ev.code == 441);
	f.allocated = false;
	fz_turn_restart(t, now);
	carry(t, &f, &local, now);
	while (fz_turn_poll_event(t, &ev))
		ck_assert(ev.type == FZ_TURN_MAPPED || ev.type == FZ_TURN_RELAYED);
	f.silent = true;
	for (; now < FZ_SEC(60); now += FZ_SEC(1)) {
		fz_turn_handle_timeout(t, now);
		carry(t, &f, &local, now);
	}
	do
		ck_assert(fz_turn_poll_event(t, &ev));
	while (ev.type != FZ_TURN_FAILED);
	ck_assert_int_eq(ev.reason, FZ_TURN_REASON_NO_ANSWER);
	ck_assert(fz_turn_next_timeout(t) == FZ_NEVER_US);
	fz_turn_free(t);
	unit_env_check(&u);
}
END_TEST

START_TEST(turn_close)
{
	struct unit_env u;
	struct fake_turn f;
	struct fz_turn *t;
	struct fz_addr local = addr_of("192.168.1.2:52625");

	unit_env_init(&u, 4);
	fake_turn_init(&f);
	struct fz_turn_opts opts = {
		.size = sizeof(opts), .username = f.username, .password = f.password, .server4 = f.addr4
	};
	ck_assert_int_eq(fz_turn_new(&u.env, &opts, &t, 0), 0);
	carry(t, &f, &local, 0);
	ck_assert(f.allocated);
	fz_turn_close(t, 0);
	carry(t, &f, &local, 0);
	ck_assert(!f.allocated);
	fz_turn_free(t);
	unit_env_check(&u);
}
END_TEST

START_TEST(turn_options)
{
	struct unit_env u;
	struct fz_turn *t;
	struct fz_turn_opts o = { .size = sizeof(o), .username = "u", .password = "p" };

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_turn_new(&u.env, &o, &t, 0), FZ_ERR_INVAL);
	o.server4 = addr_of("192.0.2.1:3478");
	for (u.fail_at = 1; u.fail_at <= 4; u.fail_at++) {
		u.allocs = 0;
		ck_assert_int_eq(fz_turn_new(&u.env, &o, &t, 0), FZ_ERR_NOMEM);
	}
	u.fail_at = 0;
	ck_assert_int_eq(fz_turn_new(&u.env, &o, &t, 0), 0);
	fz_turn_free(t);
	o.size = 1 << 20;
	ck_assert_int_eq(fz_turn_new(&u.env, &o, &t, 0), FZ_ERR_ABI);
	fz_turn_free(NULL);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("nat");

	unit_case(s, "stun_probe", probe_is_answered, probe_is_refused, probe_times_out, probe_options);
	unit_case(s, "turn", turn_end_to_end, turn_close, turn_options);
	return s;
}
