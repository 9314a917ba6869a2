/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <stdio.h>

#include <fzconn/platform.h>

/* Deadlines count from the clock that the platform uses later. */
static bool read_clock(uint64_t *ret)
{
	struct fz_platform p;

	if (fz_platform_linux_new(NULL, NULL, &p) != 0)
		return false;
	*ret = p.ops->now_us(p.ctx);
	fz_platform_free(&p);
	return true;
}

enum exit_code settings_resolve(const struct settings *s, const struct program_facts *facts,
				struct resolved *ret)
{
	unsigned long long seconds = 0;

	if (s->partition && !options_duration(s->partition, &seconds)) {
		fprintf(stderr, "%s: --max-partition-time: \"%s\" is no duration; write 30s, 10m or 24h\n",
			facts->name, s->partition);
		return EXIT_USAGE;
	}
	ret->partition_us = seconds * 1000000u;
	if (s->id)
		snprintf(ret->id, sizeof(ret->id), "%s", s->id);
	else if (!device_id(facts->id_file, facts->app_id, ret->id))
		return EXIT_FAILED;
	if (s->name)
		snprintf(ret->name, sizeof(ret->name), "%s", s->name);
	else
		device_name(ret->name);
	device_user_agent(facts->component, ret->agent);
	return read_clock(&ret->now_us) ? EXIT_OK : EXIT_FAILED;
}
