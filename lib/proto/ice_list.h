/* SPDX-License-Identifier: Apache-2.0 */
/* The checklist of one ICE agent (RFC 8445 section 6.1.2): both sides' candidates, the pairs made of them,
 * our role, and the pair that carries payload. Knows no message and no timer. Owned by ice_agent, whose clock
 * it borrows. */
#ifndef PROTO_ICE_LIST_H
#define PROTO_ICE_LIST_H

#include "proto/ice_cand.h"
#include "proto/ice_pair.h"

struct ice_list {
	const struct fz_env *env;
	struct ice_cands locals, remotes;
	struct ice_pairs pairs;
	int selected; /* index of a pair, -1 = none */
	bool is_controlling, had_selected;
	bool has_switched; /* of roles, at least once */
	uint64_t now_us; /* set by the agent before every call */
	uint64_t n_full; /* candidates and pairs dropped for lack of room */
	/* Told to the owner by the agent, which clears them. */
	bool says_selected, says_handshake, says_doubted;
	bool has_doubt; /* the selected pair is suspect, told */
	enum path_reason reason;
};

void ice_list_init(struct ice_list *s, const struct fz_env *env, bool controlling);
void ice_list_clear(struct ice_list *s);

/* The pair of these two entries, made if need be; -1 when it cannot be. Pairs with the same base and remote
 * address are redundant (RFC 8445 section 6.1.2.4): one pair stands for all, under the best of their
 * priorities. */
int ice_list_pair(struct ice_list *s, size_t local, size_t remote);
void ice_list_pair_local(struct ice_list *s, size_t local);
void ice_list_pair_remote(struct ice_list *s, size_t remote);
/* Infer candidates of the peer and pair them. */
void ice_list_infer(struct ice_list *s);
void ice_list_drop(struct ice_list *s, size_t pair);
/* Drop pairs whose candidate is gone; another candidate of the same address may inherit them. */
void ice_list_prune(struct ice_list *s);
/* Candidates changed their meaning in place: recompute what pairs derive from them. */
void ice_list_refresh(struct ice_list *s);

/* Payload goes on the best pair; call after every change. A controlling agent nominates it, which makes its
 * check due. */
void ice_list_select(struct ice_list *s);
/* Can this pair carry payload, and has nothing cast doubt on it? */
bool ice_list_works(const struct ice_list *s, const struct ice_pair *p);
void ice_list_switch_role(struct ice_list *s);

/* The host or relay candidate of ours that this datagram was sent to; -1 when there is none. */
int ice_list_local_of(const struct ice_list *s, const struct path_route *arrival);
/* The candidate of the peer that this request came from, a new peer-reflexive one if need be. */
#define ICE_REMOTE_IGNORE -1 /* withdrawn, or not an address to talk to */
#define ICE_REMOTE_FULL -2 /* answer, but keep nothing */
int ice_list_remote_of(struct ice_list *s, const struct fz_addr *from, uint32_t priority);
/* A request arrived on this pair. */
void ice_list_requested(struct ice_list *s, int pair, bool use_candidate);

#endif
