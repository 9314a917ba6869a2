/* SPDX-License-Identifier: Apache-2.0 */
/* What a user agent line tells: operating system, component, version; and what follows from it. */
#ifndef DEVPORTAL_AGENT_H
#define DEVPORTAL_AGENT_H

#include <stdbool.h>

enum component {
	AGENT_UNKNOWN,
	AGENT_HEADLESS,
	AGENT_GUI,
	AGENT_APPLE,
	AGENT_ANDROID,
	AGENT_GATEWAY,
	AGENT_RELAY
};

struct agent {
	enum component component;
	char os[64], os_version[64], version[32];
	int major, minor, patch; /* -1 when the version is none of three parts */
};

/* False when no known component word is in it. */
bool agent_parse(struct agent *out, const char *user_agent);

enum agent_feature { FEATURE_SITES, FEATURE_SITE_MOVE, FEATURE_POOLS, FEATURE_POOL_TARGET };
bool agent_has(const struct agent *a, enum agent_feature feature);
/* May this client use this gateway? */
bool agent_gateway_fits(const struct agent *client, const struct agent *gateway);
bool agent_client_fits(const struct agent *client, const struct agent *target);

#endif
