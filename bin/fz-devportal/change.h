/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the model while devices are connected, with the news that each of them gets. Faults are static
 * texts. */
#ifndef DEVPORTAL_CHANGE_H
#define DEVPORTAL_CHANGE_H

#include "resource.h"
#include "session.h"

const char *change_resource_add(struct portal *p, const json_t *spec, struct resource **ret);
/* `patch` is laid over what is there; null removes a key. */
const char *change_resource_update(struct portal *p, struct resource *r, const json_t *patch);
void change_resource_remove(struct portal *p, struct resource *r);

/* After settings changed: `effect` from settings.h. */
void change_settings_told(struct portal *p, int effect);

const char *change_device_update(struct portal *p, struct device *d, const json_t *patch);
/* The row goes, and with it its grants; a later connect makes a new one. */
void change_device_remove(struct portal *p, struct device *d);
/* Tokens of this device, or this token text, end at that time. Returns how many. */
size_t change_token_expiry(struct portal *p, const char *device_or_token, int64_t expires_at);
/* Tokens of this device, or this token text: revoked, sessions get token_expired. Returns how many. */
size_t change_token_revoke(struct portal *p, const char *device_or_token);

#endif
