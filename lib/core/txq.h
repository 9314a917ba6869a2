/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing datagrams, gathered into batches of equal size, source, destination and ECN bits, so that one
 * system call sends many. Batches keep the order in which they were begun; only the newest batch of a key
 * grows, so datagrams of one key never overtake each other.
 *
 *   p = txq_reserve(q, &local, &remote, ecn, len);   NULL: full (counted), drop
 *   write len bytes to p
 *   txq_commit(q);  or txq_cancel(q)
 *   ...
 *   while (txq_peek(q, &batch) && send(&batch))
 *           txq_pop(q);
 *
 * Buffers are taken from the environment when first needed, up to a maximum, and kept. */
#ifndef CORE_TXQ_H
#define CORE_TXQ_H

#include "fzconn/env.h"
#include "fzconn/packet.h"

struct txq;

/* Datagrams in one batch. Linux takes 64 in all versions. */
#define TXQ_SEGS_MAX 64

/* @max_batches: how many batches of up to 64 KiB may wait; at least 2. Four times as many small ones (control
 * messages) are kept besides. */
int txq_new(const struct fz_env *env, size_t max_batches, struct txq **ret);
void txq_free(struct txq *q);

/* Datagrams per batch, 1 to TXQ_SEGS_MAX (the default): 1 where nothing is gained by batches. */
void txq_set_segs_max(struct txq *q, size_t segs_max);

/* Room for one datagram, 1 to FZ_SUPER_MAX - 68 bytes. The last reservation must be committed or cancelled
 * first; one that was forgotten is cancelled. NULL: all buffers are taken (counted), or len is impossible. */
uint8_t *txq_reserve(struct txq *q, const struct fz_addr *local, const struct fz_addr *remote, uint8_t ecn,
		     size_t len);
void txq_commit(struct txq *q);
void txq_cancel(struct txq *q);
/* Copy one control message in (not ECN-capable). FZ_ERR_FULL: dropped and counted. */
int txq_push(struct txq *q, const struct fz_addr *local, const struct fz_addr *remote, const void *data,
	     size_t len);

/* The oldest batch, which stays in the queue and does not grow any more; valid until txq_pop(). */
bool txq_peek(struct txq *q, struct fz_udp_batch *ret);
void txq_pop(struct txq *q);
/* Could a further batch of full size begin? False: send first. */
bool txq_has_room(const struct txq *q);
/* Batches that wait. */
size_t txq_batches(const struct txq *q);
bool txq_empty(const struct txq *q);
/* Drop everything that waits. */
void txq_clear(struct txq *q);

struct txq_stats {
	uint64_t datagrams, batches, bytes; /* committed */
	uint64_t full; /* datagrams refused */
};
void txq_stats(const struct txq *q, struct txq_stats *ret);

#endif
