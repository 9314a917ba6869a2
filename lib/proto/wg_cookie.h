/* SPDX-License-Identifier: Apache-2.0 */
/* MAC1, MAC2 and cookies (WireGuard paper, sections 5.3, 5.4.4, 5.4.7): what lets a node refuse floods of
 * handshake messages before it computes anything expensive. The jar belongs to the sender of such messages
 * (one per peer), the guard to their receiver (one per node). */
#ifndef PROTO_WG_COOKIE_H
#define PROTO_WG_COOKIE_H

#include "base/secret.h"
#include "ext/crypto.h"
#include "fzconn/addr.h"
#include "fzconn/env.h"
#include "wire/wg.h"

#define WG_COOKIE_LEN 16
#define WG_COOKIE_LIFE_US 120000000u
#define WG_HANDSHAKES_PER_SECOND 100u /* without a cookie */
/* With one, of each group of addresses that a secret hash throws together. So the owner of an address cannot
 * take much time from us, and all of them together a bounded amount. */
#define WG_COOKIES_PER_SECOND 100u
#define WG_COOKIE_GROUPS 64

/* Keys that anybody can derive from a public key. */
struct wg_mac_keys {
	struct fz_key mac1, cookie;
};
FZ_MUST_CHECK int wg_mac_keys_init(struct wg_mac_keys *k, const struct fz_key *public_key);

struct wg_jar {
	struct wg_mac_keys keys; /* of the other side */
	uint64_t cookie_us; /* when it came */
	uint32_t index; /* sender index of the last message we signed */
	uint8_t mac1[CRYPTO_MAC128_LEN]; /* and its mac1 */
	uint8_t cookie[WG_COOKIE_LEN];
	bool has_cookie, has_mac1;
};
/* Fill in both MACs of our initiation or response. */
FZ_MUST_CHECK int wg_jar_sign(struct wg_jar *j, uint8_t *msg, size_t len, uint64_t now_us);
/* FZ_ERR_WIRE malformed, FZ_ERR_AUTH forged or no answer to our last message. */
FZ_MUST_CHECK int wg_jar_handle_reply(struct wg_jar *j, const uint8_t *msg, size_t len, uint64_t now_us);

struct wg_guard {
	const struct fz_env *env;
	struct wg_mac_keys keys; /* ours */
	struct fz_key secret;
	uint64_t start_us; /* the secret's cookies change every 128 s from here on */
	uint64_t window_us; /* start of the second that is being counted */
	uint32_t count; /* messages with a good mac1 in it, let through without a cookie */
	uint8_t by_group[WG_COOKIE_GROUPS]; /* those with a cookie */
};
FZ_MUST_CHECK int wg_guard_init(struct wg_guard *g, const struct fz_env *env, const struct fz_key *public_key,
				uint64_t now_us);
void wg_guard_clear(struct wg_guard *g);
/* See wg_self_admit(). */
FZ_MUST_CHECK int wg_guard_admit(struct wg_guard *g, const uint8_t *msg, size_t len, const struct fz_ip *from,
				 uint64_t now_us, uint8_t reply[WG_COOKIE_REPLY_LEN]);

#endif
