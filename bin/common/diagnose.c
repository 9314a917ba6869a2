/* SPDX-License-Identifier: Apache-2.0 */
#include "diagnose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fzconn/diag.h>
#include <jansson.h>

#include "control.h"
#include "logger.h"
#include "privilege.h"

static bool as_json;

const struct option_row diagnose_options[] = {
	{ "json", 0, NULL, OPTION_FLAG, &as_json, NULL, "one JSON object", NULL, NULL },
	{ NULL, 0, NULL, OPTION_FLAG, NULL, NULL, NULL, NULL, NULL },
};

static const struct {
	const char *word, *colour;
} verdicts[] = {
	[FZ_CHECK_OK] = { "ok", "32" },       [FZ_CHECK_SKIPPED] = { "skipped", "36" },
	[FZ_CHECK_NOTE] = { "note", "36" },   [FZ_CHECK_WARN] = { "warning", "33" },
	[FZ_CHECK_FAIL] = { "failed", "31" },
};

/* ---- output ---- */

static void show_row(const struct fz_check *c, bool colour)
{
	char took[16] = "";

	if (c->took_us)
		snprintf(took, sizeof(took), "%.0f ms", (double)c->took_us / 1000);
	printf(colour ? "\033[%sm%-7s\033[0m  %-30s  %8s  %s\n" : "%.0s%-7s  %-30s  %8s  %s\n",
	       verdicts[c->verdict].colour, verdicts[c->verdict].word, c->name, took, c->what);
	if (c->remedy[0])
		printf("%*s-> %s\n", 9, "", c->remedy);
}

static void show_table(const struct fz_report *r)
{
	bool colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;

	for (size_t i = 0; i < r->len; i++)
		show_row(&r->checks[i], colour);
}

static void show_json(const struct fz_report *r)
{
	json_t *rows = json_array(), *root;

	for (size_t i = 0; i < r->len; i++) {
		const struct fz_check *c = &r->checks[i];
		json_array_append_new(rows,
				      json_pack("{s:s, s:s, s:I, s:s, s:s}", "name", c->name, "verdict",
						verdicts[c->verdict].word, "took_us", (json_int_t)c->took_us,
						"what", c->what, "remedy", c->remedy));
	}
	root = json_pack("{s:s, s:o}", "worst", verdicts[r->worst].word, "checks", rows);
	if (root)
		json_dumpf(root, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(root);
}

/* ---- what is known already ---- */

/* Addresses of the relays that the running program uses; -1 = it does not run. */
static int relays_of_running(const char *socket, struct fz_addr *ret, int cap)
{
	int fd = control_probe(socket), n = 0;
	char *text = fd >= 0 ? control_ask(fd, "status") : NULL;
	json_t *root = text ? json_loads(text, 0, NULL) : NULL, *relay, *server;
	size_t i, k;

	json_array_foreach(json_object_get(root, "relays"), i, relay)
		json_array_foreach(json_object_get(relay, "servers"), k,
				   server) if (n < cap && json_is_string(server) &&
					       fz_addr_parse(json_string_value(server), &ret[n]) == 0) n++;
	json_decref(root);
	free(text);
	if (fd < 0)
		return -1;
	close(fd);
	return n;
}

static int examine(const struct fz_doctor_opts *o, struct fz_report *report)
{
	struct fz_platform_linux_opts opts = { .size = sizeof(opts),
					       .no_watch = true,
					       .no_policy = !privilege_has_net_admin() };
	struct fz_platform platform;
	int err = fz_platform_linux_new(logger_env(), &opts, &platform);

	if (err != 0)
		return err;
	err = fz_doctor_run(logger_env(), &platform, o, report);
	fz_platform_free(&platform);
	return err;
}

enum exit_code diagnose(bool is_client, const struct settings *s, const struct program_facts *facts,
			const struct token_source *source)
{
	static struct fz_report report; /* too big for the stack */
	struct fz_doctor_opts o = { .size = sizeof(o), .api_url = s->api_url };
	struct fz_addr relays[8];
	struct resolved r;
	char *token = NULL;
	int n = relays_of_running(s->status_socket, relays, 8), err;
	enum exit_code code;

	(void)logger_init(facts->name, false, "off");
	code = settings_resolve(s, facts, &r);
	if (code != EXIT_OK)
		return code;
	if (n < 0)
		token = token_load(source);
	o.role = is_client ? FZ_PORTAL_CLIENT : FZ_PORTAL_GATEWAY;
	o.token = token;
	o.id = r.id;
	o.name = r.name;
	o.user_agent = r.agent;
	o.relays = relays;
	o.relays_len = n > 0 ? (size_t)n : 0;
	err = examine(&o, &report);
	token_free(token);
	if (err != 0) {
		complain("the examination failed: %s", fz_strerror(err));
		return EXIT_FAILED;
	}
	if (as_json)
		show_json(&report);
	else
		show_table(&report);
	return report.worst == FZ_CHECK_FAIL   ? EXIT_FAILED
	       : report.worst == FZ_CHECK_WARN ? EXIT_DOUBTS
					       : EXIT_OK;
}
