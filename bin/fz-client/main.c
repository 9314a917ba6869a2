/* SPDX-License-Identifier: Apache-2.0 */
/* fz-client: brings a machine's traffic to the resources its user may reach. */
#include <stdio.h>
#include <sys/prctl.h>

#include "logger.h"
#include "service.h"
#include "settings.h"
#include "token.h"

#define ID_FILE "/var/lib/dev.firezone.client/config/firezone-id.json"
#define TOKEN_FILE "/etc/dev.firezone.client/token"

static const struct program_facts facts = {
	.name = "fz-client",
	.id_file = ID_FILE,
	.app_id = "e1e465ce763e4759945c650ac334501f",
	.component =
		"headless-client/1.5.12", /* portal and peers judge by the version whose messages we speak */
};

static struct settings settings;
static const char *token_path = TOKEN_FILE, *dns_control;
static bool check_only, exit_when_up, inc_buf;

static const struct option_row options[] = {
	SETTINGS_ROWS(settings, ID_FILE, "MAX_PARTITION_TIME", "never"),
	{ "check", 0, NULL, OPTION_FLAG, &check_only, NULL, "check options, identity and token, then leave" },
	{ "dns-control", 0, "FIREZONE_DNS_CONTROL", OPTION_TEXT, &dns_control, "disabled",
	  "who sets the system's name servers" },
	{ "exit", 0, NULL, OPTION_FLAG, &exit_when_up, NULL, "leave as soon as the tunnel is up" },
	{ "inc-buf", 0, "FIREZONE_INC_BUF", OPTION_FLAG, &inc_buf, NULL,
	  "raise the system's limits for socket buffers" },
	{ "token-path", 0, "FIREZONE_TOKEN_PATH", OPTION_TEXT, &token_path, "FILE",
	  "token file; default " TOKEN_FILE },
	{ "", 0, "FIREZONE_TOKEN", OPTION_TEXT, &settings.ignored, NULL,
	  "the token; wins over the file, erased after reading" },
	{ NULL, 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

static const struct program program = {
	.name = "fz-client",
	.synopsis = "[OPTIONS]",
	.description =
		"fz-client brings this machine's traffic to the Firezone resources that its user may reach.",
	.options = options,
};

static enum exit_code run(const struct fz_env *env, const char *token)
{
	char serial[DEVICE_TEXT_MAX], uuid[DEVICE_TEXT_MAX];
	struct service s = { .name = program.name,
			     .env = env,
			     .exit_when_ready = exit_when_up,
			     .no_watch = settings.no_watch };
	struct fz_client_opts o = { .size = sizeof(o), .api_url = settings.api_url, .token = token };
	struct resolved r;
	enum exit_code code = settings_resolve(&settings, &facts, &r);

	if (code == EXIT_OK && !settings.no_check && !check_only)
		code = service_check(&s);
	if (code != EXIT_OK)
		return code;
	device_serial(serial);
	device_uuid(uuid);
	o.id = r.id;
	o.name = r.name;
	o.user_agent = r.agent;
	o.device_serial = *serial ? serial : NULL;
	o.device_uuid = *uuid ? uuid : NULL;
	o.max_partition_us = r.partition_us;
	if (fz_client_new(env, &o, r.now_us, &s.client) != 0)
		return EXIT_USAGE; /* the line before says which option */
	if (inc_buf)
		service_raise_buffers();
	code = check_only ? EXIT_OK : service_run(&s);
	fz_client_free(s.client);
	return code;
}

int main(int argc, char **argv)
{
	char *env_token = token_from_environment(), *token;
	struct fz_env env;
	enum exit_code code;

	(void)prctl(PR_SET_DUMPABLE, 0); /* no core dump may hold the token or keys */
	options_parse(&program, argc, argv);
	if (!logger_init(settings.log_format)) {
		fprintf(stderr, "%s: --log-format: \"%s\" is neither human nor json\n", program.name,
			settings.log_format);
		return EXIT_USAGE;
	}
	env = logger_env();
	token = token_load(&(struct token_source){ .text = env_token, .path = token_path });
	token_free(env_token);
	code = token ? run(&env, token) : EXIT_TOKEN;
	token_free(token);
	return code;
}
