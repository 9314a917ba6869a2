/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarding and masquerading of a gateway, in a network namespace of its own. */
#include "unit.h"

#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fzconn/platform.h"
#include "netns.h"

static char log_text[8192];

static void keep_line(void *ctx, enum fz_log_level level, const char *area, const char *line)
{
	size_t used = strlen(log_text);

	(void)ctx;
	(void)level;
	(void)area;
	snprintf(log_text + used, sizeof(log_text) - used, "%s\n", line);
}

static struct fz_env env_with_log(void)
{
	struct fz_env env = *fz_env_default();

	env.log.write = keep_line;
	env.log.max_level = FZ_LOG_INFO;
	log_text[0] = '\0';
	return env;
}

static void open_platform(const struct fz_env *env, struct fz_platform *p)
{
	struct fz_platform_linux_opts opts = { .size = sizeof(opts), .no_watch = true };
	struct fz_tun_opts tun = { .size = sizeof(tun), .name = "fzfwd0" };

	ck_assert_int_eq(fz_platform_linux_new(env, &opts, p), 0);
	ck_assert_int_eq(p->ops->tun_open(p->ctx, &tun), 0);
}

static void rules(char *ret, size_t cap)
{
	netns_output("nft list ruleset", ret, cap);
}

static bool has_nft(void)
{
	char text[64];

	netns_output("command -v nft || true", text, sizeof(text));
	return text[0] != '\0';
}

static const char *const switches[] = { "net.ipv4.ip_forward=1", "net.ipv4.conf.all.src_valid_mark=1",
					"net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.all.forwarding=1",
					"net.ipv6.conf.default.forwarding=1" };

static void expect_switches(void)
{
	char command[100], text[16];

	for (size_t i = 0; i < sizeof(switches) / sizeof(*switches); i++) {
		const char *eq = strchr(switches[i], '=');
		snprintf(command, sizeof(command), "sysctl -n %.*s", (int)(eq - switches[i]), switches[i]);
		netns_output(command, text, sizeof(text));
		ck_assert_msg(text[0] == eq[1], "%s", switches[i]);
	}
}

static void expect_rules(void)
{
	char text[4096];

	rules(text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "table inet fz-fzfwd0"));
	ck_assert_ptr_nonnull(strstr(text, "type nat hook postrouting priority srcnat"));
	ck_assert_ptr_nonnull(strstr(text, "ip saddr 100.64.0.0/11 oifname != \"fzfwd0\" masquerade"));
	ck_assert_ptr_nonnull(
		strstr(text, "ip6 saddr fd00:2021:1111::/107 oifname != \"fzfwd0\" masquerade"));
}

START_TEST(set_and_undone)
{
	struct fz_env env = env_with_log();
	struct fz_platform p;
	char text[4096];

	netns_enter();
	netns_run("ip link add fzra0 type veth peer name fzra1");
	netns_run("sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv6.conf.fzra0.accept_ra=1");
	open_platform(&env, &p);
	ck_assert_int_eq(p.ops->forward(p.ctx, true), 0);
	expect_switches();
	/* An interface that learnt its routes from advertisements goes on to do so. */
	netns_output("sysctl -n net.ipv6.conf.fzra0.accept_ra", text, sizeof(text));
	ck_assert_int_eq(text[0], '2');
	if (has_nft())
		expect_rules();
	ck_assert_int_eq(p.ops->forward(p.ctx, true), 0); /* again changes nothing */
	if (has_nft())
		expect_rules();
	ck_assert_int_eq(p.ops->forward(p.ctx, false), 0);
	ck_assert_int_eq(p.ops->forward(p.ctx, false), 0);
	if (has_nft()) {
		rules(text, sizeof(text));
		ck_assert_str_eq(text, "");
	}
	ck_assert_int_eq(p.ops->forward(p.ctx, true), 0);
	fz_platform_free(&p); /* without a word */
	if (has_nft()) {
		rules(text, sizeof(text));
		ck_assert_str_eq(text, "");
	}
}
END_TEST

/* The program is killed: the rules go with it. Where a table was left behind, the next start replaces it. */
START_TEST(killed)
{
	struct fz_env env = env_with_log();
	struct fz_platform p;
	char text[4096] = "x", c;
	int up[2], status;
	pid_t child;

	netns_enter();
	if (!has_nft())
		return;
	netns_run("nft add table inet fz-fzfwd0");
	netns_run("nft add chain inet fz-fzfwd0 old");
	ck_assert_int_eq(pipe(up), 0);
	child = fork();
	if (child == 0) {
		open_platform(&env, &p);
		ck_assert_int_eq(p.ops->forward(p.ctx, true), 0);
		ck_assert_int_eq(write(up[1], "x", 1), 1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(up[0], &c, 1), 1);
	rules(text, sizeof(text));
	ck_assert_ptr_null(strstr(text, "chain old"));
	expect_rules();
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	/* The kernel lets go of sockets a moment after the process has ended. */
	for (int i = 0; i < 1000 && text[0] != '\0'; i++) {
		rules(text, sizeof(text));
		usleep(10000);
	}
	ck_assert_str_eq(text, "");
}
END_TEST

/* What others drop is told, with the commands that help. */
START_TEST(dropped_by_others)
{
	struct fz_env env = env_with_log();
	struct fz_platform p;

	netns_enter();
	if (!has_nft())
		return;
	netns_run("nft add table ip filter");
	netns_run("nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'");
	netns_run("nft 'add chain ip filter INPUT { type filter hook input priority 0; policy drop; }'");
	open_platform(&env, &p);
	ck_assert_int_eq(p.ops->forward(p.ctx, true), 0);
	ck_assert_ptr_nonnull(strstr(log_text, "nft insert rule ip filter FORWARD iifname fzfwd0 accept"));
	ck_assert_ptr_nonnull(strstr(log_text, "nft insert rule ip filter FORWARD oifname fzfwd0 accept"));
	ck_assert_ptr_null(strstr(log_text, "INPUT"));
	/* They are good commands. */
	netns_run("nft insert rule ip filter FORWARD iifname fzfwd0 accept");
	fz_platform_free(&p);
}
END_TEST

/* Not allowed: the administrator is told what to type. */
START_TEST(not_allowed)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };
	struct fz_env env = env_with_log();
	struct fz_platform p;

	netns_enter();
	open_platform(&env, &p);
	ck_assert_int_eq(syscall(SYS_capset, &head, none), 0);
	ck_assert_int_eq(p.ops->forward(p.ctx, true), FZ_ERR_PERM);
	ck_assert_ptr_nonnull(strstr(log_text, "nft add table inet fz-fzfwd0"));
	ck_assert_ptr_nonnull(strstr(log_text,
				     "nft add rule inet fz-fzfwd0 postrouting ip saddr 100.64.0.0/11 "
				     "oifname != fzfwd0 masquerade"));
	ck_assert_int_eq(p.ops->forward(p.ctx, false), 0);
	fz_platform_free(&p);
}
END_TEST

START_TEST(needs_a_device)
{
	struct fz_platform p;

	netns_enter();
	ck_assert_int_eq(fz_platform_linux_new(NULL, NULL, &p), 0);
	ck_assert_int_eq(p.ops->forward(p.ctx, true), FZ_ERR_STATE);
	fz_platform_free(&p);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("platform_linux_forward");

	netns_probe();
	unit_case(s, "forward", set_and_undone, killed, dropped_by_others, not_allowed, needs_a_device);
	return s;
}
