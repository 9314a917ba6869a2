/* SPDX-License-Identifier: Apache-2.0 */
/* The settings that both programs have, and what is made from them. */
#ifndef BIN_SETTINGS_H
#define BIN_SETTINGS_H

#include <stdint.h>

#include "device.h"
#include "options.h"

#define AGENT_MAX 256

/* Why options that need an HTTP server do nothing in this build, NULL = they work. */
#ifdef HAVE_MICROHTTPD
#define WITHOUT_HTTP NULL
#else
#define WITHOUT_HTTP "this build has no HTTP server"
#endif

/* Where the options of both programs go; texts are NULL while not given. */
struct settings {
	const char *api_url, *name, *id, *log_format, *partition;
	const char *metrics, *otlp; /* accepted, of no effect */
	const char *status_socket, *health_addr, *metrics_addr;
	bool no_check, no_watch, no_telemetry, flow_logs;
};

/* What settings_resolve() makes of them. */
struct resolved {
	char id[DEVICE_TEXT_MAX], name[DEVICE_TEXT_MAX], agent[AGENT_MAX];
	uint64_t partition_us; /* 0 = for ever */
	uint64_t now_us; /* the clock of the platform */
};

/* Where the program's identity and version come from. */
struct program_facts {
	const char *name, *id_file, *app_id, *component;
	const char *flow_dir; /* where reports of flows wait for the portal */
};

/* First thing in main(): before threads, before anything can fail. */
void settings_begin(const char *program);
/* After options_parse(): log format and filter. EXIT_OK = go on. */
enum exit_code settings_log(const struct settings *s, const struct program *p);
/* Says what is wrong and returns the exit code, or EXIT_OK. */
enum exit_code settings_resolve(const struct settings *s, const struct program_facts *facts,
				struct resolved *ret);

#endif
