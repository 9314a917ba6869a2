/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a super-packet into its segments, one at a time, without a second buffer: the headers of each
 * segment are written right in front of its payload, over bytes that were consumed before. An ordinary packet
 * gives one segment. Every segment has complete checksums.
 *
 *   cut_init(&c, pkt, &view);
 *   while (cut_next(&c, &seg, &len))
 *           encrypt seg to somewhere else
 */
#ifndef CORE_CUT_H
#define CORE_CUT_H

#include "wire/ip.h"

struct cut {
	uint8_t *data;
	size_t len, at; /* end of the packet; offset of the next payload byte */
	size_t gso_size; /* 0 = one segment, given as it is */
	uint32_t ip_base, l4_base; /* sums of what is equal in all segments */
	uint32_t seq, index; /* of the first segment; of the next one */
	uint16_t l3_len, hdr_len, id;
	bool is_v6, is_tcp;
	uint8_t first_flags, last_flags;
	uint8_t hdr[IP_SUPER_HDR_MAX]; /* template */
};

/* @pkt as accepted by ip_parse(), which gave @view; NAT may have rewritten it since. Its bytes are borrowed
 * and changed until the last cut_next(). */
void cut_init(struct cut *c, struct fz_pkt *pkt, const struct ip_view *view);
/* The next segment; valid until the next call. False = there is none any more. */
bool cut_next(struct cut *c, const uint8_t **ret_seg, size_t *ret_len);
/* How many segments cut_next() still gives. */
size_t cut_left(const struct cut *c);

#endif
