/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines about events: above debug only what changes for the user, and never an address. */
#ifndef BIN_REPORT_H
#define BIN_REPORT_H

#include <fzconn/event.h>

/* Peers of which the path is remembered; numbers of living peers differ in their low bits. */
#define REPORT_PEERS (1u << 14)

struct report_peer {
	uint32_t number; /* 0 = none */
	const char *path; /* static text */
};

/* Zero it. */
struct report {
	struct report_peer peers[REPORT_PEERS];
};

void report_event(struct report *r, const struct fz_event *ev);

#endif
