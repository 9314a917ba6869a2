/* SPDX-License-Identifier: Apache-2.0 */
/* A path agent without ICE under a script: each byte chooses an input, the following ones fill it. Handshake
 * messages have the right form, since WireGuard looks at them first; packets come raw and as probes, answers
 * to our own among them. Checked: bounds, and that time never stands still. */
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "base/time.h"
#include "proto/pa_pair.h"
#include "proto/path.h"
#include "wire/wg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static struct fz_addr some_addr(uint8_t n)
{
	struct fz_addr a = { .port = (uint16_t)(1 + n % 5) };

	a.ip.family = n & 0x80 ? FZ_FAMILY_INET6 : FZ_FAMILY_INET;
	a.ip.b[0] = n & 0x80 ? 0x20 : 10;
	a.ip.b[3] = n & 0x1f;
	return a;
}

struct world {
	struct path *p;
	struct fz_rd rd;
	uint64_t now_us;
	struct path_route last; /* of the last probe, */
	struct path_probe probe;
};

static void drain(struct world *w)
{
	uint8_t buf[PATH_TRANSMIT_MAX];
	enum path_transmit_kind kind;
	struct path_event ev;
	struct path_route to;
	size_t n_sent = 0, n_events = 0;
	int n;

	while ((n = path_poll_transmit(w->p, buf, sizeof(buf), &kind, &to, w->now_us)) > 0) {
		struct path_probe probe;
		must(kind == PATH_TX_PACKET ? path_probe_parse(buf, (size_t)n, &probe)
					    : wg_classify(buf, (size_t)n) != WG_NONE);
		if (kind == PATH_TX_PACKET && !probe.is_reply) {
			w->last = to;
			w->probe = probe;
		}
		must(++n_sent <= 3 * PA_PAIRS_MAX + 32);
	}
	must(n == 0);
	while (path_poll_event(w->p, &ev))
		must(++n_events <= 2);
	must(path_next_timeout(w->p) > w->now_us);
}

static struct path_route some_route(struct world *w)
{
	uint8_t n = fz_rd_u8(&w->rd);

	if (n == 0)
		return w->last;
	return (struct path_route){ .local = some_addr(n),
				    .remote = some_addr(fz_rd_u8(&w->rd)),
				    .local_relayed = n & 0x40 };
}

static struct cand some_cand(struct world *w)
{
	uint8_t n = fz_rd_u8(&w->rd);

	return (struct cand){ .kind = (enum cand_kind)(n >> 5 & 3),
			      .addr = some_addr(n),
			      .base = some_addr(fz_rd_u8(&w->rd)) };
}

static void remote(struct world *w, bool remove)
{
	char text[CAND_TEXT_MAX];
	struct cand c = some_cand(w);

	if (cand_format_plain(&c, text, sizeof(text)) < 0)
		return;
	if (remove)
		(void)path_remove_remote(w->p, text, w->now_us);
	else
		(void)path_add_remote(w->p, text, &c, w->now_us);
}

static void handshake(struct world *w, enum wg_type type)
{
	struct path_route arrival = some_route(w), to;
	uint8_t msg[WG_INITIATION_LEN] = { (uint8_t)type }, response[WG_RESPONSE_LEN] = { WG_RESPONSE };
	size_t len = type == WG_INITIATION ? WG_INITIATION_LEN : WG_RESPONSE_LEN;
	uint8_t accepted;

	msg[8] = fz_rd_u8(&w->rd) & 3; /* copies are frequent */
	accepted = fz_rd_u8(&w->rd) & 1;
	if (!path_filter_handshake(w->p, &arrival, msg, len, w->now_us))
		return;
	bool answers = accepted && type == WG_INITIATION;
	must(path_handshake_done(w->p, &arrival, msg, len, accepted, answers ? response : NULL,
				 answers ? sizeof(response) : 0, &to, w->now_us) == answers);
}

static void initiate(struct world *w)
{
	uint8_t msg[WG_INITIATION_LEN] = { WG_INITIATION };

	if (!path_send_handshake(w->p, msg, sizeof(msg), w->now_us))
		must(path_selected(w->p) != NULL);
}

static void packet(struct world *w)
{
	struct path_route arrival = some_route(w);
	uint8_t what = fz_rd_u8(&w->rd), buf[PATH_PROBE_LEN];
	struct path_probe probe = { .is_reply = what & 1, .id = what >> 1 & 7, .seq = what >> 4 };
	const uint8_t *raw;

	path_handle_data(w->p, &arrival, w->now_us);
	if (what == 0xff) {
		size_t len = fz_rd_u8(&w->rd);
		raw = fz_rd_take(&w->rd, len);
		if (raw != NULL)
			(void)path_handle_packet(w->p, &arrival, raw, len, w->now_us);
		return;
	}
	if (what == 0xfe) {
		arrival = w->last;
		probe = w->probe;
		probe.is_reply = true;
	}
	path_probe_build(buf, &probe);
	must(path_handle_packet(w->p, &arrival, buf, sizeof(buf), w->now_us));
}

static void pass_time(struct world *w)
{
	uint64_t next_us = path_next_timeout(w->p), step_us = FZ_MS(fz_rd_be16(&w->rd));

	w->now_us += step_us;
	if (step_us == 0 && next_us != FZ_NEVER_US)
		w->now_us = next_us;
	path_handle_timeout(w->p, w->now_us);
}

static void step(struct world *w)
{
	struct path_route r;
	struct cand c;
	uint8_t op = fz_rd_u8(&w->rd) % 12;

	switch (op) {
	case 0:
	case 1:
		c = some_cand(w);
		if (op == 0)
			(void)path_add_local(w->p, &c, w->now_us);
		else
			(void)path_remove_local(w->p, &c, w->now_us);
		break;
	case 2:
	case 3:
		remote(w, op == 3);
		break;
	case 4:
		handshake(w, WG_INITIATION);
		break;
	case 5:
		handshake(w, WG_RESPONSE);
		break;
	case 6:
		initiate(w);
		break;
	case 7:
	case 8:
		packet(w);
		break;
	case 9:
		r = some_route(w);
		path_route_ready(w->p, &r, w->now_us);
		break;
	case 10:
		path_rebuild(w->p, w->now_us);
		break;
	default:
		pass_time(w);
	}
	drain(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct path_opts o = { .kind = PATH_ICELESS };
	struct world w = { .now_us = FZ_SEC(1), .rd = fz_rd_init(data, size) };
	struct path_stats st;

	must(path_new(fz_env_default(), &o, &w.p, w.now_us) == 0);
	while (w.rd.at != w.rd.end && !w.rd.bad)
		step(&w);
	path_get_stats(w.p, &st);
	must(st.pairs <= PA_PAIRS_MAX && st.checks_answered <= st.checks_sent);
	path_free(w.p);
	return 0;
}
