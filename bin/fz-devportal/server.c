/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin.h"
#include "connect.h"
#include "http.h"
#include "session.h"

static struct portal *portal_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

/* ---- the upgrade ---- */

/* A query parameter into fresh memory, NULL when absent. */
static char *take_parameter(struct lws *wsi, const char *name)
{
	char text[1024], key[64];
	snprintf(key, sizeof(key), "%s=", name);
	const char *value = lws_get_urlarg_by_name(wsi, key, text, sizeof(text));
	return xstrdup(value);
}

static char *take_header(struct lws *wsi, enum lws_token_indexes token)
{
	int len = lws_hdr_total_length(wsi, token);
	if (len <= 0)
		return NULL;
	char *text = xcalloc((size_t)len + 1, 1);
	lws_hdr_copy(wsi, text, len + 1, token);
	return text;
}

/* The header wins over the parameter; NULL when there is neither. */
static char *take_token(struct lws *wsi)
{
	static const char header[] = "x-authorization:";
	char text[4096];
	int len = lws_hdr_custom_length(wsi, header, sizeof(header) - 1);
	if (len > 0 && len < (int)sizeof(text)) {
		lws_hdr_custom_copy(wsi, text, sizeof(text), header, sizeof(header) - 1);
		if (strncmp(text, "Bearer ", 7) == 0)
			return xstrdup(text + 7);
	}
	return take_parameter(wsi, "token");
}

static int upgrade(struct lws *wsi)
{
	struct portal *p = portal_of(wsi);
	static const char *const names[] = { "external_id", "firezone_id", "name", "public_key",
					     "ipv4",        "ipv6",        "port" };
	char *values[7], peer[64] = "";
	for (int i = 0; i < 7; i++)
		values[i] = take_parameter(wsi, names[i]);
	char *path = take_header(wsi, WSI_TOKEN_GET_URI),
	     *agent = take_header(wsi, WSI_TOKEN_HTTP_USER_AGENT), *token = take_token(wsi);
	lws_get_peer_simple(wsi, peer, sizeof(peer));
	struct connect_request q = { path != NULL ? path : "",
				     token,
				     agent,
				     values[0] != NULL ? values[0] : values[1],
				     values[2],
				     values[3],
				     values[4],
				     values[5],
				     values[6],
				     strncmp(peer, "::ffff:", 7) == 0 ? peer + 7 : peer };
	struct refusal r;
	int verdict = 0;
	struct session *s = connect_check(p, &q, &r);
	if (s != NULL) {
		s->wsi = wsi;
		lws_set_opaque_user_data(wsi, s);
	} else {
		p->counters.refused++;
		say(LEVEL_INFO, "%s %s refused: %d", q.peer_ip, q.path, r.status);
		verdict = http_answer(wsi, r.status, r.content_type, r.body, r.retry_after, r.location) ? 1
													: -1;
	}
	refusal_clear(&r);
	free(path);
	free(agent);
	free(token);
	for (int i = 0; i < 7; i++)
		free(values[i]);
	return verdict;
}

/* ---- frames ---- */

static int write_next(struct session *s)
{
	if (s->out.len > 0) {
		char *frame = s->out.at[0];
		size_t len = strlen(frame);
		unsigned char *buf = xcalloc(LWS_PRE + len, 1);
		memcpy(buf + LWS_PRE, frame, len);
		int n = lws_write(s->wsi, buf + LWS_PRE, len, LWS_WRITE_TEXT);
		free(buf);
		vec_remove(&s->out, frame);
		free(frame);
		if (n < 0)
			return -1;
	}
	if (s->out.len > 0) {
		lws_callback_on_writable(s->wsi);
		return 0;
	}
	if (s->close_code == 0)
		return 0;
	lws_close_reason(s->wsi, (enum lws_close_status)s->close_code, NULL, 0);
	return -1;
}

static int on_channel(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct session *s = lws_get_opaque_user_data(wsi);
	switch (reason) {
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return upgrade(wsi);
	case LWS_CALLBACK_ESTABLISHED:
		if (s == NULL)
			return -1;
		session_open(s);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		if (lws_frame_is_binary(wsi))
			return 0;
		return session_receive(s, in, len,
				       lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0)
			       ? 0
			       : -1;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return s == NULL ? 0 : write_next(s);
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_WSI_DESTROY:
		if (s != NULL && s->wsi == wsi) {
			lws_set_opaque_user_data(wsi, NULL);
			s->wsi = NULL;
			session_free(s);
		}
		return 0;
	default:
		return http_callback(wsi, reason, user, in, len);
	}
}

/* ---- listeners ---- */

static void adopt(struct portal *p, int fd)
{
	if (lws_adopt_socket_vhost(p->vhost, fd) == NULL)
		say(LEVEL_WARN, "a connection could not be adopted");
}

static int on_listener(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	if (reason != LWS_CALLBACK_RAW_RX_FILE)
		return 0;
	struct portal *p = portal_of(wsi);
	int fd = accept4(lws_get_socket_fd(wsi), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
	if (fd < 0)
		return 0;
	/* A reply and the push behind it are two writes; the second must not wait for an acknowledgement. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (p->paused & PAUSE_CONNECTS) {
		int *held = xcalloc(1, sizeof(*held));
		*held = fd;
		vec_push(&p->held, held);
	} else {
		adopt(p, fd);
	}
	return 0;
}

void server_release(struct portal *p)
{
	for (size_t i = 0; i < p->held.len; i++)
		adopt(p, *(int *)p->held.at[i]);
	vec_clear(&p->held, free);
}

static const struct lws_protocols protocols[] = {
	{ "", on_channel, sizeof(struct http_request), 65536, 0, NULL, 0 },
	{ "listener", on_listener, 0, 0, 0, NULL, 0 },
	{ "admin-listener", admin_on_listener, 0, 0, 0, NULL, 0 },
	{ "admin", admin_on_connection, 0, 0, 0, NULL, 0 },
	{ "signals", admin_on_signal, 0, 0, 0, NULL, 0 },
	{ NULL, NULL, 0, 0, 0, NULL, 0 },
};

/* No pings: the portal sends none. */
static const lws_retry_bo_t quiet = { .secs_since_valid_ping = 65534, .secs_since_valid_hangup = 65535 };

bool server_start(struct portal *p, const struct config *c)
{
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.user = p,
		.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS,
		.max_http_header_data = 16384,
		.max_http_header_pool = 512,
		.pt_serv_buf_size = 65536,
		.fd_limit_per_thread = 4096,
		.retry_and_idle_policy = &quiet,
	};
	if (c->tls_cert != NULL) {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = c->tls_cert;
		info.ssl_private_key_filepath = c->tls_key;
	}
	lws_set_log_level(log_level() >= LEVEL_DEBUG ? LLL_ERR | LLL_WARN | LLL_NOTICE : LLL_ERR, NULL);
	p->lws = lws_create_context(&info);
	if (p->lws == NULL)
		return false;
	p->vhost = lws_create_vhost(p->lws, &info);
	return p->vhost != NULL;
}

bool server_watch(struct portal *p, int fd, const char *protocol, void *opaque)
{
	lws_sock_file_fd_type desc = { .filefd = fd };
	struct lws *wsi = lws_adopt_descriptor_vhost(p->vhost, LWS_ADOPT_RAW_FILE_DESC, desc, protocol, NULL);
	if (wsi != NULL)
		lws_set_opaque_user_data(wsi, opaque);
	return wsi != NULL;
}

static int open_listener(const struct addrinfo *ai, char **ret_fault, const char *address)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	if (fd < 0) {
		*ret_fault = xprintf("cannot listen on %s: %s", address, strerror(errno));
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 256) == 0)
		return fd;
	*ret_fault = xprintf("cannot listen on %s: %s", address, strerror(errno));
	close(fd);
	return -1;
}

static void announce(int fd)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	char host[64], port[16];
	getsockname(fd, (struct sockaddr *)&at, &len);
	getnameinfo((struct sockaddr *)&at, len, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	printf(at.ss_family == AF_INET6 ? "fz-devportal: ready on [%s]:%s\n"
					: "fz-devportal: ready on %s:%s\n",
	       host, port);
	fflush(stdout);
}

bool server_listen(struct portal *p, const char *address, char **ret_fault)
{
	char host[64];
	const char *colon = strrchr(address, ':');
	size_t len = colon == NULL ? 0 : (size_t)(colon - address);
	bool bracketed = len > 1 && address[0] == '[' && address[len - 1] == ']';
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
				  .ai_socktype = SOCK_STREAM },
			*found = NULL;
	if (colon == NULL || len >= sizeof(host)) {
		*ret_fault = xprintf("%s: not ADDR:PORT", address);
		return false;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(bracketed ? len - 2 : len), address + bracketed);
	if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
		*ret_fault = xprintf("%s: not ADDR:PORT", address);
		return false;
	}
	int fd = open_listener(found, ret_fault, address);
	freeaddrinfo(found);
	if (fd < 0)
		return false;
	if (!server_watch(p, fd, "listener", NULL)) {
		*ret_fault = xprintf("%s: cannot watch the socket", address);
		return false;
	}
	announce(fd);
	return true;
}

static void wake(lws_sorted_usec_list_t *timer)
{
}

void server_drain(struct portal *p)
{
	for (size_t i = 0; i < p->sessions.len; i++) {
		struct session *s = p->sessions.at[i];
		if (s->established)
			session_close(s, 1012);
	}
	for (int turns = 0; turns < 20 && p->sessions.len > 0; turns++) {
		lws_sorted_usec_list_t tick = { 0 };
		lws_sul_schedule(p->lws, 0, &tick, wake, 10 * LWS_US_PER_MS);
		lws_service(p->lws, 0);
		lws_sul_cancel(&tick);
	}
}

void server_stop(struct portal *p)
{
	for (size_t i = 0; i < p->held.len; i++)
		close(*(int *)p->held.at[i]);
	vec_clear(&p->held, free);
	if (p->lws != NULL)
		lws_context_destroy(p->lws);
	p->lws = NULL;
}
