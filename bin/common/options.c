/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fzconn/version.h>

static void show_help(const struct program *p)
{
	printf("%s\n\nUsage: %s %s\n\nOptions:\n", p->description, p->name, p->synopsis);
	for (const struct option_row *o = p->options; o->name; o++) {
		char left[64];
		if (o->help == NULL || *o->name == '\0')
			continue;
		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
			 o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name, o->value ? " " : "",
			 o->value ? o->value : "");
		printf("  %-34s %s", left, o->help);
		if (o->env)
			printf(" [env: %s]", o->env);
		printf("\n");
	}
	printf("  %-34s %s\n  %-34s %s\n", "-h, --help", "show this text", "-V, --version",
	       "show the version");
	printf("\nVariables without an option:\n");
	for (const struct option_row *o = p->options; o->name; o++)
		if (*o->name == '\0' && o->help)
			printf("  %-34s %s\n", o->env, o->help);
	printf("  %-34s %s\n", "RUST_LOG", "log level: error, warn, info (default), debug or trace");
}

static void usage_error(const struct program *p, const char *what, const char *arg)
{
	fprintf(stderr, "%s: %s \"%s\"; try --help\n", p->name, what, arg);
	exit(EXIT_USAGE);
}

static void set_flag(const struct program *p, const struct option_row *o, const char *value)
{
	static const char *const yes[] = { "true", "1", "yes", "on", "y", "t" };
	static const char *const no[] = { "false", "0", "no", "off", "n", "f" };
	bool *into = o->into;

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		if (strcmp(value, yes[i]) == 0)
			*into = true;
		else if (strcmp(value, no[i]) == 0)
			*into = false;
		else
			continue;
		return;
	}
	usage_error(p, "expected true or false, not", value);
}

static void set_value(const struct program *p, const struct option_row *o, const char *value)
{
	if (o->kind == OPTION_FLAG)
		set_flag(p, o, value);
	else
		*(const char **)o->into = value;
}

static const struct option_row *by_name(const struct program *p, const char *name, size_t len)
{
	for (const struct option_row *o = p->options; o->name; o++)
		if (len > 0 && strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct option_row *by_letter(const struct program *p, char letter)
{
	for (const struct option_row *o = p->options; o->name; o++)
		if (o->letter && o->letter == letter)
			return o;
	return NULL;
}

static void take_environment(const struct program *p)
{
	for (const struct option_row *o = p->options; o->name; o++) {
		const char *value = o->env ? getenv(o->env) : NULL;
		if (value && *value)
			set_value(p, o, value);
	}
}

/* One argument that begins with a dash; returns how many arguments it took. */
static int take_option(const struct program *p, int left, char **argv)
{
	const char *arg = argv[0], *value = NULL;
	const struct option_row *o;

	if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0) {
		show_help(p);
		exit(EXIT_OK);
	}
	if (strcmp(arg, "-V") == 0 || strcmp(arg, "--version") == 0) {
		printf("%s %s (library %s)\n", p->name, FZCONN_VERSION, fz_version());
		exit(EXIT_OK);
	}
	if (arg[1] == '-') {
		value = strchr(arg, '=');
		o = by_name(p, arg + 2, value ? (size_t)(value - arg) - 2 : strlen(arg) - 2);
		value = value ? value + 1 : NULL;
	} else {
		o = by_letter(p, arg[1]);
		value = o && arg[2] ? arg + 2 + (arg[2] == '=') : NULL;
	}
	if (o == NULL)
		usage_error(p, "unknown option", arg);
	if (o->kind == OPTION_FLAG) {
		set_flag(p, o, value ? value : "true");
		return 1;
	}
	if (value == NULL && left < 2)
		usage_error(p, "a value is missing for", arg);
	*(const char **)o->into = value ? value : argv[1];
	return value ? 1 : 2;
}

void options_parse(const struct program *p, int argc, char **argv)
{
	bool only_positional = false;

	take_environment(p);
	for (int i = 1; i < argc;) {
		if (!only_positional && strcmp(argv[i], "--") == 0) {
			only_positional = true;
			i++;
		} else if (!only_positional && argv[i][0] == '-' && argv[i][1] != '\0') {
			i += take_option(p, argc - i, argv + i);
		} else if (p->positional) {
			*p->positional = argv[i++];
		} else {
			usage_error(p, "unexpected argument", argv[i]);
		}
	}
}

static unsigned long long unit_seconds(const char *unit, size_t len)
{
	static const struct {
		const char *names;
		unsigned long long seconds;
	} units[] = {
		{ "s sec secs second seconds", 1 }, { "m min mins minute minutes", 60 },
		{ "h hr hrs hour hours", 3600 },    { "d day days", 86400 },
		{ "w week weeks", 604800 },
	};

	if (len == 0)
		return 1;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		for (const char *at = units[i].names; *at;) {
			size_t n = strcspn(at, " ");
			if (n == len && memcmp(at, unit, len) == 0)
				return units[i].seconds;
			at += n + (at[n] == ' ');
		}
	}
	return 0;
}

bool options_duration(const char *text, unsigned long long *ret_seconds)
{
	unsigned long long total = 0;

	if (*text == '\0')
		return false;
	while (*text) {
		char *end;
		unsigned long long value, unit;
		size_t len = 0;
		if (!isdigit((unsigned char)*text))
			return false;
		value = strtoull(text, &end, 10);
		while (isalpha((unsigned char)end[len]))
			len++;
		unit = unit_seconds(end, len);
		if (unit == 0 || value > 1000000000ull)
			return false;
		total += value * unit;
		text = end + len;
		while (*text == ' ')
			text++;
	}
	*ret_seconds = total;
	return true;
}
