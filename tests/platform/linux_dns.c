/* SPDX-License-Identifier: Apache-2.0 */
/* The system's name servers: the text of resolv.conf, the file while a tunnel is up, what others do to it,
 * and what a crash leaves. Each test has a network namespace and an /etc of its own. */
#define _GNU_SOURCE
#include "unit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fzconn/platform.h"
#include "netns.h"
#include "platform/linux/dnsfile.h"
#include "platform/linux/lx.h"

#define MARK RESOLVCONF_MARK "\n"
#define BEFORE "nameserver 192.0.2.1\nsearch corp.example\noptions ndots:5 edns0\n"

static struct unit_env env;
static struct fz_platform p;

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

static const char *text_of(const char *path)
{
	static char text[1 << 16];
	FILE *f = fopen(path, "re");
	size_t n;

	if (f == NULL)
		return "-";
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void set_up(void)
{
	netns_enter();
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("none", "/etc", "tmpfs", 0, NULL), 0);
	ck_assert_int_eq(mount("none", "/run", "tmpfs", 0, NULL), 0);
	unit_env_init(&env, 1);
	write_text(DNSFILE_PATH, BEFORE);
}

static void tear_down(void)
{
	fz_platform_free(&p);
	unit_env_check(&env);
}

static void make(enum fz_dns_control control)
{
	const struct fz_platform_linux_opts o = { .size = sizeof(o), .dns_control = control };
	const struct fz_tun_opts t = { .size = sizeof(t), .name = "fztest" };

	ck_assert_int_eq(fz_platform_linux_new(&env.env, &o, &p), 0);
	ck_assert_int_eq(p.ops->tun_open(p.ctx, &t), 0);
}

static int apply(size_t sentinels, const char *search)
{
	const struct fz_ip dns[2] = { ip("100.100.111.1"), ip("fd00:2021:1111:8000:100:100:111:0") };
	struct fz_netcfg cfg = {
		.ipv4 = ip("100.64.0.1"), .dns = dns, .dns_len = sentinels, .search_domain = search
	};

	return p.ops->net_apply(p.ctx, &cfg);
}

/* The process is gone: nothing is put back. */
static void crash(void)
{
	fz_platform_free(&p);
}

static void expect_servers(const char *want)
{
	struct fz_ip got[FZ_DNS_SERVERS_MAX];
	size_t n = p.ops->dns_servers(p.ctx, got, FZ_DNS_SERVERS_MAX);
	char all[FZ_DNS_SERVERS_MAX * FZ_IP_STRLEN] = "", one[FZ_IP_STRLEN];

	for (size_t i = 0; i < n; i++) {
		strcat(all, i ? " " : "");
		strcat(all, fz_ip_format(&got[i], one));
	}
	ck_assert_str_eq(all, want);
}

/* Until the platform tells of that change. */
static void wait_for(enum fz_net_event event)
{
	uint64_t end = p.ops->now_us(p.ctx) + FZ_MS(30000);
	uint32_t ready;

	for (;;) {
		int got;
		ck_assert_int_eq(p.ops->wait(p.ctx, end, &ready), 0);
		ck_assert_uint_lt(p.ops->now_us(p.ctx), end);
		while ((got = p.ops->net_event(p.ctx)) > 0)
			if (got == (int)event)
				return;
	}
}

/* Until the file begins with our mark again. */
static void wait_for_mark(void)
{
	uint64_t end = p.ops->now_us(p.ctx) + FZ_MS(30000);
	uint32_t ready;

	while (!resolvconf_is_ours(text_of(DNSFILE_PATH), strlen(text_of(DNSFILE_PATH)))) {
		uint64_t now_us = p.ops->now_us(p.ctx);
		ck_assert_uint_lt(now_us, end);
		ck_assert_int_eq(p.ops->wait(p.ctx, now_us + FZ_MS(100), &ready), 0);
		while (p.ops->net_event(p.ctx) > 0)
			;
	}
}

static void count_changes(unsigned *ret, uint64_t for_us)
{
	uint64_t end = p.ops->now_us(p.ctx) + for_us;
	uint32_t ready;

	for (*ret = 0; p.ops->now_us(p.ctx) < end;) {
		ck_assert_int_eq(p.ops->wait(p.ctx, end, &ready), 0);
		while (p.ops->net_event(p.ctx) > 0)
			++*ret;
	}
}

/* ---- the text ---- */

static const struct {
	const char *why, *text, *want;
	unsigned bad;
} texts[] = {
	{ "nothing", "", "", 0 },
	{ "as usual", BEFORE, "192.0.2.1", 0 },
	{ "no end of line", "nameserver 192.0.2.1", "192.0.2.1", 0 },
	{ "blanks, tabs, carriage returns", " nameserver\t\t2001:db8::1 \r\n", "2001:db8::1", 0 },
	{ "what follows", "nameserver 192.0.2.1 # x\nnameserver 192.0.2.2 x\n", "192.0.2.1 192.0.2.2", 0 },
	{ "comments", "#nameserver 192.0.2.1\n;nameserver 192.0.2.2\nnameserver #192.0.2.3\n", "", 0 },
	{ "once each, in order", "nameserver 192.0.2.2\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n",
	  "192.0.2.2 192.0.2.1", 0 },
	{ "needs a zone", "nameserver fe80::1%eth0\nnameserver fe80::2\n", "", 2 },
	{ "nobody", "nameserver 0.0.0.0\nnameserver ::\nnameserver 224.0.0.1\nnameserver ff02::1\n", "", 4 },
	{ "no address", "nameserver x\nnameserver 1.2.3\nnameserver 1.2.3.4:53\nnameserver dns.example\n", "",
	  4 },
	{ "no such word", "nameservers 192.0.2.1\nNameserver 192.0.2.2\nserver 192.0.2.3\n", "", 0 },
	{ "as systemd-resolved writes it",
	  "# This is /run/systemd/resolve/resolv.conf managed by man:systemd-resolved(8).\n#\n\n"
	  "nameserver 192.0.2.53\nnameserver 2001:db8::53\nnameserver fe80::1%2\nsearch lan\n",
	  "192.0.2.53 2001:db8::53", 1 },
};

START_TEST(a14_6_servers_are_parsed_and_odd_lines_skipped)
{
	struct resolvconf conf;
	char all[512] = "", one[FZ_IP_STRLEN];

	resolvconf_parse(texts[_i].text, strlen(texts[_i].text), &conf);
	for (size_t i = 0; i < conf.servers_len; i++) {
		strcat(all, i ? " " : "");
		strcat(all, fz_ip_format(&conf.servers[i], one));
	}
	ck_assert_msg(strcmp(all, texts[_i].want) == 0, "%s: got \"%s\"", texts[_i].why, all);
	ck_assert_msg(conf.bad == texts[_i].bad, "%s: %u are bad", texts[_i].why, conf.bad);
}
END_TEST

START_TEST(hundred_servers)
{
	static char text[4096];
	struct resolvconf conf;
	size_t n = 0;

	for (int i = 0; i < 100; i++)
		n += (size_t)sprintf(text + n, "nameserver 192.0.2.%d\n", i + 1);
	resolvconf_parse(text, n, &conf);
	ck_assert_uint_eq(conf.servers_len, FZ_DNS_SERVERS_MAX);
	ck_assert_uint_eq(conf.bad, 100 - FZ_DNS_SERVERS_MAX);
}
END_TEST

START_TEST(a14_5_text_is_printed)
{
	const struct fz_ip dns[2] = { ip("100.100.111.1"), ip("fd00:2021:1111:8000:100:100:111:0") };
	char out[2048];
	int n = resolvconf_print(BEFORE, strlen(BEFORE), dns, 2, NULL, "/b", out, sizeof(out));

	ck_assert_int_gt(n, 0);
	ck_assert_ptr_eq(strstr(out, MARK), out);
	ck_assert_str_eq(strstr(out, "nameserver"), "nameserver 100.100.111.1\n"
						    "nameserver fd00:2021:1111:8000:100:100:111:0\n"
						    "options edns0\n\n");
	ck_assert_str_eq(strstr(out, "# /b\n"), strstr(out, "nameserver") - 5);
	for (int cap = 0; cap <= n; cap++)
		ck_assert_int_eq(
			resolvconf_print(BEFORE, strlen(BEFORE), dns, 2, NULL, "/b", out, (size_t)cap),
			FZ_ERR_NOSPACE);
}
END_TEST

START_TEST(a14_5_text_keeps_what_concerns_nobody)
{
	static const char text[] =
		"domain old.example\nsearch a b\nsortlist 10.0.0.0/8\nlookup file bind\n"
		"family inet4 inet6\n# comment\noptions rotate ndots:1 timeout:1\noptions\n";
	const struct fz_ip dns = ip("100.100.111.1");
	char out[2048];

	ck_assert_int_gt(
		resolvconf_print(text, strlen(text), &dns, 1, "corp.example", "/b", out, sizeof(out)), 0);
	ck_assert_str_eq(strstr(out, "nameserver"),
			 "nameserver 100.100.111.1\ndomain old.example\nsearch corp.example\n"
			 "sortlist 10.0.0.0/8\nlookup file bind\nfamily inet4 inet6\n"
			 "options rotate\noptions timeout:1\n\n");
}
END_TEST

START_TEST(search_domain_must_be_a_name)
{
	char name[256];

	memset(name, 'a', sizeof(name));
	name[255] = '\0'; /* 255 octets */
	ck_assert(!resolvconf_is_name(name));
	name[253] = '\0';
	ck_assert(resolvconf_is_name(name));
	ck_assert(resolvconf_is_name("corp.example"));
	ck_assert(!resolvconf_is_name(""));
	ck_assert(!resolvconf_is_name("a b"));
	ck_assert(!resolvconf_is_name("a\nnameserver 192.0.2.66"));
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(1, "a\nnameserver 192.0.2.66"), 0);
	ck_assert_ptr_null(strstr(text_of(DNSFILE_PATH), "192.0.2.66"));
}
END_TEST

/* ---- the file ---- */

START_TEST(a6_1_backup_has_the_original_text)
{
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(2, NULL), 0);
	ck_assert_str_eq(text_of(DNSFILE_BACKUP), BEFORE);
	ck_assert_ptr_eq(strstr(text_of(DNSFILE_PATH), MARK), text_of(DNSFILE_PATH));
	expect_servers("192.0.2.1");
}
END_TEST

START_TEST(a14_5_stop_puts_it_back)
{
	struct stat st;

	ck_assert_int_eq(chmod(DNSFILE_PATH, 0640), 0);
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(2, NULL), 0);
	ck_assert_int_eq(stat(DNSFILE_PATH, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0644);
	p.ops->net_clear(p.ctx);
	ck_assert_str_eq(text_of(DNSFILE_PATH), BEFORE);
	ck_assert_int_eq(stat(DNSFILE_PATH, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	ck_assert_int_ne(access(DNSFILE_BACKUP, F_OK), 0);
	expect_servers("192.0.2.1");
}
END_TEST

START_TEST(a14_5_crash_is_undone_at_the_next_start)
{
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(1, NULL), 0);
	crash();
	ck_assert_str_eq(text_of(DNSFILE_BACKUP), BEFORE);
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_str_eq(text_of(DNSFILE_PATH), BEFORE);
	ck_assert_int_ne(access(DNSFILE_BACKUP, F_OK), 0);
	expect_servers("192.0.2.1");
	ck_assert_int_eq(apply(1, NULL), 0);
	p.ops->net_clear(p.ctx);
	ck_assert_str_eq(text_of(DNSFILE_PATH), BEFORE);
}
END_TEST

START_TEST(a14_5_crash_and_an_edit_of_the_user)
{
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(1, NULL), 0);
	crash();
	write_text(DNSFILE_PATH, "nameserver 192.0.2.9\n");
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_str_eq(text_of(DNSFILE_PATH), "nameserver 192.0.2.9\n");
	ck_assert_int_eq(apply(1, NULL), 0);
	ck_assert_str_eq(text_of(DNSFILE_BACKUP), "nameserver 192.0.2.9\n");
	p.ops->net_clear(p.ctx);
	ck_assert_str_eq(text_of(DNSFILE_PATH), "nameserver 192.0.2.9\n");
}
END_TEST

START_TEST(a14_5_other_programs_read_the_copy_after_a_crash)
{
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(1, NULL), 0);
	crash();
	make(FZ_DNS_CONTROL_DISABLED);
	expect_servers("192.0.2.1");
	ck_assert_str_eq(text_of(DNSFILE_BACKUP), BEFORE); /* not ours to undo */
}
END_TEST

START_TEST(a14_5_twice_is_once)
{
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(1, NULL), 0);
	ck_assert_int_eq(apply(1, NULL), 0);
	ck_assert_int_eq(apply(2, "corp.example"), 0);
	ck_assert_str_eq(text_of(DNSFILE_BACKUP), BEFORE);
	ck_assert_ptr_nonnull(strstr(text_of(DNSFILE_PATH), "search corp.example\n"));
	p.ops->net_clear(p.ctx);
	p.ops->net_clear(p.ctx);
	ck_assert_str_eq(text_of(DNSFILE_PATH), BEFORE);
}
END_TEST

START_TEST(a14_5_no_sentinels_leave_it_alone)
{
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(0, "corp.example"), 0);
	ck_assert_str_eq(text_of(DNSFILE_PATH), BEFORE);
	ck_assert_int_eq(apply(1, NULL), 0);
	ck_assert_int_eq(apply(0, NULL), 0); /* and give it back when they go */
	ck_assert_str_eq(text_of(DNSFILE_PATH), BEFORE);
	ck_assert_int_ne(access(DNSFILE_BACKUP, F_OK), 0);
}
END_TEST

START_TEST(a14_5_disabled_touches_nothing)
{
	make(FZ_DNS_CONTROL_DISABLED);
	ck_assert_int_eq(apply(2, NULL), 0);
	ck_assert_str_eq(text_of(DNSFILE_PATH), BEFORE);
	ck_assert_int_ne(access(DNSFILE_BACKUP, F_OK), 0);
	expect_servers("192.0.2.1");
}
END_TEST

START_TEST(link_is_put_back_as_a_link)
{
	char target[64] = "";

	ck_assert_int_eq(mkdir("/run/nm", 0755), 0);
	write_text("/run/nm/resolv.conf", BEFORE);
	ck_assert_int_eq(unlink(DNSFILE_PATH), 0);
	ck_assert_int_eq(symlink("../run/nm/resolv.conf", DNSFILE_PATH), 0);
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(1, NULL), 0);
	ck_assert_str_eq(text_of("/run/nm/resolv.conf"), BEFORE);
	ck_assert_str_eq(text_of(DNSFILE_BACKUP), BEFORE);
	expect_servers("192.0.2.1");
	write_text("/run/nm/resolv.conf", "nameserver 192.0.2.7\n"); /* the network changed meanwhile */
	wait_for(FZ_NET_DNS_CHANGED);
	expect_servers("192.0.2.7");
	p.ops->net_clear(p.ctx);
	ck_assert_int_gt(readlink(DNSFILE_PATH, target, sizeof(target) - 1), 0);
	ck_assert_str_eq(target, "../run/nm/resolv.conf");
}
END_TEST

START_TEST(loop_of_links)
{
	struct fz_platform_stats stats;
	char target[64] = "";

	ck_assert_int_eq(unlink(DNSFILE_PATH), 0);
	ck_assert_int_eq(symlink("resolv.conf", DNSFILE_PATH), 0);
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	expect_servers("");
	p.ops->stats(p.ctx, &stats);
	ck_assert_uint_gt(stats.dns_control_failed, 0);
	ck_assert_int_eq(apply(1, NULL), 0);
	ck_assert_ptr_nonnull(strstr(text_of(DNSFILE_PATH), "nameserver 100.100.111.1\n"));
	p.ops->net_clear(p.ctx);
	ck_assert_int_gt(readlink(DNSFILE_PATH, target, sizeof(target) - 1), 0);
	ck_assert_str_eq(target, "resolv.conf");
}
END_TEST

START_TEST(missing_file_is_missing_again)
{
	ck_assert_int_eq(unlink(DNSFILE_PATH), 0);
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	expect_servers("");
	ck_assert_int_eq(apply(1, NULL), 0);
	ck_assert_ptr_nonnull(strstr(text_of(DNSFILE_PATH), "nameserver 100.100.111.1\n"));
	p.ops->net_clear(p.ctx);
	ck_assert_int_ne(access(DNSFILE_PATH, F_OK), 0);
}
END_TEST

START_TEST(folder_in_its_place)
{
	struct fz_platform_stats stats;

	ck_assert_int_eq(unlink(DNSFILE_PATH), 0);
	ck_assert_int_eq(mkdir(DNSFILE_PATH, 0755), 0);
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	expect_servers("");
	ck_assert_int_eq(apply(1, NULL), 0); /* the tunnel does not depend on it */
	p.ops->stats(p.ctx, &stats);
	ck_assert_uint_gt(stats.dns_control_failed, 1);
}
END_TEST

/* As containers have it: nothing can take the place of the file, so its text is changed. */
START_TEST(mounted_file)
{
	write_text("/run/of-the-host", BEFORE);
	ck_assert_int_eq(mount("/run/of-the-host", DNSFILE_PATH, NULL, MS_BIND, NULL), 0);
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(1, NULL), 0);
	ck_assert_ptr_nonnull(strstr(text_of("/run/of-the-host"), "nameserver 100.100.111.1\n"));
	ck_assert_str_eq(text_of(DNSFILE_BACKUP), BEFORE);
	p.ops->net_clear(p.ctx);
	ck_assert_str_eq(text_of("/run/of-the-host"), BEFORE);
	ck_assert_int_ne(access(DNSFILE_BACKUP, F_OK), 0);
}
END_TEST

/* ---- others ---- */

START_TEST(a14_10_changes_are_told)
{
	unsigned n;

	make(FZ_DNS_CONTROL_DISABLED);
	write_text(DNSFILE_PATH, "nameserver 192.0.2.2\n"); /* in place */
	wait_for(FZ_NET_DNS_CHANGED);
	expect_servers("192.0.2.2");
	write_text("/etc/new", "nameserver 192.0.2.3\n"); /* by another file */
	ck_assert_int_eq(rename("/etc/new", DNSFILE_PATH), 0);
	wait_for(FZ_NET_DNS_CHANGED);
	expect_servers("192.0.2.3");
	ck_assert_int_eq(unlink(DNSFILE_PATH), 0);
	wait_for(FZ_NET_DNS_CHANGED);
	expect_servers("");
	ck_assert_int_eq(mkdir("/run/later", 0755), 0);
	ck_assert_int_eq(symlink("../run/later/resolv.conf", DNSFILE_PATH), 0); /* into nowhere */
	count_changes(&n, FZ_MS(300));
	ck_assert_uint_eq(n, 0);
	write_text("/run/later/resolv.conf", "nameserver 192.0.2.4\n");
	wait_for(FZ_NET_DNS_CHANGED);
	expect_servers("192.0.2.4");
}
END_TEST

START_TEST(same_servers_are_no_change)
{
	unsigned n;

	make(FZ_DNS_CONTROL_RESOLV_CONF);
	write_text(DNSFILE_PATH, "# a new comment\n" BEFORE);
	count_changes(&n, FZ_MS(500));
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(apply(1, NULL), 0); /* nor is what we do */
	count_changes(&n, FZ_MS(500));
	ck_assert_uint_eq(n, 0);
}
END_TEST

/* NetworkManager is installed, or a DHCP client writes its new lease. */
START_TEST(a6_8_file_of_others_is_the_old_one_from_then_on)
{
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(1, NULL), 0);
	write_text("/etc/resolv.conf.nm", "# Generated by NetworkManager\nnameserver 192.0.2.8\n");
	ck_assert_int_eq(rename("/etc/resolv.conf.nm", DNSFILE_PATH), 0);
	wait_for(FZ_NET_DNS_CHANGED);
	expect_servers("192.0.2.8");
	ck_assert_ptr_nonnull(strstr(text_of(DNSFILE_PATH), "nameserver 100.100.111.1\n"));
	p.ops->net_clear(p.ctx);
	ck_assert_str_eq(text_of(DNSFILE_PATH), "# Generated by NetworkManager\nnameserver 192.0.2.8\n");
}
END_TEST

START_TEST(a14_5_our_file_is_repaired)
{
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(1, NULL), 0);
	ck_assert_int_eq(unlink(DNSFILE_PATH), 0);
	wait_for_mark();
	p.ops->net_clear(p.ctx);
	ck_assert_int_ne(access(DNSFILE_PATH, F_OK), 0); /* it was removed: so it stays */
}
END_TEST

START_TEST(fight_has_an_end)
{
	unsigned n, rounds = 0;

	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(1, NULL), 0);
	for (; rounds < 20; rounds++) {
		write_text(DNSFILE_PATH, BEFORE);
		count_changes(&n, FZ_MS(250));
		if (strcmp(text_of(DNSFILE_PATH), BEFORE) == 0)
			break;
	}
	ck_assert_uint_lt(rounds, 20);
	p.ops->net_clear(p.ctx);
	ck_assert_str_eq(text_of(DNSFILE_PATH), BEFORE);
}
END_TEST

START_TEST(stub_of_resolved_is_not_asked_behind_us)
{
	ck_assert_int_eq(system("mkdir -p /run/systemd/resolve"), 0);
	write_text("/run/systemd/resolve/stub-resolv.conf", "nameserver 127.0.0.53\n");
	write_text("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.53\nnameserver 100.100.111.1\n");
	ck_assert_int_eq(unlink(DNSFILE_PATH), 0);
	ck_assert_int_eq(symlink("../run/systemd/resolve/stub-resolv.conf", DNSFILE_PATH), 0);
	make(FZ_DNS_CONTROL_RESOLV_CONF);
	ck_assert_int_eq(apply(1, NULL), 0);
	expect_servers("192.0.2.53");
	crash();
	make(FZ_DNS_CONTROL_DISABLED);
	expect_servers("127.0.0.53");
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("platform linux dns");
	TCase *t = tcase_create("text");

	netns_probe();
	tcase_add_loop_test(t, a14_6_servers_are_parsed_and_odd_lines_skipped, 0,
			    sizeof(texts) / sizeof(*texts));
	tcase_add_test(t, hundred_servers);
	tcase_add_test(t, a14_5_text_is_printed);
	tcase_add_test(t, a14_5_text_keeps_what_concerns_nobody);
	suite_add_tcase(s, t);
	t = tcase_create("file");
	tcase_set_timeout(t, 90);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, search_domain_must_be_a_name);
	tcase_add_test(t, a6_1_backup_has_the_original_text);
	tcase_add_test(t, a14_5_stop_puts_it_back);
	tcase_add_test(t, a14_5_crash_is_undone_at_the_next_start);
	tcase_add_test(t, a14_5_crash_and_an_edit_of_the_user);
	tcase_add_test(t, a14_5_other_programs_read_the_copy_after_a_crash);
	tcase_add_test(t, a14_5_twice_is_once);
	tcase_add_test(t, a14_5_no_sentinels_leave_it_alone);
	tcase_add_test(t, a14_5_disabled_touches_nothing);
	tcase_add_test(t, link_is_put_back_as_a_link);
	tcase_add_test(t, loop_of_links);
	tcase_add_test(t, missing_file_is_missing_again);
	tcase_add_test(t, folder_in_its_place);
	tcase_add_test(t, mounted_file);
	tcase_add_test(t, a14_10_changes_are_told);
	tcase_add_test(t, same_servers_are_no_change);
	tcase_add_test(t, a6_8_file_of_others_is_the_old_one_from_then_on);
	tcase_add_test(t, a14_5_our_file_is_repaired);
	tcase_add_test(t, fight_has_an_end);
	tcase_add_test(t, stub_of_resolved_is_not_asked_behind_us);
	suite_add_tcase(s, t);
	return s;
}
