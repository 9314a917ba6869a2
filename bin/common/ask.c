/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "control.h"
#include "logger.h"
#include "view.h"

#define WATCH_S 1

static bool as_json, watch;
char *ask_filter;

const struct option_row ask_status_options[] = {
	{ "json", 0, NULL, OPTION_FLAG, &as_json, NULL, "one line of JSON", NULL, NULL },
	{ "watch", 0, NULL, OPTION_FLAG, &watch, NULL, "show it again every second, until a signal", NULL,
	  NULL },
	{ NULL, 0, NULL, OPTION_FLAG, NULL, NULL, NULL, NULL, NULL },
};

const struct option_row ask_no_options[] = {
	{ NULL, 0, NULL, OPTION_FLAG, NULL, NULL, NULL, NULL, NULL },
};

static bool show(const char *text)
{
	json_t *root;

	if (as_json) {
		puts(text);
		return true;
	}
	root = json_loads(text, 0, NULL);
	if (root == NULL) {
		complain("the running program gave no answer that makes sense: is it another version?");
		return false;
	}
	if (watch && isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout); /* home, clear */
	view_status(root, stdout);
	json_decref(root);
	return true;
}

enum exit_code ask_status(const char *socket)
{
	int fd = control_connect(socket);
	bool good = fd >= 0;

	signal(SIGPIPE, SIG_DFL); /* of a pager that was left */
	while (good) {
		char *text = control_ask(fd, "status");
		good = text && show(text);
		free(text);
		fflush(stdout);
		if (!watch)
			break;
		if (good && !as_json && !isatty(STDOUT_FILENO))
			putchar('\n');
		sleep(good ? WATCH_S : 0);
	}
	if (fd >= 0)
		close(fd);
	return good ? EXIT_OK : EXIT_FAILED;
}

/* A request that is answered by {"ok":true} or {"error":"..."}. */
static enum exit_code tell(const char *socket, const char *request)
{
	int fd = control_connect(socket);
	char *text = fd >= 0 ? control_ask(fd, request) : NULL;
	json_t *root = text ? json_loads(text, 0, NULL) : NULL;
	const char *error = json_string_value(json_object_get(root, "error"));
	bool good = json_is_true(json_object_get(root, "ok"));

	if (text && !good)
		complain("%s", error ? error : "the running program gave no answer that makes sense");
	json_decref(root);
	free(text);
	if (fd >= 0)
		close(fd);
	return good ? EXIT_OK : EXIT_FAILED;
}

enum exit_code ask_log(const char *socket)
{
	char request[CONTROL_LINE_MAX];
	int n;

	if (ask_filter == NULL || strpbrk(ask_filter, "\r\n")) {
		complain("a filter is needed: write for example \"info\" or \"info,portal=debug\"");
		return EXIT_USAGE;
	}
	n = snprintf(request, sizeof(request), "log %s", ask_filter);
	if (n >= (int)sizeof(request) - 1) {
		complain("this filter is too long");
		return EXIT_USAGE;
	}
	return tell(socket, request);
}

enum exit_code ask_reload(const char *socket)
{
	return tell(socket, "reload");
}
