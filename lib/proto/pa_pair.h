/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs of one path agent without ICE: the schedules of their probes and of the first handshake, their round
 * trips, and which is better than which. No message is seen here. Owned by pa_agent. */
#ifndef PROTO_PA_PAIR_H
#define PROTO_PA_PAIR_H

#include "base/time.h"
#include "proto/path.h"

#define PA_PAIRS_MAX 128
/* Probes of a pair after a (re)start; a path that can be opened answers to one of the first. */
#define PA_PROBE_BUDGET 12
/* What the pair in use goes on with, so that NATs keep their bindings. */
#define PA_KEEPALIVE_US FZ_SEC(25)
/* A power of two, at least the budget: a probe is found again by its sequence number. */
#define PA_PROBE_SLOTS 16

struct pa_pair {
	struct path_route route;
	uint8_t local_kind, remote_kind; /* enum cand_kind */
	bool crosses_family; /* our relay is spoken to over the other family */
	bool has_rtt;
	bool was_hurried; /* a probe of the peer has moved ours up, once per (re)start */
	uint32_t rtt_us;

	uint16_t id; /* in its probes: tells an answer to a pair of the past */
	uint16_t next_seq;
	uint16_t open; /* bit = slot: its probe is unanswered */
	uint8_t probes; /* since the (re)start, at most 255 */
	uint8_t ladder; /* copies of the first handshake after the first one */
	uint32_t sent_us[PA_PROBE_SLOTS]; /* low bits of the clock */
	uint64_t probe_us; /* FZ_NEVER_US = none planned */

	uint32_t initiation; /* serial of the last handshake initiation sent here, 0 = none */
	uint64_t ladder_us; /* next copy of it, FZ_NEVER_US = none */
};

/* Sorted by local, then remote address, IPv4 first: the order in which what is due together leaves. */
struct pa_pairs {
	struct pa_pair *v;
	size_t len, cap;
	int primary; /* the pair in use, -1 = none */
	uint16_t next_id;
};

void pa_pairs_clear(struct pa_pairs *s, const struct fz_env *env);
/* By local, local_relayed and remote; -1 when there is none. */
int pa_pairs_find(const struct pa_pairs *s, const struct path_route *route);
/* Two candidates of one family. A known pair of addresses takes the kinds over and goes on. 0: *ret is its
 * index; FZ_ERR_FULL, FZ_ERR_NOMEM. */
int pa_pairs_add(struct pa_pairs *s, const struct fz_env *env, const struct cand *local,
		 const struct cand *remote, size_t *ret);
/* True: it was the primary, there is none now. */
bool pa_pairs_remove(struct pa_pairs *s, size_t at);
/* The best pair with a round trip, -1. */
int pa_pairs_best(const struct pa_pairs *s);

static inline bool pa_pair_is_relayed(const struct pa_pair *p)
{
	return p->local_kind == CAND_RELAY || p->remote_kind == CAND_RELAY;
}

/* Probe from the beginning, now; what was measured is forgotten. */
void pa_pair_restart(struct pa_pair *p, uint64_t now_us);
/* Is it still looking, rather than given up or kept alive? */
static inline bool pa_pair_is_searching(const struct pa_pair *p)
{
	return p->probe_us != FZ_NEVER_US && p->probes < PA_PROBE_BUDGET;
}
/* A probe leaves now: returns its sequence number, plans the next. */
uint16_t pa_pair_probe(struct pa_pair *p, bool has_primary, bool is_primary, uint64_t now_us);
/* The peer has probed this pair, so its filter is open now: if it is not known to work, do not wait for the
 * next planned probe. Once: two ends that hurry each other would never stop. */
void pa_pair_hurry(struct pa_pair *p, uint64_t now_us);
/* An answer with this id and number. False: to nothing that is open. */
bool pa_pair_answered(struct pa_pair *p, uint16_t id, uint16_t seq, uint64_t now_us);

/* A handshake initiation leaves on this pair now; first: plan the early copies too, once per pair. */
void pa_pair_initiation(struct pa_pair *p, uint32_t serial, bool first, uint64_t now_us);
/* An early copy leaves now. */
void pa_pair_repeated(struct pa_pair *p, uint64_t now_us);

/* What a pair is worth by its kinds alone; smaller is better. */
unsigned pa_pair_class(const struct pa_pair *p);
/* May a pair that answered a probe take over from the one in use? A better class may, within a class only a
 * clearly shorter round trip does, so that jitter moves nothing. One that was adopted from a handshake and
 * then answers no probe gives way to any: it may work in the peer's direction only. */
bool pa_pair_beats(const struct pa_pair *p, const struct pa_pair *current);

#endif
