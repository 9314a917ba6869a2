/* SPDX-License-Identifier: Apache-2.0 */
/* Who this machine is: identity, name, hardware numbers, and the user agent line made from the system's
 * facts. */
#ifndef BIN_DEVICE_H
#define BIN_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#define DEVICE_TEXT_MAX 256

/* The identity: from the file ({"id":"..."}), else derived from the machine's id with the application's key,
 * else new and written to the file. False: none could be made; says why. */
bool device_id(const char *path, const char *app_id, char ret[DEVICE_TEXT_MAX]);
/* Host name. */
void device_name(char ret[DEVICE_TEXT_MAX]);
/* SMBIOS serial number and UUID; "" = unknown. */
void device_serial(char ret[DEVICE_TEXT_MAX]);
void device_uuid(char ret[DEVICE_TEXT_MAX]);
/* "Debian/12.0.0 gateway/1.6.1 (x86_64; 6.1.0)". */
void device_user_agent(const char *component, char ret[DEVICE_TEXT_MAX]);
/* Read a small text file, trimmed. False: not there or too long. */
bool device_read_text(const char *path, char *buf, size_t cap);

#endif
