/* SPDX-License-Identifier: Apache-2.0 */
/* Candidates of one path agent without ICE, one list per side, in the order in which they came. Each kind has
 * its limit; the oldest of the kind makes room. Owned by pa_agent. */
#ifndef PROTO_PA_CAND_H
#define PROTO_PA_CAND_H

#include "fzconn/env.h"
#include "wire/cand.h"

/* Entries of each kind and side. */
#define PA_CANDS_PER_KIND 6
/* Addresses of the peer that it never announced. */
#define PA_PRFLX_MAX 4
/* Inferred candidates added per announced one. */
#define PA_INFER_MAX 2

struct pa_cand {
	struct cand c; /* host: base as addr. Peer-reflexive ones are kept as srflx with base = addr */
	bool is_discovered; /* the peer was seen there before it said so */
};

struct pa_cands {
	struct pa_cand *v;
	size_t len, cap;
};

void pa_cands_clear(struct pa_cands *s, const struct fz_env *env);

/* The form in which candidates are kept, so that equal ones compare equal. False: cannot be a candidate. */
bool pa_cand_normalise(struct cand *c);
/* Where datagrams of a local candidate leave: our socket's address, or the relayed one. */
const struct fz_addr *pa_cand_sender(const struct cand *c);

/* -1: none. */
int pa_cands_find(const struct pa_cands *s, const struct cand *c);
int pa_cands_find_addr(const struct pa_cands *s, const struct fz_addr *addr);
/* The oldest of a kind that has reached its limit, -1 as long as there is room. */
int pa_cands_surplus(const struct pa_cands *s, enum cand_kind kind);
size_t pa_cands_discovered(const struct pa_cands *s);
/* 0 or FZ_ERR_NOMEM; the limits are the caller's business. */
int pa_cands_add(struct pa_cands *s, const struct fz_env *env, const struct cand *c, bool is_discovered);
void pa_cands_remove(struct pa_cands *s, size_t at);

/* Next candidate worth inferring: a forwarded port behind a NAT that changes ports, that is the IPv4 of a
 * server-reflexive candidate with the port of a host one. False: none. */
bool pa_cands_infer(const struct pa_cands *s, struct cand *ret);

#endif
