/* SPDX-License-Identifier: Apache-2.0 */
#include "core/cut.h"

#include <string.h>

#include "base/wr.h"
#include "wire/csum.h"

/* Flags that only the last, or only the first segment keeps. */
#define LAST_FLAGS (IP_TCP_FIN | IP_TCP_PSH)

/* Blank in the template what differs between segments, and sum up the rest under the transport checksum. */
static void prepare_l4(struct cut *c, const struct ip_view *view)
{
	uint8_t *l4 = c->hdr + c->l3_len;

	if (c->is_tcp) {
		c->seq = fz_get_be32(l4 + 4);
		c->last_flags = l4[13] & LAST_FLAGS;
		c->first_flags = l4[13] & IP_TCP_CWR;
		l4[13] &= (uint8_t) ~(LAST_FLAGS | IP_TCP_CWR);
		fz_put_be32(l4 + 4, 0);
		fz_put_be16(l4 + 16, 0);
	} else {
		fz_put_be16(l4 + 4, 0);
		fz_put_be16(l4 + 6, 0);
	}
	c->l4_base = csum_pseudo(c->hdr, view, 0) + csum_sum(l4, (size_t)(c->hdr_len - c->l3_len));
}

void cut_init(struct cut *c, struct fz_pkt *pkt, const struct ip_view *view)
{
	c->data = pkt->data;
	c->len = pkt->len;
	c->at = 0;
	c->gso_size = pkt->gso == FZ_GSO_NONE ? 0 : pkt->gso_size;
	if (c->gso_size == 0) {
		if (pkt->needs_csum)
			csum_complete(pkt);
		return;
	}
	c->at = c->hdr_len = view->hdr_len;
	c->l3_len = view->l3_len;
	c->is_tcp = view->kind == IP_TCP;
	c->is_v6 = view->version == 6;
	c->index = 0;
	memcpy(c->hdr, pkt->data, c->hdr_len);
	if (!c->is_v6) {
		c->id = fz_get_be16(c->hdr + 4);
		fz_put_be16(c->hdr + 2, 0);
		fz_put_be16(c->hdr + 4, 0);
		fz_put_be16(c->hdr + 10, 0);
		c->ip_base = csum_sum(c->hdr, c->l3_len);
	}
	prepare_l4(c, view);
}

static void write_ip(const struct cut *c, uint8_t *seg, size_t len)
{
	if (c->is_v6) {
		fz_put_be16(seg + 4, (uint16_t)(len - 40));
		return;
	}
	uint16_t id = (uint16_t)(c->id + c->index);
	fz_put_be16(seg + 2, (uint16_t)len);
	fz_put_be16(seg + 4, id);
	fz_put_be16(seg + 10, csum_finish(c->ip_base + (uint32_t)len + id));
}

static void write_l4(const struct cut *c, uint8_t *seg, size_t len, bool is_last)
{
	uint8_t *l4 = seg + c->l3_len;
	uint32_t l4_len = (uint32_t)(len - c->l3_len);
	uint32_t sum = c->l4_base + l4_len + csum_sum(seg + c->hdr_len, len - c->hdr_len);

	if (c->is_tcp) {
		uint32_t seq = c->seq + c->index * (uint32_t)c->gso_size;
		uint8_t flags = (c->index == 0 ? c->first_flags : 0) | (is_last ? c->last_flags : 0);
		fz_put_be32(l4 + 4, seq);
		l4[13] |= flags;
		sum += (seq >> 16) + (seq & 0xffff) + flags;
		fz_put_be16(l4 + 16, csum_finish_l4(sum));
	} else {
		fz_put_be16(l4 + 4, (uint16_t)l4_len);
		fz_put_be16(l4 + 6, csum_finish_l4(sum + l4_len));
	}
}

bool cut_next(struct cut *c, const uint8_t **ret_seg, size_t *ret_len)
{
	if (c->at >= c->len)
		return false;
	if (c->gso_size == 0) {
		c->at = c->len;
		*ret_seg = c->data;
		*ret_len = c->len;
		return true;
	}

	size_t left = c->len - c->at;
	size_t payload = left < c->gso_size ? left : c->gso_size;
	size_t len = c->hdr_len + payload;
	uint8_t *seg = c->data + c->at - c->hdr_len;

	memcpy(seg, c->hdr, c->hdr_len);
	write_ip(c, seg, len);
	write_l4(c, seg, len, payload == left);
	c->at += payload;
	c->index++;
	*ret_seg = seg;
	*ret_len = len;
	return true;
}

size_t cut_left(const struct cut *c)
{
	if (c->gso_size == 0)
		return c->at < c->len;
	return (c->len - c->at + c->gso_size - 1) / c->gso_size;
}
