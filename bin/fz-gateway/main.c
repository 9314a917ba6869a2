/* SPDX-License-Identifier: Apache-2.0 */
/* fz-gateway: lets clients reach the resources of a site that they were granted. */
#include <string.h>

#include "ask.h"
#include "diagnose.h"
#include "logger.h"
#include "privilege.h"
#include "service.h"
#include "settings.h"
#include "token.h"

#define ID_FILE "/var/lib/firezone/gateway_id"
#define FLOW_DIR "/var/lib/firezone/flow_logs"

static const struct program_facts facts = {
	.name = "fz-gateway",
	.id_file = ID_FILE,
	.flow_dir = FLOW_DIR,
	.app_id = "753b38f9f96947ef8083802d5909a372",
	.component = "gateway/1.6.1", /* portal and peers judge by the version whose messages we speak */
};

#define STATUS_SOCKET "/run/fz-gateway/status.sock"

#define HEALTH_ADDR "0.0.0.0:8080"

static struct settings settings = { .health_addr = HEALTH_ADDR,
				    .partition = "24h",
				    .status_socket = STATUS_SOCKET };
static char *token_argument;
static bool no_forwarding, no_inc_buf, validate_checksums;

static const struct option_row options[] = {
	{ "api-url", 'u', "FIREZONE_API_URL", OPTION_URL, &settings.api_url, "URL",
	  "portal to sign in at; default wss://api.firezone.dev/", NULL, NULL },
	{ "firezone-id", 'i', "FIREZONE_ID", OPTION_TEXT, &settings.id, "ID",
	  "identity of this gateway; default: that of " ID_FILE ", else one derived from /etc/machine-id",
	  NULL, NULL },
	{ "firezone-name", 'n', "FIREZONE_NAME", OPTION_TEXT, &settings.name, "NAME",
	  "name that administrators see; default: the host name", NULL, NULL },
	{ "flow-logs", 0, "FIREZONE_FLOW_LOGS", OPTION_FLAG, &settings.flow_logs, NULL,
	  "log every TCP and UDP flow, even where the portal wants no flow logs", NULL, NULL },
	{ "health-check-addr", 0, "HEALTH_CHECK_ADDR", OPTION_ADDRESS, &settings.health_addr, "ADDR:PORT",
	  "where /healthz and /readyz are served; default " HEALTH_ADDR, WITHOUT_HTTP, HEALTH_ADDR },
	{ "log-format", 0, "FIREZONE_LOG_FORMAT", OPTION_CHOICE, &settings.log_format, "human|json",
	  "format of log lines; default human", NULL, NULL },
	{ "max-partition-time", 'm', "FIREZONE_MAX_PARTITION_TIME", OPTION_DURATION, &settings.partition,
	  "DURATION", "give up after this much waiting for a portal that was lost; default 24h", NULL, NULL },
	{ "metrics", 0, "FIREZONE_METRICS", OPTION_CHOICE, &settings.metrics, "stdout|otel-collector|sentry",
	  "where metrics go", "there are no metrics, and nothing is ever sent", NULL },
	{ "metrics-addr", 0, "FIREZONE_METRICS_ADDR", OPTION_ADDRESS, &settings.metrics_addr, "ADDR:PORT",
	  "where /metrics, /healthz and /readyz are served; default: nowhere", WITHOUT_HTTP, NULL },
	{ "no-check", 0, NULL, OPTION_FLAG, &settings.no_check, NULL,
	  "skip the check of privileges at the start", NULL, NULL },
	{ "no-forwarding", 0, "FIREZONE_NO_FORWARDING", OPTION_FLAG, &no_forwarding, NULL,
	  "leave forwarding and masquerading to the administrator", NULL, NULL },
	{ "no-inc-buf", 0, "FIREZONE_NO_INC_BUF", OPTION_FLAG, &no_inc_buf, NULL,
	  "do not raise the system's limits for socket buffers", NULL, NULL },
	{ "no-telemetry", 0, "FIREZONE_NO_TELEMETRY", OPTION_FLAG, &settings.no_telemetry, NULL,
	  "send no reports; none are ever sent", NULL, NULL },
	{ "no-watch", 0, NULL, OPTION_FLAG, &settings.no_watch, NULL,
	  "do not connect to the portal again when the network changes", NULL, NULL },
	{ "otlp-grpc-endpoint", 0, "OTLP_GRPC_ENDPOINT", OPTION_TEXT, &settings.otlp, "HOST:PORT",
	  "collector of metrics", "there are no metrics", NULL },
	{ "status-socket", 0, "FIREZONE_STATUS_SOCKET", OPTION_PATH, &settings.status_socket, "PATH",
	  "socket by which the running program is asked; default " STATUS_SOCKET, NULL, NULL },
	{ "validate-checksums", 0, "FIREZONE_VALIDATE_CHECKSUMS", OPTION_FLAG, &validate_checksums, NULL,
	  "warn of wrong checksums in packets from the tunnel device", "checksums are not looked at", NULL },
	{ "", 0, "FIREZONE_TOKEN", OPTION_TEXT, NULL, NULL, "the token; it is erased once it was read", NULL,
	  NULL },
	{ "", 0, "CREDENTIALS_DIRECTORY", OPTION_TEXT, NULL, NULL,
	  "set by systemd: without FIREZONE_TOKEN, a credential of that name there is the token", NULL,
	  NULL },
	{ "", 0, "RUST_LOG", OPTION_TEXT, NULL, NULL,
	  "log filter: error, warn, info (default), debug, trace, or area=level, separated by commas", NULL,
	  NULL },
	{ NULL, 0, NULL, OPTION_FLAG, NULL, NULL, NULL, NULL, NULL },
};

static const struct program status_program = {
	.name = "fz-gateway status",
	.is_command = true,
	.synopsis = ASK_STATUS_SYNOPSIS,
	.description = ASK_STATUS_TEXT,
	.options = ask_status_options,
};

static const struct program log_program = {
	.name = "fz-gateway log",
	.is_command = true,
	.synopsis = ASK_LOG_SYNOPSIS,
	.description = ASK_LOG_TEXT,
	.options = ask_no_options,
	.positional = &ask_filter,
};

static const struct program reload_program = {
	.name = "fz-gateway reload",
	.is_command = true,
	.synopsis = ASK_RELOAD_SYNOPSIS,
	.description = ASK_RELOAD_TEXT,
	.options = ask_no_options,
};

static const struct program doctor_program = {
	.name = "fz-gateway doctor",
	.is_command = true,
	.synopsis = DIAGNOSE_SYNOPSIS,
	.description = DIAGNOSE_TEXT,
	.options = diagnose_options,
};

static struct token_source source = { .credential = "FIREZONE_TOKEN" };

static enum exit_code run_doctor(void)
{
	source.optional = true;
	return diagnose(false, &settings, &facts, &source);
}

static enum exit_code run_status(void)
{
	return ask_status(settings.status_socket);
}

static enum exit_code run_log(void)
{
	return ask_log(settings.status_socket);
}

static enum exit_code run_reload(void)
{
	return ask_reload(settings.status_socket);
}

static const struct command_row commands[] = {
	{ "doctor", "try what the network lets through, and say what mends it", &doctor_program, run_doctor },
	{ "log", "give the running program another log filter", &log_program, run_log },
	{ "reload", "let the running program read its token again and connect to the portal anew",
	  &reload_program, run_reload },
	{ "status", "show what the running program knows", &status_program, run_status },
	{ "help", "show this text, or that of a command", NULL, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const struct program program = {
	.name = "fz-gateway",
	.synopsis = "[OPTIONS] [TOKEN | COMMAND]",
	.description =
		"fz-gateway lets Firezone clients reach the resources of this site that they were granted.",
	.options = options,
	.commands = commands,
	.positional = &token_argument,
};

static enum exit_code run(const char *token)
{
	struct service s = { .facts = &facts,
			     .settings = &settings,
			     .token = &source,
			     .token_home = "FIREZONE_TOKEN or the credential of that name",
			     .no_forward = no_forwarding };
	struct fz_gateway_opts o = { .size = sizeof(o), .api_url = settings.api_url, .token = token };
	struct resolved r;
	enum exit_code code = settings_resolve(&settings, &facts, &r);

	if (code == EXIT_OK && !settings.no_check)
		code = privilege_check();
	if (code != EXIT_OK)
		return code;
	o.id = r.id;
	o.name = r.name;
	o.user_agent = r.agent;
	o.max_partition_us = r.partition_us;
	o.flow_logs = settings.flow_logs;
	if (fz_gateway_new(logger_env(), &o, r.now_us, &s.gateway) != 0) {
		complain("an option cannot be used; the log line before this one says which");
		return EXIT_USAGE;
	}
	if (!no_inc_buf)
		privilege_raise_buffers();
	code = service_run(&s);
	fz_gateway_free(s.gateway);
	return code;
}

/* Every user of the machine could have read it. It wins over the variable. */
static char *take_argument(char *env_token)
{
	char *copy;

	if (token_argument == NULL)
		return env_token;
	say(FZ_LOG_WARN,
	    "every user of this machine can read a token on the command line; use FIREZONE_TOKEN");
	copy = strdup(token_argument);
	token_wipe(token_argument);
	token_free(env_token);
	return copy;
}

int main(int argc, char **argv)
{
	char *given = token_from_environment(), *token;
	const struct command_row *command;
	enum exit_code code;

	settings_begin(program.name);
	command = options_parse(&program, argc, argv);
	if (command && command->run) {
		source.text = given;
		code = command->run();
		token_free(given);
		return code;
	}
	code = settings_log(&settings, &program);
	if (code != EXIT_OK)
		return code;
	source.text = given = take_argument(given);
	token = token_load(&source);
	source.fixed = source.text != NULL;
	source.text = NULL;
	token_free(given);
	code = token ? run(token) : EXIT_TOKEN;
	token_free(token);
	return code;
}
