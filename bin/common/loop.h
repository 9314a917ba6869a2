/* SPDX-License-Identifier: Apache-2.0 */
/* What the program watches besides the tunnel: one epoll set, a function for each descriptor. */
#ifndef BIN_LOOP_H
#define BIN_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* Embedded in its owner. */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *s);
};

struct loop {
	int fd; /* the set; -1 = closed */
};

bool loop_open(struct loop *l);
void loop_close(struct loop *l);
/* Watch for input. */
bool loop_add(struct loop *l, struct loop_source *s);
/* Watch for room instead of input, or for input again. */
void loop_want_out(struct loop *l, struct loop_source *s, bool out);
/* Call before the descriptor is closed. */
void loop_remove(struct loop *l, struct loop_source *s);
/* Sleep at most so long (µs; -1 = for ever), then call what is ready. A source that is removed by the
 * function of another one is not called any more. False: the system refused. */
bool loop_wait(struct loop *l, int64_t timeout_us);
/* µs of the clock that deadlines of this program use. */
uint64_t loop_now_us(void);

#endif
