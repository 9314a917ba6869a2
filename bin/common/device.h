/* SPDX-License-Identifier: Apache-2.0 */
/* Who this machine is: identity and name. */
#ifndef BIN_DEVICE_H
#define BIN_DEVICE_H

#include <stdbool.h>

#define DEVICE_TEXT_MAX 256

/* The identity: from the file ({"id":"..."}), else derived from the machine's id with the application's key,
 * else new and written to the file. False: none could be made; says why. */
bool device_id(const char *path, const char *app_id, char ret[DEVICE_TEXT_MAX]);
/* Host name. */
void device_name(char ret[DEVICE_TEXT_MAX]);

#endif
