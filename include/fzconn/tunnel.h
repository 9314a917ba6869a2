/* SPDX-License-Identifier: Apache-2.0 */
/** @file tunnel.h
 *  A WireGuard tunnel to one peer: IP packets in, datagrams out, and back. It works with every WireGuard
 *  implementation. No socket, no clock, no thread: the caller carries datagrams, tells the time and keeps the
 *  peer's address, as in this loop:
 *
 *  @code
 *  while ((n = fz_wg_poll_transmit(wg, buf, sizeof(buf), now_us, unix_ns)) > 0)
 *          host_send(buf, n);
 *  while (fz_wg_poll_event(wg, &ev))
 *          host_event(ev);
 *  now_us = host_wait(fz_wg_next_timeout(wg));
 *  if ((n = host_recv(&from, buf, sizeof(buf))) > 0 &&
 *      (n = fz_wg_decapsulate(wg, &from, buf, n, packet, sizeof(packet), now_us)) > 0)
 *          host_deliver(packet, n);
 *  fz_wg_handle_timeout(wg, now_us);
 *  @endcode
 *
 *  Protocol: https://www.wireguard.com/papers/wireguard.pdf (the paper). */
#ifndef FZCONN_TUNNEL_H
#define FZCONN_TUNNEL_H

#include "addr.h"
#include "env.h"
#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One end of a tunnel. It belongs to one thread at a time; different tunnels are independent. */
struct fz_wg;

#define FZ_WG_OVERHEAD 32 /**< bytes that a datagram is longer than the packet inside */
#define FZ_WG_MESSAGE_MAX 148 /**< longest datagram without a packet inside (handshake, keepalive) */
#define FZ_WG_KEY_STRLEN 45 /**< base64 text of a key with its NUL */

/** A private, public or pre-shared key. Wipe private ones with fz_wg_key_wipe() when they are of no more use.
 */
struct fz_wg_key {
	uint8_t b[32]; /**< as it stands on the wire */
};

/** Make a private key.
 *  @param env  its rng must be fit for keys */
FZ_API void fz_wg_key_generate(const struct fz_env *env, struct fz_wg_key *ret);
/** Compute the public key of a private key.
 *  @retval FZ_ERR_CRYPTO  the crypto library failed; @p ret untouched */
FZ_API FZ_MUST_CHECK int fz_wg_key_public(const struct fz_wg_key *private_key, struct fz_wg_key *ret);
/** Read the base64 text that WireGuard tools print, 44 characters.
 *  @retval FZ_ERR_INVAL  not the text of a key; @p ret untouched */
FZ_API FZ_MUST_CHECK int fz_wg_key_parse(const char *text, struct fz_wg_key *ret);
/** Write the base64 text of a key; returns @p buf. A private key's text is as secret as the key. */
FZ_API const char *fz_wg_key_format(const struct fz_wg_key *key, char buf[FZ_WG_KEY_STRLEN]);
/** Overwrite a key. */
FZ_API void fz_wg_key_wipe(struct fz_wg_key *key);

/** When to re-key, to send a keepalive, to give up. */
enum fz_wg_timing {
	FZ_WG_STANDARD = 0, /**< section 6 of the paper: nothing is sent while there is no traffic */
	FZ_WG_FIREZONE =
		1, /**< as Firezone's nodes with ICE: an idle tunnel is kept alive by re-keying, an
		    * unanswered handshake is given up after 20 s, no session for 540 s ends the tunnel */
	FZ_WG_FIREZONE_ICELESS = 2 /**< as Firezone's nodes without ICE: keepalive after 5 s, retry after 2 s,
				    * given up after 90 s */
};

/** Zero it, set size and peer_public, then set only what you need: 0 means default in every field. */
struct fz_wg_opts {
	size_t size; /**< sizeof(struct fz_wg_opts), as seen by the caller */
	struct fz_wg_key private_key; /**< ours; all zero = a random one, see fz_wg_public() */
	struct fz_wg_key peer_public; /**< the other side's; required */
	struct fz_wg_key psk; /**< pre-shared key; all zero = none */
	uint32_t index; /**< 1 to 0xffffff: upper 24 bits of the indices by which the peer names our sessions,
			 * so that fz_wg_index() of a datagram finds its tunnel among many; 0 = random */
	uint32_t timing; /**< enum fz_wg_timing */
	uint32_t persistent_keepalive_ms; /**< send a keepalive after so long without any traffic, and keep
					   * trying to have a session; 0 = off, 25000 keeps most NATs open */
	uint32_t rekey_after_ms; /**< age at which a session in use is replaced, 1000 to 120000; 0 = 120000 */
};

/** What fz_wg_poll_event() reports. */
enum fz_wg_event {
	FZ_WG_SESSION = 0, /**< a handshake ended well. If we began it, packets can be sent from now on */
	FZ_WG_SENDABLE =
		1, /**< the peer began the handshake and has sent its first packet: now we can send too */
	FZ_WG_EXPIRED = 2 /**< the peer does not answer, or (Firezone timing) there was no handshake for too
			   * long. All session keys are gone. The tunnel can be used again: fz_wg_connect(),
			   * sending a packet, or a handshake from the peer start anew */
};

/** Counters since creation; they only grow. Set size before the call. */
struct fz_wg_stats {
	size_t size; /**< sizeof(struct fz_wg_stats), as seen by the caller */
	uint64_t sessions; /**< handshakes that ended well */
	uint64_t last_session_us; /**< when the newest one did; 0 = never */
	uint64_t tx_packets; /**< packets encapsulated */
	uint64_t tx_bytes; /**< their bytes */
	uint64_t rx_packets; /**< packets decapsulated */
	uint64_t rx_bytes; /**< their bytes, padding included */
	uint64_t initiations_sent; /**< handshakes begun or repeated by us */
	uint64_t cookies_sent; /**< answers to a flood of handshake messages */
	uint64_t dropped_malformed; /**< no WireGuard message, or not for this tunnel, or no IP packet inside
				     */
	uint64_t dropped_session; /**< for a session that does not exist or is too old */
	uint64_t dropped_forged; /**< does not authenticate */
	uint64_t dropped_replayed; /**< packet or handshake message seen before */
	uint64_t unsendable; /**< packets refused because there was no session to send them in */
	uint64_t dropped_load; /**< handshake messages beyond what one sender may cost under load */
};

/** Create a tunnel. Nothing is sent before the first packet or fz_wg_connect().
 *  @param env       borrowed until fz_wg_free()
 *  @param opts      copied
 *  @param[out] ret  owned by the caller
 *  @param now_us    monotonic time, µs, any epoch; the same clock in all calls
 *  @retval FZ_ERR_ABI     opts come from a newer header and ask for something unknown here
 *  @retval FZ_ERR_INVAL   peer_public is missing or no valid key, or a field is out of range
 *  @retval FZ_ERR_NOMEM   nothing was allocated
 *  @retval FZ_ERR_CRYPTO  the crypto library failed */
FZ_API FZ_MUST_CHECK int fz_wg_new(const struct fz_env *env, const struct fz_wg_opts *opts,
				   struct fz_wg **ret, uint64_t now_us);
/** Wipe all keys and free it; NULL is fine. The peer is told nothing: WireGuard has no goodbye. */
FZ_API void fz_wg_free(struct fz_wg *wg);
/** Our public key, which the peer has to know. */
FZ_API void fz_wg_public(const struct fz_wg *wg, struct fz_wg_key *ret);

/** Start a handshake unless one is under way. Sending a packet does the same when it is needed. */
FZ_API void fz_wg_connect(struct fz_wg *wg, uint64_t now_us);
/** Can packets be encapsulated now? */
FZ_API bool fz_wg_can_send(const struct fz_wg *wg, uint64_t now_us);

/** Encrypt one IP packet into a datagram for the peer.
 *  @param packet  borrowed for the call; may lie at @p buf + 16, otherwise it must not overlap
 *  @param len     its length; 0 makes a keepalive
 *  @param cap     at least @p len + ::FZ_WG_OVERHEAD
 *  @return length of the datagram
 *  @retval FZ_ERR_STATE    no session yet: a handshake has been started (fz_wg_poll_transmit() has it); send
 * the packet again after ::FZ_WG_SESSION or ::FZ_WG_SENDABLE, or forget it
 *  @retval FZ_ERR_NOSPACE  cap is too small, nothing happened
 *  @retval FZ_ERR_INVAL    len is more than 65535
 *  @retval FZ_ERR_CRYPTO   the crypto library failed; the packet is lost */
FZ_API FZ_MUST_CHECK int fz_wg_encapsulate(struct fz_wg *wg, const void *packet, size_t len, void *buf,
					   size_t cap, uint64_t now_us);
/** Take one datagram. Afterwards call fz_wg_poll_transmit(): what it gives is the answer, so send it to where
 * this datagram came from. A result of 0 or more means that the datagram is authentic and new: a caller that
 * lets its peer roam takes over its source address then, and not before.
 *  @param from   source IP address, against floods from forged addresses; NULL = not known
 *  @param dgram  borrowed for the call
 *  @param buf    receives the packet; may be @p dgram + 16, otherwise it must not overlap
 *  @param cap    at least @p len - ::FZ_WG_OVERHEAD for datagrams longer than that
 *  @return length of the IP packet in buf (IPv4 or IPv6; nothing else about it is checked), or 0: a handshake
 *          message or keepalive
 *  @retval FZ_ERR_NOSPACE   cap is too small, nothing happened
 *  @retval FZ_ERR_NOT_MINE  not a WireGuard message, or one for another tunnel: offer it elsewhere
 *  @retval FZ_ERR_WIRE      authentic, but no IP packet inside: count it, drop it, go on
 *  @retval FZ_ERR_AUTH      forged, seen before, or made for another private key: likewise
 *  @retval FZ_ERR_STATE     for a session that does not exist or is too old: likewise
 *  @retval FZ_ERR_AGAIN     too many handshake messages a second; the sender gets a cookie to prove its
 * address
 *  @retval FZ_ERR_FULL      too many even with a cookie: count it, drop it, go on
 *  @retval FZ_ERR_NOMEM     a handshake message could not be handled; the peer will repeat it
 *  @retval FZ_ERR_CRYPTO    likewise */
FZ_API FZ_MUST_CHECK int fz_wg_decapsulate(struct fz_wg *wg, const struct fz_ip *from, const void *dgram,
					   size_t len, void *buf, size_t cap, uint64_t now_us);
/** For programs with many tunnels on one socket: the fz_wg_opts.index that a datagram is meant for.
 *  @retval FZ_ERR_NOT_MINE  not a WireGuard message
 *  @retval FZ_ERR_STATE     a handshake initiation, which has none: offer it to each tunnel (one private key
 * can belong to many tunnels; only the one with the right peer takes it) */
FZ_API FZ_MUST_CHECK int fz_wg_index(const void *dgram, size_t len, uint32_t *ret);

/** Write the next datagram that the tunnel itself wants to send; call until 0 after every call above that
 * starts, takes or times something.
 *  @param cap      at least ::FZ_WG_MESSAGE_MAX
 *  @param unix_ns  wall clock, nanoseconds since 1970; a peer refuses handshakes that are not later than the
 * last one it saw, also after a restart of ours
 *  @return its length, 0 when there is none
 *  @retval FZ_ERR_NOSPACE  cap is too small, nothing is lost
 *  @retval FZ_ERR_CRYPTO   a message was lost; it is repeated like one lost on the way */
FZ_API FZ_MUST_CHECK int fz_wg_poll_transmit(struct fz_wg *wg, void *buf, size_t cap, uint64_t now_us,
					     uint64_t unix_ns);
/** Do what is due; early calls do nothing. Then poll transmissions and events. */
FZ_API void fz_wg_handle_timeout(struct fz_wg *wg, uint64_t now_us);
/** When to call fz_wg_handle_timeout(): absolute µs; ::FZ_NEVER_US = not before something else happens. */
FZ_API uint64_t fz_wg_next_timeout(const struct fz_wg *wg);
/** Take the next event; false = there is none. Each kind is held at most once. */
FZ_API bool fz_wg_poll_event(struct fz_wg *wg, enum fz_wg_event *ret);
/** Fill in the counters, as many as @p ret->size has room for.
 *  @retval FZ_ERR_ABI  the size cannot be one; untouched */
FZ_API FZ_MUST_CHECK int fz_wg_get_stats(const struct fz_wg *wg, struct fz_wg_stats *ret);

#ifdef __cplusplus
}
#endif
#endif
