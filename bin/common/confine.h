/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that a running client or gateway may make. */
#ifndef BIN_CONFINE_H
#define BIN_CONFINE_H

#include <stdbool.h>

/* From now on, for good, everything but what the event loop needs fails with ENOSYS: no program can be
 * started, no process looked into, no file system mounted, no module loaded. False: this build or this kernel
 * cannot do that. */
bool confine(void);

#endif
