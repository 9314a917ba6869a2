/* SPDX-License-Identifier: Apache-2.0 */
/* Candidates and pairs of one path agent without ICE put together, and the choice of the pair in use: what
 * has to be probed again when, who is promoted, and what is doubted. Owned by pa_agent, which knows messages.
 */
#ifndef PROTO_PA_LIST_H
#define PROTO_PA_LIST_H

#include "proto/pa_cand.h"
#include "proto/pa_pair.h"

/* Handshakes in a row without a sign that the other side hears; the first may just be late. */
#define PA_DISTRESS 2

struct pa_list {
	const struct fz_env *env;
	struct pa_cands locals, remotes;
	struct pa_pairs pairs;
	uint64_t now_us;
	bool may_probe; /* there is a session that we can send in */
	/* Since the pair in use was chosen: */
	uint32_t own_rekeys; /* initiations of ours since one was answered */
	uint32_t peer_rekeys; /* initiations of the peer since it sent data */

	struct path_route selected; /* payload goes there until another pair is found */
	bool has_selected;
	bool is_lost; /* that one is doubted or gone */
	bool says_selected, says_doubted; /* events to be told */
	enum path_reason reason;
	uint64_t full;
};

void pa_list_init(struct pa_list *l, const struct fz_env *env, uint64_t now_us);
void pa_list_clear(struct pa_list *l);

/* True: new. */
bool pa_list_add_local(struct pa_list *l, const struct cand *c);
bool pa_list_remove_local(struct pa_list *l, const struct cand *c);
/* An announced candidate of the peer, and what can be inferred from it. 0: new or known. */
int pa_list_add_remote(struct pa_list *l, const struct cand *c);
bool pa_list_remove_remote(struct pa_list *l, const struct cand *c);
/* The peer sends from an address that it did not announce: its NAT has another mapping for us. */
void pa_list_discover(struct pa_list *l, const struct fz_addr *addr);
/* Our addresses are not ours any more; what the peer announced stays. */
void pa_list_forget_locals(struct pa_list *l);

/* All pairs from the beginning, as soon as that is possible. */
void pa_list_start(struct pa_list *l);
/* The pair in use may not be the best any more, or may not work: look at all pairs. Those that are still
 * looking keep their pace. Payload goes on as before until another one is chosen. */
void pa_list_probe_again(struct pa_list *l);
/* The pair in use is doubted: look for another. Nothing without one: then all are probed anyway. */
void pa_list_distress(struct pa_list *l);
/* One more handshake that was not heard (see own_rekeys and peer_rekeys); the second is distress. */
void pa_list_unheard(struct pa_list *l, uint32_t *count);

/* A probe was answered: promote the best pair if it beats the one in use. */
void pa_list_select(struct pa_list *l);
/* A handshake proved this pair (-1 = unknown): take it, unless the one in use is as good by its kinds. */
void pa_list_adopt(struct pa_list *l, int at);

#endif
