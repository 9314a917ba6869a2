/* SPDX-License-Identifier: Apache-2.0 */
#include "ext/curl_loop.h"

#include <stdio.h>

#include <curl/curl.h>

#include "base/time.h"
#include "fzconn/error.h"

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *data)
{
	struct curl_loop *l = ctx;
	unsigned want = what == CURL_POLL_IN      ? CURL_LOOP_READ
			: what == CURL_POLL_OUT   ? CURL_LOOP_WRITE
			: what == CURL_POLL_INOUT ? CURL_LOOP_READ | CURL_LOOP_WRITE
						  : 0;

	(void)easy, (void)data;
	l->watch(l->ctx, fd, want);
	return 0;
}

static int on_timer(CURLM *multi, long ms, void *ctx)
{
	struct curl_loop *l = ctx;

	(void)multi;
	l->due_us = ms < 0 ? FZ_NEVER_US : l->now_us + FZ_MS(ms);
	return 0;
}

int curl_loop_open(struct curl_loop *l, void (*watch)(void *ctx, int fd, unsigned want), void *ctx)
{
	*l = (struct curl_loop){ .watch = watch, .ctx = ctx, .due_us = FZ_NEVER_US };
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return FZ_ERR_UNSUPPORTED;
	l->multi = curl_multi_init();
	if (l->multi == NULL) {
		curl_global_cleanup();
		return FZ_ERR_NOMEM;
	}
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
	return 0;
}

void curl_loop_close(struct curl_loop *l)
{
	if (l->multi == NULL)
		return;
	curl_multi_cleanup(l->multi);
	l->multi = NULL;
	curl_global_cleanup();
}

void curl_loop_ready(struct curl_loop *l, int fd, unsigned ready, uint64_t now_us)
{
	int running, mask = (ready & CURL_LOOP_READ ? CURL_CSELECT_IN : 0) |
			    (ready & CURL_LOOP_WRITE ? CURL_CSELECT_OUT : 0);

	l->now_us = now_us;
	curl_multi_socket_action(l->multi, fd, mask, &running);
}

void curl_loop_timeout(struct curl_loop *l, uint64_t now_us)
{
	int running;

	l->now_us = now_us;
	if (l->due_us > now_us)
		return;
	l->due_us = FZ_NEVER_US;
	curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

void *curl_loop_done(struct curl_loop *l, int *ret_code)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(l->multi, &left)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		*ret_code = (int)msg->data.result;
		return msg->easy_handle;
	}
	return NULL;
}

void curl_loop_resolve(char line[CURL_LOOP_LINE], const char *host, uint16_t port, const struct fz_ip *addrs,
		       size_t len)
{
	size_t n = len < CURL_LOOP_ADDRS_MAX ? len : CURL_LOOP_ADDRS_MAX;
	int at = snprintf(line, CURL_LOOP_LINE, "+%s:%u:", host, port);

	for (size_t i = 0; i < n; i++) {
		char ip[FZ_IP_STRLEN];
		at += snprintf(line + at, CURL_LOOP_LINE - (size_t)at, "%s%s", i ? "," : "",
			       fz_ip_format(&addrs[i], ip));
	}
}
