/* SPDX-License-Identifier: Apache-2.0 */
#include "confine.h"

#ifdef HAVE_SECCOMP
#include <errno.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <seccomp.h>

/* Names that this architecture lacks are skipped; variants of one call stand together. What is not here fails
 * with ENOSYS, as if the kernel were older, so that the C library takes the older way where there is one. */
static const char *const allowed[] = {
	/* waiting, and time */
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_wait",
	"poll",
	"ppoll",
	"ppoll_time64",
	"pselect6",
	"pselect6_time64",
	"select",
	"_newselect",
	"eventfd",
	"eventfd2",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_settime64",
	"timerfd_gettime",
	"timerfd_gettime64",
	"clock_getres",
	"clock_getres_time64",
	"clock_gettime",
	"clock_gettime64",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"gettimeofday",
	"nanosleep",
	"time",
	/* descriptors */
	"close",
	"close_range",
	"dup",
	"dup2",
	"dup3",
	"fcntl",
	"fcntl64",
	"ioctl",
	"lseek",
	"_llseek",
	"pipe",
	"pipe2",
	"pread64",
	"preadv",
	"pwrite64",
	"pwritev",
	"read",
	"readv",
	"sendfile",
	"sendfile64",
	"write",
	"writev",
	/* the network; families below */
	"accept",
	"accept4",
	"bind",
	"connect",
	"getpeername",
	"getsockname",
	"getsockopt",
	"listen",
	"recv",
	"recvfrom",
	"recvmmsg",
	"recvmmsg_time64",
	"recvmsg",
	"send",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"setsockopt",
	"shutdown",
	"socketpair",
	/* memory, randomness, limits */
	"brk",
	"getrandom",
	"getrlimit",
	"getrusage",
	"madvise",
	"membarrier",
	"mmap",
	"mmap2",
	"mprotect",
	"mremap",
	"munmap",
	"prlimit64",
	"sysinfo",
	"ugetrlimit",
	/* itself */
	"capget",
	"exit",
	"exit_group",
	"futex",
	"futex_time64",
	"get_robust_list",
	"getcpu",
	"getegid",
	"getegid32",
	"geteuid",
	"geteuid32",
	"getgid",
	"getgid32",
	"getpid",
	"getppid",
	"getresgid",
	"getresgid32",
	"getresuid",
	"getresuid32",
	"gettid",
	"getuid",
	"getuid32",
	"restart_syscall",
	"rseq",
	"sched_getaffinity",
	"sched_yield",
	"set_robust_list",
	"set_tid_address",
	"umask",
	"uname",
	/* signals; to whom they may go, below */
	"rt_sigaction",
	"rt_sigpending",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigsuspend",
	"rt_sigtimedwait",
	"rt_sigtimedwait_time64",
	"sigaltstack",
	"sigreturn",
	/* files: name servers, certificates, the identity, logs and the spool of flow logs */
	"access",
	"chmod",
	"faccessat",
	"faccessat2",
	"fadvise64",
	"fadvise64_64",
	"fallocate",
	"fchmod",
	"fchmodat",
	"fchown",
	"fchown32",
	"fchownat",
	"fdatasync",
	"flock",
	"fstat",
	"fstat64",
	"fstatat64",
	"fstatfs",
	"fstatfs64",
	"fsync",
	"ftruncate",
	"ftruncate64",
	"getcwd",
	"getdents",
	"getdents64",
	"inotify_add_watch",
	"inotify_init",
	"inotify_init1",
	"inotify_rm_watch",
	"link",
	"linkat",
	"lstat",
	"lstat64",
	"mkdir",
	"mkdirat",
	"newfstatat",
	"open",
	"openat",
	"readlink",
	"readlinkat",
	"rename",
	"renameat",
	"renameat2",
	"rmdir",
	"stat",
	"stat64",
	"statfs",
	"statfs64",
	"statx",
	"symlink",
	"symlinkat",
	"unlink",
	"unlinkat",
	"utimensat",
	"utimensat_time64",
};

static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

static bool add_rules(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++) {
		int call = seccomp_syscall_resolve_name(allowed[i]);
		if (call != __NR_SCMP_ERROR && seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) != 0)
			return false;
	}
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i])) != 0)
			return false;
	/* The bus library tells who it is; abort() */
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				SCMP_A0(SCMP_CMP_EQ, PR_GET_NAME)) == 0 &&
	       seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())) == 0;
}

bool confine(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	/* Sorted by number instead of asked one by one. */
	bool good = filter && seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 &&
		    add_rules(filter) && seccomp_load(filter) == 0;

	if (filter)
		seccomp_release(filter);
	return good;
}

#else

bool confine(void)
{
	return false;
}

#endif
