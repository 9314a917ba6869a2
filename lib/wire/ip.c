/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ip.h"

#include <string.h>

#include "base/wr.h"

static const char *const reason_text[IP_REASONS] = {
	[IP_OK] = "accepted",
	[IP_EMPTY] = "empty",
	[IP_TOO_LONG] = "too long for the tunnel",
	[IP_VERSION] = "neither IPv4 nor IPv6",
	[IP_HEADER] = "malformed IP header",
	[IP_LENGTH] = "IP length field disagrees with the packet",
	[IP_FRAGMENT] = "fragment",
	[IP_BAD_TCP] = "malformed TCP header",
	[IP_BAD_UDP] = "malformed UDP header",
	[IP_BAD_ICMP] = "malformed or misplaced ICMP message",
	[IP_OFFLOAD] = "offload facts do not fit the packet",
};

const char *ip_reason_text(enum ip_reason why)
{
	return (unsigned)why < IP_REASONS ? reason_text[why] : "unknown";
}

/* The view was zeroed before. Not by value: wide copies of bytes just written stall the processor, which
 * costs more than all the rest of a parser. */
static void set_ip(struct fz_ip *ip, uint8_t family, const uint8_t *bytes, size_t len)
{
	ip->family = family;
	memcpy(ip->b, bytes, len);
}

static enum ip_reason parse_ip4(const uint8_t *p, size_t len, struct ip_view *v)
{
	if (len < 20)
		return IP_HEADER;
	size_t hdr_len = (size_t)(p[0] & 15) * 4;
	if (hdr_len < 20 || hdr_len > len)
		return IP_HEADER;
	v->len = fz_get_be16(p + 2);
	if (v->len < hdr_len)
		return IP_LENGTH;
	if ((fz_get_be16(p + 6) & 0x3fff) != 0) /* MF and offset */
		return IP_FRAGMENT;
	v->ecn = p[1] & 3;
	v->proto = p[9];
	v->l3_len = (uint16_t)hdr_len;
	set_ip(&v->src, FZ_FAMILY_INET, p + 12, 4);
	set_ip(&v->dst, FZ_FAMILY_INET, p + 16, 4);
	return IP_OK;
}

/* Extension headers that are skipped to find the transport: those with the common shape of RFC 6564, and the
 * fragment header. ESP and AH end the walk: what follows is not ours to look into. */
static bool is_extension(uint8_t proto)
{
	switch (proto) {
	case 0: /* hop-by-hop options */
	case 43: /* routing */
	case 44: /* fragment */
	case 60: /* destination options */
	case 135: /* mobility */
	case 139: /* HIP */
	case 140: /* Shim6 */
	case 253: /* experiments */
	case 254:
		return true;
	default:
		return false;
	}
}

static enum ip_reason skip_extensions(const uint8_t *p, size_t len, struct ip_view *v)
{
	uint8_t proto = p[6];
	size_t at = 40;

	while (is_extension(proto)) {
		if (len - at < 8)
			return IP_HEADER;
		size_t ext_len = 8;
		if (proto == 44) {
			if ((fz_get_be16(p + at + 2) & 0xfff9) != 0) /* offset and M */
				return IP_FRAGMENT;
		} else {
			ext_len = ((size_t)p[at + 1] + 1) * 8;
		}
		if (ext_len > len - at)
			return IP_HEADER;
		proto = p[at];
		at += ext_len;
	}
	v->proto = proto;
	v->l3_len = (uint16_t)at;
	return IP_OK;
}

static enum ip_reason parse_ip6(const uint8_t *p, size_t len, struct ip_view *v)
{
	if (len < 40)
		return IP_HEADER;
	v->len = 40u + fz_get_be16(p + 4);
	v->ecn = (p[1] >> 4) & 3;
	set_ip(&v->src, FZ_FAMILY_INET6, p + 8, 16);
	set_ip(&v->dst, FZ_FAMILY_INET6, p + 24, 16);
	return skip_extensions(p, len < v->len ? len : v->len, v);
}

static bool is_echo(const struct ip_view *v)
{
	if (v->icmp_code != 0)
		return false;
	return v->version == 4 ? v->icmp_type == 0 || v->icmp_type == 8
			       : v->icmp_type == 128 || v->icmp_type == 129;
}

/* ICMP of either family; the 8-byte header is there. */
static void read_icmp(const uint8_t *l4, struct ip_view *v)
{
	v->icmp_type = l4[0];
	v->icmp_code = l4[1];
	v->kind = IP_ICMP_OTHER;
	if (is_echo(v)) {
		v->kind = IP_ICMP_ECHO;
		v->sport = v->dport = fz_get_be16(l4 + 4);
	}
}

static bool is_icmp_of(const struct ip_view *v)
{
	return v->proto == (v->version == 4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6);
}

/* @left: bytes of the transport header and payload. */
static enum ip_reason parse_l4(const uint8_t *l4, size_t left, struct ip_view *v)
{
	size_t hdr_len = 0;

	v->kind = IP_OTHER;
	if (v->proto == IP_PROTO_TCP) {
		if (left < 20)
			return IP_BAD_TCP;
		hdr_len = (size_t)(l4[12] >> 4) * 4;
		if (hdr_len < 20 || hdr_len > left)
			return IP_BAD_TCP;
		v->kind = IP_TCP;
		v->tcp_flags = l4[13];
		v->tcp_seq = fz_get_be32(l4 + 4);
	} else if (v->proto == IP_PROTO_UDP) {
		if (left < 8 || fz_get_be16(l4 + 4) != left)
			return IP_BAD_UDP;
		hdr_len = 8;
		v->kind = IP_UDP;
	} else if (v->proto == IP_PROTO_ICMP || v->proto == IP_PROTO_ICMP6) {
		if (left < 8 || !is_icmp_of(v))
			return IP_BAD_ICMP;
		hdr_len = 8;
		read_icmp(l4, v);
	}
	if (v->kind <= IP_UDP) {
		v->sport = fz_get_be16(l4);
		v->dport = fz_get_be16(l4 + 2);
	}
	v->hdr_len = (uint16_t)(v->l3_len + hdr_len);
	return IP_OK;
}

static enum ip_reason parse_l3(const uint8_t *data, size_t len, struct ip_view *v)
{
	memset(v, 0, sizeof(*v));
	if (len == 0)
		return IP_EMPTY;
	v->version = data[0] >> 4;
	if (v->version == 4)
		return parse_ip4(data, len, v);
	return v->version == 6 ? parse_ip6(data, len, v) : IP_VERSION;
}

enum ip_reason ip_parse_plain(const uint8_t *data, size_t len, struct ip_view *ret)
{
	enum ip_reason why = parse_l3(data, len, ret);

	if (why != IP_OK)
		return why;
	if (ret->len > len)
		return IP_LENGTH;
	if (ret->len > FZ_TUNNEL_MTU)
		return IP_TOO_LONG;
	return parse_l4(data + ret->l3_len, ret->len - ret->l3_len, ret);
}

/* Do the checksum facts of an ordinary packet fit? Where we know the transport they must name its field,
 * since rewriting relies on it. */
static bool csum_facts_fit(const struct fz_pkt *pkt, const struct ip_view *v)
{
	if (pkt->csum_start < v->l3_len || (size_t)pkt->csum_start + pkt->csum_offset + 2 > pkt->len)
		return false;
	switch (v->kind) {
	case IP_TCP:
		return pkt->csum_start == v->l3_len && pkt->csum_offset == 16;
	case IP_UDP:
		return pkt->csum_start == v->l3_len && pkt->csum_offset == 6;
	case IP_ICMP_ECHO:
	case IP_ICMP_OTHER:
		return pkt->csum_start == v->l3_len && pkt->csum_offset == 2;
	default:
		return true;
	}
}

static enum ip_reason check_super(const struct fz_pkt *pkt, const struct ip_view *v)
{
	static const struct {
		uint8_t version, kind;
	} want[] = { [FZ_GSO_TCP4] = { 4, IP_TCP }, [FZ_GSO_TCP6] = { 6, IP_TCP } };
	bool fits = pkt->gso == FZ_GSO_UDP ? v->kind == IP_UDP
		    : pkt->gso == FZ_GSO_TCP4 || pkt->gso == FZ_GSO_TCP6
			    ? want[pkt->gso].version == v->version && v->kind == IP_TCP
			    : false;

	if (!fits || pkt->gso_size == 0 || v->hdr_len > IP_SUPER_HDR_MAX || v->len == v->hdr_len)
		return IP_OFFLOAD;
	if (v->hdr_len + pkt->gso_size > FZ_TUNNEL_MTU)
		return IP_TOO_LONG;
	return IP_OK;
}

enum ip_reason ip_parse(const struct fz_pkt *pkt, struct ip_view *ret)
{
	if (pkt->len > (pkt->gso == FZ_GSO_NONE ? FZ_TUNNEL_MTU : FZ_SUPER_MAX))
		return IP_TOO_LONG;
	enum ip_reason why = parse_l3(pkt->data, pkt->len, ret);
	if (why != IP_OK)
		return why;
	if (ret->len != pkt->len)
		return IP_LENGTH;
	why = parse_l4(pkt->data + ret->l3_len, ret->len - ret->l3_len, ret);
	if (why != IP_OK)
		return why;
	if (pkt->gso != FZ_GSO_NONE)
		return check_super(pkt, ret);
	return pkt->needs_csum && !csum_facts_fit(pkt, ret) ? IP_OFFLOAD : IP_OK;
}

enum ip_reason ip_parse_quote(const uint8_t *data, size_t len, struct ip_view *ret)
{
	enum ip_reason why = parse_l3(data, len, ret);

	if (why != IP_OK)
		return why;
	const uint8_t *l4 = data + ret->l3_len;
	size_t left = len - ret->l3_len;
	ret->kind = IP_OTHER;
	ret->hdr_len = ret->l3_len;
	if (ret->proto == IP_PROTO_TCP || ret->proto == IP_PROTO_UDP) {
		if (left < 4)
			return ret->proto == IP_PROTO_TCP ? IP_BAD_TCP : IP_BAD_UDP;
		ret->kind = ret->proto == IP_PROTO_TCP ? IP_TCP : IP_UDP;
		ret->sport = fz_get_be16(l4);
		ret->dport = fz_get_be16(l4 + 2);
		if (ret->kind == IP_TCP && left >= 8)
			ret->tcp_seq = fz_get_be32(l4 + 4);
	} else if (ret->proto == IP_PROTO_ICMP || ret->proto == IP_PROTO_ICMP6) {
		if (left < 8 || !is_icmp_of(ret))
			return IP_BAD_ICMP;
		read_icmp(l4, ret);
	}
	return IP_OK;
}
