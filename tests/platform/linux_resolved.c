/* SPDX-License-Identifier: Apache-2.0 */
/* A real systemd-resolved with a bus of its own is told of the tunnel. Each test has namespaces for network
 * and files. Skipped where the programs are not there. */
#define _GNU_SOURCE
#include "unit.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fzconn/platform.h"
#include "netns.h"
#include "platform/linux/lx.h"

#define RESOLVED_USER "990"

static struct unit_env env;
static struct fz_platform p;
static pid_t bus, resolved;
static const char *home; /* where systemd-resolved and resolvectl are */

/* Installed, or unpacked beside the source. */
static const char *find_home(void)
{
	static const char *const homes[] = { "", RESOLVED_DIR };
	static char daemon[1024], tool[1024];

	for (size_t i = 0; i < 2; i++) {
		snprintf(daemon, sizeof(daemon), "%s/lib/systemd/systemd-resolved", homes[i]);
		snprintf(tool, sizeof(tool), "%s/usr/bin/resolvectl", homes[i]);
		if (access(daemon, X_OK) == 0 && access(tool, X_OK) == 0)
			return homes[i];
	}
	return NULL;
}

static struct fz_ip ip(const char *s)
{
	struct fz_ip ret;

	ck_assert_int_eq(fz_ip_parse(s, &ret), 0);
	return ret;
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static pid_t start(const char *program, const char *argument)
{
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
			_exit(126);
		execlp(program, program, argument, "--nofork", "--nopidfile", NULL);
		_exit(127);
	}
	return child;
}

static void stop(pid_t *child)
{
	if (*child <= 0)
		return;
	kill(*child, SIGKILL);
	waitpid(*child, NULL, 0);
	*child = 0;
}

static void start_bus(void)
{
	write_text("/etc/bus.conf",
		   "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" "
		   "\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">"
		   "<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>"
		   "<auth>EXTERNAL</auth><policy context=\"default\"><allow send_destination=\"*\"/>"
		   "<allow receive_sender=\"*\"/><allow own=\"*\"/><allow user=\"*\"/></policy></busconfig>");
	bus = start("dbus-daemon", "--config-file=/etc/bus.conf");
	netns_run("for i in $(seq 150); do [ -S /run/dbus/system_bus_socket ] && exit; sleep 0.1; done; exit "
		  "1");
}

static void start_resolved(void)
{
	char program[1100];

	snprintf(program, sizeof(program), "%s/lib/systemd/systemd-resolved", home);
	resolved = fork();
	ck_assert_int_ge(resolved, 0);
	if (resolved == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(126);
		execl(program, program, NULL);
		_exit(127);
	}
	netns_run("for i in $(seq 150); do [ -s /run/systemd/resolve/resolv.conf ] && exit; sleep 0.1; done; "
		  "exit 1");
}

static void set_up(void)
{
	home = find_home();
	netns_enter();
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("none", "/etc", "tmpfs", 0, NULL), 0);
	ck_assert_int_eq(mount("none", "/run", "tmpfs", 0, NULL), 0);
	unit_env_init(&env, 1);
	netns_run("mkdir -p /run/dbus /run/systemd/resolve; chown " RESOLVED_USER ":" RESOLVED_USER
		  " /run/systemd/resolve;"
		  "echo passwd: files > /etc/nsswitch.conf;"
		  "ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf;"
		  "ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up;"
		  "ip addr add 192.0.2.1/24 dev v0");
	write_text("/etc/passwd", "root:x:0:0::/:/bin/sh\nsystemd-resolve:x:" RESOLVED_USER ":" RESOLVED_USER
				  "::/:/bin/false\n");
	write_text("/etc/group", "root:x:0:\nsystemd-resolve:x:" RESOLVED_USER ":\n");
}

static void tear_down(void)
{
	fz_platform_free(&p);
	stop(&resolved);
	stop(&bus);
	unit_env_check(&env);
}

static void make(void)
{
	const struct fz_platform_linux_opts o = { .size = sizeof(o), .dns_control = FZ_DNS_CONTROL_RESOLVED };
	const struct fz_tun_opts t = { .size = sizeof(t), .name = "fztest" };

	ck_assert_int_eq(fz_platform_linux_new(&env.env, &o, &p), 0);
	ck_assert_int_eq(p.ops->tun_open(p.ctx, &t), 0);
}

static void apply(size_t sentinels, const char *search)
{
	const struct fz_ip dns[2] = { ip("100.100.111.1"), ip("fd00:2021:1111:8000:100:100:111:0") };
	const struct fz_netcfg cfg = { .ipv4 = ip("100.64.0.1"),
				       .ipv6 = ip("fd00:2021:1111::1"),
				       .dns = dns,
				       .dns_len = sentinels,
				       .search_domain = search };

	ck_assert_int_eq(p.ops->net_apply(p.ctx, &cfg), 0);
}

static void pass(void)
{
	uint32_t ready;

	ck_assert_int_eq(p.ops->wait(p.ctx, p.ops->now_us(p.ctx) + FZ_MS(50), &ready), 0);
	while (p.ops->net_event(p.ctx) > 0)
		;
}

static void ctl(const char *arguments, char *ret, size_t cap)
{
	char command[1200];

	snprintf(command, sizeof(command), "%s/usr/bin/resolvectl %s 2>&1", home, arguments);
	netns_output(command, ret, cap);
}

/* What resolvectl shows comes to be as wanted. */
static void expect(const char *arguments, const char *want)
{
	uint64_t end = p.ops->now_us(p.ctx) + FZ_MS(30000);
	char got[4096] = "";

	while (p.ops->now_us(p.ctx) < end) {
		pass();
		ctl(arguments, got, sizeof(got));
		if (strstr(got, want))
			return;
	}
	ck_abort_msg("resolvectl %s:\n%s\nwithout: %s", arguments, got, want);
}

static void expect_servers(const char *want)
{
	uint64_t end = p.ops->now_us(p.ctx) + FZ_MS(30000);
	char all[FZ_DNS_SERVERS_MAX * FZ_IP_STRLEN], one[FZ_IP_STRLEN];

	do {
		struct fz_ip got[FZ_DNS_SERVERS_MAX];
		size_t n;
		pass();
		n = p.ops->dns_servers(p.ctx, got, FZ_DNS_SERVERS_MAX);
		all[0] = '\0';
		for (size_t i = 0; i < n; i++) {
			strcat(all, i ? " " : "");
			strcat(all, fz_ip_format(&got[i], one));
		}
	} while (strcmp(all, want) != 0 && p.ops->now_us(p.ctx) < end);
	ck_assert_str_eq(all, want);
}

START_TEST(a6_9_link_has_the_sentinels)
{
	start_bus();
	start_resolved();
	make();
	apply(2, "corp.example");
	expect("dns fztest", ": 100.100.111.1 fd00:2021:1111:8000:100:100:111:0\n");
	expect("domain fztest", ": corp.example ~.\n");
	expect("default-route fztest", ": yes\n");
	expect("llmnr fztest", ": no\n");
	expect("mdns fztest", ": no\n");
	expect("dnsovertls fztest", ": no\n");
	expect("dnssec fztest", ": no\n");
	apply(1, NULL);
	expect("dns fztest", ": 100.100.111.1\n");
	expect("domain fztest", ": ~.\n");
	apply(0, NULL);
	expect("dns fztest", "):\n");
}
END_TEST

START_TEST(a14_10_servers_of_other_links)
{
	char out[256];

	start_bus();
	start_resolved();
	make();
	apply(1, NULL);
	expect("dns fztest", ": 100.100.111.1\n");
	expect_servers(""); /* never our own */
	ctl("dns v0 192.0.2.53 2001:db8::53", out, sizeof(out));
	expect_servers("192.0.2.53 2001:db8::53");
	ctl("dns v0 192.0.2.54", out, sizeof(out));
	expect_servers("192.0.2.54");
}
END_TEST

START_TEST(nothing_is_left)
{
	char out[4096];

	start_bus();
	start_resolved();
	make();
	apply(1, NULL);
	expect("dns fztest", ": 100.100.111.1\n");
	p.ops->dns_flush(p.ctx);
	pass();
	p.ops->net_clear(p.ctx);
	fz_platform_free(&p);
	ctl("status", out, sizeof(out));
	ck_assert_ptr_null(strstr(out, "100.100.111.1"));
	ck_assert_ptr_nonnull(strstr(out, "v0"));
}
END_TEST

/* The tunnel works without, and names do as soon as somebody listens. */
START_TEST(service_comes_later)
{
	struct fz_platform_stats stats;

	make();
	apply(1, NULL);
	p.ops->stats(p.ctx, &stats);
	ck_assert_uint_gt(stats.dns_control_failed, 0);
	start_bus();
	start_resolved();
	expect("dns fztest", ": 100.100.111.1\n");
}
END_TEST

START_TEST(service_dies_in_the_middle)
{
	start_bus();
	start_resolved();
	make();
	stop(&resolved);
	apply(1, NULL); /* nobody answers */
	pass();
	stop(&bus);
	pass();
	pass();
	netns_run("rm -f /run/dbus/system_bus_socket /run/systemd/resolve/resolv.conf");
	start_bus();
	start_resolved();
	expect("dns fztest", ": 100.100.111.1\n");
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("platform linux resolved");
	TCase *t = tcase_create("resolved");

	netns_probe();
	if (geteuid() != 0 || find_home() == NULL || system("command -v dbus-daemon >/dev/null") != 0) {
		fprintf(stderr, "skipped: not root, or no systemd-resolved or dbus-daemon\n");
		exit(77);
	}
	tcase_set_timeout(t, 100);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a6_9_link_has_the_sentinels);
	tcase_add_test(t, a14_10_servers_of_other_links);
	tcase_add_test(t, nothing_is_left);
	tcase_add_test(t, service_comes_later);
	tcase_add_test(t, service_dies_in_the_middle);
	suite_add_tcase(s, t);
	return s;
}
