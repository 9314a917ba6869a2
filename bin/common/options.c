/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fzconn/version.h>

#include "logger.h"
#include "values.h"

#define OPTIONS_MAX 64

static const struct {
	enum exit_code code;
	const char *text;
} exits[] = {
	{ EXIT_OK, "ended by a signal, or all done" },
	{ EXIT_FAILED, "failed; the last line says how" },
	{ EXIT_USAGE, "wrong option, variable or value" },
	{ EXIT_TOKEN, "the token is missing, unreadable or refused by the portal" },
	{ EXIT_PRIVILEGE, "a privilege is missing" },
	{ EXIT_NO_TUN, "this system has no TUN device" },
	{ EXIT_RUNNING, "the tunnel interface is in use by another process" },
	{ EXIT_PORTAL, "the portal cannot be reached, or refuses this device" },
	{ EXIT_DOUBTS, "doctor: it works, but something should be mended" },
};

static void show_option(const struct option_row *o)
{
	char left[64];

	snprintf(left, sizeof(left), "%c%c%c --%s%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
		 o->letter ? ',' : ' ', o->name, o->value ? " <" : "", o->value ? o->value : "",
		 o->value ? ">" : "");
	printf("  %s\n          %s%s%s%s%s\n", left, o->help, o->idle ? " (no effect yet)" : "",
	       o->env ? " [env: " : "", o->env ? o->env : "", o->env ? "]" : "");
}

/* Shows names of variables, never what is in them: one is the token. */
static void show_help(const struct program *p)
{
	printf("%s\n\nUsage: %s %s\n\nOptions:\n", p->description, p->name, p->synopsis);
	for (const struct option_row *o = p->options; o->name; o++)
		if (*o->name)
			show_option(o);
	printf("  -h, --help\n          show this text\n");
	if (p->is_command)
		return;
	printf("  -V, --version\n          show the version\n");
	if (p->commands)
		printf("\nCommands:\n");
	for (const struct command_row *c = p->commands; c && c->name; c++)
		printf("  %s\n          %s\n", c->name, c->help);
	printf("\nVariables without an option:\n");
	for (const struct option_row *o = p->options; o->name; o++)
		if (*o->name == '\0')
			printf("  %s\n          %s\n", o->env, o->help);
	printf("\nExit status:\n");
	for (size_t i = 0; i < sizeof(exits) / sizeof(*exits); i++)
		printf("  %d  %s\n", (int)exits[i].code, exits[i].text);
}

static void leave_with_help(const struct program *p)
{
	show_help(p);
	exit(EXIT_OK);
}

static void usage_error(const struct program *p, const char *fmt, ...) FZ_PRINTF(2, 3);
static void usage_error(const struct program *p, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", p->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see %s --help\n", p->name);
	exit(EXIT_USAGE);
}

/* What is wrong with a value, NULL = nothing. */
static const char *complaint(const struct option_row *o, const char *value)
{
	static char text[128];
	uint64_t us;

	switch (o->kind) {
	case OPTION_URL:
		return value_url(value);
	case OPTION_DURATION:
		return value_duration(value, &us);
	case OPTION_ADDRESS:
		return value_address(value);
	case OPTION_CHOICE:
		if (value_is_choice(value, o->value))
			return NULL;
		snprintf(text, sizeof(text), "is none of %s", o->value);
		return text;
	default:
		return NULL;
	}
}

/* `given` is the name under which the user knows it. */
static void set_value(const struct program *p, const struct option_row *o, const char *given, char *value)
{
	const char *wrong;

	if (!value_is_utf8(value))
		usage_error(p, "%s: the value is not UTF-8", given);
	if (*value == '\0' && o->kind == OPTION_TEXT)
		return;
	if (*value == '\0')
		usage_error(p, "%s is empty: give it a value or leave it out", given);
	wrong = complaint(o, value);
	if (wrong)
		usage_error(p, "%s: \"%s\" %s", given, value, wrong);
	*(const char **)o->into = value;
}

static void take_variable(const struct program *p, const struct option_row *o)
{
	char *value = getenv(o->env);

	if (value == NULL)
		return;
	if (o->kind != OPTION_FLAG)
		set_value(p, o, o->env, value);
	else if (strcmp(value, "true") == 0)
		*(bool *)o->into = true;
	else if (strcmp(value, "false") != 0)
		usage_error(p, "%s: \"%s\" is neither true nor false", o->env, value);
}

struct words {
	char **at;
	int left;
};

static const struct command_row *parse_words(const struct program *p, struct words *w);

static const struct option_row *find_option(const struct program *p, const char *arg, char **ret_value)
{
	size_t len = strcspn(arg, "=");

	*ret_value = NULL;
	for (const struct option_row *o = p->options; o->name; o++) {
		if (arg[1] == '-' && *o->name && strlen(o->name) == len - 2 &&
		    memcmp(o->name, arg + 2, len - 2) == 0) {
			*ret_value = arg[len] ? (char *)(uintptr_t)arg + len + 1 : NULL;
			return o;
		}
		if (arg[1] != '-' && o->letter == arg[1]) {
			*ret_value = arg[2] ? (char *)(uintptr_t)arg + 2 + (arg[2] == '=') : NULL;
			return o;
		}
	}
	return NULL;
}

static void take_option(const struct program *p, struct words *w, bool seen[OPTIONS_MAX])
{
	char *arg = *w->at++, *value, given[64];
	const struct option_row *o = find_option(p, arg, &value);

	w->left--;
	if (o == NULL)
		usage_error(p, "there is no option %.*s", (int)strcspn(arg, "="),
			    arg); /* what follows may be secret */
	snprintf(given, sizeof(given), arg[1] == '-' ? "--%s" : "-%.1s", arg[1] == '-' ? o->name : arg + 1);
	if (seen[o - p->options])
		usage_error(p, "%s is given twice", given);
	seen[o - p->options] = true;
	if (o->kind == OPTION_FLAG) {
		if (value)
			usage_error(p, "%s takes no value", given);
		*(bool *)o->into = true;
		return;
	}
	if (value == NULL && (w->left == 0 || **w->at == '-'))
		usage_error(p, "%s needs a value <%s>", given, o->value);
	if (value == NULL) {
		value = *w->at++;
		w->left--;
	}
	set_value(p, o, given, value);
}

static const struct command_row *take_command(const struct program *p, struct words *w)
{
	const char *name = *w->at++;
	const struct command_row *c = p->commands;

	w->left--;
	if (strcmp(name, "help") == 0 && w->left > 0)
		name = *w->at; /* of that command, after a look whether it exists */
	else if (strcmp(name, "help") == 0)
		leave_with_help(p);
	while (c->name && strcmp(c->name, name) != 0)
		c++;
	if (c->name == NULL)
		usage_error(p, "there is no command \"%s\"", name);
	if (w->left > 0 && name == *w->at)
		leave_with_help(c->sub ? c->sub : p);
	if (c->sub)
		parse_words(c->sub, w);
	else if (w->left > 0)
		usage_error(p, "\"%s\" stands behind %s: options come first", *w->at, name);
	return c;
}

/* Where a word may also be the argument, only the names of commands are commands. */
static bool is_command(const struct program *p, const char *word)
{
	const struct command_row *c = p->commands;

	while (c && c->name && strcmp(c->name, word) != 0)
		c++;
	return c && (c->name || p->positional == NULL);
}

static void take_word(const struct program *p, struct words *w)
{
	if (p->positional == NULL || *p->positional)
		usage_error(p, "unexpected argument"); /* not repeated: it may be the token */
	*p->positional = *w->at++;
	w->left--;
}

static const struct command_row *parse_words(const struct program *p, struct words *w)
{
	const struct command_row *command = NULL;
	bool seen[OPTIONS_MAX] = { false }, only_words = false;

	while (w->left > 0) {
		const char *arg = *w->at;
		if (only_words || arg[0] != '-' || arg[1] == '\0') {
			if (p->commands && (is_command(p, arg) && !only_words))
				command = take_command(p, w);
			else
				take_word(p, w);
		} else if (strcmp(arg, "--") == 0) {
			only_words = true;
			w->at++;
			w->left--;
		} else if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0) {
			leave_with_help(p);
		} else if (!p->is_command && (strcmp(arg, "-V") == 0 || strcmp(arg, "--version") == 0)) {
			printf("%s %s\n", p->name, fz_version());
			exit(EXIT_OK);
		} else {
			take_option(p, w, seen);
		}
	}
	for (const struct option_row *o = p->options; o->name; o++)
		if (o->env && o->into && !seen[o - p->options])
			take_variable(p, o);
	return command;
}

const struct command_row *options_parse(const struct program *p, int argc, char **argv)
{
	struct words w = { argv + 1, argc - 1 };

	return parse_words(p, &w);
}

void options_warn(const struct program *p)
{
	for (const struct option_row *o = p->options; o->name; o++) {
		if (o->idle == NULL)
			continue;
		if (o->kind == OPTION_FLAG) {
			if (!*(bool *)o->into)
				continue;
		} else {
			const char *value = *(const char **)o->into;
			if (value == NULL || (o->works_with && strcmp(value, o->works_with) == 0))
				continue;
		}
		say(FZ_LOG_WARN, "--%s has no effect yet: %s", o->name, o->idle);
	}
}
