/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include <fzconn/platform.h>
#include <fzconn/version.h>

#include "agent.h"
#include "logger.h"
#include "values.h"

void settings_begin(const char *program)
{
	(void)prctl(PR_SET_DUMPABLE, 0); /* no core dump may hold the token or keys */
	signal(SIGPIPE, SIG_IGN);
	logger_name(program);
}

enum exit_code settings_log(const struct settings *s, const struct program *p)
{
	static char with_flows[4096]; /* the logger keeps pointers into it */
	const char *filter = getenv("RUST_LOG");
	struct utsname u = { .machine = "?", .release = "?" };

	if (s->flow_logs) {
		snprintf(with_flows, sizeof(with_flows), "%s,flow_logs=trace",
			 filter && *filter ? filter : "info");
		filter = with_flows;
	}
	if (!logger_init(p->name, s->log_format && strcmp(s->log_format, "json") == 0, filter)) {
		complain("RUST_LOG: \"%s\" is no log filter: write a level (error, warn, info, debug, "
			 "trace), or "
			 "area=level, separated by commas",
			 filter);
		return EXIT_USAGE;
	}
	(void)uname(&u);
	say(FZ_LOG_INFO, "%s %s, %s, Linux %s", p->name, fz_version(), u.machine, u.release);
	options_warn(p);
	return EXIT_OK;
}

/* Deadlines count from the clock that the platform uses later. */
static bool read_clock(uint64_t *ret)
{
	const struct fz_platform_linux_opts opts = { .size = sizeof(opts), .no_watch = true };
	struct fz_platform p;

	if (fz_platform_linux_new(NULL, &opts, &p) != 0) {
		complain("this system lacks something basic (epoll, eventfd)");
		return false;
	}
	*ret = p.ops->now_us(p.ctx);
	fz_platform_free(&p);
	return true;
}

enum exit_code settings_resolve(const struct settings *s, const struct program_facts *facts,
				struct resolved *ret)
{
	ret->partition_us = 0;
	if (s->partition) {
		(void)value_duration(s->partition, &ret->partition_us); /* was checked before */
		if (ret->partition_us == 0)
			ret->partition_us = 1; /* the library's 0 is "for ever", the option's is "never" */
	}
	if (s->id)
		snprintf(ret->id, sizeof(ret->id), "%s", s->id);
	else if (!device_id(facts->id_file, facts->app_id, ret->id))
		return EXIT_FAILED;
	if (s->name)
		snprintf(ret->name, sizeof(ret->name), "%s", s->name);
	else
		device_name(ret->name);
	agent_line("/etc/os-release", facts->component, ret->agent, sizeof(ret->agent));
	return read_clock(&ret->now_us) ? EXIT_OK : EXIT_FAILED;
}
