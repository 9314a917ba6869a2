/* SPDX-License-Identifier: Apache-2.0 */
/* How a resource looks to each side, who may see it, and which names belong to a pattern. */
#ifndef DEVPORTAL_RESOURCE_H
#define DEVPORTAL_RESOURCE_H

#include "agent.h"
#include "model.h"

bool resource_is_pool(const struct resource *r);
bool resource_visible(const struct resource *r, const struct device *client, const struct agent *agent);
json_t *resource_client_view(const struct model *m, const struct resource *r, const struct agent *agent);
json_t *resource_gateway_view(const struct resource *r);
json_t *resource_filters(const struct resource *r); /* new reference, never NULL */
bool resource_has_member(const struct model *m, const struct resource *r, const struct device *d);
/* The portal's dialect: `*` letters of one label, `**` anything, `?` one letter; no case, no apex rule. */
bool pattern_matches(const char *pattern, const char *name);

#endif
