/* SPDX-License-Identifier: Apache-2.0 */
/* The settings that both programs have, and what is made from them. */
#ifndef BIN_SETTINGS_H
#define BIN_SETTINGS_H

#include <stdint.h>

#include "device.h"
#include "options.h"

struct settings {
	const char *api_url, *name, *id, *log_format, *partition, *ignored;
	bool no_check, no_watch, ignored_flag;
};

/* What settings_resolve() makes of them. */
struct resolved {
	char id[DEVICE_TEXT_MAX], name[DEVICE_TEXT_MAX], agent[DEVICE_TEXT_MAX];
	uint64_t partition_us;
	uint64_t now_us; /* the clock of the platform */
};

/* Where the program's identity and version come from. */
struct program_facts {
	const char *name, *id_file, *app_id, *component;
};

/* Rows of the option table; `id_file` and `partition` are texts for the help. */
#define SETTINGS_ROWS(s, id_file, partition_env, partition_help)                                             \
	{ "api-url",                                                                                         \
	  'u',                                                                                               \
	  "FIREZONE_API_URL",                                                                                \
	  OPTION_TEXT,                                                                                       \
	  &(s).api_url,                                                                                      \
	  "URL",                                                                                             \
	  "portal to sign in at; default wss://api.firezone.dev/" },                                         \
		{ "firezone-id",                                                                             \
		  'i',                                                                                       \
		  "FIREZONE_ID",                                                                             \
		  OPTION_TEXT,                                                                               \
		  &(s).id,                                                                                   \
		  "ID",                                                                                      \
		  "identity of this device; default: from " id_file ", or derived from the machine" },       \
		{ "firezone-name",                                                                           \
		  'n',                                                                                       \
		  "FIREZONE_NAME",                                                                           \
		  OPTION_TEXT,                                                                               \
		  &(s).name,                                                                                 \
		  "NAME",                                                                                    \
		  "name shown to administrators; default: the host name" },                                  \
		{ "log-format",                                                                              \
		  0,                                                                                         \
		  "FIREZONE_LOG_FORMAT",                                                                     \
		  OPTION_TEXT,                                                                               \
		  &(s).log_format,                                                                           \
		  "human|json",                                                                              \
		  "format of log lines; default human" },                                                    \
		{ "max-partition-time",                                                                      \
		  'm',                                                                                       \
		  partition_env,                                                                             \
		  OPTION_TEXT,                                                                               \
		  &(s).partition,                                                                            \
		  "DURATION",                                                                                \
		  "give up after this much waiting for a lost portal; default " partition_help },            \
		{ "no-check",                                                                                \
		  0,                                                                                         \
		  NULL,                                                                                      \
		  OPTION_FLAG,                                                                               \
		  &(s).no_check,                                                                             \
		  NULL,                                                                                      \
		  "skip the check of privileges at the start" },                                             \
		{ "no-telemetry",    0,    "FIREZONE_NO_TELEMETRY",         OPTION_FLAG,                     \
		  &(s).ignored_flag, NULL, "accepted: nothing is ever sent" },                               \
	{                                                                                                    \
		"no-watch", 0, NULL, OPTION_FLAG, &(s).no_watch, NULL,                                       \
			"do not start over when the network changes"                                         \
	}

/* Says what is wrong and returns the exit code, or EXIT_OK. */
enum exit_code settings_resolve(const struct settings *s, const struct program_facts *facts,
				struct resolved *ret);

#endif
