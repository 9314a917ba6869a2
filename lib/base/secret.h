/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: typed, compared in constant time, wiped after use, never formatted. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FZ_KEY_LEN 32

/* A 32-byte key: X25519 private or public, pre-shared, or symmetric. */
struct fz_key {
	uint8_t b[FZ_KEY_LEN];
};

/* Overwrite in a way that the compiler may not drop. */
void fz_wipe(void *p, size_t len);
/* Equal, without a branch on the content. */
bool fz_secret_eq(const void *a, const void *b, size_t len);

#endif
