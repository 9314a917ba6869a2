/* SPDX-License-Identifier: Apache-2.0 */
/* One request of `ctl` on its way through its command. */
#ifndef DEVPORTAL_COMMANDS_H
#define DEVPORTAL_COMMANDS_H

#include "session.h"

struct call {
	struct portal *p;
	const json_t *args, *options;
	json_t *result; /* NULL = nothing to show */
	char *fault; /* NULL = done */
};

const char *call_arg(const struct call *c, size_t i);
void call_fail(struct call *c, const char *text); /* the first fault stays */
/* The session of the device, relay or role that the first argument names; NULL and a fault when none is
 * online. */
struct session *call_session(struct call *c);

/* trouble.c */
void run_kick(struct call *c);
void run_close_channel(struct call *c);
void run_close(struct call *c);
void run_drop(struct call *c);
void run_init(struct call *c);
void run_push(struct call *c);
void run_push_raw(struct call *c);
void run_fail_join(struct call *c);
void run_fail_next(struct call *c);
void run_fail_ingest(struct call *c);
void run_fail_clear(struct call *c);
void run_pause(struct call *c);
void run_resume(struct call *c);

#endif
