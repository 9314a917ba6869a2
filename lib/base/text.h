/* SPDX-License-Identifier: Apache-2.0 */
/* Text encodings of bytes: hex, base64 (RFC 4648 section 4, without a table look-up on secret bytes), UUID.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FZ_B64_LEN(n) (((n) + 2) / 3 * 4) /* length of the padded text, without NUL */

/* Padded base64 of src, NUL-terminated; dst needs FZ_B64_LEN(len) + 1 bytes. Returns the text length. */
size_t fz_b64_encode(char *dst, const void *src, size_t len);
/* The same without padding. */
size_t fz_b64_encode_nopad(char *dst, const void *src, size_t len);
/* Strict decoding of padded base64: exactly want bytes must come out. FZ_ERR_WIRE otherwise, dst undefined.
 */
int fz_b64_decode(void *dst, size_t want, const char *text);
/* Lower-case hex, NUL-terminated; dst needs 2 * len + 1 bytes. */
void fz_hex_encode(char *dst, const void *src, size_t len);
/* Any case; exactly 2 * want digits. FZ_ERR_WIRE otherwise. */
int fz_hex_decode(void *dst, size_t want, const char *text);

/* Replace control characters by question marks, those of the upper half in UTF-8 as well: before texts of
 * others are shown. */
void fz_text_printable(char *text);

/* UUIDs compare as 16 bytes, big-endian. */
struct fz_uuid {
	uint8_t b[16];
};
#define FZ_UUID_STRLEN 37
/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", any case. FZ_ERR_WIRE otherwise. */
int fz_uuid_parse(const char *text, struct fz_uuid *ret);
const char *fz_uuid_format(const struct fz_uuid *id, char buf[FZ_UUID_STRLEN]);
bool fz_uuid_equal(const struct fz_uuid *a, const struct fz_uuid *b);
int fz_uuid_compare(const struct fz_uuid *a, const struct fz_uuid *b);

#endif
