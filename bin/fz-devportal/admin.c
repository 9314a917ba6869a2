/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server.h"

#define MAX_REQUEST 4000000

struct peer {
	char *in, *out;
	size_t in_len, out_len, sent;
};

static bool stop_asked; /* the program's, like its signals */

bool admin_stop_asked(void)
{
	return stop_asked;
}

void admin_ask_stop(void)
{
	stop_asked = true;
}

static bool somebody_answers(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool alive = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0;
	if (fd >= 0)
		close(fd);
	return alive;
}

int admin_open(const char *path, char **ret_fault)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(at.sun_path)) {
		*ret_fault = xprintf("%s: too long for a socket", path);
		return -1;
	}
	strcpy(at.sun_path, path);
	if (somebody_answers(&at)) {
		*ret_fault = xprintf("%s: another fz-devportal is running", path);
		return -1;
	}
	unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* State shows secrets: for the owner only. */
	mode_t old = umask(0177);
	bool fine = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 16) == 0;
	umask(old);
	if (fine)
		return fd;
	*ret_fault = xprintf("%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

int admin_on_listener(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct portal *p = lws_context_user(lws_get_context(wsi));
	if (reason != LWS_CALLBACK_RAW_RX_FILE)
		return 0;
	int fd = accept4(lws_get_socket_fd(wsi), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct peer *peer = xcalloc(1, sizeof(*peer));
	if (fd < 0 || !server_watch(p, fd, "admin", peer))
		free(peer);
	return 0;
}

static void answer(struct portal *p, struct peer *peer, const char *line, size_t len)
{
	json_error_t error;
	json_t *request = json_loadb(line, len, 0, &error);
	json_t *reply = request == NULL ? json_pack("{s:b, s:s}", "ok", 0, "error", error.text)
					: command_run(p, request);
	char *text = json_dumps(reply, JSON_COMPACT);
	size_t text_len = strlen(text);
	char *grown = realloc(peer->out, peer->out_len + text_len + 1);
	if (grown != NULL) {
		memcpy(grown + peer->out_len, text, text_len);
		grown[peer->out_len + text_len] = '\n';
		peer->out = grown;
		peer->out_len += text_len + 1;
	}
	free(text);
	json_decref(reply);
	json_decref(request);
}

static int receive(struct lws *wsi, struct peer *peer)
{
	char buf[65536];
	ssize_t n = read(lws_get_socket_fd(wsi), buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0 || peer->in_len + (size_t)n > MAX_REQUEST)
		return -1;
	char *grown = realloc(peer->in, peer->in_len + (size_t)n), *end;
	if (grown == NULL)
		return -1;
	memcpy(grown + peer->in_len, buf, (size_t)n);
	peer->in = grown;
	peer->in_len += (size_t)n;
	while ((end = memchr(peer->in, '\n', peer->in_len)) != NULL) {
		size_t len = (size_t)(end - peer->in);
		answer(lws_context_user(lws_get_context(wsi)), peer, peer->in, len);
		peer->in_len -= len + 1;
		memmove(peer->in, end + 1, peer->in_len);
	}
	if (peer->out_len > peer->sent)
		lws_callback_on_writable(wsi);
	return 0;
}

static int transmit(struct lws *wsi, struct peer *peer)
{
	if (peer->sent == peer->out_len)
		return 0;
	ssize_t n = send(lws_get_socket_fd(wsi), peer->out + peer->sent, peer->out_len - peer->sent,
			 MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -1;
	peer->sent += n > 0 ? (size_t)n : 0;
	if (peer->sent < peer->out_len)
		lws_callback_on_writable(wsi);
	return 0;
}

int admin_on_connection(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct peer *peer = lws_get_opaque_user_data(wsi);
	if (peer == NULL)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_RAW_RX_FILE:
		return receive(wsi, peer);
	case LWS_CALLBACK_RAW_WRITEABLE_FILE:
		return transmit(wsi, peer);
	case LWS_CALLBACK_RAW_CLOSE_FILE:
		lws_set_opaque_user_data(wsi, NULL);
		free(peer->in);
		free(peer->out);
		free(peer);
		return 0;
	default:
		return 0;
	}
}

int admin_on_signal(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct signalfd_siginfo info;
	if (reason == LWS_CALLBACK_RAW_RX_FILE &&
	    read(lws_get_socket_fd(wsi), &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		say(LEVEL_INFO, "signal %u, ending", info.ssi_signo);
		stop_asked = true;
		lws_cancel_service(lws_get_context(wsi));
	}
	return 0;
}
