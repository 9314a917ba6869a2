/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* The portal's lists show these names; a distribution that is not among them is "Linux". */
static const struct {
	const char *id, *name;
} systems[] = {
	{ "almalinux", "AlmaLinux" },
	{ "alpine", "Alpine Linux" },
	{ "amzn", "Amazon Linux AMI" },
	{ "arch", "Arch Linux" },
	{ "centos", "CentOS" },
	{ "debian", "Debian" },
	{ "fedora", "Fedora" },
	{ "gentoo", "Gentoo Linux" },
	{ "kali", "Kali Linux" },
	{ "linuxmint", "Linux Mint" },
	{ "manjaro", "Manjaro" },
	{ "nixos", "NixOS" },
	{ "ol", "Oracle Linux" },
	{ "opensuse-leap", "openSUSE" },
	{ "opensuse-tumbleweed", "openSUSE" },
	{ "raspbian", "Raspberry Pi OS" },
	{ "rhel", "Red Hat Enterprise Linux" },
	{ "rocky", "Rocky Linux" },
	{ "sles", "SUSE Linux Enterprise Server" },
	{ "ubuntu", "Ubuntu" },
	{ "void", "Void Linux" },
};

/* Value of a line KEY=value or KEY="value". */
static bool take_key(const char *line, const char *key, char *ret, size_t cap)
{
	size_t n = strlen(key);
	const char *value = line + n + 1;
	bool quoted;

	if (strncmp(line, key, n) != 0 || line[n] != '=')
		return false;
	quoted = *value == '"' || *value == '\'';
	value += quoted;
	snprintf(ret, cap, "%.*s", (int)strcspn(value, quoted ? "\"'\r\n" : "\r\n"), value);
	return true;
}

/* Up to three numbers without leading zeros: "24.04" is "24.4.0". Other texts stay, if a header can hold
 * them. */
static void print_version(const char *text, char *ret, size_t cap)
{
	unsigned long v[3] = { 0, 0, 0 };
	const char *at = text;
	int n = 0;

	while (n < 3 && isdigit((unsigned char)*at)) {
		char *end;
		v[n++] = strtoul(at, &end, 10);
		at = end;
		if (*at == '.' && n < 3)
			at++;
	}
	if (n > 0 && *at == '\0') {
		snprintf(ret, cap, "%lu.%lu.%lu", v[0], v[1], v[2]);
		return;
	}
	for (at = text; *at > ' ' && *at < 127; at++)
		;
	snprintf(ret, cap, "%s", *text && *at == '\0' ? text : "Unknown");
}

void agent_line(const char *os_release, const char *component, char *ret, size_t cap)
{
	FILE *f = fopen(os_release, "re");
	char line[512], id[64] = "", text[64] = "", version[64] = "Unknown";
	const char *name = "Linux";
	struct utsname u;

	while (f && fgets(line, sizeof(line), f)) {
		(void)take_key(line, "ID", id, sizeof(id));
		(void)take_key(line, "VERSION_ID", text, sizeof(text));
	}
	if (f)
		fclose(f);
	for (size_t i = 0; i < sizeof(systems) / sizeof(*systems); i++) {
		if (strcmp(systems[i].id, id) == 0) {
			name = systems[i].name;
			print_version(text, version, sizeof(version));
		}
	}
	if (uname(&u) != 0)
		snprintf(ret, cap, "%s/%s %s", name, version, component);
	else
		snprintf(ret, cap, "%s/%s %s (%.32s; %.64s)", name, version, component, u.machine, u.release);
}
