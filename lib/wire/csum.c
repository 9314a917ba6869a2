/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/csum.h"

#include <string.h>

#include "base/wr.h"

/* Vectors of the compiler, so that the same lines become SSE2, AVX2, NEON or plain integer code. Each half of
 * a 64-bit lane is added to an accumulator that 2^32 additions cannot overflow. The byte order does not
 * matter to a one's complement sum until the end. */
typedef uint64_t lanes2 __attribute__((vector_size(16)));
typedef uint64_t lanes4 __attribute__((vector_size(32)));

static uint64_t sum_block2(const uint8_t *p, size_t len)
{
	lanes2 a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

	for (size_t i = 0; i < len; i += 32) {
		lanes2 x, y;
		memcpy(&x, p + i, sizeof(x));
		memcpy(&y, p + i + 16, sizeof(y));
		a += x & 0xffffffffu;
		b += x >> 32;
		c += y & 0xffffffffu;
		d += y >> 32;
	}
	a += b + c + d;
	return a[0] + a[1];
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) static uint64_t sum_block4(const uint8_t *p, size_t len)
{
	lanes4 a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

	for (size_t i = 0; i < len; i += 64) {
		lanes4 x, y;
		memcpy(&x, p + i, sizeof(x));
		memcpy(&y, p + i + 32, sizeof(y));
		a += x & 0xffffffffu;
		b += x >> 32;
		c += y & 0xffffffffu;
		d += y >> 32;
	}
	a += b + c + d;
	return a[0] + a[1] + a[2] + a[3];
}

/* Short runs do not pay for the wide registers. */
#define WIDE_MIN 128

static bool has_wide(void)
{
	return __builtin_cpu_supports("avx2");
}
#else
#define WIDE_MIN SIZE_MAX
#define sum_block4 sum_block2

static bool has_wide(void)
{
	return false;
}
#endif

uint32_t csum_sum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t sum = 0;

	if (len >= WIDE_MIN && has_wide()) {
		size_t n = len & ~(size_t)63;
		sum = sum_block4(p, n);
		p += n;
		len -= n;
	}
	if (len >= 32) {
		size_t n = len & ~(size_t)31;
		sum += sum_block2(p, n);
		p += n;
		len -= n;
	}
	for (; len >= 4; p += 4, len -= 4) {
		uint32_t w;
		memcpy(&w, p, 4);
		sum += w;
	}
	if (len > 0) {
		uint8_t rest[4] = { 0 };
		uint32_t w;
		memcpy(rest, p, len);
		memcpy(&w, rest, 4);
		sum += w;
	}
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffffffffu) + (sum >> 32);

	/* Folded in the machine's byte order; then as the big-endian word that it is. */
	uint16_t folded = csum_fold((uint32_t)(sum & 0xffff) + (uint32_t)(sum >> 16));
	uint8_t b[2];
	memcpy(b, &folded, 2);
	return (uint32_t)b[0] << 8 | b[1];
}

uint32_t csum_pseudo(const uint8_t *data, const struct ip_view *view, size_t l4_len)
{
	uint32_t sum = view->version == 4 ? csum_sum(data + 12, 8) : csum_sum(data + 8, 32);

	return sum + view->proto + (uint32_t)(l4_len >> 16) + (uint32_t)(l4_len & 0xffff);
}

void csum_ip4(uint8_t *hdr, size_t hdr_len)
{
	fz_put_be16(hdr + 10, 0);
	fz_put_be16(hdr + 10, csum_finish(csum_sum(hdr, hdr_len)));
}

/* Offset of the checksum in the transport header, 0 = none that we know. */
static size_t field_offset(const struct ip_view *view)
{
	switch (view->kind) {
	case IP_TCP:
		return 16;
	case IP_UDP:
		return 6;
	case IP_ICMP_ECHO:
	case IP_ICMP_OTHER:
		return 2;
	default:
		return 0;
	}
}

/* Sum under the transport checksum, the field itself included. ICMP over IPv4 has no pseudo-header. */
static uint32_t l4_sum(const uint8_t *data, const struct ip_view *view)
{
	size_t len = view->len - view->l3_len;
	uint32_t sum = csum_sum(data + view->l3_len, len);

	return view->proto == IP_PROTO_ICMP ? sum : sum + csum_pseudo(data, view, len);
}

void csum_l4(uint8_t *data, const struct ip_view *view)
{
	size_t off = field_offset(view);

	if (off == 0)
		return;
	uint8_t *field = data + view->l3_len + off;
	fz_put_be16(field, 0);
	fz_put_be16(field, csum_finish_l4(l4_sum(data, view)));
}

bool csum_ok(const uint8_t *data, const struct ip_view *view)
{
	size_t off = field_offset(view);

	if (view->version == 4 && csum_finish(csum_sum(data, (size_t)(data[0] & 15) * 4)) != 0)
		return false;
	if (off == 0)
		return true;
	if (view->kind == IP_UDP && fz_get_be16(data + view->l3_len + off) == 0)
		return view->version == 4; /* RFC 8200 section 8.1: not with IPv6 */
	return csum_finish(l4_sum(data, view)) == 0;
}

void csum_complete(struct fz_pkt *pkt)
{
	uint8_t *l4 = pkt->data + pkt->csum_start;
	/* The field takes part: it holds the sum of the pseudo-header. */
	uint32_t sum = csum_sum(l4, pkt->len - pkt->csum_start);

	fz_put_be16(l4 + pkt->csum_offset, csum_finish_l4(sum));
	pkt->needs_csum = 0;
}

uint16_t csum_update(uint16_t field, uint32_t removed, uint32_t added)
{
	uint32_t sum = (uint32_t)(uint16_t)~field + (uint16_t)~csum_fold(removed) + csum_fold(added);

	return csum_finish_l4(sum);
}
