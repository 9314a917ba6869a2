/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's serial number and UUID out of its SMBIOS tables (type 1, system information). */
#ifndef BIN_SMBIOS_H
#define BIN_SMBIOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMBIOS_SERIAL_MAX 256
#define SMBIOS_UUID_LEN 36

struct smbios {
	bool has_serial, has_uuid;
	char serial[SMBIOS_SERIAL_MAX]; /* not trimmed, may be empty */
	char uuid[SMBIOS_UUID_LEN + 1];
};

/* From the structure table; what it does not have is left out. */
void smbios_parse(const uint8_t *table, size_t len, struct smbios *ret);
/* From this machine; containers and many boards have none. */
void smbios_read(struct smbios *ret);

#endif
