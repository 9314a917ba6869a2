/* SPDX-License-Identifier: Apache-2.0 */
/* Joining decrypted packets of one batch into super-packets for the TUN device. Decryption writes to the
 * place where the packet will stay:
 *
 *   for each datagram:
 *           p = join_reserve(j, plain_len);     NULL: drain with join_next(), join_reset(), try again
 *           decrypt to p; on failure join_cancel(j), next
 *           ip_parse_plain(p, plain_len, &v), source checks, ip_ecn_merge(); on refusal join_cancel(j), next
 *           join_commit(j, &v, tag);
 *   while (join_next(j, &pkt, &tag))
 *           NAT, write pkt
 *   join_reset(j);
 *
 * Packets of one flow stay in order; flows overtake each other. All memory is taken at the beginning. */
#ifndef CORE_JOIN_H
#define CORE_JOIN_H

#include "fzconn/env.h"
#include "wire/ip.h"

struct join;

enum join_flag {
	JOIN_TCP = 1, /* make TCP super-packets */
	JOIN_UDP = 2, /* make UDP super-packets */
	JOIN_VERIFY = 4 /* join only packets with a right checksum, so that damage from before the tunnel
			   stays visible */
};

/* @flags: 0 = every packet alone, for devices without offloads. FZ_ERR_NOMEM. */
int join_new(const struct fz_env *env, unsigned flags, struct join **ret);
void join_free(struct join *j);
/* Between batches: what the device takes has changed. */
void join_set_flags(struct join *j, unsigned flags);

/* Room for a packet of @len bytes, at most FZ_TUNNEL_MTU + 15 (padding), with FZ_PKT_HEADROOM bytes in front
 * that the caller must not touch. NULL: full, drain first (or len is too large). A second reservation without
 * commit replaces the first. */
uint8_t *join_reserve(struct join *j, size_t len);
/* The packet at the reserved place is good: @view of it, by ip_parse_plain(). The reservation ends; the bytes
 * may move. @tag tells whose it is: packets of different tags are never joined. */
void join_commit(struct join *j, const struct ip_view *view, uint32_t tag);
/* Nothing of use was written. */
void join_cancel(struct join *j);

/* The next finished packet, in the order in which they began. Its bytes and the headroom in front belong to
 * the caller until the next join_next() or join_reset(). False = no more; then join_reset() makes room again.
 */
bool join_next(struct join *j, struct fz_pkt *ret, uint32_t *ret_tag);
void join_reset(struct join *j);

/* Counters since join_new(). */
struct join_stats {
	uint64_t packets; /* committed */
	uint64_t out; /* given by join_next() */
	uint64_t full; /* reservations refused */
};
void join_stats(const struct join *j, struct join_stats *ret);

#endif
