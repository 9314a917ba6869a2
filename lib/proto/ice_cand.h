/* SPDX-License-Identifier: Apache-2.0 */
/* Candidates of one ICE agent, one list per side (RFC 8445 sections 5.1 and 5.1.2): priorities, redundancy,
 * invalidation and inferred ("optimistic") candidates. Entries keep their index for life, pairs refer to it;
 * a removed one is only marked, so that it can come back. Owned by ice_agent. */
#ifndef PROTO_ICE_CAND_H
#define PROTO_ICE_CAND_H

#include "fzconn/env.h"
#include "wire/cand.h"

/* Per side. A full list gives up its oldest entry that no pair uses. */
#define ICE_CANDS_MAX 40
/* Inferred candidates added per announced one. */
#define ICE_OPTIMISTIC_MAX 2

struct ice_cand {
	struct cand c;
	uint16_t local_pref; /* local side: what the PRIORITY attribute of its checks is made from */
	uint16_t pairs; /* that use this entry */
	bool is_valid;
	bool is_optimistic; /* remote side: inferred, not announced */
	uint64_t added_us; /* peer-reflexive: when it was discovered */
	uint32_t age; /* order of insertion */
};

struct ice_cands {
	struct ice_cand *v;
	size_t len, cap;
	uint32_t next_age;
};

void ice_cands_clear(struct ice_cands *s, const struct fz_env *env);

/* Where checks from this candidate leave: itself for host and relay, the socket's address for srflx. */
const struct fz_addr *ice_cand_base(const struct cand *c);

/* Add a candidate of ours and give it its priority. 1: new or back again. 0: known, or redundant, that is a
 * better one has the same address and base (RFC 8445 section 5.1.3). FZ_ERR_INVAL: cannot be a candidate.
 * FZ_ERR_FULL, FZ_ERR_NOMEM. */
int ice_local_add(struct ice_cands *s, const struct fz_env *env, const struct cand *c, size_t *ret_index);
/* PRIORITY attribute for checks from this entry: that of a peer-reflexive candidate (RFC 8445 section 7.1.1).
 */
uint32_t ice_local_check_priority(const struct ice_cand *c);

/* Add a candidate of the peer with the priority it came with. 1: new, back again, or a peer-reflexive one of
 * the same address became this one. 0: known. FZ_ERR_FULL, FZ_ERR_NOMEM. */
int ice_remote_add(struct ice_cands *s, const struct fz_env *env, const struct cand *c, bool is_optimistic,
		   size_t *ret_index);
/* The valid entry of highest priority with this address; -1 when there is none. */
int ice_remote_find(const struct ice_cands *s, const struct fz_addr *addr);
/* Was this address withdrawn by the peer and is it known by no other candidate? */
bool ice_remote_is_withdrawn(const struct ice_cands *s, const struct fz_addr *addr);
/* Next candidate that is worth inferring: the IPv4 of a server-reflexive one with the port of a host one.
 * False: none. */
bool ice_remote_infer(const struct ice_cands *s, struct cand *ret);
/* Mark inferred candidates whose parents are gone as invalid. */
void ice_remote_drop_orphans(struct ice_cands *s);

/* Entry with this kind, address and base (related address), valid or not; -1 when there is none. */
int ice_cands_find(const struct ice_cands *s, const struct cand *c);

#endif
