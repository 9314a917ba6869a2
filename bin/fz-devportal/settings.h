/* SPDX-License-Identifier: Apache-2.0 */
/* The account-wide settings by name: one table for the configuration file, `ctl set` and `ctl state`. */
#ifndef DEVPORTAL_SETTINGS_H
#define DEVPORTAL_SETTINGS_H

#include "model.h"

/* Who has to be told about a change. */
enum setting_effect { EFFECT_NONE = 0, EFFECT_INTERFACE = 1, EFFECT_GATEWAYS = 2 };

/* Set one. NULL on success (and *ret_effect), else the reason (static text). */
const char *setting_set(struct settings *s, const char *name, const json_t *value, int *ret_effect);
json_t *settings_dump(const struct settings *s);

#endif
