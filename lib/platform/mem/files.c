/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a host: a list of paths. */
#include <string.h>

#include "platform/mem/mem.h"

struct mem_file {
	struct mem_file *next;
	char *path;
	uint8_t *data;
	size_t len;
	bool is_dir;
	uint64_t changed_us;
};

struct fz_dir {
	char *path;
	size_t at; /* entries given so far: a list that changes in between may repeat or leave out */
};

static struct mem_file *find(const struct mem_host *h, const char *path, size_t len)
{
	for (struct mem_file *f = h->files; f; f = f->next)
		if (strlen(f->path) == len && memcmp(f->path, path, len) == 0)
			return f;
	return NULL;
}

/* Length of the path of the directory that this is in. */
static size_t parent_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

static void touch_parent(struct mem_host *h, const char *path)
{
	struct mem_file *dir = find(h, path, parent_len(path));

	if (dir)
		dir->changed_us = h->net->now_us;
}

static struct mem_file *add(struct mem_host *h, const char *path, size_t len)
{
	struct mem_file *f = fz_zalloc(h->net->env, sizeof(*f)), **at = &h->files;
	char *copy = f ? fz_zalloc(h->net->env, len + 1) : NULL;

	if (copy == NULL) {
		fz_free(h->net->env, f);
		return NULL;
	}
	memcpy(copy, path, len);
	f->path = copy;
	f->changed_us = h->net->now_us;
	while (*at)
		at = &(*at)->next;
	*at = f;
	touch_parent(h, f->path);
	return f;
}

static void drop(struct mem_host *h, struct mem_file *f)
{
	struct mem_file **at = &h->files;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	touch_parent(h, f->path);
	h->disk_used -= f->len;
	fz_free(h->net->env, f->data);
	fz_free(h->net->env, f->path);
	fz_free(h->net->env, f);
}

int mem_file_write(void *p, const char *path, const void *data, size_t len)
{
	struct mem_host *h = p;
	struct mem_file *f = find(h, path, strlen(path)), *dir = find(h, path, parent_len(path));
	size_t was = f ? f->len : 0;
	uint8_t *copy;

	if (dir == NULL || !dir->is_dir)
		return FZ_ERR_NOT_FOUND;
	if (f && f->is_dir)
		return FZ_ERR_IO;
	if (h->disk_used - was + len > h->disk)
		return FZ_ERR_FULL;
	copy = fz_memdup(h->net->env, data, len ? len : 1);
	if (copy && f == NULL)
		f = add(h, path, strlen(path));
	if (copy == NULL || f == NULL) {
		fz_free(h->net->env, copy);
		return FZ_ERR_NOMEM;
	}
	fz_free(h->net->env, f->data);
	f->data = copy;
	f->len = len;
	h->disk_used += len - was;
	return 0;
}

int mem_file_read(void *p, const char *path, void *buf, size_t cap)
{
	struct mem_host *h = p;
	const struct mem_file *f = find(h, path, strlen(path));

	if (f == NULL)
		return FZ_ERR_NOT_FOUND;
	if (f->is_dir)
		return FZ_ERR_IO;
	if (f->len > cap)
		return FZ_ERR_NOSPACE;
	memcpy(buf, f->data, f->len);
	return (int)f->len;
}

int mem_file_remove(void *p, const char *path)
{
	struct mem_host *h = p;
	struct mem_file *f = find(h, path, strlen(path));

	if (f == NULL)
		return FZ_ERR_NOT_FOUND;
	for (const struct mem_file *in = h->files; in; in = in->next)
		if (strncmp(in->path, path, strlen(path)) == 0 && in->path[strlen(path)] == '/')
			return FZ_ERR_STATE;
	drop(h, f);
	return 0;
}

int mem_dir_make(void *p, const char *path)
{
	struct mem_host *h = p;
	size_t len = strlen(path);

	for (size_t i = 1; i <= len; i++) {
		struct mem_file *f;
		if (path[i] != '/' && path[i] != '\0')
			continue;
		f = find(h, path, i);
		if (f && !f->is_dir)
			return FZ_ERR_NOT_FOUND;
		if (f == NULL && (f = add(h, path, i)) == NULL)
			return FZ_ERR_NOMEM;
		f->is_dir = true;
	}
	return 0;
}

int mem_dir_open(void *p, const char *path, struct fz_dir **ret, uint64_t *ret_changed_s)
{
	struct mem_host *h = p;
	const struct mem_file *f = find(h, path, strlen(path));
	struct fz_dir *d;

	if (f == NULL || !f->is_dir)
		return FZ_ERR_NOT_FOUND;
	d = fz_zalloc(h->net->env, sizeof(*d));
	if (d)
		d->path = fz_strdup(h->net->env, path);
	if (d == NULL || d->path == NULL) {
		fz_free(h->net->env, d);
		return FZ_ERR_NOMEM;
	}
	*ret = d;
	*ret_changed_s = (mem_ops.unix_ns(h) - (h->net->now_us - f->changed_us) * 1000) / 1000000000u;
	return 0;
}

bool mem_dir_next(void *p, struct fz_dir *d, char name[FZ_NAME_LEN])
{
	struct mem_host *h = p;
	size_t len = strlen(d->path), n = 0;

	for (const struct mem_file *f = h->files; f; f = f->next) {
		if (parent_len(f->path) != len || strncmp(f->path, d->path, len) != 0 || n++ < d->at ||
		    strlen(f->path + len + 1) >= FZ_NAME_LEN)
			continue;
		d->at++;
		strcpy(name, f->path + len + 1);
		return true;
	}
	return false;
}

void mem_dir_close(void *p, struct fz_dir *d)
{
	struct mem_host *h = p;

	fz_free(h->net->env, d->path);
	fz_free(h->net->env, d);
}

void mem_files_free(struct mem_host *h)
{
	while (h->files)
		drop(h, h->files);
}

void fz_memnet_set_disk(struct fz_platform *host, size_t bytes)
{
	((struct mem_host *)host->ctx)->disk = bytes;
}
