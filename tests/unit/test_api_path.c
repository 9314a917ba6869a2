/* SPDX-License-Identifier: Apache-2.0 */
/* The public path agent, two of them joined by a wire that knows both addresses. */
#include "unit.h"

#include "base/time.h"
#include "fzconn/nat.h"

#define START_US FZ_SEC(5)

struct end {
	struct fz_path *p;
	struct fz_addr addr;
};

static struct fz_addr addr(const char *text)
{
	struct fz_addr a;

	ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

static struct fz_path_opts opts(bool controlling)
{
	return (struct fz_path_opts){ .size = sizeof(struct fz_path_opts),
				      .local_ufrag = controlling ? "left" : "right",
				      .local_pwd = controlling ? "left's secret" : "right's secret",
				      .remote_ufrag = controlling ? "right" : "left",
				      .remote_pwd = controlling ? "right's secret" : "left's secret",
				      .controlling = controlling,
				      .profile = controlling ? FZ_PATH_CLIENT : FZ_PATH_SERVER,
				      .idle_profile = controlling ? FZ_PATH_CLIENT_IDLE : FZ_PATH_SERVER_IDLE,
				      .tag = 7 };
}

/* Everything one end has for the other. */
static unsigned carry(struct end *from, struct end *to, uint64_t now_us)
{
	uint8_t buf[FZ_NAT_TRANSMIT_MAX];
	struct fz_path_route route;
	unsigned n_sent = 0;
	int n;

	while ((n = fz_path_poll_transmit(from->p, buf, sizeof(buf), &route, now_us)) > 0) {
		ck_assert(fz_addr_equal(&route.local, &from->addr));
		ck_assert(fz_addr_equal(&route.remote, &to->addr));
		ck_assert_int_eq(
			fz_path_handle_datagram(to->p, &to->addr, 0, &from->addr, buf, (size_t)n, now_us), 0);
		n_sent++;
	}
	ck_assert_int_eq(n, 0);
	return n_sent;
}

static void expect(struct end *e, enum fz_path_event_type type, enum fz_path_reason reason)
{
	struct fz_path_event ev;

	ck_assert(fz_path_poll_event(e->p, &ev));
	ck_assert_int_eq(ev.type, type);
	ck_assert_int_eq(ev.reason, reason);
}

START_TEST(two_agents_find_each_other)
{
	struct unit_env u;
	struct end left = { .addr = addr("10.0.0.1:1000") }, right = { .addr = addr("10.0.0.2:2000") };
	struct fz_path_opts lo = opts(true), ro = opts(false);
	char text[FZ_PATH_TEXT_MAX];
	struct fz_path_cand got;
	struct fz_path_route route;
	struct fz_path_stats st;

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_path_new(&u.env, &lo, &left.p, START_US), 0);
	ck_assert_int_eq(fz_path_new(&u.env, &ro, &right.p, START_US), 0);
	const struct fz_path_cand lc = { .kind = FZ_PATH_HOST, .addr = left.addr, .base = left.addr };
	const struct fz_path_cand rc = { .kind = FZ_PATH_HOST, .addr = right.addr, .base = right.addr };
	ck_assert_int_eq(fz_path_add_local(left.p, &lc, text, START_US), 1);
	ck_assert_int_eq(fz_path_add_remote(right.p, text, &got, START_US), 0);
	ck_assert_int_eq(got.kind, FZ_PATH_HOST);
	ck_assert(fz_addr_equal(&got.addr, &left.addr));
	ck_assert_int_eq(fz_path_add_local(left.p, &lc, text, START_US), 0);
	ck_assert_int_eq(fz_path_add_local(right.p, &rc, text, START_US), 1);
	ck_assert_int_eq(fz_path_add_remote(left.p, text, &got, START_US), 0);
	ck_assert(!fz_path_selected(left.p, &route));

	unsigned n = 0;
	for (int i = 0; i < 6; i++)
		n += carry(&left, &right, START_US) + carry(&right, &left, START_US);
	ck_assert_uint_le(n, 8);
	expect(&left, FZ_PATH_SELECTED, FZ_PATH_REASON_FIRST);
	expect(&left, FZ_PATH_WANT_HANDSHAKE, FZ_PATH_REASON_NONE);
	expect(&right, FZ_PATH_SELECTED, FZ_PATH_REASON_FIRST);
	ck_assert(fz_path_selected(right.p, &route));
	ck_assert(fz_addr_equal(&route.remote, &left.addr));
	ck_assert_uint_eq(route.local_relayed, 0);
	fz_path_stats(left.p, &st);
	ck_assert_uint_eq(st.pairs, 1);
	ck_assert_uint_eq(st.pairs_working, 1);
	ck_assert_uint_eq(st.checks_sent, st.checks_answered);

	fz_path_set_idle(left.p, 1, START_US);
	ck_assert_uint_ge(fz_path_next_timeout(left.p), START_US + FZ_SEC(25));
	/* the peer takes its only address back */
	ck_assert_int_eq(fz_path_remove_local(right.p, &rc, text, START_US), 1);
	ck_assert_int_eq(fz_path_remove_remote(left.p, text, START_US), 0);
	ck_assert_int_eq(fz_path_remove_remote(left.p, text, START_US), FZ_ERR_NOT_FOUND);
	ck_assert(!fz_path_selected(left.p, &route));
	fz_path_handle_timeout(left.p, START_US + FZ_SEC(10));
	expect(&left, FZ_PATH_FAILED, FZ_PATH_REASON_NO_ANSWER);
	fz_path_free(left.p);
	fz_path_free(right.p);
	unit_env_check(&u);
}
END_TEST

START_TEST(datagrams_are_attributed)
{
	struct unit_env u;
	struct end left = { .addr = addr("10.0.0.1:1000") };
	struct fz_addr peer = addr("10.0.0.2:2000");
	struct fz_path_opts lo = opts(true);
	struct fz_path_cand got, lc = { .kind = FZ_PATH_HOST, .addr = left.addr, .base = left.addr };
	char text[FZ_PATH_TEXT_MAX];
	uint8_t buf[FZ_NAT_TRANSMIT_MAX];
	struct fz_path_route route;
	const char *name;
	size_t len;
	uint32_t tag;

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_path_new(&u.env, &lo, &left.p, START_US), 0);
	ck_assert_int_eq(fz_path_add_local(left.p, &lc, text, START_US), 1);
	ck_assert_int_eq(
		fz_path_add_remote(left.p, "candidate:1 1 udp 5 10.0.0.2 2000 typ host", &got, START_US), 0);
	ck_assert_int_eq(fz_path_add_remote(left.p, "nonsense", &got, START_US), FZ_ERR_WIRE);
	ck_assert_int_eq(fz_path_poll_transmit(left.p, buf, 10, &route, START_US), FZ_ERR_NOSPACE);
	int n = fz_path_poll_transmit(left.p, buf, sizeof(buf), &route, START_US);
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(fz_path_peek(buf, (size_t)n, &name, &len, &tag), 0);
	ck_assert_uint_eq(len, 10);
	ck_assert_mem_eq(name, "right:left", 10);
	/* our own request, reflected: for the other end */
	ck_assert_int_eq(fz_path_handle_datagram(left.p, &left.addr, 0, &peer, buf, (size_t)n, START_US),
			 FZ_ERR_NOT_MINE);
	ck_assert_int_eq(fz_path_handle_datagram(left.p, &left.addr, 0, &peer, "payload", 7, START_US),
			 FZ_ERR_NOT_MINE);
	ck_assert_int_eq(fz_path_peek("payload", 7, &name, &len, &tag), FZ_ERR_NOT_MINE);
	fz_path_note_bound(left.p, &left.addr, &peer, START_US);
	fz_path_free(left.p);
	unit_env_check(&u);
}
END_TEST

START_TEST(options)
{
	struct unit_env u;
	struct fz_path *p;
	struct fz_path_opts o = opts(true);

	unit_env_init(&u, 1);
	o.profile = 4;
	ck_assert_int_eq(fz_path_new(&u.env, &o, &p, START_US), FZ_ERR_INVAL);
	o = opts(true);
	o.local_ufrag = "with:colon";
	ck_assert_int_eq(fz_path_new(&u.env, &o, &p, START_US), FZ_ERR_INVAL);
	o = opts(true);
	o.size = 3;
	ck_assert_int_eq(fz_path_new(&u.env, &o, &p, START_US), FZ_ERR_ABI);
	o = opts(true);
	u.fail_at = u.allocs + 1;
	ck_assert_int_eq(fz_path_new(&u.env, &o, &p, START_US), FZ_ERR_NOMEM);
	struct fz_path_cand bad = { .kind = (enum fz_path_kind)9, .addr = addr("10.0.0.1:1") };
	char text[FZ_PATH_TEXT_MAX];
	ck_assert_int_eq(fz_path_new(&u.env, &o, &p, START_US), 0);
	ck_assert_int_eq(fz_path_add_local(p, &bad, text, START_US), 0);
	fz_path_free(p);
	fz_path_free(NULL);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("api_path");

	unit_case(s, "fz_path", two_agents_find_each_other, datagrams_are_attributed, options);
	return s;
}
