/* SPDX-License-Identifier: Apache-2.0 */
/* The system's name servers: which they are, when they change, and who is asked while the tunnel is up. They
 * are always read from files: /etc/resolv.conf, the copy of it while ours is in its place, or the list that
 * systemd-resolved keeps of all servers that it has from others. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "base/addr.h"
#include "ext/dnsres.h"
#include "platform/linux/dnsfile.h"
#include "platform/linux/lx.h"
#include "platform/linux/resolved.h"

static_assert(RESOLVED_READ == LX_READ && RESOLVED_WRITE == LX_WRITE, "same bits");

#define RESOLVED_LIST "/run/systemd/resolve/resolv.conf"

/* Changes come in bursts: wait for silence. */
#define SETTLE_US FZ_MS(100)
/* What others do to our file is repaired, but not for ever against one who does the same. */
#define REPAIRS_MAX 5
#define REPAIRS_US FZ_MS(60000)
/* What failed is tried again after this, twice this, and so on. */
#define RETRY_US FZ_MS(5000)
#define RETRY_MAX_US FZ_MS(600000)

#define WATCH_DIR (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define WATCH_FILE (IN_CLOSE_WRITE | IN_MODIFY)

enum { NAMES_MAX = 8 };

struct lx_dns {
	int fd; /* inotify; -1 = nothing is watched */
	char names[NAMES_MAX][NAME_MAX + 1]; /* the files that count, in the watched folders */
	unsigned names_len;
	uint64_t due_us; /* look again */
	struct fz_ip servers[FZ_DNS_SERVERS_MAX]; /* outside of the tunnel */
	size_t servers_len;
	bool changed; /* to be told */
	bool unreadable; /* has been said */

	bool set; /* the system was sent to these: */
	uint32_t ifindex; /* by way of this interface */
	struct fz_ip want[FZ_DNS_SERVERS_MAX];
	size_t want_len;
	char search[256]; /* empty = none */
	unsigned repairs; /* since: */
	uint64_t repairs_us;
	uint64_t retry_us, retry_after_us;
	struct resolved *resolved;
	int resolved_fd; /* in the epoll set; -1 = none */
};

static bool controls(const struct lx *lx, enum fz_dns_control method)
{
	return lx->opts.dns_control == (uint32_t)method;
}

/* ---- reading ---- */

static bool is_sentinel(const struct lx_dns *d, const struct fz_ip *ip)
{
	for (size_t i = 0; i < d->want_len; i++)
		if (fz_ip_equal(&d->want[i], ip))
			return true;
	return false;
}

/* Does this text send everybody to the stub of systemd-resolved? */
static bool is_stub(const struct resolvconf *conf)
{
	for (size_t i = 0; i < conf->servers_len; i++) {
		const struct fz_ip *ip = &conf->servers[i];
		if (ip->family != FZ_FAMILY_INET || ip->b[0] != 127 || ip->b[1] != 0 || ip->b[2] != 0 ||
		    (ip->b[3] != 53 && ip->b[3] != 54))
			return false;
	}
	return conf->servers_len > 0;
}

static int parse_file(struct lx *lx, const char *path, struct resolvconf *ret, bool *ret_ours)
{
	char *text;
	size_t len;
	int err = dnsfile_load(lx->env, path, &text, &len);

	if (err)
		return err;
	resolvconf_parse(text, len, ret);
	*ret_ours = resolvconf_is_ours(text, len);
	fz_free(lx->env, text);
	return 0;
}

/* What the system would ask without us. With us in its place, the stub of systemd-resolved would ask us. */
static int read_system(struct lx *lx, struct resolvconf *ret)
{
	bool ours = false;
	int err;

	if (controls(lx, FZ_DNS_CONTROL_RESOLVED) && parse_file(lx, RESOLVED_LIST, ret, &ours) == 0)
		return 0;
	err = parse_file(lx, DNSFILE_PATH, ret, &ours);
	if (err == 0 && ours)
		err = parse_file(lx, DNSFILE_BACKUP, ret, &ours);
	if (err == 0 && controls(lx, FZ_DNS_CONTROL_RESOLV_CONF) && is_stub(ret)) {
		struct resolvconf list;
		if (parse_file(lx, RESOLVED_LIST, &list, &ours) == 0)
			*ret = list;
	}
	return err;
}

static void complain_once(struct lx *lx, int err)
{
	lx->stats.dns_control_failed++;
	if (!lx->dns->unreadable)
		fz_warn(lx->env, "dns", "the system's name servers cannot be read: %s", fz_strerror(err));
	lx->dns->unreadable = true;
}

static void read_servers(struct lx *lx)
{
	struct lx_dns *d = lx->dns;
	struct resolvconf conf = { .servers_len = 0 };
	size_t n = 0;
	int err = read_system(lx, &conf);

	if (err == FZ_ERR_NOMEM)
		return;
	if (err && err != FZ_ERR_NOT_FOUND)
		complain_once(lx, err);
	else
		d->unreadable = false;
	for (size_t i = 0; i < conf.servers_len; i++)
		if (!is_sentinel(d, &conf.servers[i]))
			conf.servers[n++] = conf.servers[i];
	if (n == d->servers_len && (n == 0 || memcmp(d->servers, conf.servers, n * sizeof(*d->servers)) == 0))
		return;
	if (conf.bad)
		fz_info(lx->env, "dns", "%u name servers of the system are left out", conf.bad);
	lx->stats.dns_servers_bad += conf.bad;
	d->servers_len = n;
	if (n)
		memcpy(d->servers, conf.servers, n * sizeof(*d->servers));
	d->changed = true;
}

/* ---- watching ---- */

static void add_name(struct lx_dns *d, const char *name)
{
	for (unsigned i = 0; i < d->names_len; i++)
		if (strcmp(d->names[i], name) == 0)
			return;
	if (d->names_len < NAMES_MAX && strlen(name) <= NAME_MAX)
		strcpy(d->names[d->names_len++], name);
}

static void watch_entry(struct lx_dns *d, const char *path)
{
	char folder[PATH_MAX];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash == NULL || slash == folder)
		return;
	add_name(d, slash + 1);
	*slash = '\0';
	(void)inotify_add_watch(d->fd, folder, WATCH_DIR | IN_ONLYDIR);
}

/* A link to what is not there yet. */
static void watch_target(struct lx_dns *d, const char *path)
{
	char text[PATH_MAX], target[PATH_MAX];
	ssize_t n = readlink(path, text, sizeof(text) - 1);
	int folder = (int)(strrchr(path, '/') - path);

	if (n <= 0)
		return;
	text[n] = '\0';
	if (*text == '/')
		watch_entry(d, text);
	else if (snprintf(target, sizeof(target), "%.*s/%s", folder, path, text) < PATH_MAX)
		watch_entry(d, target);
}

/* The name in its folder, the name that it leads to, and the file itself, which may have other names. What is
 * not there now is found when its folder changes. */
static void watch_file(struct lx_dns *d, const char *path)
{
	char real[PATH_MAX];

	watch_entry(d, path);
	if (realpath(path, real) == NULL) {
		watch_target(d, path);
		return;
	}
	watch_entry(d, real);
	(void)inotify_add_watch(d->fd, real, WATCH_FILE);
}

/* Links may lead elsewhere after a change: all is set up anew. */
static void watch_all(struct lx *lx)
{
	struct lx_dns *d = lx->dns;

	if (d->fd >= 0)
		close(d->fd);
	d->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	d->names_len = 0;
	if (d->fd < 0 || lx_loop_add(lx, d->fd, LX_TAG_DNS_FILES) < 0) {
		fz_warn(lx->env, "dns", "cannot watch the name servers for changes: %s", strerror(errno));
		if (d->fd >= 0)
			close(d->fd);
		d->fd = -1;
		return;
	}
	watch_file(d, DNSFILE_PATH);
	watch_file(d, DNSFILE_BACKUP);
	if (!controls(lx, FZ_DNS_CONTROL_DISABLED))
		watch_file(d, RESOLVED_LIST);
}

static bool concerns_us(const struct lx_dns *d, const struct inotify_event *ev)
{
	if (ev->mask & IN_IGNORED)
		return false;
	if (ev->len == 0)
		return true;
	for (unsigned i = 0; i < d->names_len; i++)
		if (strcmp(d->names[i], ev->name) == 0)
			return true;
	return false;
}

static void read_notes(struct lx *lx)
{
	struct lx_dns *d = lx->dns;
	union {
		struct inotify_event first;
		char bytes[4096];
	} buf;
	ssize_t n;

	while ((n = read(d->fd, buf.bytes, sizeof(buf.bytes))) > 0) {
		const char *at = buf.bytes;
		while (at < buf.bytes + n) {
			const struct inotify_event *ev = (const void *)at;
			if (d->due_us == FZ_NEVER_US && concerns_us(d, ev))
				d->due_us = lx_now_us(lx) + SETTLE_US;
			at += sizeof(*ev) + ev->len;
		}
	}
}

/* ---- controlling ---- */

static void failed(struct lx *lx, int err, uint64_t now_us)
{
	struct lx_dns *d = lx->dns;

	lx->stats.dns_control_failed++;
	fz_warn(lx->env, "dns",
		"the system's name servers cannot be set: %s; names of resources may not be found",
		fz_strerror(err));
	d->retry_after_us = d->retry_after_us ? fz_min_us(d->retry_after_us * 2, RETRY_MAX_US) : RETRY_US;
	d->retry_us = now_us + d->retry_after_us;
}

static void worked(struct lx_dns *d)
{
	d->retry_us = FZ_NEVER_US;
	d->retry_after_us = 0;
}

static bool may_repair(struct lx *lx, uint64_t now_us)
{
	struct lx_dns *d = lx->dns;

	if (now_us - d->repairs_us >= REPAIRS_US) {
		d->repairs_us = now_us;
		d->repairs = 0;
	}
	if (d->repairs < REPAIRS_MAX)
		return true;
	d->retry_us = d->repairs_us + REPAIRS_US;
	return false;
}

static void set_file(struct lx *lx, uint64_t now_us)
{
	struct lx_dns *d = lx->dns;
	int err;

	if (!may_repair(lx, now_us))
		return;
	err = dnsfile_set(lx->env, d->want, d->want_len, *d->search ? d->search : NULL);
	if (err < 0) {
		failed(lx, err, now_us);
		return;
	}
	worked(d);
	d->repairs += err > 0;
	if (d->repairs == REPAIRS_MAX)
		fz_warn(lx->env, "dns", "another program keeps changing " DNSFILE_PATH);
}

static void restore_file(struct lx *lx)
{
	int err = dnsfile_restore(lx->env);

	if (err) {
		lx->stats.dns_control_failed++;
		fz_warn(lx->env, "dns", DNSFILE_PATH " cannot be put back: %s", fz_strerror(err));
	}
}

/* Keep the loop's idea of the connection up to date. */
static void follow_bus(struct lx *lx)
{
	struct lx_dns *d = lx->dns;
	unsigned want = 0;
	int fd = resolved_fd(d->resolved, &want);

	if (d->resolved_fd >= 0 && fd != d->resolved_fd)
		lx_loop_del(lx, d->resolved_fd);
	if (fd >= 0)
		lx_loop_watch(lx, fd, want, LX_TAG_RESOLVED);
	d->resolved_fd = fd;
}

static void set_resolved(struct lx *lx, uint64_t now_us)
{
	struct lx_dns *d = lx->dns;
	int err = d->resolved ? 0 : resolved_new(lx->env, &d->resolved);

	if (err == 0)
		err = resolved_set(d->resolved, lx->tun.ifindex, d->want, d->want_len,
				   *d->search ? d->search : NULL);
	if (err == FZ_ERR_UNSUPPORTED) {
		fz_warn(lx->env, "dns", "this build cannot reach systemd-resolved");
		return;
	}
	if (err)
		failed(lx, err, now_us);
	if (d->resolved)
		follow_bus(lx);
}

static void work_bus(struct lx *lx, uint64_t now_us)
{
	struct lx_dns *d = lx->dns;
	int n = resolved_work(d->resolved);

	if (n < 0)
		failed(lx, n, now_us);
	else if (n > 0)
		worked(d);
	follow_bus(lx);
}

static void control(struct lx *lx, uint64_t now_us)
{
	if (controls(lx, FZ_DNS_CONTROL_RESOLV_CONF))
		set_file(lx, now_us);
	else if (controls(lx, FZ_DNS_CONTROL_RESOLVED))
		set_resolved(lx, now_us);
}

/* ---- life ---- */

int lx_dns_open(struct lx *lx)
{
	struct lx_dns *d = fz_zalloc(lx->env, sizeof(*d));

	if (d == NULL)
		return FZ_ERR_NOMEM;
	d->fd = d->resolved_fd = -1;
	d->due_us = d->retry_us = FZ_NEVER_US;
	lx->dns = d;
	if (!lx->opts.no_watch)
		watch_all(lx);
	read_servers(lx);
	d->changed = false;
	return 0;
}

void lx_dns_close(struct lx *lx)
{
	if (lx->dns == NULL)
		return;
	resolved_free(lx->dns->resolved);
	if (lx->dns->fd >= 0)
		close(lx->dns->fd);
	fz_free(lx->env, lx->dns);
	lx->dns = NULL;
}

void lx_dns_recover(struct lx *lx)
{
	if (!controls(lx, FZ_DNS_CONTROL_RESOLV_CONF) || lx->dns->set)
		return;
	restore_file(lx);
	read_servers(lx);
}

static bool is_wanted(const struct lx *lx, const struct fz_netcfg *cfg, const char *search)
{
	const struct lx_dns *d = lx->dns;

	return d->set && d->ifindex == lx->tun.ifindex && d->want_len == cfg->dns_len &&
	       strcmp(d->search, search) == 0 &&
	       memcmp(d->want, cfg->dns, cfg->dns_len * sizeof(*cfg->dns)) == 0;
}

void lx_dns_apply(struct lx *lx, const struct fz_netcfg *cfg)
{
	struct lx_dns *d = lx->dns;
	const char *search = cfg->search_domain ? cfg->search_domain : "";
	uint64_t now_us = lx_now_us(lx);

	if (!resolvconf_is_name(search)) {
		if (*search)
			fz_warn(lx->env, "dns", "the search domain is no name");
		search = "";
	}
	if (cfg->dns_len == 0) {
		lx_dns_clear(lx);
	} else if (!is_wanted(lx, cfg, search)) {
		memcpy(d->want, cfg->dns, cfg->dns_len * sizeof(*cfg->dns));
		d->want_len = cfg->dns_len;
		strcpy(d->search, search);
		d->ifindex = lx->tun.ifindex;
		d->set = true;
		d->repairs = 0;
		control(lx, now_us);
	}
	read_servers(lx);
}

void lx_dns_clear(struct lx *lx)
{
	struct lx_dns *d = lx->dns;

	if (d == NULL || !d->set)
		return;
	d->set = false;
	d->want_len = 0;
	worked(d);
	if (controls(lx, FZ_DNS_CONTROL_RESOLV_CONF))
		restore_file(lx);
	else if (d->resolved && !lx->tun_dead)
		set_resolved(lx, lx_now_us(lx));
}

/* ---- the loop ---- */

void lx_dns_look(struct lx *lx, uint64_t now_us)
{
	if (lx->dns != NULL && lx->dns->fd >= 0)
		lx->dns->due_us = now_us;
}

void lx_dns_event(struct lx *lx, enum lx_tag tag)
{
	if (lx->dns == NULL)
		return;
	if (tag == LX_TAG_RESOLVED)
		work_bus(lx, lx_now_us(lx));
	else
		read_notes(lx);
}

static uint64_t bus_next_us(const struct lx_dns *d)
{
	struct timespec ts;
	uint64_t at = d->resolved ? resolved_next_us(d->resolved) : FZ_NEVER_US, now;

	if (at == FZ_NEVER_US)
		return at;
	clock_gettime(CLOCK_MONOTONIC, &ts); /* not ours */
	now = (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
	return lx_now_us(NULL) + (at > now ? at - now : 0);
}

uint64_t lx_dns_next(const struct lx *lx)
{
	const struct lx_dns *d = lx->dns;

	if (d == NULL)
		return FZ_NEVER_US;
	return d->changed ? 0 : fz_min_us(fz_min_us(d->due_us, d->retry_us), bus_next_us(d));
}

void lx_dns_run(struct lx *lx, uint64_t now_us)
{
	struct lx_dns *d = lx->dns;
	bool due = d != NULL && d->due_us <= now_us, retry = d != NULL && d->retry_us <= now_us;

	if (d == NULL)
		return;
	if (d->resolved && bus_next_us(d) <= now_us)
		work_bus(lx, now_us);
	if (retry)
		d->retry_us = FZ_NEVER_US;
	if (d->set && (retry || (due && controls(lx, FZ_DNS_CONTROL_RESOLV_CONF))))
		control(lx, now_us);
	if (due) {
		d->due_us = FZ_NEVER_US;
		watch_all(lx);
		read_servers(lx);
	}
}

bool lx_dns_take_change(struct lx *lx)
{
	bool changed = lx->dns != NULL && lx->dns->changed;

	if (changed)
		lx->dns->changed = false;
	return changed;
}

bool lx_dns_pending(const struct lx *lx)
{
	return lx->dns != NULL && lx->dns->changed;
}

size_t lx_dns_servers(void *p, struct fz_ip *ret, size_t cap)
{
	struct lx *lx = p;
	struct lx_dns *d = lx->dns;
	size_t n;

	if (d->fd < 0) { /* nobody tells of changes */
		read_servers(lx);
		d->changed = false;
	}
	n = d->servers_len < cap ? d->servers_len : cap;
	if (n)
		memcpy(ret, d->servers, n * sizeof(*ret));
	return n;
}

void lx_dns_guide(struct lx *lx, struct dnsres *names)
{
	struct fz_ip ips[DNSRES_SERVERS_MAX];
	struct fz_addr servers[DNSRES_SERVERS_MAX] = { 0 };
	size_t n = 0;

	if (lx->dns->set && !controls(lx, FZ_DNS_CONTROL_DISABLED))
		n = lx_dns_servers(lx, ips, DNSRES_SERVERS_MAX);
	for (size_t i = 0; i < n; i++)
		servers[i].ip = ips[i];
	(void)dnsres_set_servers(names, servers, n);
}

void lx_dns_flush(void *p)
{
	struct lx *lx = p;

	if (!lx->dns->set || lx->dns->resolved == NULL)
		return;
	if (resolved_flush(lx->dns->resolved) < 0)
		lx->stats.dns_control_failed++;
	follow_bus(lx);
}
