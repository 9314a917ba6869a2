/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of joined devices by event name, one table per role. */
#ifndef DEVPORTAL_CHANNEL_H
#define DEVPORTAL_CHANNEL_H

#include "session.h"

enum verdict {
	HANDLED,
	NOT_KNOWN, /* answered with unknown_message */
	CRASHED /* the portal's channel process would die: close 1012 */
};

enum verdict client_handle(struct session *s, const char *event, const json_t *payload);
/* May reply itself: it gets the reference. */
enum verdict gateway_handle(struct session *s, const char *event, const json_t *payload, json_t *ref);

/* Candidates and invalidations towards `to`, with the sender's id in place of the receiver's. */
void forward_candidates(struct session *from, struct device *to, const char *event, const json_t *candidates);

#endif
