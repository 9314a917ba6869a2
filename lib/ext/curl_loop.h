/* SPDX-License-Identifier: Apache-2.0 */
/* A multi handle of libcurl inside an event loop; shared by ext/stream.c and ext/https.c and by nobody else.
 */
#ifndef EXT_CURL_LOOP_H
#define EXT_CURL_LOOP_H

#include "fzconn/addr.h"

#define CURL_LOOP_READ 1u
#define CURL_LOOP_WRITE 2u

/* Room for a line of curl_loop_resolve(). */
enum { CURL_LOOP_ADDRS_MAX = 16, CURL_LOOP_LINE = 256 + 16 + CURL_LOOP_ADDRS_MAX * (FZ_IP_STRLEN + 3) };

struct curl_loop {
	void *multi; /* CURLM */
	void (*watch)(void *ctx, int fd, unsigned want);
	void *ctx;
	uint64_t now_us, due_us; /* time of this turn; libcurl's own deadline */
};

/* FZ_ERR_NOMEM, FZ_ERR_UNSUPPORTED. A loop that failed to open, or zeroed, may be closed. */
int curl_loop_open(struct curl_loop *l, void (*watch)(void *ctx, int fd, unsigned want), void *ctx);
void curl_loop_close(struct curl_loop *l);
void curl_loop_ready(struct curl_loop *l, int fd, unsigned ready, uint64_t now_us);
/* When due_us has come. */
void curl_loop_timeout(struct curl_loop *l, uint64_t now_us);
/* An easy handle that is done, with its CURLcode; NULL = no further one. */
void *curl_loop_done(struct curl_loop *l, int *ret_code);
/* "host:port:addr,addr,...", by which addresses found by other means enter libcurl: TLS still checks the
 * name. */
void curl_loop_resolve(char line[CURL_LOOP_LINE], const char *host, uint16_t port, const struct fz_ip *addrs,
		       size_t len);

#endif
