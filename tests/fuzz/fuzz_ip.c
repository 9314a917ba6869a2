/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a decrypted packet and as a packet from the TUN: whatever is accepted must survive everything
 * that the core does to packets. The first seven bytes are the offload facts. */
#include <stdlib.h>
#include <string.h>

#include "base/wr.h"
#include "wire/csum.h"
#include "wire/icmp.h"
#include "wire/p2p.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool cond)
{
	if (!cond)
		abort();
}

static void edit(struct fz_pkt *pkt, struct ip_view *v, uint8_t ecn)
{
	struct fz_ip other = v->src;
	struct ip_view w;

	ip_ecn_merge(pkt->data, v, ecn);
	other.b[1] ^= 0xa5;
	ip_set_src(pkt, v, &v->dst);
	ip_set_dst(pkt, v, &other);
	ip_set_sport(pkt, v, 1);
	ip_set_dport(pkt, v, 65535);
	must(ip_parse(pkt, &w) == IP_OK);
	must(w.kind == v->kind && w.hdr_len == v->hdr_len && w.sport == v->sport && w.dport == v->dport &&
	     w.ecn == v->ecn);
	if (pkt->gso == FZ_GSO_NONE && pkt->needs_csum)
		csum_complete(pkt);
}

static void use_plain(const uint8_t *data, size_t size, uint8_t ecn)
{
	struct ip_view v, w;
	struct icmp_quote q;
	uint8_t buf[ICMP_ERROR_MAX], type;
	const uint8_t *payload;
	size_t len;

	ip_parse_quote(data, size, &v);
	if (ip_parse_plain(data, size, &v) != IP_OK)
		return;
	must(v.len <= size && v.len <= FZ_TUNNEL_MTU && v.l3_len <= v.hdr_len && v.hdr_len <= v.len);
	if (icmp_parse_error(data, &v, &q) == 0)
		must(q.offset < v.len && q.orig.version == v.version);
	if (p2p_parse(data, &v, &type, &payload, &len) == 0)
		must(payload + len == data + v.len);
	for (int what = ICMP_PROHIBITED; what <= ICMP_TOO_BIG; what++) {
		len = icmp_build_error((enum icmp_error)what, 1200, data, &v, buf);
		must(ip_parse_plain(buf, len, &w) == IP_OK && w.len == len && csum_ok(buf, &w));
	}
	memcpy(buf, data, v.len);
	csum_l4(buf, &v);
	if (v.version == 4)
		csum_ip4(buf, (size_t)(buf[0] & 15) * 4);
	must(csum_ok(buf, &v));
	struct fz_pkt pkt = ip_pkt(buf, v.len);
	edit(&pkt, &v, ecn);
	must(csum_ok(buf, &v));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 7)
		return 0;
	use_plain(data + 7, size - 7, data[6] & 3);

	uint8_t *copy = malloc(size - 7 + 1);
	struct fz_pkt pkt = { .data = copy,
			      .len = size - 7,
			      .gso = data[0] & 7,
			      .needs_csum = data[0] >> 7,
			      .gso_size = fz_get_be16(data + 1),
			      .csum_start = fz_get_be16(data + 3),
			      .csum_offset = data[5] };
	struct ip_view v;
	if (copy == NULL)
		return 0;
	memcpy(copy, data + 7, size - 7);
	if (ip_parse(&pkt, &v) == IP_OK)
		edit(&pkt, &v, data[6] & 3);
	free(copy);
	return 0;
}
