/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wg_noise.h"

#include <string.h>

/* HASH("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"), and HASH of that followed by the identifier
 * "WireGuard v1 zx2c4 Jason@zx2c4.com". A test recomputes both. */
static const uint8_t initial_chain[32] = { 0x60, 0xe2, 0x6d, 0xae, 0xf3, 0x27, 0xef, 0xc0, 0x2e, 0xc3, 0x35,
					   0xe2, 0xa0, 0x25, 0xd2, 0xd0, 0x16, 0xeb, 0x42, 0x06, 0xf8, 0x72,
					   0x77, 0xf5, 0x2d, 0x38, 0xd1, 0x98, 0x8b, 0x78, 0xcd, 0x36 };
static const uint8_t initial_hash[32] = { 0x22, 0x11, 0xb3, 0x61, 0x08, 0x1a, 0xc5, 0x66, 0x69, 0x12, 0x43,
					  0xdb, 0x45, 0x8a, 0xd5, 0x32, 0x2d, 0x9c, 0x6c, 0x66, 0x22, 0x93,
					  0xe8, 0xb7, 0x0e, 0xe1, 0x9c, 0x65, 0xba, 0x07, 0x9e, 0xf3 };

/* The symmetric state of a handshake under way. The first error sticks, so that the steps of a message can be
 * written one below the other as in the paper, with one check at the end. */
struct symmetric {
	struct fz_key chain, key;
	uint8_t hash[CRYPTO_BLAKE2S_LEN];
	int err;
};

static void mix_hash(struct symmetric *s, const void *data, size_t len)
{
	if (s->err == 0)
		s->err = crypto_blake2s(s->hash, sizeof(s->hash), data, len, s->hash);
}

/* KDFn of the paper: the first output becomes the chaining key, the others go where they are wanted. */
static void mix_key(struct symmetric *s, const void *input, size_t len, struct fz_key *ret2,
		    struct fz_key *ret3)
{
	static const uint8_t one = 1, two = 2, three = 3;
	struct fz_key secret;

	if (s->err == 0)
		s->err = crypto_hmac_blake2s(s->chain.b, 32, input, len, NULL, 0, secret.b);
	if (s->err == 0)
		s->err = crypto_hmac_blake2s(secret.b, 32, &one, 1, NULL, 0, s->chain.b);
	if (s->err == 0 && ret2)
		s->err = crypto_hmac_blake2s(secret.b, 32, s->chain.b, 32, &two, 1, ret2->b);
	if (s->err == 0 && ret3)
		s->err = crypto_hmac_blake2s(secret.b, 32, ret2->b, 32, &three, 1, ret3->b);
	fz_wipe(&secret, sizeof(secret));
}

static void mix_dh(struct symmetric *s, const struct crypto_dh *ours, const struct fz_key *theirs,
		   struct fz_key *ret_key)
{
	struct fz_key shared;

	if (s->err == 0)
		s->err = crypto_dh_derive(ours, theirs, &shared);
	mix_key(s, shared.b, sizeof(shared.b), ret_key, NULL);
	fz_wipe(&shared, sizeof(shared));
}

static void seal_and_hash(struct symmetric *s, const uint8_t *plain, size_t len, uint8_t *dst)
{
	if (s->err == 0)
		s->err = crypto_seal(&s->key, 0, s->hash, sizeof(s->hash), plain, len, dst);
	mix_hash(s, dst, len + WG_TAG_LEN);
}

static void open_and_hash(struct symmetric *s, const uint8_t *sealed, size_t len, uint8_t *dst)
{
	if (s->err == 0)
		s->err = crypto_open(&s->key, 0, s->hash, sizeof(s->hash), sealed, len + WG_TAG_LEN, dst);
	mix_hash(s, sealed, len + WG_TAG_LEN);
}

static void start(struct symmetric *s, const struct fz_key *responder)
{
	s->err = 0;
	memcpy(s->chain.b, initial_chain, 32);
	memcpy(s->hash, initial_hash, 32);
	mix_hash(s, responder->b, 32);
}

static void mix_ephemeral(struct symmetric *s, const uint8_t *public_key)
{
	mix_hash(s, public_key, 32);
	mix_key(s, public_key, 32, NULL, NULL);
}

static int make_ephemeral(const struct fz_key *private_key, struct crypto_dh *dh, struct fz_key *ret_public)
{
	int err = crypto_dh_init(dh, private_key);

	return err ? err : crypto_dh_public(dh, ret_public);
}

/* The pre-shared key and the empty payload end the response on both sides; then the transport keys follow. */
static void mix_psk(struct symmetric *s, const struct fz_key *psk)
{
	struct fz_key temp;

	mix_key(s, psk->b, 32, &temp, &s->key);
	mix_hash(s, temp.b, 32);
	fz_wipe(&temp, sizeof(temp));
}

int wg_noise_initiate(const struct wg_noise_local *local, const struct wg_noise_remote *remote,
		      const struct fz_key *ephemeral, uint32_t sender,
		      const uint8_t timestamp[WG_TIMESTAMP_LEN], uint8_t msg[WG_INITIATION_LEN],
		      struct wg_noise_sent *ret)
{
	struct crypto_dh dh = { NULL };
	struct fz_key public_key;
	uint8_t enc_static[32 + WG_TAG_LEN], enc_timestamp[WG_TIMESTAMP_LEN + WG_TAG_LEN];
	struct symmetric s;
	int err;

	start(&s, &remote->public_key);
	if (s.err == 0)
		s.err = make_ephemeral(ephemeral, &dh, &public_key);
	mix_ephemeral(&s, public_key.b);
	mix_dh(&s, &dh, &remote->public_key, &s.key);
	seal_and_hash(&s, local->public_key.b, 32, enc_static);
	mix_key(&s, remote->shared.b, 32, &s.key, NULL);
	seal_and_hash(&s, timestamp, WG_TIMESTAMP_LEN, enc_timestamp);
	if (s.err == 0) {
		const struct wg_initiation m = { sender, public_key.b, enc_static, enc_timestamp };
		wg_initiation_encode(&m, msg);
		ret->chain = s.chain;
		ret->ephemeral = *ephemeral;
		memcpy(ret->hash, s.hash, sizeof(ret->hash));
	}
	err = s.err;
	fz_wipe(&s, sizeof(s));
	crypto_dh_clear(&dh);
	return err;
}

int wg_noise_finish(const struct wg_noise_local *local, const struct wg_noise_remote *remote,
		    const struct wg_noise_sent *sent, const struct wg_response *m, struct wg_noise_keys *ret)
{
	struct crypto_dh dh = { NULL };
	struct symmetric s = { .chain = sent->chain };
	struct wg_noise_keys keys;
	struct fz_key theirs;
	uint8_t nothing[1];
	int err;

	memcpy(s.hash, sent->hash, sizeof(s.hash));
	memcpy(theirs.b, m->ephemeral, 32);
	mix_ephemeral(&s, theirs.b);
	if (s.err == 0)
		s.err = crypto_dh_init(&dh, &sent->ephemeral);
	mix_dh(&s, &dh, &theirs, NULL);
	mix_dh(&s, &local->dh, &theirs, NULL);
	mix_psk(&s, &remote->psk);
	open_and_hash(&s, m->enc_nothing, 0, nothing);
	mix_key(&s, NULL, 0, &keys.receive, NULL);
	keys.send = s.chain;
	err = s.err;
	if (err == 0)
		*ret = keys;
	fz_wipe(&keys, sizeof(keys));
	fz_wipe(&s, sizeof(s));
	crypto_dh_clear(&dh);
	return err;
}

int wg_noise_identify(const struct wg_noise_local *local, const struct wg_initiation *m,
		      struct wg_noise_half *ret)
{
	struct wg_noise_half half;
	struct symmetric s;
	int err;

	memcpy(half.remote_ephemeral.b, m->ephemeral, 32);
	start(&s, &local->public_key);
	mix_ephemeral(&s, m->ephemeral);
	mix_dh(&s, &local->dh, &half.remote_ephemeral, &s.key);
	open_and_hash(&s, m->enc_static, 32, half.remote_public.b);
	half.chain = s.chain;
	memcpy(half.hash, s.hash, sizeof(half.hash));
	err = s.err;
	if (err == 0)
		*ret = half;
	fz_wipe(&half, sizeof(half));
	fz_wipe(&s, sizeof(s));
	return err;
}

int wg_noise_prove(struct wg_noise_half *half, const struct wg_noise_remote *remote,
		   const struct wg_initiation *m, uint8_t ret_timestamp[WG_TIMESTAMP_LEN])
{
	struct symmetric s = { .chain = half->chain };
	uint8_t timestamp[WG_TIMESTAMP_LEN];
	int err;

	memcpy(s.hash, half->hash, sizeof(s.hash));
	mix_key(&s, remote->shared.b, 32, &s.key, NULL);
	open_and_hash(&s, m->enc_timestamp, WG_TIMESTAMP_LEN, timestamp);
	err = s.err;
	if (err == 0) {
		half->chain = s.chain;
		memcpy(half->hash, s.hash, sizeof(half->hash));
		memcpy(ret_timestamp, timestamp, sizeof(timestamp));
	}
	fz_wipe(&s, sizeof(s));
	return err;
}

int wg_noise_respond(const struct wg_noise_half *half, const struct wg_noise_remote *remote,
		     const struct fz_key *ephemeral, uint32_t sender, uint32_t receiver,
		     uint8_t msg[WG_RESPONSE_LEN], struct wg_noise_keys *ret)
{
	struct crypto_dh dh = { NULL };
	struct symmetric s = { .chain = half->chain };
	struct wg_noise_keys keys;
	struct fz_key public_key;
	uint8_t enc_nothing[WG_TAG_LEN];
	int err;

	memcpy(s.hash, half->hash, sizeof(s.hash));
	s.err = make_ephemeral(ephemeral, &dh, &public_key);
	mix_ephemeral(&s, public_key.b);
	mix_dh(&s, &dh, &half->remote_ephemeral, NULL);
	mix_dh(&s, &dh, &remote->public_key, NULL);
	mix_psk(&s, &remote->psk);
	seal_and_hash(&s, NULL, 0, enc_nothing);
	mix_key(&s, NULL, 0, &keys.send, NULL);
	keys.receive = s.chain;
	err = s.err;
	if (err == 0) {
		const struct wg_response m = { sender, receiver, public_key.b, enc_nothing };
		wg_response_encode(&m, msg);
		*ret = keys;
	}
	fz_wipe(&keys, sizeof(keys));
	fz_wipe(&s, sizeof(s));
	crypto_dh_clear(&dh);
	return err;
}
