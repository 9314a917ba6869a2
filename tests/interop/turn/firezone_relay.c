/* SPDX-License-Identifier: Apache-2.0 */
/* Against the upstream relay, where PEER_DIR holds one. It needs a portal: our own development portal. */
#include "live.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../../platform/netns.h"
#include "base/text.h"
#include "ext/crypto.h"

static char dir[] = "/tmp/trt-relay-XXXXXX";
static char secret[128], username[96], password[64];

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[next]), "%s/%s", dir, name);
	return path[next];
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static pid_t start_portal(void)
{
	const char *argv[] = {
		DEVPORTAL, "--config", in_dir("portal.json"), "--socket", in_dir("sock"), NULL
	};

	write_file(in_dir("portal.json"),
		   "{\"listen\": [\"127.0.0.1:8081\"], \"sites\": [\"HQ\"],"
		   " \"tokens\": [{\"token\": \"relay-token\", \"role\": \"relay\"}]}");
	return live_spawn(argv, in_dir("portal.log"));
}

/* The relay tells its secret to the portal, the portal to its administrator. */
static bool read_secret(void)
{
	static char events[65536];
	char command[256];
	const char *text = NULL;
	json_t *root, *event;
	size_t i;

	snprintf(command, sizeof(command), "%s ctl --socket %s events - phx_join --json 2>/dev/null",
		 DEVPORTAL, in_dir("sock"));
	netns_output(command, events, sizeof(events));
	root = json_loads(events, 0, NULL);
	json_array_foreach(root, i, event) text =
		json_string_value(json_object_get(json_object_get(event, "payload"), "stamp_secret"));
	bool is_new = text != NULL && strcmp(text, secret) != 0;
	if (is_new)
		snprintf(secret, sizeof(secret), "%s", text);
	json_decref(root);
	return is_new;
}

static void make_credentials(const char *salt)
{
	uint8_t digest[CRYPTO_SHA256_LEN];
	char text[256];

	snprintf(username, sizeof(username), "2145916800:%s", salt);
	snprintf(text, sizeof(text), "2145916800:%s:%s", secret, salt);
	ck_assert_int_eq(crypto_sha256(text, strlen(text), NULL, 0, digest), 0);
	fz_b64_encode_nopad(password, digest, sizeof(digest));
}

static pid_t start_relay(void)
{
	char path[512];
	const char *argv[] = { path,
			       "--public-ip4-addr",
			       "203.0.113.101",
			       "--public-ip6-addr",
			       "2001:db8::101",
			       "--bind-ip4-addr",
			       "203.0.113.101",
			       "--bind-ip6-addr",
			       "2001:db8::101",
			       "--api-url",
			       "ws://127.0.0.1:8081",
			       NULL };
	pid_t pid;

	snprintf(path, sizeof(path), "%s/firezone-relay", getenv("PEER_DIR"));
	setenv("FIREZONE_TOKEN", "relay-token", 1);
	setenv("LISTEN_ADDR", "127.0.0.1:9999", 1);
	pid = live_spawn(argv, in_dir("relay.log"));
	live_wait_for_stun();
	for (int i = 0; i < 100 && !read_secret(); i++)
		usleep(100000);
	ck_assert_msg(secret[0] != '\0', "the relay does not reach the portal");
	make_credentials("n23JJ2wKKtt30oXi");
	return pid;
}

static pid_t portal;

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	live_namespace();
	portal = start_portal();
}

static void teardown(void)
{
	char command[128];

	live_kill(portal, SIGTERM);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	netns_run(command);
}

#define must(cond) ck_assert_msg(cond, "%s; client's log:\n%s", #cond, l.log)

START_TEST(both_families_and_data)
{
	pid_t relay = start_relay();
	struct live l;
	struct fz_addr v4, v6;
	unsigned sent;

	live_open(&l, username, password, 0, 1);
	must(live_run(&l, 5, live_is_ready));
	must(turn_alloc_relayed(l.a, FZ_FAMILY_INET, &v4) && turn_alloc_relayed(l.a, FZ_FAMILY_INET6, &v6));
	must(v4.port == v6.port);
	unsigned back = live_chat(&l, 2, &sent);
	must(sent >= 30 && back == sent);
	must(turn_alloc_stats(l.a)->bad_auth == 0 && turn_alloc_stats(l.a)->unsigned_answer == 0);
	live_close(&l);
	live_kill(relay, SIGTERM);
}
END_TEST

/* Twelve minutes of the client's clock: refreshes of allocation and channels. */
START_TEST(stays_alive)
{
	pid_t relay = start_relay();
	struct live l;
	unsigned sent, back;

	live_open(&l, username, password, 0, 30);
	must(live_run(&l, 5, live_is_ready));
	back = live_chat(&l, 24, &sent);
	ck_assert_msg(back == sent, "%u of %u came back\n%s", back, sent, l.log);
	must(l.n_lost == 0);
	live_close(&l);
	live_kill(relay, SIGTERM);
}
END_TEST

START_TEST(wrong_password)
{
	pid_t relay = start_relay();
	struct live l;

	live_open(&l, username, "wrong", 0, 10); /* its answers are signed with the right key: not ours */
	must(live_run(&l, 3, live_failed) && l.reason == TURN_REASON_NO_ANSWER);
	must(turn_alloc_stats(l.a)->bad_auth > 0);
	live_close(&l);
	live_kill(relay, SIGTERM);
}
END_TEST

START_TEST(expired_credentials)
{
	pid_t relay = start_relay();
	struct live l;

	make_credentials("x");
	memcpy(username, "1000000000", 10);
	uint8_t digest[CRYPTO_SHA256_LEN];
	char text[256];
	snprintf(text, sizeof(text), "1000000000:%s:x", secret);
	ck_assert_int_eq(crypto_sha256(text, strlen(text), NULL, 0, digest), 0);
	fz_b64_encode_nopad(password, digest, sizeof(digest));
	live_open(&l, username, password, 0, 1);
	must(live_run(&l, 3, live_failed) && l.reason == TURN_REASON_UNAUTHORISED);
	live_close(&l);
	live_kill(relay, SIGTERM);
}
END_TEST

START_TEST(same_port_after_a_crash)
{
	pid_t relay = start_relay();
	struct live l;

	live_open(&l, username, password, 52625, 1);
	must(live_run(&l, 5, live_is_ready));
	live_close(&l); /* without a word */
	live_open(&l, username, password, 52625, 1);
	must(live_run(&l, 5, live_is_ready));
	live_close(&l);
	make_credentials("another"); /* the relay does not mind whose allocation it is that we give back */
	live_open(&l, username, password, 52625, 1);
	must(live_run(&l, 5, live_is_ready));
	turn_alloc_close(l.a, (uint64_t)(live_wall() * 1e6));
	live_run(&l, 0.3, NULL);
	must(turn_alloc_next_timeout(l.a) == FZ_NEVER_US); /* answered */
	live_close(&l);
	live_kill(relay, SIGTERM);
}
END_TEST

START_TEST(relay_restart)
{
	pid_t relay = start_relay();
	struct live l;
	unsigned sent;

	live_open(&l, username, password, 0, 10);
	must(live_run(&l, 5, live_is_ready));
	live_chat(&l, 0.5, &sent);
	live_kill(relay, SIGKILL);
	relay = start_relay(); /* with a new secret: our credentials are void for good */
	live_chat(&l, 8, &sent);
	must(l.n_lost == 2);
	must(l.n_failed == 1);
	live_close(&l);
	live_open(&l, username, password, 0, 10); /* the new ones */
	must(live_run(&l, 5, live_is_ready));
	live_close(&l);
	live_kill(relay, SIGTERM);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("turn_firezone_relay");
	TCase *c = tcase_create("firezone_relay");
	const TTest *tests[] = { both_families_and_data,  stays_alive,  wrong_password, expired_credentials,
				 same_port_after_a_crash, relay_restart };
	char path[512];

	snprintf(path, sizeof(path), "%s/firezone-relay",
		 getenv("PEER_DIR") ? getenv("PEER_DIR") : "/nonexistent");
	netns_probe();
	if (access(path, X_OK) != 0) {
		fprintf(stderr, "skipped: PEER_DIR names no folder with firezone-relay\n");
		exit(77);
	}
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return s;
}
