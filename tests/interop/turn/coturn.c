/* SPDX-License-Identifier: Apache-2.0 */
/* Against coturn. Each test has its own server. */
#include "live.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../../platform/netns.h"

static char dir[] = "/tmp/trt-coturn-XXXXXX";

static pid_t start_coturn(const char *extra1, const char *extra2)
{
	char db[128], pid_file[128], log[128];
	const char *argv[] = { "turnserver",
			       "-n",
			       "--no-cli",
			       "--listening-ip=203.0.113.101",
			       "--listening-ip=2001:db8::101",
			       "--relay-ip=203.0.113.101",
			       "--relay-ip=2001:db8::101",
			       "--lt-cred-mech",
			       "--user=alice:secret",
			       "--user=bob:other",
			       "--realm=firezone",
			       "--no-tls",
			       "--no-dtls",
			       "--simple-log",
			       "--log-file=stdout",
			       "-v",
			       db,
			       pid_file,
			       extra1,
			       extra2,
			       NULL };

	snprintf(db, sizeof(db), "--db=%s/db", dir);
	snprintf(pid_file, sizeof(pid_file), "--pidfile=%s/pid", dir);
	snprintf(log, sizeof(log), "%s/log", dir);
	if (extra1 == NULL)
		argv[18] = argv[19] = NULL;
	pid_t pid = live_spawn(argv, log);
	live_wait_for_stun();
	return pid;
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	live_namespace();
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	netns_run(command);
}

#define must(cond) ck_assert_msg(cond, "%s; client's log:\n%s", #cond, l.log)

START_TEST(both_families_and_data)
{
	pid_t server = start_coturn(NULL, NULL);
	struct live l;
	struct fz_addr v4, v6;
	unsigned sent;

	live_open(&l, "alice", "secret", 0, 1);
	must(live_run(&l, 5, live_is_ready));
	must(turn_alloc_relayed(l.a, FZ_FAMILY_INET, &v4) && turn_alloc_relayed(l.a, FZ_FAMILY_INET6, &v6));
	must(l.n_mapped == 2 && l.n_relayed == 2 && turn_alloc_rtt_us(l.a) > 0);
	unsigned back = live_chat(&l, 2, &sent);
	must(sent >= 30 && back == sent); /* the first payload follows its CHANNEL-BIND and is not lost */
	must(l.peer[0].echoed * 2 == sent && l.peer[1].echoed * 2 == sent);
	must(turn_alloc_stats(l.a)->bad_auth == 0 && turn_alloc_stats(l.a)->unsigned_answer == 0);
	live_close(&l);
	live_kill(server, SIGTERM);
}
END_TEST

START_TEST(wrong_password)
{
	pid_t server = start_coturn(NULL, NULL);
	struct live l;

	live_open(&l, "alice", "wrong", 0, 1);
	must(live_run(&l, 3, live_failed) && l.reason == TURN_REASON_UNAUTHORISED);
	live_close(&l);
	live_open(&l, "nobody", "secret", 0, 1);
	must(live_run(&l, 3, live_failed) && l.reason == TURN_REASON_UNAUTHORISED);
	live_close(&l);
	live_kill(server, SIGTERM);
}
END_TEST

START_TEST(stale_nonce)
{
	pid_t server = start_coturn("--stale-nonce=2", NULL);
	struct live l;
	unsigned sent, back;

	live_open(&l, "alice", "secret", 0, 1);
	must(live_run(&l, 5, live_is_ready));
	for (int i = 0; i < 3; i++) {
		back = live_chat(&l, 1, &sent);
		must(back == sent);
		live_run(&l, 2.5, NULL); /* the nonce runs out */
		turn_alloc_refresh(l.a, (uint64_t)(live_wall() * 1e6));
		live_run(&l, 0.5, NULL);
	}
	must(l.n_lost == 0 && l.n_failed == 0);
	live_close(&l);
	live_kill(server, SIGTERM);
}
END_TEST

static bool lost_and_found(struct live *l)
{
	return l->n_lost > 0 && l->n_relayed > 2 && turn_alloc_state(l->a) == TURN_READY;
}

START_TEST(server_restart)
{
	pid_t server = start_coturn(NULL, NULL);
	struct live l;
	unsigned sent, back;

	live_open(&l, "alice", "secret", 0, 10);
	must(live_run(&l, 5, live_is_ready));
	back = live_chat(&l, 1, &sent);
	must(back == sent);
	live_kill(server, SIGKILL);
	server = start_coturn(NULL, NULL);
	back = live_chat(&l, 4, &sent); /* 25 s of the client's clock until it asks */
	must(lost_and_found(&l));
	must(back > 0);
	back = live_chat(&l, 1, &sent);
	must(back == sent);
	live_close(&l);
	live_kill(server, SIGTERM);
}
END_TEST

START_TEST(server_gone)
{
	pid_t server = start_coturn(NULL, NULL);
	struct live l;

	live_open(&l, "alice", "secret", 0, 10);
	must(live_run(&l, 5, live_is_ready));
	live_kill(server, SIGKILL);
	must(live_run(&l, 6, live_failed) && l.reason == TURN_REASON_NO_ANSWER);
	must(l.n_lost == 2);
	live_close(&l);
}
END_TEST

/* Five minutes of permission in fifteen seconds, ten minutes of channel in thirty: eleven minutes of the
 * client's clock without a lost datagram. */
START_TEST(permissions_and_channels_stay)
{
	pid_t server = start_coturn("--permission-lifetime=15", "--channel-lifetime=30");
	struct live l;
	unsigned sent, back;

	live_open(&l, "alice", "secret", 0, 20);
	must(live_run(&l, 5, live_is_ready));
	back = live_chat(&l, 33, &sent);
	must(sent > 600);
	ck_assert_msg(back == sent, "%u of %u came back\n%s", back, sent, l.log);
	must(l.n_lost == 0);
	live_close(&l);
	live_kill(server, SIGTERM);
}
END_TEST

START_TEST(same_port_after_a_crash)
{
	pid_t server = start_coturn(NULL, NULL);
	struct live l;

	live_open(&l, "alice", "secret", 52625, 1);
	must(live_run(&l, 5, live_is_ready));
	live_close(&l); /* without a word */
	live_open(&l, "alice", "secret", 52625, 1);
	must(live_run(&l, 8, live_is_ready)); /* finds the allocation, gives it back, waits, allocates */
	turn_alloc_close(l.a, (uint64_t)(live_wall() * 1e6));
	live_run(&l, 0.3, NULL);
	live_close(&l);
	live_open(&l, "bob", "other", 52625, 1); /* given back: free for others */
	must(live_run(&l, 8, live_is_ready));
	live_close(&l);
	live_open(&l, "alice", "secret", 52625, 1); /* not given back: IPv6 makes another 5-tuple */
	must(live_run(&l, 8, live_is_ready) && turn_alloc_server(l.a)->ip.family == FZ_FAMILY_INET6);
	live_close(&l);
	live_kill(server, SIGTERM);
}
END_TEST

START_TEST(quota)
{
	pid_t server = start_coturn("--user-quota=1", NULL);
	struct live l, second;

	live_open(&l, "alice", "secret", 0, 1);
	must(live_run(&l, 5, live_is_ready));
	live_open(&second, "alice", "secret", 0, 1);
	live_run(&second, 1, NULL);
	ck_assert_msg(second.n_refused == 1 && second.code == 486, "%s", second.log);
	live_close(&second);
	live_close(&l);
	live_kill(server, SIGTERM);
}
END_TEST

START_TEST(one_family_only)
{
	char extra[64];

	snprintf(extra, sizeof(extra),
		 "--external-ip=203.0.113.101"); /* makes coturn refuse dual allocations: 440 */
	pid_t server = start_coturn(extra, NULL);
	struct live l;
	struct fz_addr got;

	live_open(&l, "alice", "secret", 0, 1);
	must(live_run(&l, 5, live_is_ready));
	must(turn_alloc_relayed(l.a, FZ_FAMILY_INET, &got) &&
	     !turn_alloc_relayed(l.a, FZ_FAMILY_INET6, &got));
	live_close(&l);
	live_kill(server, SIGTERM);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("turn_coturn");
	TCase *c = tcase_create("coturn");
	const TTest *tests[] = { both_families_and_data,  wrong_password, stale_nonce,
				 server_restart,          server_gone,    permissions_and_channels_stay,
				 same_port_after_a_crash, quota,          one_family_only };

	netns_probe();
	if (system("command -v turnserver >/dev/null") != 0) {
		fprintf(stderr, "skipped: no turnserver\n");
		exit(77);
	}
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return s;
}
