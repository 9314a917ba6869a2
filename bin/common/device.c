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

static void to_hex(const unsigned char *src, size_t len, char *dst)
{
	for (size_t i = 0; i < len; i++)
		sprintf(dst + 2 * i, "%02x", src[i]);
}

/* The folder of the file is the program's own, those above it are the system's. What fails shows later. */
static void make_parents(const char *path)
{
	char dir[4096];

	snprintf(dir, sizeof(dir), "%s", path);
	for (char *at = dir + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		if (mkdir(dir, 0755) == 0 && strchr(at + 1, '/') == NULL)
			(void)chmod(dir, 0770);
		*at = '/';
	}
}

static bool id_from_file(const char *path, char ret[DEVICE_TEXT_MAX])
{
	json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	const char *id = json_string_value(json_object_get(root, "id"));
	bool good = id && *id && strlen(id) < DEVICE_TEXT_MAX;

	if (good) {
		strcpy(ret, id);
		(void)chmod(path, 0640); /* not ours to change: its identity is still the one to use */
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
	complain("this device has no identity: %s holds none and cannot be made (%s), and /etc/machine-id "
		 "cannot be "
		 "read; give one with --firezone-id",
		 path, access(path, F_OK) == 0 ? "a file is there" : strerror(errno));
	return false;
}

void device_name(char ret[DEVICE_TEXT_MAX])
{
	if (gethostname(ret, DEVICE_TEXT_MAX) != 0 || *ret == '\0')
		strcpy(ret, "unnamed");
	ret[DEVICE_TEXT_MAX - 1] = '\0';
}
