/* SPDX-License-Identifier: Apache-2.0 */
/* Which relays a device is told of, with which credentials, and the news when that changes. */
#ifndef DEVPORTAL_RELAYS_H
#define DEVPORTAL_RELAYS_H

#include "session.h"

/* At most two relays, one entry per address, and remember them as told. */
json_t *relays_for(struct session *s);
/* The set changed: sessions hear of it after the debounce time if it matters to them. */
void relays_changed(struct portal *p);
/* Answer to `no_relays`. */
void relays_repeat(struct session *s);
/* A relay joined over its channel / its channel ended. */
void relay_join(struct session *s, const char *stamp_secret);
void relay_leave(struct session *s);
json_t *relays_dump(const struct portal *p);

#endif
