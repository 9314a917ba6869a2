/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "netns.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static bool write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	bool ok = f != NULL && fputs(text, f) >= 0;

	return f != NULL && fclose(f) == 0 && ok;
}

/* Root of a user namespace of our own has the privileges that count here. */
static bool become_root(void)
{
	char uid[64], gid[64];

	snprintf(uid, sizeof(uid), "0 %u 1", (unsigned)geteuid());
	snprintf(gid, sizeof(gid), "0 %u 1", (unsigned)getegid());
	return unshare(CLONE_NEWUSER) == 0 && write_file("/proc/self/uid_map", uid) &&
	       write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/gid_map", gid);
}

static const char *try_enter(void)
{
	if (geteuid() != 0 && !become_root())
		return "not root, and no user namespaces";
	if (unshare(CLONE_NEWNET) < 0)
		return "cannot make a network namespace";
	if (system("ip link set lo up") != 0)
		return "no working ip command";
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return "no /dev/net/tun";
	return NULL;
}

void netns_probe(void)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		const char *why = try_enter();
		if (why)
			fprintf(stderr, "skipped: %s\n", why);
		_exit(why ? 77 : 0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		exit(77);
}

void netns_enter(void)
{
	const char *why = try_enter();

	ck_assert_msg(why == NULL, "%s", why);
}

void netns_run(const char *command)
{
	int status = system(command);

	ck_assert_msg(status == 0, "\"%s\" gave %d", command, status);
}

void netns_output(const char *command, char *ret, size_t cap)
{
	FILE *f = popen(command, "r");
	size_t n;

	ck_assert_ptr_nonnull(f);
	n = fread(ret, 1, cap - 1, f);
	ret[n] = '\0';
	pclose(f);
}
