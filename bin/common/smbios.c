/* SPDX-License-Identifier: Apache-2.0 */
#include "smbios.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_MAX 65536
#define SYSTEM_INFORMATION 1
/* Places in that structure. */
#define AT_SERIAL 7
#define AT_UUID 8

/* Number `n` of the strings behind a structure; NULL = it ends before. They end with an empty one. */
static const char *string_number(const uint8_t *at, const uint8_t *end, unsigned n)
{
	while (at < end && *at) {
		const uint8_t *stop = memchr(at, '\0', (size_t)(end - at));
		if (stop == NULL)
			return NULL;
		if (--n == 0)
			return (const char *)at;
		at = stop + 1;
	}
	return NULL;
}

/* Serial numbers that makers forgot to fill in. */
static bool is_placeholder(const char *serial)
{
	return strcmp(serial, "123456789") == 0;
}

static void take_serial(const uint8_t *s, const uint8_t *end, struct smbios *ret)
{
	const char *text = "";

	if (s[1] <= AT_SERIAL)
		return;
	if (s[AT_SERIAL] != 0)
		text = string_number(s + s[1], end, s[AT_SERIAL]);
	if (text == NULL || is_placeholder(text))
		return;
	snprintf(ret->serial, sizeof(ret->serial), "%s", text);
	ret->has_serial = true;
}

static void take_uuid(const uint8_t *s, struct smbios *ret)
{
	/* The first three groups are little-endian. */
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	const uint8_t *u = s + AT_UUID;
	bool zero = true, full = true;
	char *to = ret->uuid;

	if (s[1] < AT_UUID + 16)
		return;
	for (int i = 0; i < 16; i++) {
		zero &= u[i] == 0;
		full &= u[i] == 0xff;
	}
	ret->has_uuid = true;
	if (zero || full) {
		strcpy(ret->uuid, zero ? "IdNotPresentButSettable" : "IdNotPresent");
		return;
	}
	for (int i = 0; i < 16; i++)
		to += sprintf(to, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", u[order[i]]);
}

void smbios_parse(const uint8_t *table, size_t len, struct smbios *ret)
{
	const uint8_t *at = table, *end = table + len;

	*ret = (struct smbios){ 0 };
	while (end - at >= 4 && at[1] >= 4 && at[1] <= end - at) {
		const uint8_t *next = at + at[1];
		if (at[0] == SYSTEM_INFORMATION) {
			if (!ret->has_serial)
				take_serial(at, end, ret);
			if (!ret->has_uuid)
				take_uuid(at, ret);
		}
		while (end - next >= 2 && (next[0] || next[1]))
			next++;
		if (end - next < 2)
			return;
		at = next + 2;
	}
}

void smbios_read(struct smbios *ret)
{
	int fd = open("/sys/firmware/dmi/tables/DMI", O_RDONLY | O_CLOEXEC);
	uint8_t *table = fd < 0 ? NULL : malloc(TABLE_MAX);
	size_t len = 0;
	ssize_t n;

	while (table && len < TABLE_MAX && (n = read(fd, table + len, TABLE_MAX - len)) > 0)
		len += (size_t)n;
	if (fd >= 0)
		close(fd);
	smbios_parse(table ? table : (const uint8_t *)"", len, ret);
	free(table);
}
