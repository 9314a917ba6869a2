/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of IP packets in place: congestion marks and address translation. */
#include <string.h>

#include "base/wr.h"
#include "wire/csum.h"
#include "wire/ip.h"

static void update_field(uint8_t *field, uint32_t removed, uint32_t added)
{
	fz_put_be16(field, csum_update(fz_get_be16(field), removed, added));
}

void ip_ecn_merge(uint8_t *data, struct ip_view *view, uint8_t outer_ecn)
{
	if (outer_ecn != IP_ECN_CE || (view->ecn != IP_ECN_ECT0 && view->ecn != IP_ECN_ECT1))
		return;
	uint32_t before = fz_get_be16(data);
	if (view->version == 4) {
		data[1] |= IP_ECN_CE;
		update_field(data + 10, before, fz_get_be16(data));
	} else {
		data[1] |= IP_ECN_CE << 4;
	}
	view->ecn = IP_ECN_CE;
}

/* The transport's checksum field, NULL when there is none that we know. */
static uint8_t *l4_field(const struct fz_pkt *pkt, const struct ip_view *view)
{
	uint8_t *l4 = pkt->data + view->l3_len;

	switch (view->kind) {
	case IP_TCP:
		return l4 + 16;
	case IP_UDP:
		return l4 + 6;
	case IP_ICMP_ECHO:
	case IP_ICMP_OTHER:
		return l4 + 2;
	default:
		return NULL;
	}
}

/* A UDP datagram that was sent without checksum stays so. */
static bool has_no_csum(const struct ip_view *view, const uint8_t *field)
{
	return view->kind == IP_UDP && fz_get_be16(field) == 0;
}

static void set_addr(struct fz_pkt *pkt, const struct ip_view *view, size_t at, const struct fz_ip *ip)
{
	size_t len = view->version == 4 ? 4 : 16;
	uint32_t removed = csum_sum(pkt->data + at, len), added = csum_sum(ip->b, len);
	uint8_t *field = l4_field(pkt, view);

	memcpy(pkt->data + at, ip->b, len);
	if (view->version == 4)
		update_field(pkt->data + 10, removed, added);
	if (field == NULL || view->proto == IP_PROTO_ICMP)
		return; /* no pseudo-header */
	if (pkt->needs_csum) /* the field is the sum itself, not its complement */
		fz_put_be16(field, csum_fold(fz_get_be16(field) + (0xffff - removed) + added));
	else if (!has_no_csum(view, field))
		update_field(field, removed, added);
}

void ip_set_src(struct fz_pkt *pkt, struct ip_view *view, const struct fz_ip *ip)
{
	set_addr(pkt, view, view->version == 4 ? 12 : 8, ip);
	view->src = *ip;
}

void ip_set_dst(struct fz_pkt *pkt, struct ip_view *view, const struct fz_ip *ip)
{
	set_addr(pkt, view, view->version == 4 ? 16 : 24, ip);
	view->dst = *ip;
}

static void set_word(struct fz_pkt *pkt, const struct ip_view *view, size_t at, uint16_t value)
{
	uint8_t *word = pkt->data + view->l3_len + at, *field = l4_field(pkt, view);
	uint32_t removed = fz_get_be16(word);

	fz_put_be16(word, value);
	/* A sum still to be completed covers only the pseudo-header. */
	if (!pkt->needs_csum && !has_no_csum(view, field))
		update_field(field, removed, value);
}

static void set_port(struct fz_pkt *pkt, struct ip_view *view, size_t at, uint16_t port)
{
	if (view->kind == IP_ICMP_ECHO) {
		set_word(pkt, view, 4, port);
		view->sport = view->dport = port;
	} else if (view->kind == IP_TCP || view->kind == IP_UDP) {
		set_word(pkt, view, at, port);
		*(at == 0 ? &view->sport : &view->dport) = port;
	}
}

void ip_set_sport(struct fz_pkt *pkt, struct ip_view *view, uint16_t port)
{
	set_port(pkt, view, 0, port);
}

void ip_set_dport(struct fz_pkt *pkt, struct ip_view *view, uint16_t port)
{
	set_port(pkt, view, 2, port);
}
