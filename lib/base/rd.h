/* SPDX-License-Identifier: Apache-2.0 */
/* Reading cursor: the only bounds check of every parser. Errors stick; reads after one give 0, so the caller
 * checks `bad` once per structure. A nested field gets a cursor of its own and cannot reach past it. */
#ifndef BASE_RD_H
#define BASE_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fz_rd {
	const uint8_t *at, *end;
	bool bad;
};

static inline struct fz_rd fz_rd_init(const void *data, size_t len)
{
	const uint8_t *p = data;
	return (struct fz_rd){ p, p ? p + len : p, p == NULL && len != 0 };
}

static inline size_t fz_rd_left(const struct fz_rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->at);
}

static inline const uint8_t *fz_rd_take(struct fz_rd *r, size_t n)
{
	const uint8_t *p = r->at;
	if (r->bad || n > (size_t)(r->end - p)) {
		r->bad = true;
		return NULL;
	}
	r->at = p + n;
	return p;
}

static inline struct fz_rd fz_rd_sub(struct fz_rd *r, size_t n)
{
	const uint8_t *p = fz_rd_take(r, n);
	return p ? (struct fz_rd){ p, p + n, false } : (struct fz_rd){ NULL, NULL, true };
}

static inline uint8_t fz_rd_u8(struct fz_rd *r)
{
	const uint8_t *p = fz_rd_take(r, 1);
	return p ? p[0] : 0;
}

static inline uint16_t fz_rd_be16(struct fz_rd *r)
{
	const uint8_t *p = fz_rd_take(r, 2);
	return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

static inline uint32_t fz_rd_be32(struct fz_rd *r)
{
	const uint8_t *p = fz_rd_take(r, 4);
	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t fz_rd_be64(struct fz_rd *r)
{
	uint64_t hi = fz_rd_be32(r);
	return hi << 32 | fz_rd_be32(r);
}

static inline uint32_t fz_rd_le32(struct fz_rd *r)
{
	const uint8_t *p = fz_rd_take(r, 4);
	return p ? (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0] : 0;
}

static inline uint64_t fz_rd_le64(struct fz_rd *r)
{
	uint64_t lo = fz_rd_le32(r);
	return lo | (uint64_t)fz_rd_le32(r) << 32;
}

#endif
