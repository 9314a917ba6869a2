/* SPDX-License-Identifier: Apache-2.0 */
/* The driver, shared by api/run*.c and by nobody else. */
#ifndef API_RUN_PRIV_H
#define API_RUN_PRIV_H

#include "api/handles.h"
#include "fzconn/run.h"

#define RUN_EVENTS_MAX 256

struct fz_run {
	const struct fz_env *env;
	struct fz_platform platform;
	struct endpoint *endpoint;
	struct client *client; /* one of both */
	struct gateway *gateway;
	struct fz_run_opts opts;
	struct flow_service *flow; /* NULL = no place for reports */
	struct fz_stream *stream;
	bool stream_open, udp_blocked, more, dead, tun_lost;
	int dead_err;
	uint64_t now_us, remade_us; /* the device was made anew since, so often: */
	unsigned remade;
	struct fz_udp_batch unsent; /* len 0 = none */
	struct fz_event events[RUN_EVENTS_MAX]; /* for the program; the oldest is lost first */
	size_t events_first, events_len;
	uint8_t out[4096]; /* bytes of the stream that it did not take yet */
	size_t out_at, out_len;
	uint8_t tun_buf[FZ_PKT_HEADROOM + FZ_SUPER_MAX + 1];
};

/* A function of the platform, without and with further arguments. */
#define ask(r, fn) ((r)->platform.ops->fn((r)->platform.ctx))
#define call(r, fn, ...) ((r)->platform.ops->fn((r)->platform.ctx, __VA_ARGS__))

/* run_flow.c */
/* When the options name a folder. FZ_ERR_INVAL, FZ_ERR_NOMEM. */
int run_flow_open(struct fz_run *r);
void run_flow_close(struct fz_run *r);
void run_flow_turn(struct fz_run *r);
uint64_t run_flow_next(const struct fz_run *r);
/* False: not an answer to an upload. */
bool run_flow_http(struct fz_run *r, const struct fz_http_result *result);
/* The end: write what is left, but stop then. */
void run_flow_finish(struct fz_run *r, uint64_t until_us);

/* run_tun.c */
int run_open_tun(struct fz_run *r);
/* The device is gone: make another one, or end. */
void run_remake_tun(struct fz_run *r);

/* run_ask.c */
/* Hand a question of the object to the platform; false: it is none. */
bool run_serve_ask(struct fz_run *r, const struct fz_event *ev);
/* Hand the platform's answers to the object. */
void run_read_answers(struct fz_run *r);
/* Tell the object of the system's name servers. */
void run_tell_dns(struct fz_run *r);

#endif
