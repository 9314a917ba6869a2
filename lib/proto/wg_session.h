/* SPDX-License-Identifier: Apache-2.0 */
/* One pair of transport keys: counters, replay window, encryption and decryption (WireGuard paper,
 * section 5.4.6). Owned by wg_peer, which decides what a session may be used for at which age. */
#ifndef PROTO_WG_SESSION_H
#define PROTO_WG_SESSION_H

#include "ext/crypto.h"
#include "fzconn/env.h"
#include "proto/wg_noise.h"

/* Datagrams may arrive this much out of order. */
#define WG_WINDOW 8192
/* Counters from here on are refused in both directions (REJECT_AFTER_MESSAGES of the paper). */
#define WG_COUNTER_END (UINT64_MAX - WG_WINDOW)

/* Which of the last WG_WINDOW counters below `next` have been seen: bit = counter modulo WG_WINDOW.
 * Zeroed = nothing seen. */
struct wg_window {
	uint64_t next; /* highest counter seen, plus one */
	uint64_t seen[WG_WINDOW / 64];
};
/* May this counter still come? To be asked before decryption. */
static inline bool wg_window_accepts(const struct wg_window *w, uint64_t counter)
{
	if (counter >= w->next)
		return counter < WG_COUNTER_END;
	return w->next - counter <= WG_WINDOW &&
	       !(w->seen[counter / 64 % (WG_WINDOW / 64)] >> counter % 64 & 1);
}
/* Remember a counter that is acceptable and whose tag was right. */
void wg_window_mark(struct wg_window *w, uint64_t counter);

struct wg_session {
	uint32_t local_index, remote_index;
	uint64_t created_us;
	uint64_t serial; /* order among the peer's sessions */
	uint64_t counter; /* next to send */
	struct crypto_aead seal, open;
	struct wg_window window;
	bool we_initiated;
};

FZ_MUST_CHECK int wg_session_new(const struct fz_env *env, const struct wg_noise_keys *keys,
				 uint32_t local_index, uint32_t remote_index, bool we_initiated,
				 uint64_t now_us, struct wg_session **ret);
void wg_session_free(const struct fz_env *env, struct wg_session *s);

/* As wg_peer_seal(). FZ_ERR_STATE when the counter is used up. */
FZ_MUST_CHECK int wg_session_seal(struct wg_session *s, uint8_t *dst, const uint8_t *plain, size_t len);
/* As wg_peer_open() for a message whose type and index were checked. FZ_ERR_AUTH: tag; FZ_ERR_FULL: replayed
 * or too old. */
FZ_MUST_CHECK int wg_session_open(struct wg_session *s, uint8_t *dst, const uint8_t *msg, size_t len);

#endif
