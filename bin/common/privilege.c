/* SPDX-License-Identifier: Apache-2.0 */
#include "privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cap-ng.h>

#include <fzconn/error.h>

#include "confine.h"
#include "logger.h"
#include "route_probe.h"

static bool has(unsigned capability)
{
	capng_get_caps_process();
	return capng_have_capability(CAPNG_EFFECTIVE, capability);
}

bool privilege_has_net_admin(void)
{
	return has(CAP_NET_ADMIN);
}

static enum exit_code no_net_admin(void)
{
	if (geteuid() == 0)
		complain(
			"root lacks the capability CAP_NET_ADMIN here, without which no tunnel can be made; "
			"start the "
			"container with --cap-add NET_ADMIN, or take CapabilityBoundingSet= out of the unit");
	else
		complain("the capability CAP_NET_ADMIN is missing, without which no tunnel can be made; run "
			 "it as root, "
			 "\"setcap cap_net_admin+ep\" the program, or put AmbientCapabilities=CAP_NET_ADMIN "
			 "into its unit");
	return EXIT_PRIVILEGE;
}

static enum exit_code no_access_to_tun(void)
{
	complain("/dev/net/tun may not be opened; \"chmod 0666 /dev/net/tun\", or start the container with "
		 "--device "
		 "/dev/net/tun");
	return EXIT_PRIVILEGE;
}

static enum exit_code no_tun(void)
{
	complain("this system has no TUN device (/dev/net/tun); \"modprobe tun\", or start the container "
		 "with --device "
		 "/dev/net/tun");
	return EXIT_NO_TUN;
}

static enum exit_code check_tun(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return EXIT_OK;
	}
	if (errno == EACCES || errno == EPERM)
		return no_access_to_tun();
	/* The library makes a missing node where it may. */
	return errno == ENOENT && has(CAP_MKNOD) ? EXIT_OK : no_tun();
}

/* One address family is enough, as on machines without IPv6. */
static enum exit_code check_udp(void)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (int i = 0; i < 2; i++) {
		int fd = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd >= 0) {
			close(fd);
			return EXIT_OK;
		}
	}
	complain("no UDP socket can be made: %s; put RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK "
		 "AF_UNIX into the unit, or allow AF_INET in the container's seccomp profile",
		 strerror(errno));
	return EXIT_PRIVILEGE;
}

static enum exit_code check_routes(void)
{
	int err = route_probe();

	if (err == 0)
		return EXIT_OK;
	if (err == -EPERM || err == -EACCES)
		complain(
			"CAP_NET_ADMIN does not reach this network: routes may not be set, as in a container "
			"with users of its own (rootless) on the network of the host; give it a network of "
			"its own instead of --network host, or run it as the host's root");
	else
		complain(
			"netlink, by which routes are set, cannot be used: %s; put "
			"RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX into the unit, or allow "
			"AF_NETLINK in the container's seccomp profile",
			strerror(-err));
	return EXIT_PRIVILEGE;
}

enum exit_code privilege_check(void)
{
	static enum exit_code (*const checks[])(void) = { check_tun, check_udp, check_routes };
	enum exit_code code = has(CAP_NET_ADMIN) ? EXIT_OK : no_net_admin();

	for (size_t i = 0; code == EXIT_OK && i < sizeof(checks) / sizeof(*checks); i++)
		code = checks[i]();
	return code;
}

enum exit_code privilege_explain(int err)
{
	switch (err) {
	case FZ_ERR_PERM:
		return has(CAP_NET_ADMIN) ? no_access_to_tun() : no_net_admin();
	case FZ_ERR_NOT_FOUND:
		return no_tun();
	case FZ_ERR_STATE:
		complain("the interface tun-firezone is in use; stop the other Firezone client or gateway of "
			 "this "
			 "machine first");
		return EXIT_RUNNING;
	default:
		complain("it cannot start: %s; the log lines before this one say more", fz_strerror(err));
		return EXIT_FAILED;
	}
}

void privilege_drop(void)
{
	capng_select_t what = CAPNG_SELECT_CAPS;

	/* Without CAP_SETPCAP the bounding set cannot be made smaller, and then it grants nothing either. */
	if (has(CAP_SETPCAP))
		what = CAPNG_SELECT_BOTH;
	if (has(CAP_NET_ADMIN)) {
		capng_clear(CAPNG_SELECT_BOTH);
		if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN) != 0 ||
		    capng_apply(what) != 0)
			say(FZ_LOG_WARN, "privileges could not be given up");
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		say(FZ_LOG_DEBUG, "no_new_privs: %s", strerror(errno));
	if (!confine())
		say(FZ_LOG_DEBUG,
		    "system calls are not filtered: not in this build, or not with this kernel");
}

static void raise_limit(const char *path, unsigned long want)
{
	char text[32] = "";
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		say(FZ_LOG_DEBUG, "%s stays: %s", path, strerror(errno));
		return;
	}
	if (read(fd, text, sizeof(text) - 1) > 0 && strtoul(text, NULL, 10) < want) {
		int n = snprintf(text, sizeof(text), "%lu", want);
		if (pwrite(fd, text, (size_t)n, 0) == n)
			say(FZ_LOG_INFO, "set %s to %lu", path, want);
	}
	close(fd);
}

void privilege_raise_files(void)
{
	enum { ENOUGH = 4096 };
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= ENOUGH)
		return;
	r.rlim_cur = r.rlim_max < ENOUGH ? r.rlim_max : ENOUGH;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

void privilege_raise_buffers(void)
{
	raise_limit("/proc/sys/net/core/rmem_max", 16777216);
	raise_limit("/proc/sys/net/core/wmem_max", 2097152);
}
