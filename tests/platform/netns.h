/* SPDX-License-Identifier: Apache-2.0 */
/* A network namespace for the calling process: it goes with the process, nothing is left on the machine. */
#ifndef NETNS_H
#define NETNS_H

#include <stddef.h>

/* Ends the program with status 77 where that cannot be done. */
void netns_probe(void);
void netns_enter(void);
/* Run a shell command; it must succeed. */
void netns_run(const char *command);
/* Its output, cut to fit. */
void netns_output(const char *command, char *ret, size_t cap);

#endif
