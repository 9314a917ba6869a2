/* SPDX-License-Identifier: Apache-2.0 */
/* Any super-packet: its segments are sound packets with right checksums, and carry its payload. The first
 * five bytes are the offload facts; a length that does not fit the input is corrected, so that most inputs
 * get through.
 */
#include <stdlib.h>
#include <string.h>

#include "base/wr.h"
#include "core/cut.h"
#include "wire/csum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool cond)
{
	if (!cond)
		abort();
}

static void fix_lengths(struct fz_pkt *pkt)
{
	uint8_t *p = pkt->data;

	if (pkt->len >= 40 && p[0] >> 4 == 6)
		fz_put_be16(p + 4, (uint16_t)(pkt->len - 40));
	else if (pkt->len >= 20)
		fz_put_be16(p + 2, (uint16_t)pkt->len);
	if (pkt->gso == FZ_GSO_UDP && pkt->len >= 48 && p[0] >> 4 == 6 && p[6] == 17)
		fz_put_be16(p + 44, (uint16_t)(pkt->len - 40));
	else if (pkt->gso == FZ_GSO_UDP && pkt->len >= 28 && p[0] == 0x45)
		fz_put_be16(p + 24, (uint16_t)(pkt->len - 20));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 6 || size - 5 > FZ_SUPER_MAX)
		return 0;
	uint8_t *copy = malloc(size - 5), *payload = malloc(size);
	struct fz_pkt pkt = { .data = copy,
			      .len = size - 5,
			      .gso = data[0] & 7,
			      .needs_csum = data[0] >> 7,
			      .gso_size = fz_get_be16(data + 1),
			      .csum_start = data[3],
			      .csum_offset = data[4] };
	struct ip_view v, w;
	struct cut c;
	const uint8_t *seg;
	size_t len, at = 0;

	if (copy == NULL || payload == NULL)
		goto out;
	memcpy(copy, data + 5, pkt.len);
	fix_lengths(&pkt);
	if (ip_parse(&pkt, &v) != IP_OK)
		goto out;
	memcpy(payload, copy + v.hdr_len, pkt.len - v.hdr_len);
	cut_init(&c, &pkt, &v);
	size_t n = cut_left(&c);
	for (; cut_next(&c, &seg, &len); n--) {
		must(ip_parse_plain(seg, len, &w) == IP_OK && w.len == len && w.kind == v.kind);
		must(w.hdr_len == v.hdr_len && (pkt.gso == FZ_GSO_NONE || csum_ok(seg, &w)));
		if (pkt.gso != FZ_GSO_NONE) {
			must(memcmp(payload + at, seg + w.hdr_len, len - w.hdr_len) == 0);
			at += len - w.hdr_len;
		}
	}
	must(n == 0 && (pkt.gso == FZ_GSO_NONE || at == v.len - v.hdr_len));
out:
	free(copy);
	free(payload);
	return 0;
}
