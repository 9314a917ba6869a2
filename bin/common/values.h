/* SPDX-License-Identifier: Apache-2.0 */
/* Values of options: each check gives NULL or what is wrong, to follow the option's name in a sentence. */
#ifndef BIN_VALUES_H
#define BIN_VALUES_H

#include <stdbool.h>
#include <stdint.h>

/* "5m", "1h 30m", "2days", "1.5h", "100ms"; a lone 0 needs no unit. */
const char *value_duration(const char *text, uint64_t *ret_us);
/* ws, wss, http or https, and a host. */
const char *value_url(const char *text);
/* "192.0.2.1:8080" or "[::]:8080"; no host names. */
const char *value_address(const char *text);
/* One of the words of "human|json". */
bool value_is_choice(const char *text, const char *choices);
bool value_is_utf8(const char *text);

#endif
