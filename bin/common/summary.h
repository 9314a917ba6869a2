/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of the running program: what the process adds to that of the library, and the lines at its end.
 */
#ifndef BIN_SUMMARY_H
#define BIN_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

#include <fzconn/run.h>

struct summary {
	const char *program; /* "fz-client" */
	const char *component; /* as which the portal knows it */
	uint64_t uptime_us;
};

/* The snapshot with a member "process"; allocated, NULL without memory. */
char *summary_of_process(const struct summary *about, const char *snapshot);
/* What happened in all that time, and every counter of drops that is not zero. */
void summary_log(struct fz_run *run, uint64_t uptime_us);
/* "3 d 2 h", "5 min 10 s", "900 ms". */
const char *summary_duration(uint64_t us, char *buf, size_t cap);
/* "12.3 MB". */
const char *summary_bytes(uint64_t n, char *buf, size_t cap);

#endif
