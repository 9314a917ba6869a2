/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "ext/crypto.h"

static struct fz_key key(const char *hex)
{
	struct fz_key k;

	ck_assert_uint_eq(unit_hex(k.b, sizeof(k.b), hex), sizeof(k.b));
	return k;
}

/* RFC 7748 sections 5.2 and 6.1. */
static const struct {
	const char *scalar, *point, *out;
} exchanges[] = {
	{ "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
	  "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
	  "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
	{ "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
	  "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
	  "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
	{ "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
	  "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
	  "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742" },
	{ "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
	  "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
	  "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742" },
};

START_TEST(x25519)
{
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(*exchanges); i++) {
		struct fz_key scalar = key(exchanges[i].scalar), point = key(exchanges[i].point), out;
		struct crypto_dh dh;
		ck_assert_int_eq(crypto_dh_init(&dh, &scalar), 0);
		ck_assert_int_eq(crypto_dh_derive(&dh, &point, &out), 0);
		unit_assert_hex(out.b, sizeof(out.b), exchanges[i].out);
		crypto_dh_clear(&dh);
		crypto_dh_clamp(&scalar); /* changes the bits that do not count anyway */
		ck_assert_int_eq(crypto_dh_init(&dh, &scalar), 0);
		ck_assert_int_eq(crypto_dh_derive(&dh, &point, &out), 0);
		unit_assert_hex(out.b, sizeof(out.b), exchanges[i].out);
		crypto_dh_clear(&dh);
	}
}
END_TEST

START_TEST(x25519_public_and_small_order)
{
	static const char *const small[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct fz_key alice = key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"), out;
	struct crypto_dh dh;

	ck_assert_int_eq(crypto_dh_init(&dh, &alice), 0);
	ck_assert_int_eq(crypto_dh_public(&dh, &out), 0);
	unit_assert_hex(out.b, sizeof(out.b),
			"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	for (size_t i = 0; i < sizeof(small) / sizeof(*small); i++) {
		struct fz_key point = key(small[i]);
		ck_assert_int_eq(crypto_dh_derive(&dh, &point, &out), FZ_ERR_AUTH);
	}
	crypto_dh_clear(&dh);
	crypto_dh_clear(&dh);
}
END_TEST

/* RFC 8439 appendix A.5: its nonce starts with four zero bytes, as ours always do. */
START_TEST(chacha20_poly1305)
{
	static const char *const sealed_hex =
		"64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
		"4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
		"332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
		"9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
		"b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
		"af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
		"0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
		"49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
		"a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38";
	static const char text[] =
		"Internet-Drafts are draft documents valid for a maximum of six months and may be "
		"updated, replaced, or obsoleted by other documents at any time. It is "
		"inappropriate to use Internet-Drafts as reference material or to cite them other "
		"than as /\xe2\x80\x9cwork in progress./\xe2\x80\x9d";
	const struct fz_key k = key("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
	const uint64_t counter = 0x0807060504030201;
	uint8_t ad[12], sealed[300], out[300];

	unit_hex(ad, sizeof(ad), "f33388860000000000004e91");
	ck_assert_int_eq(
		crypto_seal(&k, counter, ad, sizeof(ad), (const uint8_t *)text, sizeof(text) - 1, sealed), 0);
	unit_assert_hex(sealed, sizeof(text) - 1 + 16, sealed_hex);
	ck_assert_int_eq(crypto_open(&k, counter, ad, sizeof(ad), sealed, sizeof(text) - 1 + 16, out), 0);
	ck_assert_mem_eq(out, text, sizeof(text) - 1);
	for (size_t i = 0; i < sizeof(text) - 1 + 16; i++) {
		sealed[i] ^= 0x10;
		ck_assert_int_eq(crypto_open(&k, counter, ad, sizeof(ad), sealed, sizeof(text) - 1 + 16, out),
				 FZ_ERR_AUTH);
		sealed[i] ^= 0x10;
	}
	ck_assert_int_eq(crypto_open(&k, counter, ad, sizeof(ad) - 1, sealed, sizeof(text) - 1 + 16, out),
			 FZ_ERR_AUTH);
	ck_assert_int_eq(crypto_open(&k, counter, ad, sizeof(ad), sealed, 15, out), FZ_ERR_INVAL);
}
END_TEST

/* One context for many packets gives the bytes of one context for each, also after a failed tag. */
START_TEST(aead_context)
{
	const struct fz_key k = key("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
	struct crypto_aead s, o;
	uint8_t plain[100], a[116], b[116], out[116];

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)i;
	ck_assert_int_eq(crypto_aead_init(&s, &k, true), 0);
	ck_assert_int_eq(crypto_aead_init(&o, &k, false), 0);
	for (size_t len = 0; len <= sizeof(plain); len++) {
		uint64_t counter = len * 0x0123456789abcdu;
		ck_assert_int_eq(crypto_aead_seal(&s, counter, plain, len, a), 0);
		ck_assert_int_eq(crypto_seal(&k, counter, NULL, 0, plain, len, b), 0);
		ck_assert_mem_eq(a, b, len + 16);
		ck_assert_int_eq(crypto_aead_open(&o, counter + 1, a, len + 16, out), FZ_ERR_AUTH);
		ck_assert_int_eq(crypto_aead_open(&o, counter, a, len + 16, out), 0);
		ck_assert_mem_eq(out, plain, len);
		memcpy(b, plain, len); /* in place */
		ck_assert_int_eq(crypto_aead_seal(&s, counter, b, len, b), 0);
		ck_assert_mem_eq(a, b, len + 16);
		ck_assert_int_eq(crypto_aead_open(&o, counter, b, len + 16, b), 0);
		ck_assert_mem_eq(b, plain, len);
	}
	crypto_aead_clear(&s);
	crypto_aead_clear(&o);
	crypto_aead_clear(&o);
}
END_TEST

/* draft-irtf-cfrg-xchacha-03 section 2.2.1 and appendix A.3.1. */
START_TEST(xchacha20)
{
	static const char text[] =
		"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
		"future, sunscreen would be it.";
	struct fz_key k = key("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"), sub;
	uint8_t nonce[24], ad[12], sealed[130], out[130];

	unit_hex(nonce, sizeof(nonce), "000000090000004a0000000031415927");
	ck_assert_int_eq(crypto_hchacha20(&k, nonce, &sub), 0);
	unit_assert_hex(sub.b, 32, "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");

	k = key("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
	unit_hex(nonce, sizeof(nonce), "404142434445464748494a4b4c4d4e4f5051525354555657");
	unit_hex(ad, sizeof(ad), "50515253c0c1c2c3c4c5c6c7");
	ck_assert_int_eq(crypto_xseal(&k, nonce, ad, 12, (const uint8_t *)text, sizeof(text) - 1, sealed), 0);
	unit_assert_hex(sealed, sizeof(text) - 1 + 16,
			"bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
			"731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
			"2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
			"21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49");
	ck_assert_int_eq(crypto_xopen(&k, nonce, ad, 12, sealed, sizeof(text) - 1 + 16, out), 0);
	ck_assert_mem_eq(out, text, sizeof(text) - 1);
	nonce[23] ^= 1;
	ck_assert_int_eq(crypto_xopen(&k, nonce, ad, 12, sealed, sizeof(text) - 1 + 16, out), FZ_ERR_AUTH);
}
END_TEST

typedef int hash_fn(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t *ret);
typedef int mac_fn(const void *key, size_t key_len, const void *a, size_t a_len, const void *b, size_t b_len,
		   uint8_t *ret);

/* RFC 7693 appendix A, RFC 3174, FIPS 180-4, RFC 1321; the empty ones from Python's hashlib. */
static const struct {
	hash_fn *fn;
	const char *text, *out;
} hashes[] = {
	{ crypto_blake2s, "abc", "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982" },
	{ crypto_blake2s, "", "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9" },
	{ crypto_sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
	{ crypto_sha1, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
	{ crypto_sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ crypto_md5, "", "d41d8cd98f00b204e9800998ecf8427e" },
	{ crypto_md5, "abc", "900150983cd24fb0d6963f7d28e17f72" },
};

START_TEST(hash_vectors)
{
	for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++) {
		size_t len = strlen(hashes[i].text), want = strlen(hashes[i].out) / 2;
		for (size_t cut = 0; cut <= len; cut++) {
			uint8_t out[32];
			ck_assert_int_eq(hashes[i].fn(cut ? hashes[i].text : NULL, cut,
						      cut < len ? hashes[i].text + cut : NULL, len - cut,
						      out),
					 0);
			unit_assert_hex(out, want, hashes[i].out);
		}
	}
}
END_TEST

#define AA131                                                                                                \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"           \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"           \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* RFC 2202, RFC 4231; BLAKE2s from Python's hashlib and hmac. */
static const struct {
	mac_fn *fn;
	const char *key, *text, *out;
} macs[] = {
	{ crypto_hmac_sha1, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
	  "b617318655057264e28bc0b6fb378c8ef146be00" },
	{ crypto_hmac_sha1, "4a656665", "what do ya want for nothing?",
	  "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
	{ crypto_hmac_sha1, "", "", "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d" },
	{ crypto_hmac_sha256, "4a656665", "what do ya want for nothing?",
	  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
	{ crypto_hmac_sha256, AA131, "Test Using Larger Than Block-Size Key - Hash Key First",
	  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
	{ crypto_hmac_blake2s, "", "", "eaf4bb25938f4d20e72656bbbc7a9bf63c0c18537333c35bdb67db1402661acd" },
	{ crypto_mac128, "6b", "abc", "f335237426ff5582d0c607ef240684b5" },
};

START_TEST(mac_vectors)
{
	for (size_t i = 0; i < sizeof(macs) / sizeof(*macs); i++) {
		size_t len = strlen(macs[i].text), want = strlen(macs[i].out) / 2;
		uint8_t k[131];
		size_t k_len = unit_hex(k, sizeof(k), macs[i].key);
		for (size_t cut = 0; cut <= len; cut++) {
			uint8_t out[32];
			ck_assert_int_eq(macs[i].fn(k, k_len, cut ? macs[i].text : NULL, cut,
						    cut < len ? macs[i].text + cut : NULL, len - cut, out),
					 0);
			unit_assert_hex(out, want, macs[i].out);
		}
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("crypto");

	unit_case(s, "x25519", x25519, x25519_public_and_small_order);
	unit_case(s, "aead", chacha20_poly1305, aead_context, xchacha20);
	unit_case(s, "hash", hash_vectors, mac_vectors);
	return s;
}
