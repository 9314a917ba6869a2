/* SPDX-License-Identifier: Apache-2.0 */
/* The driver: one turn reads what is ready, lets the object work, writes what it made. The clock is read once
 * a turn. */
#include "api/run_priv.h"

#include <stdio.h>
#include <string.h>

#include "api/status.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opts.h"
#include "base/time.h"
#include "core/cut.h"

/* Limits of one turn, so that neither side starves the other or the timers. */
#define UDP_ROUNDS 8
#define UDP_BATCHES 8
#define TUN_READS 128

/* ---- out ---- */

/* Send what waits, but leave the newest batch when it may still grow: a full one costs the system as much as
 * a small one. */
static void send_batches(struct fz_run *r, bool may_grow)
{
	for (;;) {
		if (may_grow && r->unsent.len == 0 && endpoint_udp_batches(r->endpoint) < 2)
			return;
		/* A batch that the socket took in part stays here with what is left of it. */
		if (r->unsent.len == 0 && !endpoint_poll_udp(r->endpoint, &r->unsent))
			break;
		int err = call(r, udp_send, &r->unsent);
		if (err == FZ_ERR_AGAIN)
			break;
		/* No route to this address, a full device: counted by the platform, the others are not
		 * concerned. */
		r->unsent.len = 0;
		endpoint_pop_udp(r->endpoint);
	}
	r->udp_blocked = r->unsent.len > 0;
}

static void flush_udp(struct fz_run *r)
{
	send_batches(r, false);
}

/* The device does not take this super-packet: give it the pieces. */
static void write_pieces(struct fz_run *r, struct fz_pkt *pkt)
{
	struct ip_view view;
	struct cut cut;
	const uint8_t *piece;
	size_t len;

	endpoint_set_offload(r->endpoint, ask(r, tun_offload));
	if (ip_parse(pkt, &view) != IP_OK)
		return;
	cut_init(&cut, pkt, &view);
	while (cut_next(&cut, &piece, &len)) {
		/* The device wants room in front, where the next header goes: use the read buffer, which is
		 * free now. */
		struct fz_pkt one = ip_pkt(r->tun_buf + FZ_PKT_HEADROOM, len);
		memcpy(one.data, piece, len);
		(void)call(r, tun_write, &one);
	}
}

static void flush_tun(struct fz_run *r)
{
	struct fz_pkt pkt;

	while (endpoint_poll_tun(r->endpoint, &pkt))
		if (call(r, tun_write, &pkt) == FZ_ERR_UNSUPPORTED && pkt.gso)
			write_pieces(r, &pkt);
}

static void drop_stream(struct fz_run *r)
{
	if (r->stream)
		call(r, stream_close, r->stream);
	r->stream = NULL;
	r->stream_open = false;
}

static void stream_lost(struct fz_run *r, const char *reason)
{
	char text[192];

	/* The text belongs to the stream. */
	snprintf(text, sizeof(text), "%s", reason ? reason : "connection closed");
	drop_stream(r);
	endpoint_stream_closed(r->endpoint, text, r->now_us);
}

/* 0, or the error that the stream ended with. */
static int write_stream(struct fz_run *r)
{
	while (r->stream_open) {
		if (r->out_at == r->out_len) {
			int len = endpoint_poll_stream(r->endpoint, r->out, sizeof(r->out));
			if (len <= 0)
				break;
			r->out_len = (size_t)len;
			r->out_at = 0;
		}
		int sent = call(r, stream_send, r->stream, r->out + r->out_at, r->out_len - r->out_at);
		if (sent == FZ_ERR_AGAIN)
			break;
		if (sent < 0)
			return sent;
		r->out_at += (size_t)sent;
	}
	return 0;
}

static void flush_stream(struct fz_run *r)
{
	if (write_stream(r) != 0)
		stream_lost(r, call(r, stream_error, r->stream));
}

/* ---- in ---- */

static void read_udp(struct fz_run *r)
{
	struct fz_udp_batch batches[UDP_BATCHES];

	for (int round = 0; round < UDP_ROUNDS; round++) {
		int n = call(r, udp_recv, batches, UDP_BATCHES);
		for (int i = 0; i < n; i++) {
			endpoint_handle_udp(r->endpoint, &batches[i], r->now_us);
			flush_tun(r);
		}
		flush_udp(r);
		if (n <= 0)
			return;
	}
	r->more = true;
}

/* The device is gone when this fails. */
static int read_tun(struct fz_run *r)
{
	struct fz_pkt pkt;

	for (int i = 0; i < TUN_READS; i++) {
		if (!endpoint_wants_tun(r->endpoint)) {
			flush_udp(r);
			if (r->udp_blocked)
				return 0;
		}
		int n = call(r, tun_read, r->tun_buf, sizeof(r->tun_buf), &pkt);
		if (n < 0)
			return n;
		if (n == 0) {
			flush_udp(r);
			flush_tun(r);
			return 0;
		}
		endpoint_handle_tun(r->endpoint, &pkt, r->now_us);
		send_batches(r, true);
	}
	flush_udp(r);
	r->more = true;
	return 0;
}

static void read_stream(struct fz_run *r)
{
	uint8_t buf[16384];

	while (r->stream_open) {
		int n = call(r, stream_recv, r->stream, buf, sizeof(buf));
		if (n == FZ_ERR_AGAIN)
			return;
		if (n <= 0) {
			stream_lost(r, n == 0 ? NULL : call(r, stream_error, r->stream));
			return;
		}
		endpoint_stream_data(r->endpoint, buf, (size_t)n, r->now_us);
	}
}

static void check_stream(struct fz_run *r)
{
	enum fz_stream_state state;

	if (r->stream == NULL)
		return;
	state = call(r, stream_state, r->stream);
	if (state == FZ_STREAM_FAILED) {
		stream_lost(r, call(r, stream_error, r->stream));
		return;
	}
	if (state == FZ_STREAM_OPEN && !r->stream_open) {
		r->stream_open = true;
		r->out_len = r->out_at = 0;
		endpoint_stream_opened(r->endpoint, r->now_us);
	}
	read_stream(r);
}

static void check_network(struct fz_run *r)
{
	int what;
	bool changed = false, names = false;

	while ((what = ask(r, net_event)) > 0) {
		if (what == FZ_NET_TUN_LOST) {
			r->tun_lost = true;
		} else if (what == FZ_NET_DNS_CHANGED) {
			names = true;
		} else {
			changed = true;
		}
	}
	if (names)
		run_tell_dns(r);
	if (changed && !r->opts.no_watch) {
		fz_info(r->env, "run", "the network changed");
		fz_run_reset(r);
	}
}

/* ---- requests of the object ---- */

static void open_stream(struct fz_run *r, const struct fz_event *ev)
{
	struct fz_stream_opts opts = {
		.size = sizeof(opts),
		.host = ev->u.stream.host,
		.port = ev->u.stream.port,
		.tls = ev->u.stream.tls,
	};
	int err;

	drop_stream(r);
	err = call(r, stream_open, &opts, &r->stream);
	if (err != 0) {
		r->stream = NULL;
		endpoint_stream_closed(r->endpoint, fz_strerror(err), r->now_us);
	}
}

static void open_udp(struct fz_run *r)
{
	int err = call(r, udp_open, r->opts.udp_port ? r->opts.udp_port : FZ_UDP_PORT);

	if (err != 0)
		fz_error(r->env, "run", "no UDP socket: %s; it is tried again when the network changes",
			 fz_strerror(err));
}

/* True: done here; false: it is the program's. */
static bool serve(struct fz_run *r, const struct fz_event *ev)
{
	int err;

	switch (ev->type) {
	case FZ_EVENT_STREAM_OPEN:
		open_stream(r, ev);
		return true;
	case FZ_EVENT_STREAM_CLOSE:
		(void)write_stream(r); /* the object is done with this stream, whatever becomes of it */
		drop_stream(r);
		return true;
	case FZ_EVENT_NETCFG:
		err = call(r, net_apply, &ev->u.netcfg);
		if (err != 0)
			fz_error(r->env, "run", "the tunnel interface could not be configured: %s",
				 fz_strerror(err));
		return true;
	case FZ_EVENT_REBIND:
		flush_udp(r); /* last words to the relays leave by the old sockets */
		if (r->unsent.len > 0)
			endpoint_pop_udp(r->endpoint);
		r->unsent.len = 0;
		open_udp(r);
		ask(r, ask_reset);
		return true;
	case FZ_EVENT_DEAD:
		r->dead = true;
		r->dead_err = ev->u.dead.err;
		return false;
	default:
		return run_serve_ask(r, ev);
	}
}

/* Serve what is ours and keep the rest for the program, which may look later. */
static void serve_events(struct fz_run *r)
{
	struct fz_event ev;

	while (endpoint_poll_event(r->endpoint, &ev)) {
		if (serve(r, &ev))
			continue;
		if (r->events_len == RUN_EVENTS_MAX) {
			r->events_first = (r->events_first + 1) % RUN_EVENTS_MAX;
			r->events_len--;
		}
		r->events[(r->events_first + r->events_len++) % RUN_EVENTS_MAX] = ev;
	}
}

bool fz_run_poll_event(struct fz_run *r, struct fz_event *ret)
{
	if (r->events_len == 0)
		return false;
	*ret = r->events[r->events_first];
	r->events_first = (r->events_first + 1) % RUN_EVENTS_MAX;
	r->events_len--;
	return true;
}

/* ---- turns ---- */

static void read_clock(struct fz_run *r)
{
	uint64_t now = ask(r, now_us);

	if (now > r->now_us)
		r->now_us = now;
	endpoint_set_wall(r->endpoint, r->now_us, ask(r, unix_ns));
}

static int turn(struct fz_run *r, uint32_t ready)
{
	r->more = false;
	read_clock(r);
	if (ready & (FZ_READY_UDP_SEND | FZ_READY_UDP))
		flush_udp(r);
	if (ready & FZ_READY_UDP)
		read_udp(r);
	if ((ready & FZ_READY_TUN) && !r->udp_blocked)
		r->tun_lost |= read_tun(r) < 0;
	if (ready & FZ_READY_STREAM)
		check_stream(r);
	if (ready & (FZ_READY_DNS | FZ_READY_HTTP))
		run_read_answers(r);
	if (ready & FZ_READY_NET)
		check_network(r);
	if (r->tun_lost)
		run_remake_tun(r);
	endpoint_handle_timeout(r->endpoint, r->now_us);
	run_flow_turn(r);
	serve_events(r);
	flush_udp(r);
	flush_tun(r);
	flush_stream(r);
	serve_events(r);
	return r->dead ? r->dead_err : 0;
}

int fz_run_dispatch(struct fz_run *r)
{
	uint32_t ready = 0;
	int err = call(r, wait, 0, &ready);

	return err < 0 ? err : turn(r, ready);
}

/* Events that wait for the program do not count: it may not care for them, and must not spin then. */
static uint64_t deadline(const struct fz_run *r)
{
	if (r->more)
		return 0;
	return fz_min_us(fz_min_us(ask(r, next_timeout), run_flow_next(r)),
			 endpoint_next_timeout(r->endpoint));
}

int64_t fz_run_timeout_us(const struct fz_run *r)
{
	uint64_t at = deadline(r), now;

	if (at == FZ_NEVER_US)
		return -1;
	now = ask(r, now_us);
	return at <= now ? 0 : (int64_t)(at - now);
}

int fz_run_run(struct fz_run *r)
{
	uint64_t until = r->events_len > 0 ? 0 : deadline(r);
	uint32_t ready = 0;
	bool woken;
	int err;

	do {
		err = call(r, wait, until, &ready);
		if (err < 0)
			return err;
		/* Nothing ready before the deadline: a signal. */
		woken = (ready & FZ_READY_WAKE) ||
			(ready == 0 && (until == FZ_NEVER_US || ask(r, now_us) < until));
		err = turn(r, ready);
		until = deadline(r);
	} while (err == 0 && !woken && r->events_len == 0);
	return err ? (r->events_len > 0 ? 1 : err) : 1;
}

void fz_run_wake(struct fz_run *r)
{
	ask(r, wake);
}

int fz_run_fd(const struct fz_run *r)
{
	return ask(r, wait_fd);
}

void fz_run_reset(struct fz_run *r)
{
	read_clock(r);
	if (r->client == NULL)
		endpoint_reconnect(r->endpoint, r->now_us);
	else if (client_reset(r->client, r->now_us) != 0)
		fz_error(r->env, "run", "no memory to start over; the old paths stay");
	serve_events(r);
}

void fz_run_reconnect(struct fz_run *r)
{
	read_clock(r);
	endpoint_reconnect(r->endpoint, r->now_us);
	serve_events(r);
}

void fz_run_shutdown(struct fz_run *r, uint32_t timeout_ms)
{
	uint64_t until;
	uint32_t ready;

	read_clock(r);
	until = r->now_us + FZ_MS(timeout_ms);
	endpoint_shutdown(r->endpoint, r->now_us);
	serve_events(r);
	for (;;) {
		flush_udp(r);
		flush_stream(r);
		if ((!r->udp_blocked && (!r->stream_open || r->out_at == r->out_len)) || r->now_us >= until)
			break;
		if (call(r, wait, until, &ready) < 0)
			break;
		read_clock(r);
	}
	run_flow_finish(r, until);
	drop_stream(r);
}

int fz_run_status(struct fz_run *r, char **ret)
{
	uint64_t now = ask(r, now_us);

	return status_text(r->env,
			   r->client ? client_status(r->client, now) : gateway_status(r->gateway, now),
			   &r->platform, ret);
}

/* ---- life ---- */

static int run_new(const struct fz_env *env, struct endpoint *endpoint, struct client *client,
		   struct gateway *gateway, const struct fz_platform *platform,
		   const struct fz_run_opts *opts, struct fz_run **ret)
{
	struct fz_run *r;
	int err = 0;

	if (env == NULL)
		env = fz_env_default();
	if (platform->ops->version < 1)
		return FZ_ERR_ABI;
	r = fz_zalloc(env, sizeof(*r));
	if (r == NULL)
		return FZ_ERR_NOMEM;
	r->env = env;
	r->platform = *platform;
	r->endpoint = endpoint;
	r->client = client;
	r->gateway = gateway;
	if (opts)
		err = fz_opts_import(&r->opts, sizeof(r->opts), opts, opts->size);
	if (err == 0)
		err = run_open_tun(r);
	if (err != 0) {
		fz_free(env, r);
		return err;
	}
	if (gateway && !r->opts.no_forward && platform->ops->forward)
		(void)call(r, forward, true); /* what is missing stands in the log; some of it may work */
	read_clock(r);
	err = run_flow_open(r);
	if (err != 0) {
		ask(r, tun_close);
		fz_free(env, r);
		return err;
	}
	open_udp(r);
	run_tell_dns(r);
	*ret = r;
	return 0;
}

int fz_run_client_new(const struct fz_env *env, struct fz_client *client, const struct fz_platform *platform,
		      const struct fz_run_opts *opts, struct fz_run **ret)
{
	return run_new(env, client_endpoint_of(client), client_of(client), NULL, platform, opts, ret);
}

int fz_run_gateway_new(const struct fz_env *env, struct fz_gateway *gateway,
		       const struct fz_platform *platform, const struct fz_run_opts *opts,
		       struct fz_run **ret)
{
	return run_new(env, gateway_endpoint_of(gateway), NULL, gateway_of(gateway), platform, opts, ret);
}

void fz_run_free(struct fz_run *r)
{
	if (r == NULL)
		return;
	drop_stream(r);
	run_flow_close(r);
	ask(r, ask_close);
	ask(r, udp_close);
	ask(r, net_clear);
	if (r->platform.ops->forward)
		(void)call(r, forward, false);
	ask(r, tun_close);
	fz_free(r->env, r);
}
