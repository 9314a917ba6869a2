/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/vnet.h"

#include <string.h>

#include "fzconn/error.h"

enum { NEEDS_CSUM = 1 };
enum { GSO_TCPV4 = 1, GSO_TCPV6 = 4, GSO_UDP_L4 = 5 };
enum { PROTO_TCP = 6, PROTO_UDP = 17, TCP_CSUM = 16, UDP_CSUM = 6 };

struct header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
};

static const struct {
	uint8_t gso_type, gso, version, proto;
} kinds[] = {
	{ GSO_TCPV4, FZ_GSO_TCP4, 4, PROTO_TCP },
	{ GSO_TCPV6, FZ_GSO_TCP6, 6, PROTO_TCP },
	{ GSO_UDP_L4, FZ_GSO_UDP, 4, PROTO_UDP },
	{ GSO_UDP_L4, FZ_GSO_UDP, 6, PROTO_UDP },
};

static struct header load(const uint8_t b[VNET_LEN])
{
	struct header h = { .flags = b[0], .gso_type = b[1] };

	memcpy(&h.hdr_len, b + 2, 2);
	memcpy(&h.gso_size, b + 4, 2);
	memcpy(&h.csum_start, b + 6, 2);
	memcpy(&h.csum_offset, b + 8, 2);
	return h;
}

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static unsigned version_of(const uint8_t *data, size_t len)
{
	unsigned version = len >= 20 ? data[0] >> 4 : 0;

	return version == 4 || (version == 6 && len >= 40) ? version : 0;
}

/* Offset of the transport header and its protocol; 0 = none to be found. */
static size_t find_l4(const uint8_t *data, size_t len, unsigned version, uint8_t *ret_proto)
{
	if (version == 4) {
		size_t ihl = (size_t)(data[0] & 15) * 4;
		*ret_proto = data[9];
		return ihl >= 20 && ihl <= len ? ihl : 0;
	}
	size_t at = 40;
	uint8_t next = data[6];
	while (next == 0 || next == 43 || next == 60) { /* hop-by-hop, routing, destination options */
		if (at + 8 > len)
			return 0;
		next = data[at];
		at += ((size_t)data[at + 1] + 1) * 8;
	}
	*ret_proto = next;
	return at <= len ? at : 0;
}

static size_t l4_header_len(const uint8_t *l4, size_t len, uint8_t proto)
{
	if (proto == PROTO_UDP)
		return len >= 8 ? 8 : 0;
	size_t doff = len >= 20 ? (size_t)(l4[12] >> 4) * 4 : 0;
	return doff >= 20 && doff <= len ? doff : 0;
}

/* Folded, not complemented sum of the pseudo-header: what the checksum field of an unfinished packet holds.
 */
static unsigned pseudo_sum(const uint8_t *data, unsigned version, uint8_t proto, size_t l4_len)
{
	size_t at = version == 4 ? 12 : 8, end = version == 4 ? 20 : 40;
	uint64_t sum = proto + l4_len;

	for (; at < end; at += 2)
		sum += be16(data + at);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (unsigned)sum;
}

static int decode_super(const struct header *h, unsigned version, struct fz_pkt *pkt)
{
	uint8_t proto = 0;
	size_t l4 = find_l4(pkt->data, pkt->len, version, &proto), l4_len = pkt->len - l4, hdr;
	unsigned i = 0, csum = proto == PROTO_TCP ? TCP_CSUM : UDP_CSUM;

	while (i < sizeof(kinds) / sizeof(kinds[0]) &&
	       (kinds[i].gso_type != h->gso_type || kinds[i].version != version || kinds[i].proto != proto))
		i++;
	if (l4 == 0 || i == sizeof(kinds) / sizeof(kinds[0]) || h->gso_size == 0)
		return FZ_ERR_WIRE;
	hdr = l4_header_len(pkt->data + l4, l4_len, proto);
	if (hdr == 0 || hdr == l4_len)
		return FZ_ERR_WIRE;
	if (h->flags & NEEDS_CSUM) {
		if (h->csum_start != l4 || h->csum_offset != csum)
			return FZ_ERR_WIRE;
	} else {
		unsigned seed = pseudo_sum(pkt->data, version, proto, l4_len);
		pkt->data[l4 + csum] = (uint8_t)(seed >> 8);
		pkt->data[l4 + csum + 1] = (uint8_t)seed;
	}
	pkt->needs_csum = 1;
	pkt->csum_start = (uint16_t)l4;
	pkt->csum_offset = (uint16_t)csum;
	if (l4_len - hdr > h->gso_size) {
		pkt->gso = kinds[i].gso;
		pkt->gso_size = h->gso_size;
	}
	return 0;
}

int vnet_decode(const uint8_t hdr[VNET_LEN], uint8_t *data, size_t len, struct fz_pkt *ret)
{
	struct header h = load(hdr);
	struct fz_pkt pkt = { .data = data, .len = len };
	unsigned version = version_of(data, len);

	if (version == 0)
		return FZ_ERR_WIRE;
	if (h.gso_type != 0) {
		int err = decode_super(&h, version, &pkt);
		if (err)
			return err;
	} else if (h.flags & NEEDS_CSUM) {
		if (h.csum_start < (version == 4 ? 20 : 40) || (size_t)h.csum_start + h.csum_offset + 2 > len)
			return FZ_ERR_WIRE;
		pkt.needs_csum = 1;
		pkt.csum_start = h.csum_start;
		pkt.csum_offset = h.csum_offset;
	}
	*ret = pkt;
	return 0;
}

int vnet_decode_plain(uint8_t *data, size_t len, struct fz_pkt *ret)
{
	if (version_of(data, len) == 0)
		return FZ_ERR_WIRE;
	*ret = (struct fz_pkt){ .data = data, .len = len };
	return 0;
}

static bool csum_inside(const struct fz_pkt *pkt)
{
	return (size_t)pkt->csum_start + pkt->csum_offset + 2 <= pkt->len;
}

int vnet_encode(const struct fz_pkt *pkt, uint8_t hdr[VNET_LEN])
{
	struct header h = { 0 };

	if (pkt->needs_csum || pkt->gso != FZ_GSO_NONE) {
		if (!csum_inside(pkt))
			return FZ_ERR_INVAL;
		h.flags = NEEDS_CSUM;
		h.csum_start = pkt->csum_start;
		h.csum_offset = pkt->csum_offset;
	}
	if (pkt->gso != FZ_GSO_NONE) {
		const uint8_t *l4 = pkt->data + pkt->csum_start;
		size_t l4_hdr = l4_header_len(l4, pkt->len - pkt->csum_start,
					      pkt->gso == FZ_GSO_UDP ? PROTO_UDP : PROTO_TCP);
		if (l4_hdr == 0 || pkt->gso_size == 0)
			return FZ_ERR_INVAL;
		h.gso_type = pkt->gso; /* enum fz_gso has the values of the header */
		h.gso_size = pkt->gso_size;
		h.hdr_len = (uint16_t)(pkt->csum_start + l4_hdr);
	}
	hdr[0] = h.flags;
	hdr[1] = h.gso_type;
	memcpy(hdr + 2, &h.hdr_len, 2);
	memcpy(hdr + 4, &h.gso_size, 2);
	memcpy(hdr + 6, &h.csum_start, 2);
	memcpy(hdr + 8, &h.csum_offset, 2);
	return 0;
}

int vnet_complete_csum(const struct fz_pkt *pkt)
{
	if (!csum_inside(pkt))
		return FZ_ERR_INVAL;
	uint8_t *at = pkt->data + pkt->csum_start, *field = at + pkt->csum_offset;
	size_t len = pkt->len - pkt->csum_start;
	uint64_t sum = 0;
	uint32_t word;
	uint16_t half = 0;

	/* Sums of native words give native sums (RFC 1071 section 2 B). */
	for (; len >= 4; at += 4, len -= 4) {
		memcpy(&word, at, 4);
		sum += word;
	}
	if (len >= 2) {
		memcpy(&half, at, 2);
		sum += half;
		at += 2;
		len -= 2;
	}
	if (len == 1) {
		half = 0;
		memcpy(&half, at, 1);
		sum += half;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	half = (uint16_t)~sum;
	if (half == 0)
		half = 0xffff; /* 0 means "no checksum" to UDP, and is the same number to the others */
	memcpy(field, &half, 2);
	return 0;
}
