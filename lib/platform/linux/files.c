/* SPDX-License-Identifier: Apache-2.0 */
/* Small files of the program itself. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/linux/lx.h"

#define PATH_MAX_LEN 1024

struct fz_dir {
	DIR *dir;
};

static int file_error(int number)
{
	switch (number) {
	case ENOENT:
	case ENOTDIR:
		return FZ_ERR_NOT_FOUND;
	case ENOSPC:
	case EDQUOT:
		return FZ_ERR_FULL;
	case EACCES:
	case EPERM:
	case EROFS:
		return FZ_ERR_PERM;
	case ENOTEMPTY:
	case EEXIST:
		return FZ_ERR_STATE;
	case ENOMEM:
		return FZ_ERR_NOMEM;
	default:
		return FZ_ERR_IO;
	}
}

static int write_all(int fd, const uint8_t *at, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : ENOSPC;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int lx_file_write(void *p, const char *path, const void *data, size_t len)
{
	char tmp[PATH_MAX_LEN];
	int fd, failed;

	(void)p;
	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
		return FZ_ERR_INVAL;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return file_error(errno);
	failed = write_all(fd, data, len);
	if (close(fd) != 0 && failed == 0)
		failed = errno;
	if (failed == 0 && rename(tmp, path) == 0)
		return 0;
	failed = failed ? failed : errno;
	(void)unlink(tmp);
	return file_error(failed);
}

int lx_file_read(void *p, const char *path, void *buf, size_t cap)
{
	uint8_t *at = buf, more;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), err = 0;
	size_t len = 0;
	struct stat st;

	(void)p;
	if (fd < 0)
		return file_error(errno);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		err = FZ_ERR_IO;
	while (err == 0) {
		ssize_t n = len < cap ? read(fd, at + len, cap - len) : read(fd, &more, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = file_error(errno);
		else if (n > 0 && len == cap)
			err = FZ_ERR_NOSPACE;
		else if (n > 0)
			len += (size_t)n;
		else
			break;
	}
	close(fd);
	return err ? err : (int)len;
}

int lx_file_remove(void *p, const char *path)
{
	(void)p;
	if (unlink(path) == 0)
		return 0;
	if ((errno == EISDIR || errno == EPERM) && unlinkat(AT_FDCWD, path, AT_REMOVEDIR) == 0)
		return 0;
	return file_error(errno);
}

int lx_dir_make(void *p, const char *path)
{
	char part[PATH_MAX_LEN];
	size_t len = strlen(path);
	struct stat st;

	(void)p;
	if (len >= sizeof(part))
		return FZ_ERR_INVAL;
	memcpy(part, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0700) != 0 && errno != EEXIST)
			return file_error(errno);
		part[i] = path[i];
	}
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : FZ_ERR_IO;
}

int lx_dir_open(void *p, const char *path, struct fz_dir **ret, uint64_t *ret_changed_s)
{
	struct lx *lx = p;
	struct fz_dir *d = fz_zalloc(lx->env, sizeof(*d));
	int fd, err;
	struct stat st;

	if (d == NULL)
		return FZ_ERR_NOMEM;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0)
		d->dir = fdopendir(fd);
	if (d->dir == NULL) {
		err = file_error(errno);
		if (fd >= 0)
			close(fd);
		fz_free(lx->env, d);
		return err;
	}
	*ret = d;
	*ret_changed_s = st.st_mtim.tv_sec > 0 ? (uint64_t)st.st_mtim.tv_sec : 0;
	return 0;
}

bool lx_dir_next(void *p, struct fz_dir *d, char name[FZ_NAME_LEN])
{
	struct dirent *e;

	(void)p;
	while ((e = readdir(d->dir)) != NULL) {
		size_t len = strlen(e->d_name);
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || len >= FZ_NAME_LEN)
			continue;
		memcpy(name, e->d_name, len + 1);
		return true;
	}
	return false;
}

void lx_dir_close(void *p, struct fz_dir *d)
{
	struct lx *lx = p;

	closedir(d->dir);
	fz_free(lx->env, d);
}
