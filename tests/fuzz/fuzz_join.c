/* SPDX-License-Identifier: Apache-2.0 */
/* Any sequence of packets: what join makes of them parses, holds all payload, and cuts into sound segments.
 * The input is a flag byte, then packets: one byte of what to do, two of length, the bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/wr.h"
#include "core/cut.h"
#include "core/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool cond)
{
	if (!cond)
		abort();
}

/* Bytes behind the headers, summed up: joining moves them, but loses none. */
struct total {
	uint64_t len, sum;
};

static void add(struct total *t, const uint8_t *p, size_t len)
{
	t->len += len;
	for (size_t i = 0; i < len; i++)
		t->sum += p[i];
}

static void drain(struct join *j, struct total *out)
{
	struct fz_pkt pkt;
	struct ip_view v;
	struct cut c;
	const uint8_t *seg;
	size_t len;

	while (join_next(j, &pkt, &(uint32_t){ 0 })) {
		must(ip_parse(&pkt, &v) == IP_OK);
		memset(pkt.data - FZ_PKT_HEADROOM, 0, FZ_PKT_HEADROOM);
		cut_init(&c, &pkt, &v);
		while (cut_next(&c, &seg, &len)) {
			must(ip_parse_plain(seg, len, &v) == IP_OK);
			add(out, seg + v.hdr_len, len - v.hdr_len);
		}
	}
	join_reset(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct join *j;
	struct total in = { 0, 0 }, out = { 0, 0 };
	struct ip_view v;

	if (size < 1 || join_new(fz_env_default(), data[0] & 7, &j) != 0)
		return 0;
	data++;
	size--;
	while (size >= 3) {
		uint8_t what = data[0];
		size_t len = fz_get_be16(data + 1);
		data += 3;
		size -= 3;
		len = len < size ? len : size;
		uint8_t *p = join_reserve(j, len);
		if (p == NULL) {
			drain(j, &out);
			p = join_reserve(j, len);
		}
		if (p != NULL) {
			memcpy(p, data, len);
			if (what % 8 == 7 || ip_parse_plain(p, len, &v) != IP_OK) {
				memset(p, 0xee, len);
				join_cancel(j);
			} else {
				add(&in, p + v.hdr_len, v.len - v.hdr_len);
				join_commit(j, &v, 0);
			}
		}
		if (what % 16 == 8)
			drain(j, &out);
		data += len;
		size -= len;
	}
	drain(j, &out);
	must(in.len == out.len && in.sum == out.sum);
	join_free(j);
	return 0;
}
