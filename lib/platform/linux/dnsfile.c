/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/linux/dnsfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "fzconn/error.h"

#define NEW_SUFFIX ".fzconn-new"

static int error_of(int number)
{
	switch (number) {
	case ENOENT:
	case ENOTDIR:
		return FZ_ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return FZ_ERR_PERM;
	case ENOMEM:
		return FZ_ERR_NOMEM;
	default:
		return FZ_ERR_IO;
	}
}

/* Not from a FIFO or a device, which would keep us waiting. */
static int open_plain(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	return fd;
}

int dnsfile_load(const struct fz_env *env, const char *path, char **ret, size_t *ret_len)
{
	char *text = fz_calloc(env, RESOLVCONF_MAX, 1);
	int fd = open_plain(path), err = 0;
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		err = error_of(errno);
	else if (text == NULL)
		err = FZ_ERR_NOMEM;
	while (err == 0 && (n = read(fd, text + len, RESOLVCONF_MAX - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		err = FZ_ERR_IO;
	if (fd >= 0)
		close(fd);
	if (err) {
		fz_free(env, text);
		return err;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);
		if (n < 0)
			return error_of(errno);
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP ? error_of(errno) : 0;
}

/* The name of the file that is written before it takes the place of `path`. */
static const char *new_name(const char *path, char buf[PATH_MAX])
{
	snprintf(buf, PATH_MAX, "%s" NEW_SUFFIX, path);
	(void)unlink(buf); /* left by a crash */
	return buf;
}

/* Where a file is mounted on the name, as containers have it, the name cannot get another file. Never where
 * the backup is the same file. */
static int overwrite(const char *path, const char *text, size_t len)
{
	struct stat file, backup;
	int fd = open(path, O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return error_of(errno);
	if (fstat(fd, &file) < 0 || (stat(DNSFILE_BACKUP, &backup) == 0 && backup.st_ino == file.st_ino &&
				     backup.st_dev == file.st_dev))
		err = FZ_ERR_IO;
	else
		err = ftruncate(fd, 0) < 0 ? error_of(errno) : write_all(fd, text, len);
	close(fd);
	return err;
}

static int replace(const char *path, const char *text, size_t len, mode_t mode)
{
	char name[PATH_MAX];
	int fd = open(new_name(path, name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), err;

	if (fd < 0)
		return error_of(errno);
	err = write_all(fd, text, len);
	if (err == 0 && fchmod(fd, mode) < 0)
		err = error_of(errno);
	close(fd);
	if (err == 0 && rename(name, path) < 0)
		err = errno == EBUSY ? overwrite(path, text, len) : error_of(errno);
	(void)unlink(name); /* still there where that failed */
	return err;
}

static int copy_link(const char *to)
{
	char target[PATH_MAX];
	ssize_t n = readlink(DNSFILE_PATH, target, sizeof(target) - 1);

	if (n < 0)
		return error_of(errno);
	target[n] = '\0';
	return symlink(target, to) < 0 ? error_of(errno) : 0;
}

/* Keep what is there now under the other name: a link as a link, a file as the very same file. Only one that
 * is mounted there is copied. Nothing there: there will be nothing again. */
static int keep(const char *text, size_t len)
{
	char name[PATH_MAX];
	struct stat st;
	int err = 0;

	if (lstat(DNSFILE_PATH, &st) < 0)
		return unlink(DNSFILE_BACKUP) < 0 && errno != ENOENT ? error_of(errno) : 0;
	new_name(DNSFILE_BACKUP, name);
	if (S_ISLNK(st.st_mode)) {
		err = copy_link(name);
	} else if (link(DNSFILE_PATH, name) < 0) {
		if (errno != EXDEV || text == NULL || len != (size_t)st.st_size)
			return errno == EXDEV ? FZ_ERR_IO : error_of(errno);
		return replace(DNSFILE_BACKUP, text, len, st.st_mode & 07777);
	}
	if (err == 0 && rename(name, DNSFILE_BACKUP) < 0)
		err = error_of(errno);
	(void)unlink(name); /* still there where both names mean the same file */
	return err;
}

/* What is there, and the text of the old file. Free both. A text that cannot be read counts as empty: of a
 * link into nowhere, of a loop of links. */
struct files {
	char *now, *old;
	size_t now_len, old_len;
	bool ours;
};

static int look(const struct fz_env *env, struct files *ret)
{
	int err;

	memset(ret, 0, sizeof(*ret));
	err = dnsfile_load(env, DNSFILE_PATH, &ret->now, &ret->now_len);
	if (err == FZ_ERR_NOMEM)
		return err;
	ret->ours = err == 0 && resolvconf_is_ours(ret->now, ret->now_len);
	if (ret->ours && dnsfile_load(env, DNSFILE_BACKUP, &ret->old, &ret->old_len) == FZ_ERR_NOMEM)
		return FZ_ERR_NOMEM;
	return 0;
}

static void forget(const struct fz_env *env, struct files *f)
{
	fz_free(env, f->now);
	fz_free(env, f->old);
}

int dnsfile_set(const struct fz_env *env, const struct fz_ip *dns, size_t dns_len, const char *search)
{
	struct files f;
	size_t cap = RESOLVCONF_MAX * 2;
	char *text = fz_calloc(env, cap, 1);
	int err = text ? look(env, &f) : FZ_ERR_NOMEM, len = 0;

	if (err) {
		fz_free(env, text);
		return err;
	}
	len = resolvconf_print(f.ours ? f.old : f.now, f.ours ? f.old_len : f.now_len, dns, dns_len, search,
			       DNSFILE_BACKUP, text, cap);
	if (len < 0) {
		err = len;
	} else if (!f.ours || f.now_len != (size_t)len || memcmp(f.now, text, (size_t)len) != 0) {
		if (!f.ours)
			err = keep(f.now, f.now_len);
		if (err == 0)
			err = replace(DNSFILE_PATH, text, (size_t)len, 0644);
		if (err == 0)
			err = 1;
	}
	forget(env, &f);
	fz_free(env, text);
	return err;
}

static int put_back(const struct files *f)
{
	struct stat st;

	if (lstat(DNSFILE_BACKUP, &st) < 0) /* there was none */
		return unlink(DNSFILE_PATH) == 0 ? 0 : overwrite(DNSFILE_PATH, "", 0);
	if (rename(DNSFILE_BACKUP, DNSFILE_PATH) == 0)
		return 0;
	if (errno != EBUSY && errno != EXDEV)
		return error_of(errno);
	int err = overwrite(DNSFILE_PATH, f->old, f->old_len);
	if (err == 0)
		(void)unlink(DNSFILE_BACKUP);
	return err;
}

int dnsfile_restore(const struct fz_env *env)
{
	struct files f;
	int err = look(env, &f);

	if (err == 0 && f.ours)
		err = put_back(&f);
	else if (err == 0 && f.now)
		(void)unlink(DNSFILE_BACKUP); /* of a file that others have replaced since */
	forget(env, &f);
	return err;
}
