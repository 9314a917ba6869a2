/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "logger.h"

static void wipe(char *s)
{
	volatile char *p = s;

	while (*p)
		*p++ = '\0';
}

char *token_from_environment(void)
{
	char *value = getenv("FIREZONE_TOKEN"), *copy;

	if (value == NULL)
		return NULL;
	copy = *value ? strdup(value) : NULL;
	wipe(value);
	unsetenv("FIREZONE_TOKEN");
	return copy;
}

static char *read_file(int fd)
{
	char *buf = malloc(TOKEN_MAX + 1), *from = buf;
	ssize_t n = buf ? read(fd, buf, TOKEN_MAX + 1) : -1;

	if (n < 0 || n > TOKEN_MAX) {
		free(buf);
		return NULL;
	}
	while (n > 0 && strchr(" \t\r\n", buf[n - 1]))
		n--;
	buf[n] = '\0';
	while (*from && strchr(" \t\r\n", *from))
		from++;
	memmove(buf, from, strlen(from) + 1);
	return buf;
}

/* Checked on the open file, so that it is the one that is read. */
static bool is_private(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	if (st.st_uid != 0 || st.st_gid != 0 || (st.st_mode & 0177) != 0) {
		say(FZ_LOG_ERROR, "the token file %s can be read by others: chown root:root and chmod 600 it",
		    path);
		return false;
	}
	return true;
}

static char *load_path(const char *path, bool must_be_private)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *token = NULL;

	if (fd < 0)
		return NULL;
	if (!must_be_private || is_private(fd, path))
		token = read_file(fd);
	close(fd);
	if (token && *token == '\0') {
		free(token);
		token = NULL;
	}
	return token;
}

char *token_load(const struct token_source *src)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[4096];
	char *token = NULL;

	if (src->text)
		return strdup(src->text);
	if (src->credential && dir) {
		snprintf(path, sizeof(path), "%s/%s", dir, src->credential);
		token = load_path(path, false); /* systemd keeps it private */
	}
	if (token == NULL && src->path)
		token = load_path(src->path, true);
	if (token == NULL && src->path)
		say(FZ_LOG_ERROR, "no token: set FIREZONE_TOKEN or put it into %s (root:root, mode 0600)",
		    src->path);
	else if (token == NULL)
		say(FZ_LOG_ERROR, "no token: set FIREZONE_TOKEN, or give the systemd credential %s",
		    src->credential);
	return token;
}

void token_free(char *token)
{
	if (token)
		wipe(token);
	free(token);
}
