/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the programs that need no running program: values, hardware tables, the user agent line. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <agent.h>
#include <confine.h>
#include <smbios.h>
#include <values.h>

START_TEST(durations)
{
	static const struct {
		const char *text;
		uint64_t us;
	} rows[] = {
		{ "0", 0 },
		{ "0s", 0 },
		{ "5m", 300000000 },
		{ "5 m", 300000000 },
		{ "1h30m", 5400000000 },
		{ "1h 30m", 5400000000 },
		{ "90sec", 90000000 },
		{ "2days", 172800000000 },
		{ "100ms", 100000 },
		{ "1.5h", 5400000000 },
		{ "0.25s", 250000 },
		{ "1M", 2630016000000 },
		{ "1y", 31557600000000 },
		{ "1week 1d", 691200000000 },
		{ "7us", 7 },
		{ "1500ns", 1 },
		{ "10000y", 315576000000000000 },
	};
	static const char *const bad[] = { "",    " ",      "3600", "5 x",    "1h,30m", "+5m",
					   "-5m", "m",      "1e5s", "0x10s",  "1.h",    ".5h",
					   "5m3", "20000y", "5S",   "1h\t1m", "00" };
	uint64_t us;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		ck_assert_ptr_null(value_duration(rows[i].text, &us));
		ck_assert_uint_eq(us, rows[i].us);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(value_duration(bad[i], &us) != NULL, "\"%s\"", bad[i]);
}
END_TEST

#ifdef HAVE_SECCOMP
/* What a confined process meets; the number of the first surprise, 0 = none. */
static int confined(void)
{
	char *const words[] = { (char *)(uintptr_t) "true", NULL };
	struct stat st;

	if (!confine())
		return 1;
	if (execv("/bin/true", words) != -1 || errno != ENOSYS)
		return 2;
	if (fork() != -1)
		return 3;
	if (socket(AF_PACKET, SOCK_RAW, 0) != -1 || errno != ENOSYS)
		return 4;
	if (mount("none", "/nowhere", "tmpfs", 0, NULL) != -1 || errno != ENOSYS)
		return 5;
	if (kill(getppid(), 0) != -1 || errno != ENOSYS)
		return 6;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != -1 || errno != ENOSYS)
		return 7;
	if (socket(AF_INET, SOCK_DGRAM, 0) < 0 || socket(AF_UNIX, SOCK_STREAM, 0) < 0)
		return 8;
	if (stat("/etc", &st) != 0 || open("/", O_RDONLY) < 0)
		return 9;
	return 0;
}

START_TEST(confinement)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(confined());
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST
#endif

START_TEST(utf8)
{
	static const char *const good[] = {
		"", "a", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"
	};
	static const char *const bad[] = { "\xff",
					   "\x80",
					   "\xc3",
					   "\xc0\x80",
					   "\xe0\x80\x80",
					   "\xed\xa0\x80",
					   "\xe2\x82",
					   "\xf4\x90\x80\x80",
					   "\xf0\x80\x80\x80",
					   "\xf5\x80\x80\x80",
					   "a\xc3"
					   "b" };

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		ck_assert(value_is_utf8(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(!value_is_utf8(bad[i]), "row %zu", i);
}
END_TEST

/* A BIOS structure, then system information with serial number 2 of its strings. */
#define BIOS "00050000 01 41 00 00"
#define STRINGS "4163 6d65 00 5046 3341 4243 3132 00 00"
#define UUID "d201253e48e611e8bad3702084 0f9d47"

static void parse(const char *hex, struct smbios *ret)
{
	static uint8_t table[256];
	size_t len = unit_hex(table, sizeof(table), hex);
	uint8_t *exact = malloc(len ? len : 1); /* so that a sanitizer sees every byte too far */

	memcpy(exact, table, len);
	smbios_parse(exact, len, ret);
	free(exact);
}

START_TEST(hardware)
{
	static const struct {
		const char *why, *hex, *serial, *uuid;
	} rows[] = {
		{ "nothing", "", NULL, NULL },
		{ "vector", BIOS "011b0100 01000002" UUID "000000" STRINGS, "PF3ABC12",
		  "3e2501d2-e648-e811-bad3-7020840f9d47" },
		{ "no string number", BIOS "011b0100 01000000" UUID "000000" STRINGS, "",
		  "3e2501d2-e648-e811-bad3-7020840f9d47" },
		{ "string that is not there", "01080100 01000003" STRINGS, NULL, NULL },
		{ "too short for a UUID", "01080100 01000002" STRINGS, "PF3ABC12", NULL },
		{ "too short for anything", "01070100 010000" STRINGS, NULL, NULL },
		{ "placeholder", "01080100 00000001 313233343536373839 00 00", NULL, NULL },
		{ "all zero", "01180100 00000001 00000000000000000000000000000000 2041 20 00 00", " A ",
		  "IdNotPresentButSettable" },
		{ "all ones", "01180100 00000000 ffffffffffffffffffffffffffffffff 0000", "", "IdNotPresent" },
		{ "second structure has it", "01060100 0000 0000 01080100 00000001 4100 00", "A", NULL },
		{ "length beyond the end", "01ff0100 01000002", NULL, NULL },
		{ "length below 4", "01030100 01000002", NULL, NULL },
	};
	struct smbios got;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		parse(rows[i].hex, &got);
		ck_assert_msg(got.has_serial == (rows[i].serial != NULL), "%s", rows[i].why);
		ck_assert_msg(got.has_uuid == (rows[i].uuid != NULL), "%s", rows[i].why);
		if (rows[i].serial)
			ck_assert_str_eq(got.serial, rows[i].serial);
		if (rows[i].uuid)
			ck_assert_str_eq(got.uuid, rows[i].uuid);
	}
	for (size_t len = 0; len < strlen(rows[1].hex); len++) {
		char cut[256];
		snprintf(cut, sizeof(cut), "%.*s", (int)len, rows[1].hex);
		size_t digits = 0;
		for (const char *at = cut; *at; at++)
			digits += *at != ' ';
		if (digits % 2 == 0)
			parse(cut, &got);
	}
}
END_TEST

static const char *agent(const char *release)
{
	static char ret[256];
	char path[] = "/tmp/fz-os-release-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, release, strlen(release)), (ssize_t)strlen(release));
	close(fd);
	agent_line(path, "gateway/1.6.1", ret, sizeof(ret));
	unlink(path);
	*strstr(ret, " gateway/1.6.1 (") = '\0';
	return ret;
}

START_TEST(agents)
{
	static const struct {
		const char *release, *want;
	} rows[] = {
		{ "ID=debian\nVERSION_ID=\"12\"\n", "Debian/12.0.0" },
		{ "NAME=x\nID=ubuntu\nVERSION_ID=\"24.04\"\n", "Ubuntu/24.4.0" },
		{ "VERSION_ID=3.24.0\nID=alpine\n", "Alpine Linux/3.24.0" },
		{ "ID=fedora\nVERSION_ID=42\n", "Fedora/42.0.0" },
		{ "ID=\"rhel\"\nVERSION_ID=\"9.4\"\n", "Red Hat Enterprise Linux/9.4.0" },
		{ "ID=arch\n", "Arch Linux/Unknown" },
		{ "ID=arch\nVERSION_ID=rolling\n", "Arch Linux/rolling" },
		{ "ID=nixos\nVERSION_ID='24.11'\n", "NixOS/24.11.0" },
		{ "ID=foo\nVERSION_ID=7\n", "Linux/Unknown" },
		{ "ID=debian\nVERSION_ID=\"1\r\n2\"\n", "Debian/1.0.0" },
		{ "ID=debian\nVERSION_ID=\"a\x01\"\n", "Debian/Unknown" },
		{ "", "Linux/Unknown" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		ck_assert_str_eq(agent(rows[i].release), rows[i].want);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("programs");
	TCase *tc = tcase_create("parts");

	tcase_add_test(tc, durations);
	tcase_add_test(tc, utf8);
	tcase_add_test(tc, hardware);
	tcase_add_test(tc, agents);
#ifdef HAVE_SECCOMP
	tcase_add_test(tc, confinement);
#endif
	suite_add_tcase(s, tc);
	return s;
}
