/* SPDX-License-Identifier: Apache-2.0 */
/* Candidate changes that cannot be told now, merged per peer: an addition that is invalidated meanwhile was
 * never told and cancels out; an invalidation followed by an addition of the same is an addition. */
#ifndef CORE_PORTAL_HELD_H
#define CORE_PORTAL_HELD_H

#include "wire/portal_messages.h"

#define PORTAL_HELD_PEERS_MAX 2048

struct portal_held_peer {
	enum portal_peer peer;
	struct fz_uuid id;
	char *texts[2][PORTAL_CANDIDATES_MAX]; /* by enum portal_candidates_kind */
	size_t len[2];
};

struct portal_held {
	struct portal_held_peer **peers; /* in the order of their first change */
	size_t len, cap;
};

void portal_held_clear(struct portal_held *h, const struct fz_env *env);
bool portal_held_is_empty(const struct portal_held *h);
/* FZ_ERR_FULL, FZ_ERR_NOMEM: what came before the text that failed is held. */
int portal_held_put(struct portal_held *h, const struct fz_env *env, enum portal_candidates_kind kind,
		    enum portal_peer peer, const struct fz_uuid *id, const char *const *texts, size_t n);
void portal_held_forget(struct portal_held *h, const struct fz_env *env, enum portal_peer peer,
			const struct fz_uuid *id);
/* What is to be told next, additions of all peers first: a peer whose texts[*ret_kind] are not empty; NULL =
 * none. */
struct portal_held_peer *portal_held_peek(const struct portal_held *h, enum portal_candidates_kind *ret_kind);
/* It was told. */
void portal_held_drop(struct portal_held *h, const struct fz_env *env, struct portal_held_peer *p,
		      enum portal_candidates_kind kind);

#endif
