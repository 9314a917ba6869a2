/* SPDX-License-Identifier: Apache-2.0 */
/* Words to the service manager, systemd: ready, stopping, still alive. Without one, nothing. */
#ifndef BIN_MANAGER_H
#define BIN_MANAGER_H

#include <stdint.h>

struct manager {
	uint64_t every_us, next_us; /* of the watchdog; every 0 = it does not watch */
};

void manager_begin(struct manager *m, uint64_t now_us);
void manager_ready(void);
void manager_stopping(void);
/* When to say that we are alive; UINT64_MAX = never. */
uint64_t manager_next_us(const struct manager *m);
void manager_handle_timeout(struct manager *m, uint64_t now_us);

#endif
