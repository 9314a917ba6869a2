/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "netns.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static const char *try_enter(void)
{
	if (geteuid() != 0)
		return "not root";
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
