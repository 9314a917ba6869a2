/* SPDX-License-Identifier: Apache-2.0 */
/* Reading application/x-www-form-urlencoded text: queries of callback URLs. */
#ifndef WIRE_FORM_H
#define WIRE_FORM_H

#include <stdbool.h>
#include <stddef.h>

/* Value of the parameter that is there exactly once, decoded to dst (cap bytes with NUL). False: missing,
 * twice, too long, a broken escape, or a NUL in it. */
bool form_value(const char *query, const char *name, char *dst, size_t cap);

#endif
