/* SPDX-License-Identifier: Apache-2.0 */
/* One socket is both ends here. Its datagram to the address that a relay gave it goes out as to a peer, and
 * comes back through the relay; what it sends through the relay to itself arrives as from a peer. */
#include <stdio.h>
#include <string.h>

#include "api/doctor.h"
#include "base/addr.h"
#include "base/rng.h"
#include "fzconn/error.h"
#include "fzconn/packet.h"

#define SETTLE_US FZ_SEC(5) /* for the relays to answer */
#define TRY_US FZ_SEC(3) /* for data */
#define REPEAT_US FZ_MS(200)

/* What a probe shows when it arrives; its first payload byte behind the nonce. */
enum { PROBE_OUT, PROBE_BIG, PROBE_BACK, PROBES };
#define NONCE_LEN 16
#define PROBE_LEN (NONCE_LEN + 1)
#define BIG_LEN (FZ_DATAGRAM_MAX - FZ_TURN_HEADER_LEN)

struct probed {
	struct fz_turn *turn; /* with credentials */
	struct fz_stun_probe *stun; /* without */
	struct fz_addr local, mapped, relayed;
	uint64_t rtt_us;
	bool is_sent, is_over; /* is_sent: at least one datagram could leave */
	uint16_t code; /* refusal */
};

/* One address family. */
struct family {
	uint8_t family;
	unsigned relays, answer, allocated, refused, unsendable;
	bool many_mappings, has_nat;
	struct probed *used; /* for data; NULL = none can be */
	bool got[PROBES];
};

struct udp {
	struct doctor *d;
	struct probed r[DOCTOR_RELAYS_MAX];
	struct family f[2];
	uint8_t nonce[NONCE_LEN];
};

/* ---- datagrams ---- */

static bool send_to(struct udp *u, const struct fz_addr *to, uint8_t *data, size_t len)
{
	struct fz_udp_batch b = { .remote = *to, .data = data, .len = len, .seg_len = (uint16_t)len };

	return doctor_call(u->d, udp_send, &b) == 0;
}

static void flush(struct udp *u)
{
	uint8_t buf[FZ_NAT_TRANSMIT_MAX];
	struct fz_addr to;
	uint64_t now = doctor_ask(u->d, now_us);
	int n;

	for (size_t i = 0; i < u->d->relays_len; i++) {
		struct probed *r = &u->r[i];
		while (r->turn && (n = fz_turn_poll_transmit(r->turn, buf, sizeof(buf), &to, now)) > 0)
			r->is_sent |= send_to(u, &to, buf, (size_t)n);
		while (r->stun && (n = fz_stun_probe_poll_transmit(r->stun, buf, sizeof(buf), &to, now)) > 0)
			r->is_sent |= send_to(u, &to, buf, (size_t)n);
	}
}

static void take_events(struct probed *r)
{
	struct fz_turn_event t;
	struct fz_stun_probe_event s;

	while (r->turn && fz_turn_poll_event(r->turn, &t)) {
		if (t.type == FZ_TURN_MAPPED) {
			r->local = t.local;
			r->mapped = t.mapped;
			r->rtt_us = fz_turn_rtt_us(r->turn);
		} else if (t.type == FZ_TURN_RELAYED && t.relayed.ip.family == r->mapped.ip.family) {
			r->relayed = t.relayed;
			r->is_over = true;
		} else if (t.type == FZ_TURN_REFUSED) {
			r->code = (uint16_t)t.code;
			r->is_over = true;
		} else if (t.type == FZ_TURN_FAILED) {
			r->code = t.reason == FZ_TURN_REASON_UNAUTHORISED ? 401 : 0;
			r->is_over = true;
		}
	}
	while (r->stun && fz_stun_probe_poll_event(r->stun, &s)) {
		r->is_over = true;
		if (s.type == FZ_STUN_PROBE_MAPPED) {
			r->mapped = s.mapped;
			r->rtt_us = s.rtt_us;
		}
	}
}

static void take_probe(struct udp *u, const uint8_t *data, size_t len, const struct fz_addr *relay,
		       bool direct)
{
	if (len < PROBE_LEN || memcmp(data, u->nonce, NONCE_LEN) != 0 || data[NONCE_LEN] >= PROBES)
		return;
	for (int i = 0; i < 2; i++)
		if (u->f[i].used && fz_addr_equal(&u->f[i].used->relayed, relay) &&
		    direct == (data[NONCE_LEN] == PROBE_BACK))
			u->f[i].got[data[NONCE_LEN]] = true;
}

static void take_datagram(struct udp *u, const struct fz_udp_batch *b, const uint8_t *data, size_t len)
{
	uint64_t now = doctor_ask(u->d, now_us);
	struct fz_turn_data payload;

	for (size_t i = 0; i < u->d->relays_len; i++) {
		struct probed *r = &u->r[i];
		int got = FZ_ERR_NOT_MINE;
		if (r->turn)
			got = fz_turn_handle_datagram(r->turn, &b->local, &b->remote, data, len, &payload,
						      now);
		else if (r->stun)
			got = fz_stun_probe_handle_datagram(r->stun, &b->remote, data, len, now);
		if (got == 0 && r->stun)
			r->local = b->local;
		if (got == FZ_TURN_DATA)
			take_probe(u, payload.data, payload.len, &payload.relayed, false);
		if (got != FZ_ERR_NOT_MINE)
			return;
	}
	take_probe(u, data, len, &b->remote, true);
}

static void receive(struct udp *u)
{
	struct fz_udp_batch b[8];
	int n;

	while ((n = doctor_call(u->d, udp_recv, b, 8)) > 0)
		for (int i = 0; i < n; i++)
			for (size_t at = 0; at < b[i].len; at += b[i].seg_len) {
				size_t left = b[i].len - at;
				take_datagram(u, &b[i], b[i].data + at,
					      left < b[i].seg_len ? left : b[i].seg_len);
			}
}

static uint64_t next_timeout(const struct udp *u, uint64_t at)
{
	for (size_t i = 0; i < u->d->relays_len; i++) {
		if (u->r[i].turn)
			at = fz_min_us(at, fz_turn_next_timeout(u->r[i].turn));
		if (u->r[i].stun)
			at = fz_min_us(at, fz_stun_probe_next_timeout(u->r[i].stun));
	}
	return at;
}

static void handle_timeouts(struct udp *u)
{
	uint64_t now = doctor_ask(u->d, now_us);

	for (size_t i = 0; i < u->d->relays_len; i++) {
		if (u->r[i].turn)
			fz_turn_handle_timeout(u->r[i].turn, now);
		if (u->r[i].stun)
			fz_stun_probe_handle_timeout(u->r[i].stun, now);
		take_events(&u->r[i]);
	}
}

/* Work until `done` or the deadline. */
static int work(struct udp *u, uint64_t until, bool (*done)(const struct udp *u))
{
	uint32_t ready;

	while (!done(u) && doctor_ask(u->d, now_us) < until) {
		int err;
		flush(u);
		err = doctor_call(u->d, wait, next_timeout(u, until), &ready);
		if (err != 0)
			return err;
		receive(u);
		handle_timeouts(u);
	}
	return 0;
}

static bool all_settled(const struct udp *u)
{
	for (size_t i = 0; i < u->d->relays_len; i++)
		if (!u->r[i].is_over)
			return false;
	return true;
}

static bool all_arrived(const struct udp *u)
{
	for (int i = 0; i < 2; i++)
		for (int k = 0; u->f[i].used && k < PROBES; k++)
			if (!u->f[i].got[k])
				return false;
	return true;
}

/* ---- the relays ---- */

static int begin(struct udp *u)
{
	struct doctor *d = u->d;
	uint64_t now = doctor_ask(d, now_us);
	int err = 0;

	d->env->rng.fill(d->env->rng.ctx, u->nonce, sizeof(u->nonce));
	u->nonce[0] = 'f'; /* neither STUN nor ChannelData */
	for (size_t i = 0; err == 0 && i < d->relays_len; i++) {
		const struct doctor_relay *r = &d->relays[i];
		struct fz_turn_opts o = { .size = sizeof(o),
					  .username = r->username,
					  .password = r->password };
		struct fz_stun_probe_opts s = { .size = sizeof(s), .rto_ms = 250, .max_sends = 4 };
		if (r->server.ip.family == FZ_FAMILY_INET)
			o.server4 = r->server;
		else
			o.server6 = r->server;
		err = r->username[0] ? fz_turn_new(d->env, &o, &u->r[i].turn, now)
				     : fz_stun_probe_new(d->env, &s, &r->server, &u->r[i].stun, now);
	}
	return err;
}

static void end(struct udp *u)
{
	for (size_t i = 0; i < u->d->relays_len; i++)
		if (u->r[i].turn)
			fz_turn_close(u->r[i].turn, doctor_ask(u->d, now_us));
	flush(u);
	for (size_t i = 0; i < u->d->relays_len; i++) {
		fz_turn_free(u->r[i].turn);
		fz_stun_probe_free(u->r[i].stun);
	}
	doctor_ask(u->d, udp_close);
}

static void sum_up(struct udp *u, struct family *f)
{
	const struct fz_addr *first = NULL;

	for (size_t i = 0; i < u->d->relays_len; i++) {
		struct probed *r = &u->r[i];
		if (u->d->relays[i].server.ip.family != f->family)
			continue;
		f->relays++;
		f->unsendable += !r->is_sent;
		if (!fz_addr_set(&r->mapped))
			continue;
		f->answer++;
		f->refused += r->code != 0;
		f->has_nat |= !fz_ip_equal(&r->mapped.ip, &r->local.ip);
		f->many_mappings |= first && !fz_addr_equal(first, &r->mapped);
		first = &r->mapped;
		if (fz_addr_set(&r->relayed)) {
			f->allocated++;
			if (f->used == NULL)
				f->used = r;
		}
	}
	if (f->many_mappings)
		f->used =
			NULL; /* what arrives would come from another address than the one that is expected */
}

/* ---- data ---- */

static void send_probe(struct udp *u, const struct family *f, uint8_t kind)
{
	uint8_t buf[FZ_TURN_HEADER_LEN + BIG_LEN] = { 0 };
	size_t len = kind == PROBE_BIG ? BIG_LEN : PROBE_LEN;
	struct fz_addr to = f->used->relayed;
	uint8_t *payload = buf + FZ_TURN_HEADER_LEN;

	memcpy(payload, u->nonce, NONCE_LEN);
	payload[NONCE_LEN] = kind;
	if (kind != PROBE_BACK)
		(void)send_to(u, &to, payload, len);
	else if (fz_turn_wrap(f->used->turn, &f->used->mapped, len, buf, &to, doctor_ask(u->d, now_us)) == 0)
		(void)send_to(u, &to, buf, len + FZ_TURN_HEADER_LEN);
}

static int try_data(struct udp *u)
{
	uint64_t until = doctor_ask(u->d, now_us) + TRY_US;
	int err = 0;

	for (int i = 0; i < 2; i++)
		if (u->f[i].used &&
		    fz_turn_bind(u->f[i].used->turn, &u->f[i].used->mapped, doctor_ask(u->d, now_us)) != 0)
			u->f[i].used = NULL;
	for (unsigned round = 0; err == 0 && !all_arrived(u) && doctor_ask(u->d, now_us) < until; round++) {
		for (int i = 0; i < 2; i++)
			for (uint8_t k = 0; u->f[i].used && k < PROBES; k++)
				if (!u->f[i].got[k] &&
				    (k != PROBE_BACK || round > 0)) /* a firewall opens first */
					send_probe(u, &u->f[i], k);
		err = work(u, doctor_ask(u->d, now_us) + REPEAT_US, all_arrived);
	}
	return err;
}

/* ---- rows ---- */

static void relay_row(struct udp *u, const struct family *f, const struct family *other)
{
	struct doctor *d = u->d;
	bool four = f->family == FZ_FAMILY_INET;
	const char *name = four ? "relays, UDP 3478, IPv4" : "relays, UDP 3478, IPv6";
	struct fz_check *c;
	uint64_t rtt_us = 0;

	for (size_t i = 0; i < d->relays_len; i++)
		if (u->r[i].rtt_us && d->relays[i].server.ip.family == f->family &&
		    (rtt_us == 0 || u->r[i].rtt_us < rtt_us))
			rtt_us = u->r[i].rtt_us;
	if (f->relays == 0) {
		doctor_say(doctor_row(d, name, FZ_CHECK_SKIPPED, 0), "there is none");
	} else if (f->unsendable == f->relays) {
		doctor_say(doctor_row(d, name, FZ_CHECK_SKIPPED, 0), "this machine has no way there");
	} else if (f->answer == 0) {
		c = doctor_row(d, name, other->answer > 0 ? FZ_CHECK_WARN : FZ_CHECK_FAIL, 0);
		doctor_say(c, "none of %u answers", f->relays);
		doctor_mend(c, "let UDP out to port 3478 of the relays, and its answers in");
	} else if (f->answer < f->relays || f->refused > 0) {
		c = doctor_row(d, name, FZ_CHECK_WARN, rtt_us);
		doctor_say(c, "of %u, %u answer and %u refuse to relay", f->relays, f->answer, f->refused);
		doctor_mend(c, "let UDP out to port 3478 of all relays, and its answers in");
	} else {
		doctor_say(doctor_row(d, name, FZ_CHECK_OK, rtt_us), "%u of %u answer", f->answer, f->relays);
	}
}

static void nat_row(struct udp *u)
{
	const struct family *f = u->f[0].answer > 0 ? &u->f[0] : &u->f[1];
	struct fz_check *c;

	if (f->answer == 0) {
		doctor_say(doctor_row(u->d, "NAT", FZ_CHECK_SKIPPED, 0), "no relay tells how it sees us");
	} else if (f->many_mappings) {
		c = doctor_row(u->d, "NAT", FZ_CHECK_WARN, 0);
		doctor_say(
			c,
			"symmetric: another address for each destination; traffic to most peers is relayed");
		doctor_mend(c, "let the router keep the port of UDP 52625 (no \"random\" source ports), or "
			       "use IPv6");
	} else if (!f->has_nat) {
		doctor_say(doctor_row(u->d, "NAT", FZ_CHECK_OK, 0), "none");
	} else if (f->answer == 1 && !f->got[PROBE_OUT]) {
		doctor_say(doctor_row(u->d, "NAT", FZ_CHECK_SKIPPED, 0),
			   "there is one; of which kind, a single relay does not show");
	} else {
		doctor_say(doctor_row(u->d, "NAT", FZ_CHECK_OK, 0), "keeps one address for all destinations");
	}
}

/* Rows about data: what was found in each family that could be tried. */
static void data_row(struct udp *u, const char *name, uint8_t probe, uint8_t needs, const char *good,
		     const char *bad, const char *mend)
{
	unsigned tried = 0, passed = 0;
	struct fz_check *c;

	for (int i = 0; i < 2; i++) {
		const struct family *f = &u->f[i];
		if (f->used == NULL || (needs != probe && !f->got[needs]))
			continue;
		tried++;
		passed += f->got[probe];
	}
	if (tried == 0) {
		doctor_say(doctor_row(u->d, name, FZ_CHECK_SKIPPED, 0),
			   u->f[0].many_mappings || u->f[1].many_mappings
				   ? "cannot be tried behind a symmetric NAT"
				   : "what it needs does not work or is not known");
	} else if (passed == tried) {
		doctor_say(doctor_row(u->d, name, FZ_CHECK_OK, 0), "%s", good);
	} else {
		c = doctor_row(u->d, name, passed > 0 ? FZ_CHECK_NOTE : FZ_CHECK_WARN, 0);
		doctor_say(c, passed > 0 ? "%s in one of both address families" : "%s", bad);
		doctor_mend(c, "%s", mend);
	}
}

static void rows(struct udp *u)
{
	relay_row(u, &u->f[0], &u->f[1]);
	relay_row(u, &u->f[1], &u->f[0]);
	nat_row(u);
	data_row(u, "relayed data, UDP 49152-65535", PROBE_OUT, PROBE_OUT, "arrives",
		 "what is sent to relays' data ports does not arrive; peers are reached through both relays "
		 "or not at all",
		 "let UDP out to ports 49152-65535 of the relays");
	data_row(u, "UDP from peers", PROBE_BACK, PROBE_OUT, "answers of peers are let in",
		 "answers of peers are dropped, as by a firewall without connection tracking; all traffic is "
		 "relayed",
		 "let UDP answers in from any address and port, or track connections");
	data_row(u, "packet size", PROBE_BIG, PROBE_OUT, "datagrams of 1,316 bytes pass",
		 "datagrams of 1,316 bytes do not pass: big packets inside of the tunnel are lost",
		 "let IP packets of 1,364 bytes through: check the MTU of the way out");
}

int doctor_udp(struct doctor *d)
{
	struct udp u = { .d = d, .f = { { .family = FZ_FAMILY_INET }, { .family = FZ_FAMILY_INET6 } } };
	int err;

	if (d->relays_len == 0) {
		doctor_say(doctor_row(d, "relays, UDP 3478", FZ_CHECK_SKIPPED, 0), "%s", d->no_relays);
		return 0;
	}
	err = doctor_call(d, udp_open, 0);
	if (err != 0) {
		doctor_say(doctor_row(d, "relays, UDP 3478", FZ_CHECK_FAIL, 0), "no UDP socket: %s",
			   fz_strerror(err));
		return 0;
	}
	err = begin(&u);
	if (err == 0)
		err = work(&u, doctor_ask(d, now_us) + SETTLE_US, all_settled);
	sum_up(&u, &u.f[0]);
	sum_up(&u, &u.f[1]);
	if (err == 0)
		err = try_data(&u);
	end(&u);
	if (err == 0)
		rows(&u);
	return err;
}
