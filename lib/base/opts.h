/* SPDX-License-Identifier: Apache-2.0 */
/* Option structs: the first member is `size_t size`, so that caller and library may be of different age. */
#ifndef BASE_OPTS_H
#define BASE_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Larger than any option struct will ever be; guards against uninitialised sizes. */
#define FZ_OPTS_MAX 4096

bool fz_all_zero(const uint8_t *p, size_t len);

/* Copy the caller's struct of src_len bytes into dst: a missing tail reads as zero, an unknown tail must be
 * zero. FZ_ERR_ABI when it is not, or when the size cannot be one. dst untouched on failure. */
int fz_opts_import(void *dst, size_t dst_len, const void *src, size_t src_len);

#endif
