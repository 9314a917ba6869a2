/* SPDX-License-Identifier: Apache-2.0 */
/* How a batch of datagrams is cut for UDP_SEGMENT. */
#ifndef PLATFORM_LINUX_GSO_H
#define PLATFORM_LINUX_GSO_H

#include <stddef.h>

/* Kernels before 6.9 take no more segments in one send. */
#define GSO_SEGS_MAX 64
/* The smaller of the limits of both families: IPv4 without options, and UDP headers. */
#define GSO_BYTES_MAX 65507

/* Datagrams in `len` bytes of segments of `seg_len`. */
static inline size_t gso_count(size_t len, size_t seg_len)
{
	return (len + seg_len - 1) / seg_len;
}

/* Bytes of the next send: whole segments, or the rest. */
static inline size_t gso_chunk(size_t len, size_t seg_len)
{
	size_t segs = GSO_BYTES_MAX / seg_len;

	if (segs > GSO_SEGS_MAX)
		segs = GSO_SEGS_MAX;
	if (segs == 0)
		segs = 1;
	return len < segs * seg_len ? len : segs * seg_len;
}

#endif
