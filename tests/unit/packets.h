/* SPDX-License-Identifier: Apache-2.0 */
/* Building IP packets for tests, with a checksum that shares nothing with the library. */
#ifndef PACKETS_H
#define PACKETS_H

#include <stdint.h>
#include <string.h>

/* One packet. Zero gives IPv4 TCP with an ACK from flow 0. */
struct mk {
	int v6, proto; /* proto 0 = TCP (6) */
	unsigned flow; /* source address and port */
	uint32_t seq, ack;
	int flags; /* TCP flags; 0 = ACK */
	int opt_len; /* bytes of TCP options, a multiple of 4 */
	int ip_opt_len; /* bytes of IPv4 options, a multiple of 4 */
	int tos, ttl; /* ttl 0 = 64 */
	int id;
	size_t payload;
	unsigned seed; /* of the payload */
};

static inline uint16_t mk_sum(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline void mk_be16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void mk_be32(uint8_t *p, uint32_t v)
{
	mk_be16(p, v >> 16);
	mk_be16(p + 2, v & 0xffff);
}

/* Transport checksum by the book: pseudo-header as bytes, then everything. */
static inline uint16_t mk_l4_csum(const uint8_t *pkt, size_t len, size_t l3_len, int proto)
{
	uint8_t pseudo[40] = { 0 };
	uint32_t sum;

	if (pkt[0] >> 4 == 4) {
		memcpy(pseudo, pkt + 12, 8);
		pseudo[9] = (uint8_t)proto;
		mk_be16(pseudo + 10, len - l3_len);
		sum = mk_sum(pseudo, 12, 0);
	} else {
		memcpy(pseudo, pkt + 8, 32);
		mk_be32(pseudo + 32, (uint32_t)(len - l3_len));
		pseudo[39] = (uint8_t)proto;
		sum = mk_sum(pseudo, 40, 0);
	}
	if (proto == 1)
		sum = 0;
	sum = (uint16_t)~mk_sum(pkt + l3_len, len - l3_len, sum);
	return (uint16_t)(sum == 0 ? 0xffff : sum);
}

/* Write the packet; returns its length. */
static inline size_t mk_packet(uint8_t *p, const struct mk *m)
{
	int proto = m->proto ? m->proto : 6;
	size_t l3 = m->v6 ? 40 : 20 + (size_t)m->ip_opt_len;
	size_t l4 = proto == 6 ? 20 + (size_t)m->opt_len : proto == 17 || proto == 1 || proto == 58 ? 8 : 0;
	size_t len = l3 + l4 + m->payload;

	memset(p, 0, l3 + l4);
	if (m->v6) {
		p[0] = 0x60;
		p[1] = (uint8_t)(m->tos << 4);
		mk_be16(p + 4, len - 40);
		p[6] = (uint8_t)proto;
		p[7] = (uint8_t)(m->ttl ? m->ttl : 64);
		p[8] = 0xfd;
		p[23] = (uint8_t)(1 + m->flow);
		p[24] = 0xfd;
		p[25] = 1;
		p[39] = 2;
	} else {
		p[0] = (uint8_t)(0x40 + l3 / 4);
		p[1] = (uint8_t)m->tos;
		mk_be16(p + 2, len);
		mk_be16(p + 4, (size_t)m->id);
		p[6] = 0x40;
		p[8] = (uint8_t)(m->ttl ? m->ttl : 64);
		p[9] = (uint8_t)proto;
		p[12] = 100;
		p[13] = 64;
		p[15] = (uint8_t)(1 + m->flow);
		p[16] = 10;
		p[17] = 20;
		p[19] = 100;
		memset(p + 20, 1, (size_t)m->ip_opt_len); /* no-operation */
		mk_be16(p + 10, (uint16_t)~mk_sum(p, l3, 0));
	}
	for (size_t i = 0; i < m->payload; i++)
		p[l3 + l4 + i] = (uint8_t)((i * 31 + m->seed * 7919 + (i >> 8)) ^ m->seed >> 3);

	uint8_t *t = p + l3;
	if (proto == 6 || proto == 17) {
		mk_be16(t, 40000 + m->flow);
		mk_be16(t + 2, 5201);
	}
	if (proto == 6) {
		mk_be32(t + 4, m->seq);
		mk_be32(t + 8, m->ack);
		t[12] = (uint8_t)(l4 / 4 << 4);
		t[13] = (uint8_t)(m->flags ? m->flags : 0x10);
		mk_be16(t + 14, 501);
		memset(t + 20, 1, (size_t)m->opt_len);
		mk_be16(t + 16, mk_l4_csum(p, len, l3, proto));
	} else if (proto == 17) {
		mk_be16(t + 4, len - l3);
		mk_be16(t + 6, mk_l4_csum(p, len, l3, proto));
	} else if (proto == 1 || proto == 58) {
		t[0] = proto == 1 ? 8 : 128;
		mk_be16(t + 4, 77 + m->flow);
		mk_be16(t + 2, mk_l4_csum(p, len, l3, proto));
	}
	return len;
}

#endif
