/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "logger.h"

bool device_read_text(const char *path, char *buf, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, cap);
	close(fd);
	if (n < 0 || (size_t)n == cap)
		return false;
	while (n > 0 && strchr(" \t\r\n", buf[n - 1]))
		n--;
	buf[n] = '\0';
	return true;
}

static void to_hex(const unsigned char *src, size_t len, char *dst)
{
	for (size_t i = 0; i < len; i++)
		sprintf(dst + 2 * i, "%02x", src[i]);
}

static void make_parents(const char *path)
{
	char dir[4096];

	snprintf(dir, sizeof(dir), "%s", path);
	for (char *at = dir + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		(void)mkdir(dir, 0770);
		*at = '/';
	}
}

static bool id_from_file(const char *path, char ret[DEVICE_TEXT_MAX])
{
	json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	const char *id = json_string_value(json_object_get(root, "id"));
	bool good = id && strlen(id) < DEVICE_TEXT_MAX;

	if (good) {
		strcpy(ret, id);
		good = chmod(path, 0640) == 0 || errno == EROFS;
	}
	json_decref(root);
	return good;
}

static bool id_from_machine(const char *app_id, char ret[DEVICE_TEXT_MAX])
{
	unsigned char text[4096], mac[32];
	unsigned mac_len = sizeof(mac);
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text)); /* as it is, its line end included */
	close(fd);
	if (n < 0 || HMAC(EVP_sha256(), app_id, (int)strlen(app_id), text, (size_t)n, mac, &mac_len) == NULL)
		return false;
	to_hex(mac, sizeof(mac), ret);
	return true;
}

/* Written to a temporary file first: half a file would be another identity. */
static bool id_new(const char *path, char ret[DEVICE_TEXT_MAX])
{
	unsigned char seed[32];
	char temp[4096 + 8];
	FILE *f;
	bool good;

	if (access(path, F_OK) == 0 || RAND_bytes(seed, sizeof(seed)) != 1)
		return false;
	to_hex(seed, sizeof(seed), ret);
	snprintf(temp, sizeof(temp), "%s.new", path);
	f = fopen(temp, "wx");
	if (f == NULL)
		return false;
	good = fprintf(f, "{\"id\":\"%s\"}", ret) > 0;
	good = fchmod(fileno(f), 0640) == 0 && good;
	good = fclose(f) == 0 && good;
	good = good && rename(temp, path) == 0;
	if (!good)
		(void)unlink(temp);
	return good;
}

bool device_id(const char *path, const char *app_id, char ret[DEVICE_TEXT_MAX])
{
	make_parents(path);
	if (id_from_file(path, ret) || id_from_machine(app_id, ret) || id_new(path, ret))
		return true;
	say(FZ_LOG_ERROR,
	    "this device has no identity: %s cannot be read or written and /etc/machine-id is missing; "
	    "give one with --firezone-id",
	    path);
	return false;
}

void device_name(char ret[DEVICE_TEXT_MAX])
{
	if (gethostname(ret, DEVICE_TEXT_MAX) != 0 || *ret == '\0')
		strcpy(ret, "unnamed");
	ret[DEVICE_TEXT_MAX - 1] = '\0';
}

/* The system information structure of SMBIOS (type 1): NULL when there is none. */
static const uint8_t *system_information(const uint8_t *at, const uint8_t *end)
{
	while (end - at >= 4 && at[1] >= 4 && at[1] <= end - at) {
		const uint8_t *next = at + at[1];
		if (at[0] == 1)
			return at;
		while (end - next >= 2 && (next[0] || next[1]))
			next++;
		at = next + 2;
		if (at >= end)
			break;
	}
	return NULL;
}

static size_t read_dmi(uint8_t *buf, size_t cap)
{
	int fd = open("/sys/firmware/dmi/tables/DMI", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, cap);

	if (fd >= 0)
		close(fd);
	return n < 0 ? 0 : (size_t)n;
}

void device_serial(char ret[DEVICE_TEXT_MAX])
{
	static uint8_t buf[65536];
	size_t n = read_dmi(buf, sizeof(buf));
	const uint8_t *end = buf + n, *s = system_information(buf, end);

	*ret = '\0';
	if (s == NULL || s[1] <= 7 || s[7] == 0)
		return;
	const uint8_t *text = s + s[1];
	for (int i = 1; i < s[7]; i++) {
		text = memchr(text, '\0', (size_t)(end - text));
		if (text == NULL || ++text >= end)
			return;
	}
	snprintf(ret, DEVICE_TEXT_MAX, "%.*s", (int)(end - text < 200 ? end - text : 200),
		 (const char *)text);
	if (strcmp(ret, "123456789") == 0)
		*ret = '\0';
}

void device_uuid(char ret[DEVICE_TEXT_MAX])
{
	static uint8_t buf[65536];
	size_t n = read_dmi(buf, sizeof(buf));
	const uint8_t *s = system_information(buf, buf + n);
	bool zero = true, full = true;

	*ret = '\0';
	if (s == NULL || s[1] < 8 + 16)
		return;
	for (int i = 8; i < 24; i++) {
		zero &= s[i] == 0;
		full &= s[i] == 0xff;
	}
	if (zero || full)
		strcpy(ret, zero ? "IdNotPresentButSettable" : "IdNotPresent");
	else
		sprintf(ret, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", s[11],
			s[10], s[9], s[8], s[13], s[12], s[15], s[14], s[16], s[17], s[18], s[19], s[20],
			s[21], s[22], s[23]);
}

/* Value of a key of /etc/os-release, without quotes. */
static void os_release(const char *key, const char *otherwise, char *ret, size_t cap)
{
	FILE *f = fopen("/etc/os-release", "re");
	char line[512];
	size_t n = strlen(key);

	snprintf(ret, cap, "%s", otherwise);
	while (f && fgets(line, sizeof(line), f)) {
		char *value = line + n + 1;
		if (strncmp(line, key, n) != 0 || line[n] != '=')
			continue;
		value[strcspn(value, "\r\n")] = '\0';
		if (*value == '"') {
			value++;
			value[strcspn(value, "\"")] = '\0';
		}
		snprintf(ret, cap, "%s", value);
	}
	if (f)
		fclose(f);
}

void device_user_agent(const char *component, char ret[DEVICE_TEXT_MAX])
{
	char os[64], version[64];
	unsigned v[3] = { 0, 0, 0 };
	struct utsname u;

	os_release("NAME", "Linux", os, sizeof(os));
	os[strcspn(os, " /")] = '\0'; /* "Debian GNU/Linux" -> "Debian" */
	os_release("VERSION_ID", "0", version, sizeof(version));
	(void)sscanf(version, "%u.%u.%u", &v[0], &v[1], &v[2]);
	if (uname(&u) != 0)
		snprintf(ret, DEVICE_TEXT_MAX, "%s/%u.%u.%u %s", os, v[0], v[1], v[2], component);
	else
		snprintf(ret, DEVICE_TEXT_MAX, "%s/%u.%u.%u %s (%.32s; %.64s)", os, v[0], v[1], v[2],
			 component, u.machine, u.release);
}
