/* SPDX-License-Identifier: Apache-2.0 */
/* fz-client: brings a machine's traffic to the resources its user may reach. */
#include <string.h>

#include "ask.h"
#include "diagnose.h"
#include "logger.h"
#include "privilege.h"
#include "service.h"
#include "settings.h"
#include "signin.h"
#include "smbios.h"
#include "token.h"

#define ID_FILE "/var/lib/dev.firezone.client/config/firezone-id.json"
#define FLOW_DIR "/var/lib/dev.firezone.client/flow_logs"
#define TOKEN_FILE "/etc/dev.firezone.client/token"

static const struct program_facts facts = {
	.name = "fz-client",
	.id_file = ID_FILE,
	.flow_dir = FLOW_DIR,
	.app_id = "e1e465ce763e4759945c650ac334501f",
	.component =
		"headless-client/1.5.12", /* portal and peers judge by the version whose messages we speak */
};

#define STATUS_SOCKET "/run/fz-client/status.sock"

static struct settings settings = { .status_socket = STATUS_SOCKET };
static const char *token_path = TOKEN_FILE, *dns_control, *log_dir;
static bool check_only, exit_when_up, inc_buf, internet;

static const struct option_row options[] = {
	{ "activate-internet-resource", 0, "FIREZONE_ACTIVATE_INTERNET_RESOURCE", OPTION_FLAG, &internet,
	  NULL, "send all traffic that fits no other resource through the Internet resource", NULL, NULL },
	{ "api-url", 'u', "FIREZONE_API_URL", OPTION_URL, &settings.api_url, "URL",
	  "portal to sign in at; default wss://api.firezone.dev/", NULL, NULL },
	{ "check", 0, NULL, OPTION_FLAG, &check_only, NULL, "check options, identity and token, then leave",
	  NULL, NULL },
	{ "dns-control", 0, "FIREZONE_DNS_CONTROL", OPTION_CHOICE, &dns_control,
	  "disabled|etc-resolv-conf|systemd-resolved",
	  "who tells the system to ask the tunnel for names; default systemd-resolved", NULL, NULL },
	{ "exit", 0, NULL, OPTION_FLAG, &exit_when_up, NULL, "leave as soon as the tunnel is up", NULL,
	  NULL },
	{ "firezone-id", 'i', "FIREZONE_ID", OPTION_TEXT, &settings.id, "ID",
	  "identity of this device; default: that of " ID_FILE ", else one derived from /etc/machine-id",
	  NULL, NULL },
	{ "firezone-name", 0, "FIREZONE_NAME", OPTION_TEXT, &settings.name, "NAME",
	  "name that administrators see; default: the host name", NULL, NULL },
	{ "flow-logs", 0, "FIREZONE_FLOW_LOGS", OPTION_FLAG, &settings.flow_logs, NULL,
	  "log every TCP and UDP flow, even where the portal wants no flow logs", NULL, NULL },
	{ "inc-buf", 0, "FIREZONE_INC_BUF", OPTION_FLAG, &inc_buf, NULL,
	  "raise the system's limits for socket buffers", NULL, NULL },
	{ "log-dir", 'l', "LOG_DIR", OPTION_PATH, &log_dir, "DIR", "write log files there",
	  "log lines go to standard output only", NULL },
	{ "log-format", 0, "FIREZONE_LOG_FORMAT", OPTION_CHOICE, &settings.log_format, "human|json",
	  "format of log lines; default human", NULL, NULL },
	{ "max-partition-time", 'm', "MAX_PARTITION_TIME", OPTION_DURATION, &settings.partition, "DURATION",
	  "give up after this much waiting for a portal that was lost; default: never", NULL, NULL },
	{ "metrics", 0, "FIREZONE_METRICS", OPTION_CHOICE, &settings.metrics, "stdout|otel-collector|sentry",
	  "where metrics go", "there are no metrics, and nothing is ever sent", NULL },
	{ "metrics-addr", 0, "FIREZONE_METRICS_ADDR", OPTION_ADDRESS, &settings.metrics_addr, "ADDR:PORT",
	  "where /metrics, /healthz and /readyz are served; default: nowhere", WITHOUT_HTTP, NULL },
	{ "no-check", 0, NULL, OPTION_FLAG, &settings.no_check, NULL,
	  "skip the check of privileges at the start", NULL, NULL },
	{ "no-telemetry", 0, "FIREZONE_NO_TELEMETRY", OPTION_FLAG, &settings.no_telemetry, NULL,
	  "send no reports; none are ever sent", NULL, NULL },
	{ "no-watch", 0, NULL, OPTION_FLAG, &settings.no_watch, NULL,
	  "do not start over when the network changes", NULL, NULL },
	{ "otlp-grpc-endpoint", 0, "OTLP_GRPC_ENDPOINT", OPTION_TEXT, &settings.otlp, "HOST:PORT",
	  "collector of metrics", "there are no metrics", NULL },
	{ "status-socket", 0, "FIREZONE_STATUS_SOCKET", OPTION_PATH, &settings.status_socket, "PATH",
	  "socket by which the running program is asked; default " STATUS_SOCKET, NULL, NULL },
	{ "token-path", 0, "FIREZONE_TOKEN_PATH", OPTION_PATH, &token_path, "FILE",
	  "file that holds the token, root:root, mode 0600; default " TOKEN_FILE, NULL, NULL },
	{ "", 0, "FIREZONE_TOKEN", OPTION_TEXT, NULL, NULL,
	  "the token; wins over the file, and is erased once it was read", NULL, NULL },
	{ "", 0, "CREDENTIALS_DIRECTORY", OPTION_TEXT, NULL, NULL,
	  "set by systemd: a credential FIREZONE_TOKEN there wins over the file", NULL, NULL },
	{ "", 0, "RUST_LOG", OPTION_TEXT, NULL, NULL,
	  "log filter: error, warn, info (default), debug, trace, or area=level, separated by commas", NULL,
	  NULL },
	{ NULL, 0, NULL, OPTION_FLAG, NULL, NULL, NULL, NULL, NULL },
};

static const char *auth_url, *account;
static bool force;

static const struct option_row sign_in_options[] = {
	{ "account-slug", 0, "FIREZONE_ACCOUNT_SLUG", OPTION_TEXT, &account, "SLUG",
	  "short name of the account; default: the page asks for it", NULL, NULL },
	{ "auth-base-url", 0, "FIREZONE_AUTH_BASE_URL", OPTION_URL, &auth_url, "URL",
	  "where to sign in; default https://app.firezone.dev", NULL, NULL },
	{ NULL, 0, NULL, OPTION_FLAG, NULL, NULL, NULL, NULL, NULL },
};

static const struct option_row sign_out_options[] = {
	{ "force", 'f', NULL, OPTION_FLAG, &force, NULL, "do not ask", NULL, NULL },
	{ NULL, 0, NULL, OPTION_FLAG, NULL, NULL, NULL, NULL, NULL },
};

static const struct program sign_in_program = {
	.name = "fz-client sign-in",
	.is_command = true,
	.synopsis = "[OPTIONS]",
	.description =
		"Shows the address of the sign-in page, takes the token that it ends with, and stores it.",
	.options = sign_in_options,
};

static const struct program sign_out_program = {
	.name = "fz-client sign-out",
	.is_command = true,
	.synopsis = "[OPTIONS]",
	.description = "Deletes the stored token.",
	.options = sign_out_options,
};

static enum exit_code run_sign_in(void)
{
	return sign_in(auth_url, account, token_path);
}

static enum exit_code run_sign_out(void)
{
	return sign_out(token_path, force);
}

static const struct program status_program = {
	.name = "fz-client status",
	.is_command = true,
	.synopsis = ASK_STATUS_SYNOPSIS,
	.description = ASK_STATUS_TEXT,
	.options = ask_status_options,
};

static const struct program log_program = {
	.name = "fz-client log",
	.is_command = true,
	.synopsis = ASK_LOG_SYNOPSIS,
	.description = ASK_LOG_TEXT,
	.options = ask_no_options,
	.positional = &ask_filter,
};

static const struct program reload_program = {
	.name = "fz-client reload",
	.is_command = true,
	.synopsis = ASK_RELOAD_SYNOPSIS,
	.description = ASK_RELOAD_TEXT,
	.options = ask_no_options,
};

static const struct program doctor_program = {
	.name = "fz-client doctor",
	.is_command = true,
	.synopsis = DIAGNOSE_SYNOPSIS,
	.description = DIAGNOSE_TEXT,
	.options = diagnose_options,
};

static struct token_source source = { .credential = "FIREZONE_TOKEN" };

static enum exit_code run_doctor(void)
{
	source.optional = true;
	return diagnose(true, &settings, &facts, &source);
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
	{ "sign-in", "sign in with a browser and store the token", &sign_in_program, run_sign_in },
	{ "sign-out", "delete the stored token", &sign_out_program, run_sign_out },
	{ "standalone", "run; the same as no command", NULL, NULL },
	{ "help", "show this text, or that of a command", NULL, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const struct program program = {
	.name = "fz-client",
	.synopsis = "[OPTIONS] [COMMAND]",
	.description =
		"fz-client brings this machine's traffic to the Firezone resources that its user may reach.",
	.options = options,
	.commands = commands,
};

static enum fz_dns_control dns_method(void)
{
	if (dns_control == NULL || strcmp(dns_control, "systemd-resolved") == 0)
		return FZ_DNS_CONTROL_RESOLVED;
	return strcmp(dns_control, "disabled") == 0 ? FZ_DNS_CONTROL_DISABLED : FZ_DNS_CONTROL_RESOLV_CONF;
}

static enum exit_code run(const char *token)
{
	struct service s = { .facts = &facts,
			     .settings = &settings,
			     .token = &source,
			     .dns_control = dns_method(),
			     .token_home = token_path,
			     .exit_when_ready = exit_when_up };
	struct fz_client_opts o = { .size = sizeof(o), .api_url = settings.api_url, .token = token };
	struct resolved r;
	struct smbios machine;
	enum exit_code code = settings_resolve(&settings, &facts, &r);

	if (code == EXIT_OK && !settings.no_check && !check_only)
		code = privilege_check();
	if (code != EXIT_OK)
		return code;
	smbios_read(&machine);
	o.id = r.id;
	o.name = r.name;
	o.user_agent = r.agent;
	o.device_serial = machine.has_serial ? machine.serial : NULL;
	o.device_uuid = machine.has_uuid ? machine.uuid : NULL;
	o.max_partition_us = r.partition_us;
	o.internet = internet;
	o.flow_logs = settings.flow_logs;
	if (fz_client_new(logger_env(), &o, r.now_us, &s.client) != 0) {
		complain("an option cannot be used; the log line before this one says which");
		return EXIT_USAGE;
	}
	if (inc_buf && !check_only)
		privilege_raise_buffers();
	if (check_only)
		say(FZ_LOG_INFO, "check passed");
	else
		code = service_run(&s);
	fz_client_free(s.client);
	return code;
}

int main(int argc, char **argv)
{
	char *env_token = token_from_environment(), *token;
	const struct command_row *command;
	enum exit_code code;

	settings_begin(program.name);
	command = options_parse(&program, argc, argv);
	if (command && command->run) {
		source.text = env_token;
		source.path = token_path;
		code = command->run();
		token_free(env_token);
		return code;
	}
	code = settings_log(&settings, &program);
	if (code != EXIT_OK)
		return code;
	source.text = env_token;
	source.path = token_path;
	token = token_load(&source);
	source.fixed = source.text != NULL;
	source.text = NULL;
	token_free(env_token);
	code = token ? run(token) : EXIT_TOKEN;
	token_free(token);
	return code;
}
