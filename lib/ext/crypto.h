/* SPDX-License-Identifier: Apache-2.0 */
/* Cryptographic primitives, all of them OpenSSL's: X25519 (RFC 7748), ChaCha20-Poly1305 (RFC 8439) and its
 * extended-nonce form (draft-irtf-cfrg-xchacha-03), BLAKE2s (RFC 7693), HMAC (RFC 2104), SHA-1, SHA-256, MD5.
 *
 * Hashes and MACs take their message in two parts, so that callers need not join a header and a body; either
 * part may be empty (NULL, 0). Functions give 0 or an error: FZ_ERR_AUTH when a tag does not match,
 * FZ_ERR_CRYPTO when the library is out of memory or lacks the algorithm. Outputs are undefined after an
 * error. */
#ifndef EXT_CRYPTO_H
#define EXT_CRYPTO_H

#include "base/secret.h"
#include "fzconn/error.h"

#define CRYPTO_TAG_LEN 16 /* Poly1305 */
#define CRYPTO_XNONCE_LEN 24 /* XChaCha20 */
#define CRYPTO_BLAKE2S_LEN 32
#define CRYPTO_MAC128_LEN 16
#define CRYPTO_SHA1_LEN 20
#define CRYPTO_SHA256_LEN 32
#define CRYPTO_MD5_LEN 16

/* An X25519 private key made ready for many exchanges. Zeroed = empty. */
struct crypto_dh {
	void *pkey;
};
FZ_MUST_CHECK int crypto_dh_init(struct crypto_dh *dh, const struct fz_key *private_key);
void crypto_dh_clear(struct crypto_dh *dh);
FZ_MUST_CHECK int crypto_dh_public(const struct crypto_dh *dh, struct fz_key *ret);
/* FZ_ERR_AUTH when the result would be all zero, that is, when the peer's point has small order. */
FZ_MUST_CHECK int crypto_dh_derive(const struct crypto_dh *dh, const struct fz_key *peer, struct fz_key *ret);
/* Set and clear the bits that RFC 7748 section 5 wants in a private key. */
void crypto_dh_clamp(struct fz_key *private_key);

/* A ChaCha20-Poly1305 key set up once for one direction; per packet only the nonce changes: four zero bytes,
 * then the counter in little-endian order. No additional data. Zeroed = empty. */
struct crypto_aead {
	void *ctx;
};
FZ_MUST_CHECK int crypto_aead_init(struct crypto_aead *a, const struct fz_key *key, bool seals);
void crypto_aead_clear(struct crypto_aead *a);
/* Writes len + CRYPTO_TAG_LEN bytes; dst may equal plain, otherwise the two are disjoint. */
FZ_MUST_CHECK int crypto_aead_seal(struct crypto_aead *a, uint64_t counter, const uint8_t *plain, size_t len,
				   uint8_t *dst);
/* len counts the tag, at least CRYPTO_TAG_LEN; writes len - CRYPTO_TAG_LEN bytes; dst as above. */
FZ_MUST_CHECK int crypto_aead_open(struct crypto_aead *a, uint64_t counter, const uint8_t *sealed, size_t len,
				   uint8_t *dst);

/* The same for a key that is used once, with additional data. */
FZ_MUST_CHECK int crypto_seal(const struct fz_key *key, uint64_t counter, const void *ad, size_t ad_len,
			      const uint8_t *plain, size_t len, uint8_t *dst);
FZ_MUST_CHECK int crypto_open(const struct fz_key *key, uint64_t counter, const void *ad, size_t ad_len,
			      const uint8_t *sealed, size_t len, uint8_t *dst);
/* XChaCha20-Poly1305. */
FZ_MUST_CHECK int crypto_xseal(const struct fz_key *key, const uint8_t nonce[CRYPTO_XNONCE_LEN],
			       const void *ad, size_t ad_len, const uint8_t *plain, size_t len, uint8_t *dst);
FZ_MUST_CHECK int crypto_xopen(const struct fz_key *key, const uint8_t nonce[CRYPTO_XNONCE_LEN],
			       const void *ad, size_t ad_len, const uint8_t *sealed, size_t len,
			       uint8_t *dst);
/* The key derivation inside it: HChaCha20 of a key and the first 16 bytes of the nonce. */
FZ_MUST_CHECK int crypto_hchacha20(const struct fz_key *key, const uint8_t nonce[16], struct fz_key *ret);

FZ_MUST_CHECK int crypto_blake2s(const void *a, size_t a_len, const void *b, size_t b_len,
				 uint8_t ret[CRYPTO_BLAKE2S_LEN]);
FZ_MUST_CHECK int crypto_sha1(const void *a, size_t a_len, const void *b, size_t b_len,
			      uint8_t ret[CRYPTO_SHA1_LEN]);
FZ_MUST_CHECK int crypto_sha256(const void *a, size_t a_len, const void *b, size_t b_len,
				uint8_t ret[CRYPTO_SHA256_LEN]);
FZ_MUST_CHECK int crypto_md5(const void *a, size_t a_len, const void *b, size_t b_len,
			     uint8_t ret[CRYPTO_MD5_LEN]);

FZ_MUST_CHECK int crypto_hmac_blake2s(const void *key, size_t key_len, const void *a, size_t a_len,
				      const void *b, size_t b_len, uint8_t ret[CRYPTO_BLAKE2S_LEN]);
FZ_MUST_CHECK int crypto_hmac_sha1(const void *key, size_t key_len, const void *a, size_t a_len,
				   const void *b, size_t b_len, uint8_t ret[CRYPTO_SHA1_LEN]);
FZ_MUST_CHECK int crypto_hmac_sha256(const void *key, size_t key_len, const void *a, size_t a_len,
				     const void *b, size_t b_len, uint8_t ret[CRYPTO_SHA256_LEN]);
/* BLAKE2s with its own keyed mode and 128 bits of output; key_len 1 to 32. */
FZ_MUST_CHECK int crypto_mac128(const void *key, size_t key_len, const void *a, size_t a_len, const void *b,
				size_t b_len, uint8_t ret[CRYPTO_MAC128_LEN]);

#endif
