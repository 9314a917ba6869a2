/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "logger.h"

struct control_conn {
	struct loop_source source;
	struct control *control;
	uint64_t moved_us; /* when something moved last */
	char in[CONTROL_LINE_MAX];
	size_t in_len;
	char *out; /* NULL = nothing to send */
	size_t out_at, out_len;
};

struct control {
	struct loop_source source; /* first */
	struct loop *loop;
	control_answer answer;
	void *ctx;
	struct sockaddr_un addr;
	struct control_conn *conns[CONTROL_CONNS_MAX];
	size_t conns_len;
};

/* ---- one connection ---- */

static void drop(struct control_conn *conn)
{
	struct control *c = conn->control;

	for (size_t i = 0; i < c->conns_len; i++)
		if (c->conns[i] == conn)
			c->conns[i] = c->conns[--c->conns_len];
	loop_remove(c->loop, &conn->source);
	close(conn->source.fd);
	free(conn->out);
	free(conn);
}

/* False: it is gone. */
static bool send_some(struct control_conn *conn)
{
	while (conn->out) {
		ssize_t n = send(conn->source.fd, conn->out + conn->out_at, conn->out_len - conn->out_at,
				 MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			drop(conn);
			return false;
		}
		conn->moved_us = loop_now_us();
		conn->out_at += (size_t)n;
		if (conn->out_at == conn->out_len) {
			free(conn->out);
			conn->out = NULL;
		}
	}
	loop_want_out(conn->control->loop, &conn->source, conn->out != NULL);
	return true;
}

/* The first line of the input, if there is a whole one, moved to `line`. */
static bool take_line(struct control_conn *conn, char line[CONTROL_LINE_MAX])
{
	char *end = memchr(conn->in, '\n', conn->in_len);
	size_t len = end ? (size_t)(end - conn->in) : 0;

	if (end == NULL)
		return false;
	memcpy(line, conn->in, len);
	line[len > 0 && line[len - 1] == '\r' ? len - 1 : len] = '\0';
	conn->in_len -= len + 1;
	memmove(conn->in, end + 1, conn->in_len);
	return true;
}

/* Requests one after the other: the next one is looked at when the answer to the last one has left. */
static void serve(struct control_conn *conn)
{
	struct control *c = conn->control;
	char line[CONTROL_LINE_MAX];

	while (conn->out == NULL && take_line(conn, line)) {
		char *text = c->answer(c->ctx, line);
		if (text == NULL) {
			drop(conn);
			return;
		}
		conn->out_len = strlen(text);
		conn->out_at = 0;
		conn->out = text;
		conn->out[conn->out_len++] = '\n'; /* in the place of its NUL */
		if (!send_some(conn))
			return;
	}
	if (conn->in_len == sizeof(conn->in))
		drop(conn); /* no request is that long */
}

static void conn_ready(struct loop_source *s)
{
	struct control_conn *conn = (struct control_conn *)s;
	ssize_t n;

	if (conn->out) {
		if (!send_some(conn))
			return;
		if (conn->out == NULL)
			serve(conn);
		return;
	}
	n = recv(s->fd, conn->in + conn->in_len, sizeof(conn->in) - conn->in_len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(conn);
		return;
	}
	conn->moved_us = loop_now_us();
	conn->in_len += (size_t)n;
	serve(conn);
}

/* ---- all of them ---- */

static struct control_conn *longest_silent(const struct control *c)
{
	struct control_conn *found = NULL;

	for (size_t i = 0; i < c->conns_len; i++)
		if (found == NULL || c->conns[i]->moved_us < found->moved_us)
			found = c->conns[i];
	return found;
}

static void accept_ready(struct loop_source *s)
{
	struct control *c = (struct control *)s;
	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct control_conn *conn = fd >= 0 ? calloc(1, sizeof(*conn)) : NULL;

	if (conn == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (c->conns_len == CONTROL_CONNS_MAX)
		drop(longest_silent(c));
	conn->source = (struct loop_source){ fd, conn_ready };
	conn->control = c;
	conn->moved_us = loop_now_us();
	if (!loop_add(c->loop, &conn->source)) {
		close(fd);
		free(conn);
		return;
	}
	c->conns[c->conns_len++] = conn;
}

uint64_t control_next_us(const struct control *c)
{
	const struct control_conn *conn = c ? longest_silent(c) : NULL;

	return conn ? conn->moved_us + CONTROL_SILENCE_US : UINT64_MAX;
}

void control_handle_timeout(struct control *c, uint64_t now_us)
{
	while (control_next_us(c) <= now_us)
		drop(longest_silent(c));
}

static bool set_path(struct sockaddr_un *addr, const char *path)
{
	addr->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(addr->sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	strcpy(addr->sun_path, path);
	return true;
}

static void make_folder(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = '\0';
		(void)mkdir(dir, 0755); /* what fails shows in bind() */
	}
}

/* A socket that a dead process left behind is in the way; one that answers is another process's. */
static bool clear_way(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;
	bool alive = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0;

	alive = alive || (fd >= 0 && errno == EAGAIN);
	if (fd >= 0)
		close(fd);
	if (alive) {
		errno = EADDRINUSE;
		return false;
	}
	if (lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(addr->sun_path);
	return true;
}

static int listen_on(const struct sockaddr_un *addr)
{
	int fd, err;
	mode_t mask;

	make_folder(addr->sun_path);
	if (!clear_way(addr))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	mask = umask(0177);
	err = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));
	umask(mask);
	if (err == 0 && listen(fd, CONTROL_CONNS_MAX) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

struct control *control_open(struct loop *loop, const char *path, control_answer answer, void *ctx)
{
	struct control *c = calloc(1, sizeof(*c));
	int fd = c && set_path(&c->addr, path) ? listen_on(&c->addr) : -1;

	if (fd >= 0) {
		c->source = (struct loop_source){ fd, accept_ready };
		c->loop = loop;
		c->answer = answer;
		c->ctx = ctx;
		if (loop_add(loop, &c->source))
			return c;
		close(fd);
	}
	say(FZ_LOG_INFO, "no status socket at %s: %s; the command \"status\" will not work", path,
	    strerror(errno));
	free(c);
	return NULL;
}

void control_close(struct control *c)
{
	if (c == NULL)
		return;
	while (c->conns_len > 0)
		drop(c->conns[0]);
	loop_remove(c->loop, &c->source);
	close(c->source.fd);
	(void)unlink(c->addr.sun_path);
	free(c);
}

/* ---- the other end ---- */

/* Answers of a gateway with thousands of peers are some megabytes. */
#define ANSWER_MAX (64u << 20)

int control_probe(const char *path)
{
	struct sockaddr_un addr = { 0 };
	int fd = set_path(&addr, path) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1, err;
	struct timeval patience = { .tv_sec = 10 };

	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		return fd;
	}
	err = errno;
	if (fd >= 0)
		close(fd);
	errno = err;
	return -1;
}

int control_connect(const char *path)
{
	int fd = control_probe(path);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ECONNREFUSED)
		complain("it does not run, or has another status socket than %s; start it, or give its "
			 "--status-socket",
			 path);
	else
		complain("the status socket %s cannot be used: %s%s", path, strerror(errno),
			 errno == EACCES ? "; ask as root" : "");
	return -1;
}

char *control_ask(int fd, const char *request)
{
	char line[CONTROL_LINE_MAX + 2], *text = NULL;
	size_t len = 0, cap = 0;
	int n = snprintf(line, sizeof(line), "%s\n", request);
	ssize_t got = send(fd, line, (size_t)n, MSG_NOSIGNAL) == n ? 1 : 0;

	while (got > 0 && (len == 0 || text[len - 1] != '\n') && len < ANSWER_MAX) {
		if (len + 1 >= cap) {
			char *more = realloc(text, cap = cap ? 2 * cap : 65536);
			if (more == NULL)
				break;
			text = more;
		}
		got = recv(fd, text + len, cap - len - 1, 0);
		len += got > 0 ? (size_t)got : 0;
	}
	if (len > 0 && text[len - 1] == '\n') {
		text[len - 1] = '\0';
		return text;
	}
	complain("the running program does not answer; see its log");
	free(text);
	return NULL;
}
