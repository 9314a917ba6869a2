/* SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stddef.h>

#ifdef HAVE_MICROHTTPD
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <fzconn/addr.h>
#include <microhttpd.h>

#include "logger.h"

struct web {
	struct loop_source source; /* first: the server's own epoll set */
	struct loop *loop;
	struct MHD_Daemon *daemon;
	const struct web_ops *ops;
	void *ctx;
	bool with_metrics;
};

static enum MHD_Result answer(struct MHD_Connection *conn, unsigned status, char *body, const char *type,
			      const char *allow)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(body ? strlen(body) : 0, body ? body : (char[1]){ "" },
						body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result = MHD_NO;

	if (r == NULL) {
		free(body);
		return MHD_NO;
	}
	if ((type == NULL || MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES) &&
	    (allow == NULL || MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, allow) == MHD_YES))
		result = MHD_queue_response(conn, status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result serve(struct web *w, struct MHD_Connection *conn, const char *path)
{
	static const char text[] = "text/plain; charset=utf-8";
	char *body;

	if (strcmp(path, "/healthz") == 0)
		return answer(conn, MHD_HTTP_OK, NULL, NULL, NULL);
	if (strcmp(path, "/readyz") == 0)
		return answer(conn, w->ops->is_ready(w->ctx) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
			      NULL, text, NULL);
	body = w->ops->metrics(w->ctx);
	return body ? answer(conn, MHD_HTTP_OK, body, "text/plain; version=0.0.4; charset=utf-8", NULL)
		    : answer(conn, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, NULL, NULL);
}

static bool exists(const struct web *w, const char *path)
{
	return strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0 ||
	       (w->with_metrics && strcmp(path, "/metrics") == 0);
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *conn, const char *path, const char *method,
			      const char *version, const char *upload, size_t *upload_len, void **state)
{
	struct web *w = ctx;

	(void)version;
	(void)upload;
	if (*upload_len > 0) { /* a body: read past it */
		*upload_len = 0;
		return MHD_YES;
	}
	if (*state == NULL) { /* headers only so far */
		*state = w;
		return MHD_YES;
	}
	if (!exists(w, path))
		return answer(conn, MHD_HTTP_NOT_FOUND, NULL, NULL, NULL);
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return answer(conn, MHD_HTTP_METHOD_NOT_ALLOWED, NULL, NULL, "GET,HEAD");
	return serve(w, conn, path);
}

/* A full server stops to listen, and takes that up at the beginning of a run: the second one, since the first
 * frees the places of those that have left. Nothing else would wake it. */
static void run(struct web *w)
{
	MHD_run(w->daemon);
	MHD_run(w->daemon);
}

static void web_ready(struct loop_source *s)
{
	run((struct web *)s);
}

static void to_sockaddr(const struct fz_addr *a, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (a->ip.family == FZ_FAMILY_INET) {
		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->ip.b, 4);
		return;
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(a->port);
	memcpy(&in6->sin6_addr, a->ip.b, 16);
}

static struct MHD_Daemon *start(struct web *w, const struct fz_addr *address)
{
	struct sockaddr_storage sa;
	unsigned flags = MHD_USE_EPOLL;

	to_sockaddr(address, &sa);
	if (address->ip.family == FZ_FAMILY_INET6)
		flags |= MHD_USE_DUAL_STACK;
	return MHD_start_daemon(flags, address->port, NULL, NULL, handle, w, MHD_OPTION_SOCK_ADDR,
				(struct sockaddr *)&sa, MHD_OPTION_CONNECTION_LIMIT, (unsigned)WEB_CONNS_MAX,
				MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)WEB_SILENCE_S,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384, MHD_OPTION_END);
}

struct web *web_open(struct loop *loop, const char *address, bool with_metrics, const struct web_ops *ops,
		     void *ctx)
{
	const union MHD_DaemonInfo *info;
	struct web *w = calloc(1, sizeof(*w));
	struct fz_addr where;

	errno = EINVAL;
	if (w && fz_addr_parse(address, &where) == 0) {
		w->loop = loop;
		w->ops = ops;
		w->ctx = ctx;
		w->with_metrics = with_metrics;
		w->daemon = start(w, &where);
	}
	info = w && w->daemon ? MHD_get_daemon_info(w->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (info) {
		w->source = (struct loop_source){ info->epoll_fd, web_ready };
		if (loop_add(loop, &w->source))
			return w;
	}
	say(FZ_LOG_WARN, "nothing is served at %s: %s; it goes on without", address, strerror(errno));
	if (w && w->daemon)
		MHD_stop_daemon(w->daemon);
	free(w);
	return NULL;
}

void web_close(struct web *w)
{
	if (w == NULL)
		return;
	loop_remove(w->loop, &w->source);
	MHD_stop_daemon(w->daemon);
	free(w);
}

uint64_t web_next_us(const struct web *w)
{
	MHD_UNSIGNED_LONG_LONG ms;

	return w && MHD_get_timeout(w->daemon, &ms) == MHD_YES ? loop_now_us() + ms * 1000 : UINT64_MAX;
}

void web_handle_timeout(struct web *w, uint64_t now_us)
{
	MHD_UNSIGNED_LONG_LONG ms;

	(void)now_us; /* the server has a clock of its own */
	if (w && MHD_get_timeout(w->daemon, &ms) == MHD_YES && ms == 0)
		run(w);
}

#else

struct web *web_open(struct loop *loop, const char *address, bool with_metrics, const struct web_ops *ops,
		     void *ctx)
{
	(void)loop;
	(void)address;
	(void)with_metrics;
	(void)ops;
	(void)ctx;
	return NULL;
}

void web_close(struct web *w)
{
	(void)w;
}

uint64_t web_next_us(const struct web *w)
{
	(void)w;
	return UINT64_MAX;
}

void web_handle_timeout(struct web *w, uint64_t now_us)
{
	(void)w;
	(void)now_us;
}

#endif
