/* SPDX-License-Identifier: Apache-2.0 */
#include "ext/crypto.h"

#include <limits.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/wr.h"

/* Names instead of EVP_xyz(): those go through legacy tables that would be linked in, and are fetched anyway.
 */
#define AEAD_NAME "ChaCha20-Poly1305"
#define NONCE_LEN 12

/* X25519 */

int crypto_dh_init(struct crypto_dh *dh, const struct fz_key *private_key)
{
	dh->pkey =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key->b, sizeof(private_key->b));
	return dh->pkey ? 0 : FZ_ERR_CRYPTO;
}

void crypto_dh_clear(struct crypto_dh *dh)
{
	EVP_PKEY_free(dh->pkey); /* wipes */
	dh->pkey = NULL;
}

int crypto_dh_public(const struct crypto_dh *dh, struct fz_key *ret)
{
	size_t len = sizeof(ret->b);

	return EVP_PKEY_get_raw_public_key(dh->pkey, ret->b, &len) == 1 ? 0 : FZ_ERR_CRYPTO;
}

int crypto_dh_derive(const struct crypto_dh *dh, const struct fz_key *peer, struct fz_key *ret)
{
	EVP_PKEY *point = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer->b, sizeof(peer->b));
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(dh->pkey, NULL);
	size_t len = sizeof(ret->b);
	int err = FZ_ERR_CRYPTO;

	if (point == NULL || ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
	    EVP_PKEY_derive_set_peer(ctx, point) != 1)
		goto out;
	/* The only way to fail from here on is the all-zero result, which the library refuses itself. */
	err = EVP_PKEY_derive(ctx, ret->b, &len) == 1 && len == sizeof(ret->b) ? 0 : FZ_ERR_AUTH;
out:
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(point);
	return err;
}

void crypto_dh_clamp(struct fz_key *private_key)
{
	private_key->b[0] &= 0xf8;
	private_key->b[31] = (uint8_t)((private_key->b[31] & 0x7f) | 0x40);
}

/* ChaCha20-Poly1305 */

static void make_nonce(uint8_t nonce[NONCE_LEN], uint64_t counter)
{
	fz_put_le32(nonce, 0);
	fz_put_le64(nonce + 4, counter);
}

int crypto_aead_init(struct crypto_aead *a, const struct fz_key *key, bool seals)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, AEAD_NAME, NULL);

	a->ctx = EVP_CIPHER_CTX_new();
	if (a->ctx && cipher && EVP_CipherInit_ex2(a->ctx, cipher, key->b, NULL, seals, NULL) == 1) {
		EVP_CIPHER_free(cipher); /* the context keeps a reference */
		return 0;
	}
	EVP_CIPHER_free(cipher);
	crypto_aead_clear(a);
	return FZ_ERR_CRYPTO;
}

void crypto_aead_clear(struct crypto_aead *a)
{
	EVP_CIPHER_CTX_free(a->ctx); /* wipes */
	a->ctx = NULL;
}

/* The tag travels in parameters of our own: the older control calls do the same with more steps in between.
 */
static int seal(EVP_CIPHER_CTX *ctx, const uint8_t nonce[NONCE_LEN], const void *ad, size_t ad_len,
		const uint8_t *plain, size_t len, uint8_t *dst)
{
	OSSL_PARAM tag[2];
	int n;

	if (len > INT_MAX || ad_len > INT_MAX)
		return FZ_ERR_INVAL;
	tag[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, dst + len, CRYPTO_TAG_LEN);
	tag[1] = OSSL_PARAM_construct_end();
	if (EVP_EncryptInit_ex2(ctx, NULL, NULL, nonce, NULL) != 1 ||
	    (ad_len && EVP_EncryptUpdate(ctx, NULL, &n, ad, (int)ad_len) != 1) ||
	    (len && EVP_EncryptUpdate(ctx, dst, &n, plain, (int)len) != 1) ||
	    EVP_EncryptFinal_ex(ctx, dst + len, &n) != 1 || EVP_CIPHER_CTX_get_params(ctx, tag) != 1)
		return FZ_ERR_CRYPTO;
	return 0;
}

static int open_sealed(EVP_CIPHER_CTX *ctx, const uint8_t nonce[NONCE_LEN], const void *ad, size_t ad_len,
		       const uint8_t *sealed, size_t len, uint8_t *dst)
{
	uint8_t want[CRYPTO_TAG_LEN]; /* a copy: parameters are not const, and dst may be sealed */
	uint8_t nothing[1]; /* the library insists on a place for the final bytes; there are none */
	OSSL_PARAM tag[2];
	int n;

	if (len < CRYPTO_TAG_LEN || len > INT_MAX || ad_len > INT_MAX)
		return FZ_ERR_INVAL;
	len -= CRYPTO_TAG_LEN;
	memcpy(want, sealed + len, sizeof(want));
	tag[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, want, sizeof(want));
	tag[1] = OSSL_PARAM_construct_end();
	if (EVP_DecryptInit_ex2(ctx, NULL, NULL, nonce, tag) != 1 ||
	    (ad_len && EVP_DecryptUpdate(ctx, NULL, &n, ad, (int)ad_len) != 1) ||
	    (len && EVP_DecryptUpdate(ctx, dst, &n, sealed, (int)len) != 1))
		return FZ_ERR_CRYPTO;
	return EVP_DecryptFinal_ex(ctx, nothing, &n) == 1 ? 0 : FZ_ERR_AUTH;
}

int crypto_aead_seal(struct crypto_aead *a, uint64_t counter, const uint8_t *plain, size_t len, uint8_t *dst)
{
	uint8_t nonce[NONCE_LEN];

	make_nonce(nonce, counter);
	return seal(a->ctx, nonce, NULL, 0, plain, len, dst);
}

int crypto_aead_open(struct crypto_aead *a, uint64_t counter, const uint8_t *sealed, size_t len, uint8_t *dst)
{
	uint8_t nonce[NONCE_LEN];

	make_nonce(nonce, counter);
	return open_sealed(a->ctx, nonce, NULL, 0, sealed, len, dst);
}

static int seal_once(const struct fz_key *key, const uint8_t nonce[NONCE_LEN], const void *ad, size_t ad_len,
		     const uint8_t *plain, size_t len, uint8_t *dst)
{
	struct crypto_aead a = { NULL };
	int err = crypto_aead_init(&a, key, true);

	if (err == 0)
		err = seal(a.ctx, nonce, ad, ad_len, plain, len, dst);
	crypto_aead_clear(&a);
	return err;
}

static int open_once(const struct fz_key *key, const uint8_t nonce[NONCE_LEN], const void *ad, size_t ad_len,
		     const uint8_t *sealed, size_t len, uint8_t *dst)
{
	struct crypto_aead a = { NULL };
	int err = crypto_aead_init(&a, key, false);

	if (err == 0)
		err = open_sealed(a.ctx, nonce, ad, ad_len, sealed, len, dst);
	crypto_aead_clear(&a);
	return err;
}

int crypto_seal(const struct fz_key *key, uint64_t counter, const void *ad, size_t ad_len,
		const uint8_t *plain, size_t len, uint8_t *dst)
{
	uint8_t nonce[NONCE_LEN];

	make_nonce(nonce, counter);
	return seal_once(key, nonce, ad, ad_len, plain, len, dst);
}

int crypto_open(const struct fz_key *key, uint64_t counter, const void *ad, size_t ad_len,
		const uint8_t *sealed, size_t len, uint8_t *dst)
{
	uint8_t nonce[NONCE_LEN];

	make_nonce(nonce, counter);
	return open_once(key, nonce, ad, ad_len, sealed, len, dst);
}

/* XChaCha20-Poly1305 */

/* A ChaCha20 block is the permuted state plus the initial state; HChaCha20 is rows 1 and 4 of the permuted
 * state alone. Both rows start from values known to everybody (the constant, the nonce), so subtract them
 * again. The library's 16-byte IV is the last row: block counter and nonce, exactly what HChaCha20 puts
 * there. */
int crypto_hchacha20(const struct fz_key *key, const uint8_t nonce[16], struct fz_key *ret)
{
	static const uint8_t zero[64], constant[16] = "expand 32-byte k";
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t block[64];
	int n, err = FZ_ERR_CRYPTO;

	if (cipher && ctx && EVP_EncryptInit_ex2(ctx, cipher, key->b, nonce, NULL) == 1 &&
	    EVP_EncryptUpdate(ctx, block, &n, zero, sizeof(zero)) == 1) {
		for (int i = 0; i < 16; i += 4) {
			fz_put_le32(ret->b + i, fz_get_le32(block + i) - fz_get_le32(constant + i));
			fz_put_le32(ret->b + 16 + i, fz_get_le32(block + 48 + i) - fz_get_le32(nonce + i));
		}
		err = 0;
	}
	fz_wipe(block, sizeof(block));
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return err;
}

int crypto_xseal(const struct fz_key *key, const uint8_t nonce[CRYPTO_XNONCE_LEN], const void *ad,
		 size_t ad_len, const uint8_t *plain, size_t len, uint8_t *dst)
{
	uint8_t rest[NONCE_LEN] = { 0 };
	struct fz_key subkey;
	int err = crypto_hchacha20(key, nonce, &subkey);

	memcpy(rest + 4, nonce + 16, 8);
	if (err == 0)
		err = seal_once(&subkey, rest, ad, ad_len, plain, len, dst);
	fz_wipe(&subkey, sizeof(subkey));
	return err;
}

int crypto_xopen(const struct fz_key *key, const uint8_t nonce[CRYPTO_XNONCE_LEN], const void *ad,
		 size_t ad_len, const uint8_t *sealed, size_t len, uint8_t *dst)
{
	uint8_t rest[NONCE_LEN] = { 0 };
	struct fz_key subkey;
	int err = crypto_hchacha20(key, nonce, &subkey);

	memcpy(rest + 4, nonce + 16, 8);
	if (err == 0)
		err = open_once(&subkey, rest, ad, ad_len, sealed, len, dst);
	fz_wipe(&subkey, sizeof(subkey));
	return err;
}

/* Hashes and MACs */

static int hash(const char *name, const void *a, size_t a_len, const void *b, size_t b_len, uint8_t *ret)
{
	EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int err = FZ_ERR_CRYPTO;

	if (md && ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1 && EVP_DigestUpdate(ctx, a, a_len) == 1 &&
	    EVP_DigestUpdate(ctx, b, b_len) == 1 && EVP_DigestFinal_ex(ctx, ret, NULL) == 1)
		err = 0;
	EVP_MD_CTX_free(ctx);
	EVP_MD_free(md);
	return err;
}

int crypto_blake2s(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t ret[CRYPTO_BLAKE2S_LEN])
{
	return hash("BLAKE2S-256", a, a_len, b, b_len, ret);
}

int crypto_sha1(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t ret[CRYPTO_SHA1_LEN])
{
	return hash("SHA1", a, a_len, b, b_len, ret);
}

int crypto_sha256(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t ret[CRYPTO_SHA256_LEN])
{
	return hash("SHA256", a, a_len, b, b_len, ret);
}

int crypto_md5(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t ret[CRYPTO_MD5_LEN])
{
	return hash("MD5", a, a_len, b, b_len, ret);
}

static int mac(const char *name, const OSSL_PARAM *params, const void *key, size_t key_len, const void *a,
	       size_t a_len, const void *b, size_t b_len, size_t ret_len, uint8_t *ret)
{
	static const uint8_t empty_key[1];
	EVP_MAC *algorithm = EVP_MAC_fetch(NULL, name, NULL);
	EVP_MAC_CTX *ctx = algorithm ? EVP_MAC_CTX_new(algorithm) : NULL;
	size_t n;
	int err = FZ_ERR_CRYPTO;

	if (ctx && EVP_MAC_init(ctx, key_len ? key : empty_key, key_len, params) == 1 &&
	    EVP_MAC_update(ctx, a, a_len) == 1 && EVP_MAC_update(ctx, b, b_len) == 1 &&
	    EVP_MAC_final(ctx, ret, &n, ret_len) == 1 && n == ret_len)
		err = 0;
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(algorithm);
	return err;
}

static int hmac(const char *digest, const void *key, size_t key_len, const void *a, size_t a_len,
		const void *b, size_t b_len, size_t ret_len, uint8_t *ret)
{
	char name[16] = { 0 }; /* a copy: OpenSSL's parameters take no const text */
	OSSL_PARAM params[2];

	memcpy(name, digest, strlen(digest));
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0);
	params[1] = OSSL_PARAM_construct_end();
	return mac("HMAC", params, key, key_len, a, a_len, b, b_len, ret_len, ret);
}

int crypto_hmac_blake2s(const void *key, size_t key_len, const void *a, size_t a_len, const void *b,
			size_t b_len, uint8_t ret[CRYPTO_BLAKE2S_LEN])
{
	return hmac("BLAKE2S-256", key, key_len, a, a_len, b, b_len, CRYPTO_BLAKE2S_LEN, ret);
}

int crypto_hmac_sha1(const void *key, size_t key_len, const void *a, size_t a_len, const void *b,
		     size_t b_len, uint8_t ret[CRYPTO_SHA1_LEN])
{
	return hmac("SHA1", key, key_len, a, a_len, b, b_len, CRYPTO_SHA1_LEN, ret);
}

int crypto_hmac_sha256(const void *key, size_t key_len, const void *a, size_t a_len, const void *b,
		       size_t b_len, uint8_t ret[CRYPTO_SHA256_LEN])
{
	return hmac("SHA256", key, key_len, a, a_len, b, b_len, CRYPTO_SHA256_LEN, ret);
}

int crypto_mac128(const void *key, size_t key_len, const void *a, size_t a_len, const void *b, size_t b_len,
		  uint8_t ret[CRYPTO_MAC128_LEN])
{
	size_t size = CRYPTO_MAC128_LEN;
	OSSL_PARAM params[2] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
				 OSSL_PARAM_construct_end() };

	return mac("BLAKE2SMAC", params, key, key_len, a, a_len, b, b_len, CRYPTO_MAC128_LEN, ret);
}
