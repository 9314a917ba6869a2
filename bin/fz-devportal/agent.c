/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *word;
	enum component component;
} words[] = {
	{ "headless-client/", AGENT_HEADLESS },
	{ "gui-client/", AGENT_GUI },
	{ "apple-client/", AGENT_APPLE },
	{ "android-client/", AGENT_ANDROID },
	{ "gateway/", AGENT_GATEWAY },
	{ "relay/", AGENT_RELAY },
	{ "connlib/", AGENT_GUI },
};

bool agent_parse(struct agent *out, const char *user_agent)
{
	*out = (struct agent){ .major = -1, .minor = -1, .patch = -1 };
	const char *at = user_agent, *slash = strchr(at, '/');
	size_t word_len = strcspn(at, " ");
	if (slash != NULL && (size_t)(slash - at) < word_len)
		snprintf(out->os_version, sizeof(out->os_version), "%.*s", (int)(at + word_len - slash - 1),
			 slash + 1);
	snprintf(out->os, sizeof(out->os), "%.*s",
		 (int)(slash != NULL && (size_t)(slash - at) < word_len ? (size_t)(slash - at) : word_len),
		 at);
	for (; *at != '\0'; at += strcspn(at, " "), at += *at == ' ') {
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			size_t len = strlen(words[i].word);
			if (strncmp(at, words[i].word, len) != 0)
				continue;
			out->component = words[i].component;
			snprintf(out->version, sizeof(out->version), "%.*s", (int)strcspn(at + len, " "),
				 at + len);
			char rest;
			int n = sscanf(out->version, "%d.%d.%d%c", &out->major, &out->minor, &out->patch,
				       &rest);
			if (n < 3 || (n == 4 && rest != '-' && rest != '+'))
				out->major = out->minor = out->patch = -1;
			return true;
		}
	}
	return false;
}

static int compare(const struct agent *a, int major, int minor, int patch)
{
	if (a->major != major)
		return a->major < major ? -1 : 1;
	if (a->minor != minor)
		return a->minor < minor ? -1 : 1;
	return a->patch < patch ? -1 : a->patch > patch;
}

bool agent_has(const struct agent *a, enum agent_feature feature)
{
	/* First patch of 1.5 with the feature: headless, gui, apple, android. */
	static const int since[][4] = {
		[FEATURE_SITES] = { 6, 10, 11, 8 },
		[FEATURE_SITE_MOVE] = { 5, 9, 9, 5 },
		[FEATURE_POOLS] = { 9, 13, 16, 11 },
		[FEATURE_POOL_TARGET] = { 7, 11, 14, 9 },
	};
	if (a->component < AGENT_HEADLESS || a->component > AGENT_ANDROID)
		return false;
	return compare(a, 1, 5, since[feature][a->component - AGENT_HEADLESS]) >= 0;
}

bool agent_gateway_fits(const struct agent *client, const struct agent *gateway)
{
	return gateway->major == client->major && gateway->minor >= client->minor - 1 &&
	       gateway->minor < client->minor + 2;
}

bool agent_client_fits(const struct agent *client, const struct agent *target)
{
	return client->major == target->major && client->minor == target->minor;
}
