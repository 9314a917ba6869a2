/* SPDX-License-Identifier: Apache-2.0 */
#include "summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fzconn/status.h>
#include <jansson.h>

#include "logger.h"

/* ---- words ---- */

const char *summary_duration(uint64_t us, char *buf, size_t cap)
{
	static const struct {
		const char *name, *part;
		uint64_t s, part_s;
	} units[] = {
		{ "d", "h", 86400, 3600 },
		{ "h", "min", 3600, 60 },
		{ "min", "s", 60, 1 },
	};
	uint64_t s = us / 1000000;

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (s >= units[i].s) {
			snprintf(buf, cap, "%" PRIu64 " %s %" PRIu64 " %s", s / units[i].s, units[i].name,
				 s % units[i].s / units[i].part_s, units[i].part);
			return buf;
		}
	}
	if (us >= 1000000)
		snprintf(buf, cap, "%.1f s", (double)us / 1e6);
	else
		snprintf(buf, cap, "%" PRIu64 " ms", us / 1000);
	return buf;
}

const char *summary_bytes(uint64_t n, char *buf, size_t cap)
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB" };
	double value = (double)n;
	size_t i = 0;

	if (n < 1000) {
		snprintf(buf, cap, "%u B", (unsigned)n);
		return buf;
	}
	for (value /= 1000; value >= 999.95 && i < 4; value /= 1000)
		i++;
	snprintf(buf, cap, "%.1f %s", value, units[i]);
	return buf;
}

/* ---- the process ---- */

/* The snapshot is one object without white space around: the new member goes in front of its last brace. */
char *summary_of_process(const struct summary *about, const char *snapshot)
{
	json_t *process =
		json_pack("{s:s, s:s, s:i, s:I, s:s, s:I}", "name", about->program, "component",
			  about->component, "pid", (int)getpid(), "uptime_us", (json_int_t)about->uptime_us,
			  "log", logger_filter(), "warnings_not_shown", (json_int_t)logger_suppressed());
	char *text = process ? json_dumps(process, JSON_COMPACT) : NULL;
	size_t len = strlen(snapshot), cap = len + (text ? strlen(text) : 0) + 16;
	char *whole = text ? malloc(cap) : NULL;

	if (whole)
		snprintf(whole, cap, "%.*s,\"process\":%s}", (int)len - 1, snapshot, text);
	free(text);
	json_decref(process);
	return whole;
}

/* ---- the end ---- */

static uint64_t number(json_t *v, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(v, key));
}

static void log_drops(json_t *drops, const char *where)
{
	const char *name;
	json_t *value;

	json_object_foreach(drops, name, value) if (json_integer_value(value) > 0)
		say(FZ_LOG_INFO, "counter: %s%s: %" PRIu64, where, name, (uint64_t)json_integer_value(value));
}

void summary_log(struct fz_run *run, uint64_t uptime_us)
{
	char *text = NULL, time[32], sent[32], received[32];
	json_t *root, *traffic, *portal;

	if (fz_run_status(run, &text) != 0)
		return;
	root = json_loads(text, 0, NULL);
	fz_status_free(logger_env(), text);
	traffic = json_object_get(root, "traffic");
	portal = json_object_get(root, "portal");
	say(FZ_LOG_INFO,
	    "ran for %s: sent %" PRIu64 " packets (%s), received %" PRIu64 " (%s); joined the portal %" PRIu64
	    " times, lost it %" PRIu64 " times",
	    summary_duration(uptime_us, time, sizeof(time)), number(traffic, "sent_packets"),
	    summary_bytes(number(traffic, "sent_bytes"), sent, sizeof(sent)),
	    number(traffic, "received_packets"),
	    summary_bytes(number(traffic, "received_bytes"), received, sizeof(received)),
	    number(portal, "joins"), number(portal, "losses"));
	log_drops(json_object_get(root, "drops"), "");
	log_drops(json_object_get(root, "malformed"), "malformed packet: ");
	log_drops(json_object_get(portal, "drops"), "portal: ");
	log_drops(json_object_get(json_object_get(root, "platform"), "drops"), "");
	json_decref(root);
}
