/* SPDX-License-Identifier: Apache-2.0 */
/* Writing cursor over the caller's memory: the mirror of rd.h. Errors stick; nothing is written past the end.
 */
#ifndef BASE_WR_H
#define BASE_WR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fz_wr {
	uint8_t *start, *at, *end;
	bool bad;
};

static inline struct fz_wr fz_wr_init(void *buf, size_t cap)
{
	uint8_t *p = buf;
	return (struct fz_wr){ p, p, p + cap, false };
}

static inline size_t fz_wr_len(const struct fz_wr *w)
{
	return (size_t)(w->at - w->start);
}

static inline uint8_t *fz_wr_take(struct fz_wr *w, size_t n)
{
	uint8_t *p = w->at;
	if (w->bad || n > (size_t)(w->end - p)) {
		w->bad = true;
		return NULL;
	}
	w->at = p + n;
	return p;
}

static inline void fz_wr_bytes(struct fz_wr *w, const void *src, size_t n)
{
	uint8_t *p = fz_wr_take(w, n);
	if (p && n)
		memcpy(p, src, n);
}

static inline void fz_wr_zero(struct fz_wr *w, size_t n)
{
	uint8_t *p = fz_wr_take(w, n);
	if (p && n)
		memset(p, 0, n);
}

static inline void fz_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void fz_put_be32(uint8_t *p, uint32_t v)
{
	fz_put_be16(p, (uint16_t)(v >> 16));
	fz_put_be16(p + 2, (uint16_t)v);
}

static inline void fz_put_be64(uint8_t *p, uint64_t v)
{
	fz_put_be32(p, (uint32_t)(v >> 32));
	fz_put_be32(p + 4, (uint32_t)v);
}

static inline void fz_put_le32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}

static inline void fz_put_le64(uint8_t *p, uint64_t v)
{
	fz_put_le32(p, (uint32_t)v);
	fz_put_le32(p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t fz_get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t fz_get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint32_t fz_get_le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static inline uint64_t fz_get_le64(const uint8_t *p)
{
	return fz_get_le32(p) | (uint64_t)fz_get_le32(p + 4) << 32;
}

static inline void fz_wr_u8(struct fz_wr *w, uint8_t v)
{
	uint8_t *p = fz_wr_take(w, 1);
	if (p)
		*p = v;
}

static inline void fz_wr_be16(struct fz_wr *w, uint16_t v)
{
	uint8_t *p = fz_wr_take(w, 2);
	if (p)
		fz_put_be16(p, v);
}

static inline void fz_wr_be32(struct fz_wr *w, uint32_t v)
{
	uint8_t *p = fz_wr_take(w, 4);
	if (p)
		fz_put_be32(p, v);
}

static inline void fz_wr_be64(struct fz_wr *w, uint64_t v)
{
	uint8_t *p = fz_wr_take(w, 8);
	if (p)
		fz_put_be64(p, v);
}

static inline void fz_wr_le32(struct fz_wr *w, uint32_t v)
{
	uint8_t *p = fz_wr_take(w, 4);
	if (p)
		fz_put_le32(p, v);
}

static inline void fz_wr_le64(struct fz_wr *w, uint64_t v)
{
	uint8_t *p = fz_wr_take(w, 8);
	if (p)
		fz_put_le64(p, v);
}

#endif
