/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 of ITU V.42 and zip. */
#ifndef BASE_CRC32_H
#define BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Start with this, add the parts; the complement of the result is the checksum. */
#define FZ_CRC32_INIT 0xffffffffu
uint32_t fz_crc32_add(uint32_t crc, const void *data, size_t len);

#endif
