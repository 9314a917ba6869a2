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

void token_wipe(char *token)
{
	volatile char *p = token;

	while (*p)
		*p++ = '\0';
}

char *token_from_environment(void)
{
	char *value = getenv("FIREZONE_TOKEN"), *copy;

	if (value == NULL)
		return NULL;
	copy = *value ? strdup(value) : NULL;
	token_wipe(value);
	unsetenv("FIREZONE_TOKEN");
	return copy;
}

/* The only characters of tokens; anything else comes from a wrong file. White space inside is left out later.
 */
static bool is_plausible(const char *token)
{
	for (; *token; token++)
		if (((unsigned char)*token < ' ' && strchr("\t\r\n", *token) == NULL) ||
		    (unsigned char)*token > 126)
			return false;
	return true;
}

/* The trimmed content, allocated; NULL: it cannot be read or is no text of this size. */
static char *read_file(int fd)
{
	static const char blank[] = " \t\r\n";
	char *buf = malloc(TOKEN_MAX + 2);
	size_t len = 0, from;
	ssize_t n = buf ? 1 : -1;

	while (n > 0 && len <= TOKEN_MAX) {
		n = read(fd, buf + len, TOKEN_MAX + 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0 || len > TOKEN_MAX || memchr(buf, '\0', len)) {
		free(buf);
		return NULL;
	}
	while (len > 0 && strchr(blank, buf[len - 1]))
		len--;
	buf[len] = '\0';
	from = strspn(buf, blank);
	memmove(buf, buf + from, len + 1 - from);
	return buf;
}

/* Why this file is not safe, NULL = it is. Checked on the open file, so that it is the one that is read. */
static const char *unsafe(const struct stat *st)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return "belongs to another user";
	if (st->st_gid != 0 && st->st_gid != getegid())
		return "belongs to another group";
	return st->st_mode & 0177 ? "can be read or executed by others than its owner" : NULL;
}

static const char *read_token(int fd, bool must_be_private, char **ret, const char **remedy)
{
	struct stat st;
	const char *why;

	if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode))
		return NULL; /* as if it were not there */
	why = must_be_private ? unsafe(&st) : NULL;
	*remedy = "\"chown root:root\" and \"chmod 0600\" it";
	if (why)
		return why;
	*remedy = "put the token into it";
	*ret = read_file(fd);
	return *ret == NULL ? "cannot be read, or holds no token" : **ret == '\0' ? "is empty" : NULL;
}

/* False: says why. True with *ret NULL: there is no such file. */
static bool load_path(const char *path, bool must_be_private, char **ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *why, *remedy = "";

	*ret = NULL;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return true;
	if (fd < 0) {
		complain("the token file %s cannot be opened: %s", path, strerror(errno));
		return false;
	}
	why = read_token(fd, must_be_private, ret, &remedy);
	close(fd);
	if (why == NULL)
		return true;
	complain("the token file %s %s: %s", path, why, remedy);
	token_free(*ret);
	*ret = NULL;
	return false;
}

static char *find(const struct token_source *src)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[4096], *token = NULL;

	if (src->credential && dir && *dir) {
		snprintf(path, sizeof(path), "%s/%s", dir, src->credential);
		/* the service manager keeps it private */
		if (!load_path(path, false, &token))
			return NULL;
	}
	if (token == NULL && src->path && !load_path(src->path, true, &token))
		return NULL;
	if (token || src->optional)
		return token;
	if (src->path)
		complain("there is no token: set FIREZONE_TOKEN, or put it into %s (root:root, mode 0600)",
			 src->path);
	else
		complain("there is no token: set FIREZONE_TOKEN, or give the systemd credential %s "
			 "(LoadCredential=)",
			 src->credential);
	return token;
}

/* What comes from outside may be no token; takes it. */
static char *checked(char *token)
{
	if (token == NULL || (strlen(token) <= TOKEN_MAX && is_plausible(token)))
		return token;
	complain("what was given as the token is none: it is longer than any, or holds characters that none "
		 "has");
	token_free(token);
	return NULL;
}

char *token_load(const struct token_source *src)
{
	return checked(src->text ? strdup(src->text) : find(src));
}

char *token_reload(const struct token_source *src)
{
	return src->fixed ? NULL : checked(find(src));
}

void token_free(char *token)
{
	if (token)
		token_wipe(token);
	free(token);
}
