/* SPDX-License-Identifier: Apache-2.0 */
/* One arena holds everything that a batch decrypts to. A super-packet starts with its first packet, headroom
 * in front; followers put their payload at the end of the arena, which in an uninterrupted run is right
 * behind the packet before. Where runs are interleaved a super-packet consists of chunks, gathered when it is
 * taken.
 *
 * In a run even that one move of the payload is saved: the place handed out for decryption begins so far
 * before the end of the arena that the headers cover the tail of the previous payload, and the new payload
 * lands where it belongs. The covered bytes are kept aside meanwhile. */
#include "core/join.h"

#include <string.h>

#include "base/mem.h"
#include "base/wr.h"
#include "fzconn/error.h"
#include "wire/csum.h"

#define ARENA_LEN (128u * 1024)
#define ITEMS_MAX 256
#define CHUNKS_MAX 512
#define SLOTS 64 /* of the flow table; a power of two */
#define NONE UINT16_MAX
#define ALIGN 16
/* Longest packet to reserve: padding of WireGuard included. */
#define RESERVE_MAX (FZ_TUNNEL_MTU + 15)
/* Longest headers that join: no IPv4 options, no IPv6 extensions. */
#define HDR_MAX (40 + 60)
/* UDP segments of one super-packet. Kernels before 2024 take 64. */
#define UDP_SEGS_MAX 64

/* Payload of one more packet of an item. */
struct chunk {
	uint32_t off;
	uint32_t len; /* packets that follow each other share a chunk */
	uint16_t next;
};

/* A packet, or a super-packet. */
struct item {
	uint32_t off, first_len; /* headers and payload up to the first chunk */
	uint32_t len; /* all of it */
	uint32_t next_seq; /* TCP */
	uint32_t tag; /* whose packets these are */
	uint16_t l3_len, hdr_len;
	uint16_t gso_size, segs;
	uint16_t chunk_first, chunk_last;
	uint8_t version, kind;
	bool open; /* may grow */
};

struct join {
	const struct fz_env *env;
	unsigned flags;
	uint32_t tail; /* first free byte of the arena */
	uint16_t items_len, chunks_len, next; /* next: the item that join_next() gives */
	uint16_t last; /* item that the last packet went to, NONE = no item yet */
	bool in_run; /* the next packet probably belongs to `last` */
	uint32_t tag; /* of the packet being committed */
	/* The reservation: res_len 0 = none. */
	uint32_t res_off, res_len;
	uint32_t saved_len; /* bytes before tail that it covers */
	struct join_stats stats;
	uint16_t slots[SLOTS]; /* newest item of a flow */
	uint8_t saved[HDR_MAX];
	struct item items[ITEMS_MAX];
	struct chunk chunks[CHUNKS_MAX];
	uint8_t arena[ARENA_LEN];
	uint8_t gather[FZ_PKT_HEADROOM + FZ_SUPER_MAX];
};

int join_new(const struct fz_env *env, unsigned flags, struct join **ret)
{
	/* Not zeroed: pages that a small node never uses stay out of its memory. */
	struct join *j = env->mem.alloc(env->mem.ctx, sizeof(*j));

	if (j == NULL)
		return FZ_ERR_NOMEM;
	memset(j, 0, offsetof(struct join, saved));
	j->env = env;
	j->flags = flags;
	join_reset(j);
	*ret = j;
	return 0;
}

void join_free(struct join *j)
{
	if (j != NULL)
		fz_free(j->env, j);
}

void join_set_flags(struct join *j, unsigned flags)
{
	j->flags = flags;
}

void join_reset(struct join *j)
{
	j->tail = 0;
	j->items_len = j->chunks_len = j->next = 0;
	j->last = NONE;
	j->in_run = false;
	j->res_len = j->saved_len = 0;
	memset(j->slots, 0xff, sizeof(j->slots));
}

/* Where a packet begins that is not a continuation. */
static uint32_t fresh_off(const struct join *j)
{
	return ((j->tail + ALIGN - 1) & ~(uint32_t)(ALIGN - 1)) + FZ_PKT_HEADROOM;
}

static void restore(struct join *j)
{
	memcpy(j->arena + j->tail - j->saved_len, j->saved, j->saved_len);
	j->saved_len = 0;
}

void join_cancel(struct join *j)
{
	restore(j);
	j->res_len = 0;
}

uint8_t *join_reserve(struct join *j, size_t len)
{
	join_cancel(j);
	uint32_t off = fresh_off(j);
	if (len == 0 || len > RESERVE_MAX || off + len > ARENA_LEN || j->items_len == ITEMS_MAX) {
		j->stats.full++;
		return NULL;
	}
	if (j->in_run) {
		j->saved_len = j->items[j->last].hdr_len;
		off = j->tail - j->saved_len;
		memcpy(j->saved, j->arena + off, j->saved_len);
	}
	j->res_off = off;
	j->res_len = (uint32_t)len;
	return j->arena + off;
}

/* May this packet be part of a super-packet at all? @p: its bytes. */
static bool can_join(const struct join *j, const uint8_t *p, const struct ip_view *v)
{
	if (v->l3_len != (v->version == 4 ? 20 : 40) || v->len == v->hdr_len)
		return false;
	if (v->kind == IP_TCP) {
		/* Segmentation repeats ECE and keeps FIN and PSH for the end; it cannot express the others.
		 */
		unsigned plain = v->tcp_flags & ~(unsigned)(IP_TCP_PSH | IP_TCP_FIN | IP_TCP_ECE);
		if (!(j->flags & JOIN_TCP) || plain != IP_TCP_ACK)
			return false;
	} else if (v->kind != IP_UDP || !(j->flags & JOIN_UDP)) {
		return false;
	}
	return !(j->flags & JOIN_VERIFY) || csum_ok(p, v);
}

static bool same_flow(const struct join *j, const struct item *it, const uint8_t *have, const uint8_t *p,
		      const struct ip_view *v)
{
	if (it->tag != j->tag || it->version != v->version || it->kind != v->kind)
		return false;
	if (memcmp(have + it->l3_len, p + v->l3_len, 4) != 0)
		return false;
	return v->version == 4 ? memcmp(have + 12, p + 12, 8) == 0 : memcmp(have + 8, p + 8, 32) == 0;
}

/* IP fields that all segments will share: traffic class, don't-fragment bit, hop limit, flow label. */
static bool same_ip_fields(const uint8_t *have, const uint8_t *p, const struct ip_view *v)
{
	if (v->version == 4)
		return have[1] == p[1] && have[6] == p[6] && have[8] == p[8];
	return memcmp(have, p, 4) == 0 && have[7] == p[7];
}

/* Does the packet continue the super-packet? Its flow is known to be the same. */
static bool continues(const struct item *it, const uint8_t *have, const uint8_t *p, const struct ip_view *v)
{
	uint32_t payload = v->len - v->hdr_len;

	if (!it->open || it->hdr_len != v->hdr_len || it->l3_len != v->l3_len || payload > it->gso_size ||
	    it->len + payload > FZ_SUPER_MAX || !same_ip_fields(have, p, v))
		return false;
	if (v->kind == IP_UDP)
		return it->segs < UDP_SEGS_MAX;
	const uint8_t *a = have + it->l3_len, *b = p + v->l3_len;
	return it->next_seq == v->tcp_seq && memcmp(a + 8, b + 8, 4) == 0 && a[12] == b[12] &&
	       ((a[13] ^ b[13]) & IP_TCP_ECE) == 0 &&
	       memcmp(a + 20, b + 20, (size_t)(v->hdr_len - v->l3_len - 20)) == 0;
}

/* Account for a payload that now lies at the tail of the arena. @p: headers of its packet. */
static void grow(struct join *j, struct item *it, const uint8_t *p, const struct ip_view *v)
{
	uint32_t payload = v->len - v->hdr_len;

	it->len += payload;
	it->segs++;
	it->next_seq += payload;
	if (it->kind == IP_TCP) {
		uint8_t *have = j->arena + it->off + it->l3_len;
		have[13] |= v->tcp_flags & (IP_TCP_PSH | IP_TCP_FIN);
		/* With an equal acknowledgement the newest window is the true one. */
		memcpy(have + 14, p + v->l3_len + 14, 2);
	}
	it->open =
		payload == it->gso_size && !(it->kind == IP_TCP && v->tcp_flags & (IP_TCP_PSH | IP_TCP_FIN));
	j->tail += payload;
}

/* Make the bytes at the tail part of the item: one run with what it has, or a chunk of their own. */
static bool attach(struct join *j, struct item *it, uint32_t payload)
{
	struct chunk *last = it->chunk_last == NONE ? NULL : &j->chunks[it->chunk_last];

	if (last == NULL && it->off + it->first_len == j->tail) {
		it->first_len += payload;
	} else if (last != NULL && last->off + last->len == j->tail) {
		last->len += payload;
	} else {
		if (j->chunks_len == CHUNKS_MAX)
			return false;
		uint16_t id = j->chunks_len++;
		j->chunks[id] = (struct chunk){ j->tail, payload, NONE };
		if (last == NULL)
			it->chunk_first = id;
		else
			last->next = id;
		it->chunk_last = id;
	}
	return true;
}

/* The reservation covers the end of the last item. If the packet continues that, its payload is in place. */
static bool commit_in_place(struct join *j, const struct ip_view *v)
{
	struct item *it = &j->items[j->last];
	uint8_t hdr[HDR_MAX];
	uint8_t *place = j->arena + j->res_off;

	if (v->hdr_len != j->saved_len || !can_join(j, place, v))
		return false;
	/* Its headers may cover those of the item: compare with the covered bytes back in place. */
	memcpy(hdr, place, v->hdr_len);
	memcpy(place, j->saved, j->saved_len);
	const uint8_t *have = j->arena + it->off;
	if (same_flow(j, it, have, hdr, v) && continues(it, have, hdr, v)) {
		attach(j, it, v->len - v->hdr_len); /* cannot fail: it ends at the tail */
		grow(j, it, hdr, v);
		return true;
	}
	memcpy(place, hdr, v->hdr_len);
	return false;
}

/* Out of the way of the last item, to where a new one begins. */
static uint8_t *relocate(struct join *j, const struct ip_view *v)
{
	uint8_t *from = j->arena + j->res_off, *to = j->arena + fresh_off(j);

	if (from != to) {
		memmove(to, from, v->len);
		/* The two do not overlap where it matters: `to` lies behind the covered bytes. */
		restore(j);
	}
	return to;
}

static uint16_t *flow_slot(struct join *j, const uint8_t *p, const struct ip_view *v)
{
	uint32_t w[9] = { 0 };
	uint64_t h = v->kind;

	memcpy(w, p + v->l3_len, 4);
	if (v->version == 4)
		memcpy(w + 1, p + 12, 8);
	else
		memcpy(w + 1, p + 8, 32);
	for (int i = 0; i < 9; i++)
		h = (h ^ w[i]) * 0x9e3779b97f4a7c15u;
	return &j->slots[h >> 58];
}

static void begin(struct join *j, const uint8_t *p, const struct ip_view *v, bool can_grow)
{
	uint16_t id = j->items_len++;
	bool last = v->kind == IP_TCP && v->tcp_flags & (IP_TCP_PSH | IP_TCP_FIN);
	uint32_t off = (uint32_t)(p - j->arena);

	j->items[id] = (struct item){ .off = off,
				      .first_len = v->len,
				      .len = v->len,
				      .tag = j->tag,
				      .next_seq = v->tcp_seq + (v->len - v->hdr_len),
				      .l3_len = v->l3_len,
				      .hdr_len = v->hdr_len,
				      .gso_size = (uint16_t)(v->len - v->hdr_len),
				      .segs = 1,
				      .chunk_first = NONE,
				      .chunk_last = NONE,
				      .version = v->version,
				      .kind = v->kind,
				      .open = can_grow && !last };
	j->tail = off + v->len;
	j->last = id;
}

void join_commit(struct join *j, const struct ip_view *v, uint32_t tag)
{
	j->tag = tag;
	j->stats.packets++;
	j->res_len = v->len;
	if (j->saved_len > 0 && commit_in_place(j, v)) {
		j->saved_len = j->res_len = 0;
		j->in_run = j->items[j->last].open;
		return;
	}

	uint8_t *p = relocate(j, v);
	bool is_flow = v->kind == IP_TCP || v->kind == IP_UDP;
	bool can_grow = can_join(j, p, v);
	uint16_t *slot = is_flow ? flow_slot(j, p, v) : NULL;
	struct item *it = slot != NULL && *slot != NONE ? &j->items[*slot] : NULL;

	j->res_len = 0;
	if (can_grow && it != NULL) {
		const uint8_t *have = j->arena + it->off;
		uint32_t payload = v->len - v->hdr_len;
		if (same_flow(j, it, have, p, v) && continues(it, have, p, v) && attach(j, it, payload)) {
			uint8_t hdr[HDR_MAX];
			memcpy(hdr, p, v->hdr_len);
			memmove(j->arena + j->tail, p + v->hdr_len, payload);
			grow(j, it, hdr, v);
			j->in_run = it->open && j->last == *slot;
			j->last = *slot;
			return;
		}
	}
	begin(j, p, v, can_grow);
	if (slot != NULL)
		*slot = j->last;
	j->in_run = j->items[j->last].open;
}

static uint8_t *collect(struct join *j, const struct item *it)
{
	uint8_t *to = j->gather + FZ_PKT_HEADROOM, *at = to + it->first_len;

	memcpy(to, j->arena + it->off, it->first_len);
	for (uint16_t id = it->chunk_first; id != NONE; id = j->chunks[id].next) {
		memcpy(at, j->arena + j->chunks[id].off, j->chunks[id].len);
		at += j->chunks[id].len;
	}
	return to;
}

/* Lengths, and a checksum field that the device completes: the sum of the pseudo-header, not complemented. */
static void finish_super(struct fz_pkt *pkt, const struct item *it)
{
	struct ip_view v = { .version = it->version,
			     .proto = it->kind == IP_TCP ? IP_PROTO_TCP : IP_PROTO_UDP };
	uint8_t *p = pkt->data, *l4 = p + it->l3_len;
	uint32_t l4_len = it->len - it->l3_len;

	if (it->version == 4) {
		fz_put_be16(p + 2, (uint16_t)it->len);
		csum_ip4(p, it->l3_len);
	} else {
		fz_put_be16(p + 4, (uint16_t)(it->len - 40));
	}
	if (it->kind == IP_UDP)
		fz_put_be16(l4 + 4, (uint16_t)l4_len);
	pkt->gso = it->kind == IP_UDP ? FZ_GSO_UDP : it->version == 4 ? FZ_GSO_TCP4 : FZ_GSO_TCP6;
	pkt->gso_size = it->gso_size;
	pkt->needs_csum = 1;
	pkt->csum_start = it->l3_len;
	pkt->csum_offset = it->kind == IP_UDP ? 6 : 16;
	fz_put_be16(l4 + pkt->csum_offset, csum_fold(csum_pseudo(p, &v, l4_len)));
}

bool join_next(struct join *j, struct fz_pkt *ret, uint32_t *ret_tag)
{
	join_cancel(j);
	if (j->next == j->items_len)
		return false;
	/* What was given away does not grow any more. */
	struct item *it = &j->items[j->next++];
	it->open = false;
	j->in_run = false;
	*ret_tag = it->tag;
	*ret = ip_pkt(it->chunk_first == NONE ? j->arena + it->off : collect(j, it), it->len);
	if (it->segs > 1)
		finish_super(ret, it);
	j->stats.out++;
	return true;
}

void join_stats(const struct join *j, struct join_stats *ret)
{
	*ret = j->stats;
}
