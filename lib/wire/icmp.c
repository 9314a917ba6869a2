/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/icmp.h"

#include <string.h>

#include "base/wr.h"
#include "fzconn/error.h"
#include "wire/csum.h"

#define ERROR_TTL 20

static const struct {
	uint8_t type4, code4, type6, code6;
} errors[] = {
	[ICMP_PROHIBITED] = { 3, 13, 1, 1 },
	[ICMP_NET_UNREACHABLE] = { 3, 0, 1, 3 },
	[ICMP_TOO_BIG] = { 3, 4, 2, 0 },
};

static size_t min_len(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t icmp_build_error(enum icmp_error what, uint16_t mtu, const uint8_t *data, const struct ip_view *view,
			uint8_t *buf)
{
	bool is_v4 = view->version == 4;
	size_t l3_len = is_v4 ? 20 : 40;
	size_t quoted = is_v4 ? min_len(view->len, (size_t)view->l3_len + 8)
			      : min_len(view->len, ICMP_ERROR_MAX - l3_len - 8);
	size_t len = l3_len + 8 + quoted;
	struct ip_view made = { .version = view->version,
				.kind = IP_ICMP_OTHER,
				.proto = is_v4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6,
				.l3_len = (uint16_t)l3_len,
				.len = (uint32_t)len };
	uint8_t *l4 = buf + l3_len;

	memset(buf, 0, l3_len + 8);
	if (is_v4) {
		buf[0] = 0x45;
		fz_put_be16(buf + 2, (uint16_t)len);
		buf[8] = ERROR_TTL;
		buf[9] = made.proto;
		memcpy(buf + 12, view->dst.b, 4);
		memcpy(buf + 16, view->src.b, 4);
		csum_ip4(buf, l3_len);
	} else {
		buf[0] = 0x60;
		fz_put_be16(buf + 4, (uint16_t)(len - l3_len));
		buf[6] = made.proto;
		buf[7] = ERROR_TTL;
		memcpy(buf + 8, view->dst.b, 16);
		memcpy(buf + 24, view->src.b, 16);
	}
	l4[0] = is_v4 ? errors[what].type4 : errors[what].type6;
	l4[1] = is_v4 ? errors[what].code4 : errors[what].code6;
	if (what == ICMP_TOO_BIG)
		fz_put_be32(l4 + 4, mtu);
	memcpy(l4 + 8, data, quoted);
	csum_l4(buf, &made);
	return len;
}

static bool is_error(const struct ip_view *view)
{
	if (view->kind != IP_ICMP_OTHER)
		return false;
	if (view->version == 4)
		return view->icmp_type == 3 || view->icmp_type == 11;
	return view->icmp_type == 1 || view->icmp_type == 3 || (view->icmp_type == 2 && view->icmp_code == 0);
}

/* Only a packet that opens or continues a flow: an echo reply is none of ours to report. */
static bool is_usable(const struct ip_view *quoted, uint8_t version)
{
	if (quoted->version != version)
		return false;
	if (quoted->kind == IP_ICMP_ECHO)
		return quoted->icmp_type == (version == 4 ? 8 : 128);
	return quoted->kind == IP_TCP || quoted->kind == IP_UDP;
}

int icmp_parse_error(const uint8_t *data, const struct ip_view *view, struct icmp_quote *ret)
{
	if (!is_error(view))
		return FZ_ERR_NOT_MINE;

	struct icmp_quote got = { .type = view->icmp_type,
				  .code = view->icmp_code,
				  .rest = fz_get_be32(data + view->l3_len + 4),
				  .offset = view->hdr_len };
	if (ip_parse_quote(data + got.offset, view->len - got.offset, &got.orig) != IP_OK ||
	    !is_usable(&got.orig, view->version))
		return FZ_ERR_WIRE;
	*ret = got;
	return 0;
}

/* Bytes of the quoted packet, at an even distance from the ICMP header. */
static void patch(struct fz_pkt *pkt, const struct ip_view *view, size_t at, const void *bytes, size_t len)
{
	uint8_t *field = pkt->data + view->l3_len + 2;
	uint32_t removed = csum_sum(pkt->data + at, len), added = csum_sum(bytes, len);

	memcpy(pkt->data + at, bytes, len);
	if (!pkt->needs_csum) /* else it covers the pseudo-header alone so far */
		fz_put_be16(field, csum_update(fz_get_be16(field), removed, added));
}

void icmp_quote_set(struct fz_pkt *pkt, const struct ip_view *view, const struct icmp_quote *quote,
		    const struct fz_ip *dst, uint16_t sport)
{
	const struct ip_view *orig = &quote->orig;
	uint8_t port[2];

	patch(pkt, view, quote->offset + (orig->version == 4 ? 16u : 24u), dst->b,
	      orig->version == 4 ? 4 : 16);
	fz_put_be16(port, sport);
	patch(pkt, view, (size_t)quote->offset + orig->l3_len + (orig->kind == IP_ICMP_ECHO ? 4u : 0u), port,
	      sizeof(port));
}
