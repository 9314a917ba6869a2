/* SPDX-License-Identifier: Apache-2.0 */
/* fz-gateway: lets clients reach the resources of a site that they were granted. */
#include <stdio.h>
#include <sys/prctl.h>

#include "logger.h"
#include "service.h"
#include "settings.h"
#include "token.h"

#define ID_FILE "/var/lib/firezone/gateway_id"

static const struct program_facts facts = {
	.name = "fz-gateway",
	.id_file = ID_FILE,
	.app_id = "753b38f9f96947ef8083802d5909a372",
	.component = "gateway/1.6.1", /* portal and peers judge by the version whose messages we speak */
};

static struct settings settings = { .partition = "24h" };
static const char *token_argument, *health_addr;
static bool no_inc_buf;

static const struct option_row options[] = {
	SETTINGS_ROWS(settings, ID_FILE, "FIREZONE_MAX_PARTITION_TIME", "24h"),
	{ "health-check-addr", 0, "HEALTH_CHECK_ADDR", OPTION_TEXT, &health_addr, "ADDR", NULL },
	{ "no-inc-buf", 0, "FIREZONE_NO_INC_BUF", OPTION_FLAG, &no_inc_buf, NULL,
	  "do not raise the system's limits for socket buffers" },
	{ "", 0, "FIREZONE_TOKEN", OPTION_TEXT, &settings.ignored, NULL, "the token; erased after reading" },
	{ "", 0, "CREDENTIALS_DIRECTORY", OPTION_TEXT, &settings.ignored, NULL,
	  "of systemd: the credential FIREZONE_TOKEN there is the token" },
	{ NULL, 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

static const struct program program = {
	.name = "fz-gateway",
	.synopsis = "[OPTIONS]",
	.description =
		"fz-gateway lets Firezone clients reach the resources of this site that they were granted.",
	.options = options,
	.positional = &token_argument,
};

static enum exit_code run(const struct fz_env *env, const char *token)
{
	struct service s = { .name = program.name, .env = env, .no_watch = settings.no_watch };
	struct fz_gateway_opts o = { .size = sizeof(o), .api_url = settings.api_url, .token = token };
	struct resolved r;
	enum exit_code code = settings_resolve(&settings, &facts, &r);

	if (code == EXIT_OK && !settings.no_check)
		code = service_check(&s);
	if (code != EXIT_OK)
		return code;
	o.id = r.id;
	o.name = r.name;
	o.user_agent = r.agent;
	o.max_partition_us = r.partition_us;
	if (fz_gateway_new(env, &o, r.now_us, &s.gateway) != 0)
		return EXIT_USAGE; /* the line before says which option */
	if (!no_inc_buf)
		service_raise_buffers();
	code = service_run(&s);
	fz_gateway_free(s.gateway);
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
	if (token_argument)
		say(FZ_LOG_WARN, "a token on the command line can be read by every user of this machine; use "
				 "FIREZONE_TOKEN");
	token = token_load(&(struct token_source){ .text = token_argument ? token_argument : env_token,
						   .credential = "FIREZONE_TOKEN" });
	token_free(env_token);
	code = token ? run(&env, token) : EXIT_TOKEN;
	token_free(token);
	return code;
}
