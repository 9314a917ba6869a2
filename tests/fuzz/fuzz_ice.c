/* SPDX-License-Identifier: Apache-2.0 */
/* An ICE agent under a script: each byte chooses an input, the following ones fill it. Datagrams come raw
 * and, so that the fuzzer need not guess an HMAC, made from fields under the right key. Checked: bounds, and
 * that time never stands still. */
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "base/time.h"
#include "proto/ice_check.h"
#include "proto/ice_pair.h"
#include "proto/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void fill(void *ctx, void *buf, size_t len)
{
	uint64_t *state = ctx;
	uint8_t *b = buf;

	while (len--) {
		*state = *state * 6364136223846793005u + 1442695040888963407u;
		*b++ = (uint8_t)(*state >> 56);
	}
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
	struct ice_creds peer;
	struct fz_rd rd;
	uint64_t now_us;
	struct path_route last;
	struct stun_txid last_id;
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
		struct ice_msg m;
		must(ice_decode(&w->peer, buf, (size_t)n, &m) == 0);
		if (m.type == ICE_REQUEST) {
			w->last = to;
			w->last_id = m.request.txid;
		}
		must(++n_sent <= ICE_PAIRS_MAX + 16);
	}
	must(n == 0);
	while (path_poll_event(w->p, &ev))
		must(++n_events <= 4);
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

	c.priority = fz_rd_be32(&w->rd);
	if (cand_format_ice(&c, NULL, text, sizeof(text)) < 0)
		return;
	if (remove)
		(void)path_remove_remote(w->p, text, w->now_us);
	else
		(void)path_add_remote(w->p, text, &c, w->now_us);
}

static void datagram(struct world *w, uint8_t op)
{
	uint8_t buf[PATH_TRANSMIT_MAX];
	struct path_route arrival = some_route(w);
	int n = 0;

	if (op == 0) {
		uint8_t flags = fz_rd_u8(&w->rd);
		const struct ice_request r = { .txid = ice_txid(1, fz_rd_u8(&w->rd)),
					       .is_controlling = flags & 1,
					       .use_candidate = flags & 2,
					       .tie_breaker = flags & 4 ? UINT64_MAX : 0,
					       .priority = fz_rd_be32(&w->rd) };
		n = ice_encode_request(&w->peer, &r, buf, sizeof(buf));
	} else if (op == 1) {
		n = ice_encode_success(&w->peer, &w->last_id, &arrival.local, buf, sizeof(buf));
	} else if (op == 2) {
		n = ice_encode_role_conflict(&w->peer, &w->last_id, buf, sizeof(buf));
	} else {
		size_t len = fz_rd_u8(&w->rd);
		const uint8_t *raw = fz_rd_take(&w->rd, len);
		if (raw != NULL)
			(void)path_handle_datagram(w->p, &arrival, raw, len, w->now_us);
		return;
	}
	if (n > 0)
		must(path_handle_datagram(w->p, &arrival, buf, (size_t)n, w->now_us) == 0);
}

static void pass_time(struct world *w)
{
	uint64_t next_us = path_next_timeout(w->p), step_us = FZ_MS(fz_rd_be16(&w->rd));

	w->now_us += step_us;
	if (step_us == 0 && next_us != FZ_NEVER_US && next_us > w->now_us)
		w->now_us = next_us;
	path_handle_timeout(w->p, w->now_us);
	drain(w);
	next_us = path_next_timeout(w->p);
	must(next_us > w->now_us);
}

static void step(struct world *w)
{
	struct cand c;
	struct path_route r;
	uint8_t op = fz_rd_u8(&w->rd);

	switch (op % 12) {
	case 0:
		c = some_cand(w);
		(void)path_add_local(w->p, &c, w->now_us);
		break;
	case 1:
		c = some_cand(w);
		(void)path_remove_local(w->p, &c, w->now_us);
		break;
	case 2:
	case 3:
		remote(w, op % 12 == 3);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		datagram(w, op % 12 - 4);
		break;
	case 8:
		path_set_idle(w->p, op & 0x80, w->now_us);
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
	uint64_t state = 1;
	struct fz_env env = *fz_env_default();
	struct path_opts o = { .kind = PATH_ICE,
			       .local_ufrag = "aaaa",
			       .local_pwd = "aaaaaaaaaaaaaaaaaaaaaa",
			       .remote_ufrag = "bbbb",
			       .remote_pwd = "bbbbbbbbbbbbbbbbbbbbbb",
			       .idle_profile = PATH_CLIENT_IDLE };
	struct world w = { .now_us = FZ_SEC(1) };
	struct path_stats st;

	if (size == 0)
		return 0;
	env.rng = (struct fz_rng){ fill, &state };
	o.controlling = data[0] & 1;
	o.profile = data[0] & 2 ? PATH_SERVER_DEFAULT : PATH_CLIENT_DEFAULT;
	w.rd = fz_rd_init(data + 1, size - 1);
	must(ice_creds_init(&w.peer, o.remote_ufrag, o.remote_pwd, o.local_ufrag, o.local_pwd) == 0);
	must(path_new(&env, &o, &w.p, w.now_us) == 0);
	while (fz_rd_left(&w.rd) > 0)
		step(&w);
	path_get_stats(w.p, &st);
	must(st.pairs <= ICE_PAIRS_MAX && st.pairs_working <= st.pairs);
	path_free(w.p);
	return 0;
}
