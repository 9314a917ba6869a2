/* SPDX-License-Identifier: Apache-2.0 */
/* Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard uses it (WireGuard paper, sections 5.4.2, 5.4.3, 5.4.5).
 * Pure functions on keys and messages; who calls them when is wg_peer's business. */
#ifndef PROTO_WG_NOISE_H
#define PROTO_WG_NOISE_H

#include "base/secret.h"
#include "ext/crypto.h"
#include "wire/wg.h"

/* Our static key pair. */
struct wg_noise_local {
	struct crypto_dh dh;
	struct fz_key public_key;
};

/* The other side's public key, the pre-shared key, and DH(ours, theirs), which both directions need. */
struct wg_noise_remote {
	struct fz_key public_key, psk, shared;
};

/* Initiator, between initiation and response. */
struct wg_noise_sent {
	struct fz_key chain, ephemeral;
	uint8_t hash[CRYPTO_BLAKE2S_LEN];
};

/* Responder, after the first half of an initiation: the initiator's static key is known, not yet proved. */
struct wg_noise_half {
	struct fz_key chain, remote_public, remote_ephemeral;
	uint8_t hash[CRYPTO_BLAKE2S_LEN];
};

struct wg_noise_keys {
	struct fz_key send, receive;
};

/* Initiator. ephemeral is 32 random bytes. Writes the message without its MACs. */
FZ_MUST_CHECK int wg_noise_initiate(const struct wg_noise_local *local, const struct wg_noise_remote *remote,
				    const struct fz_key *ephemeral, uint32_t sender,
				    const uint8_t timestamp[WG_TIMESTAMP_LEN], uint8_t msg[WG_INITIATION_LEN],
				    struct wg_noise_sent *ret);
FZ_MUST_CHECK int wg_noise_finish(const struct wg_noise_local *local, const struct wg_noise_remote *remote,
				  const struct wg_noise_sent *sent, const struct wg_response *m,
				  struct wg_noise_keys *ret);

/* Responder: identify, prove, respond. FZ_ERR_AUTH when something does not decrypt. */
FZ_MUST_CHECK int wg_noise_identify(const struct wg_noise_local *local, const struct wg_initiation *m,
				    struct wg_noise_half *ret);
FZ_MUST_CHECK int wg_noise_prove(struct wg_noise_half *half, const struct wg_noise_remote *remote,
				 const struct wg_initiation *m, uint8_t ret_timestamp[WG_TIMESTAMP_LEN]);
FZ_MUST_CHECK int wg_noise_respond(const struct wg_noise_half *half, const struct wg_noise_remote *remote,
				   const struct fz_key *ephemeral, uint32_t sender, uint32_t receiver,
				   uint8_t msg[WG_RESPONSE_LEN], struct wg_noise_keys *ret);

#endif
