/* SPDX-License-Identifier: Apache-2.0 */
/* The user agent line: "Debian/12.0.0 gateway/1.6.1 (x86_64; 6.1.0)". */
#ifndef BIN_AGENT_H
#define BIN_AGENT_H

#include <stddef.h>

/* From this machine's facts. `os_release` is the path of that file. */
void agent_line(const char *os_release, const char *component, char *ret, size_t cap);

#endif
