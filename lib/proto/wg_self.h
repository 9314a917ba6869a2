/* SPDX-License-Identifier: Apache-2.0 */
/* The WireGuard identity of a node, shared by all of its peers: static key pair, cookie secret and the limit
 * on handshake messages. Whatever an unknown sender can reach before it is known lives here. */
#ifndef PROTO_WG_SELF_H
#define PROTO_WG_SELF_H

#include "base/secret.h"
#include "fzconn/addr.h"
#include "fzconn/env.h"
#include "proto/wg_noise.h"
#include "wire/wg.h"

struct wg_self;

struct wg_self_stats {
	uint64_t admitted; /* handshake messages let through */
	uint64_t bad_mac1; /* not made for our public key, or damaged */
	uint64_t cookies_sent; /* under load: answered with a cookie */
	uint64_t limited; /* under load: dropped although the cookie was right */
	uint64_t unidentified; /* initiations whose static key could not be decrypted */
};

/* private_key NULL = a random one. */
FZ_MUST_CHECK int wg_self_new(const struct fz_env *env, const struct fz_key *private_key, uint64_t now_us,
			      struct wg_self **ret);
void wg_self_free(struct wg_self *s);
const struct fz_key *wg_self_public(const struct wg_self *s);
const struct wg_self_stats *wg_self_stats(const struct wg_self *s);

/* Check mac1, and the load, for an inbound initiation or response before anything expensive is done with it.
 * from is the sender's address, for a relayed message that of the peer behind the relay.
 * 0 = go on. FZ_ERR_AUTH, FZ_ERR_WIRE, FZ_ERR_FULL (under load: too many with this cookie) = drop.
 * FZ_ERR_AGAIN = under load and mac2 missing or wrong: send the *ret_len bytes of reply back and drop;
 * *ret_len is 0 in all other cases. */
FZ_MUST_CHECK int wg_self_admit(struct wg_self *s, const uint8_t *msg, size_t len, const struct fz_ip *from,
				uint64_t now_us, uint8_t reply[WG_COOKIE_REPLY_LEN], size_t *ret_len);

/* Decrypt the static key of an admitted initiation's sender, so that the caller finds the peer by it. The
 * sender has not proved yet that it owns the key. FZ_ERR_AUTH, FZ_ERR_WIRE = drop. */
FZ_MUST_CHECK int wg_self_identify(struct wg_self *s, const uint8_t *msg, size_t len,
				   struct fz_key *ret_peer_public);

/* For wg_peer: our side of the Noise handshake, and the first half of an initiation, which is not computed
 * again when this is the message that was identified last. The caller wipes it. */
const struct wg_noise_local *wg_self_noise(const struct wg_self *s);
FZ_MUST_CHECK int wg_self_take_half(struct wg_self *s, const uint8_t *msg, size_t len,
				    struct wg_noise_half *ret);

#endif
