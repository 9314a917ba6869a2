/* SPDX-License-Identifier: Apache-2.0 */
/** @file nat.h
 *  Getting through NATs, one tool at a time:
 *   - struct fz_stun_probe asks a STUN server from which address it sees us (RFC 8489);
 *   - struct fz_turn is a client of one TURN relay (RFC 8656) and works with every server of that RFC;
 *   - struct fz_path finds out, together with its peer, which pair of addresses works best (ICE, RFC 8445, or
 *     probes inside a WireGuard tunnel).
 *
 *  All are sans-IO: no socket, no clock, no thread. The caller carries datagrams and tells the time, in
 * microseconds of any monotonic clock:
 *
 *  @code
 *  while ((n = fz_turn_poll_transmit(turn, buf, sizeof(buf), &to, now_us)) > 0)
 *          host_send(&to, buf, n);
 *  while (fz_turn_poll_event(turn, &ev))
 *          host_event(&ev);
 *  now_us = host_wait(fz_turn_next_timeout(turn));
 *  if ((n = host_recv(&local, &from, buf, sizeof(buf))) > 0 &&
 *      fz_turn_handle_datagram(turn, &local, &from, buf, n, &data, now_us) == FZ_TURN_DATA)
 *          host_deliver(&data);
 *  fz_turn_handle_timeout(turn, now_us);
 *  @endcode */
#ifndef FZCONN_NAT_H
#define FZCONN_NAT_H

#include "addr.h"
#include "env.h"
#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A buffer of this size holds every datagram that the objects of this header write. */
#define FZ_NAT_TRANSMIT_MAX 2048

/** A probe asks a STUN server from which address it sees us (Binding, RFC 8489 section 2).
 *  One probe belongs to one thread at a time; different probes are independent. */
struct fz_stun_probe;

/** Zero it, set size, then set only what you need: 0 means default in every field. */
struct fz_stun_probe_opts {
	size_t size; /**< sizeof(struct fz_stun_probe_opts), as seen by the caller */
	const char *software; /**< what to say of ourselves, at most 128 bytes; NULL = nothing */
	uint32_t rto_ms; /**< wait before the second datagram, 1 to 60000; 0 = 500 (RFC 8489 section 6.2.1) */
	uint32_t max_sends; /**< datagrams before giving up, at most 16; 0 = 7 */
};

/** What a probe found out. */
enum fz_stun_probe_event_type {
	FZ_STUN_PROBE_MAPPED, /**< answered: mapped and rtt_us are set */
	FZ_STUN_PROBE_REFUSED, /**< the server answers with an error: code is set */
	FZ_STUN_PROBE_TIMEOUT /**< no answer to any datagram: blocked, or no STUN server there */
};

/** The end of a probe; there is exactly one. */
struct fz_stun_probe_event {
	enum fz_stun_probe_event_type type; /**< what came of it */
	uint32_t code; /**< STUN error code, 300 to 699 */
	struct fz_addr mapped; /**< our address as the server sees it */
	uint64_t rtt_us; /**< from the first datagram to the answer */
};

/** Create a probe; nothing is sent before the first poll.
 *  @param env      borrowed until fz_stun_probe_free(); 12 random bytes are drawn now
 *  @param opts     copied; NULL = all defaults
 *  @param server   IP address and port, usually 3478; copied
 *  @param[out] ret owned by the caller
 *  @param now_us   monotonic time
 *  @retval FZ_ERR_ABI    opts come from a newer header and ask for something unknown here
 *  @retval FZ_ERR_INVAL  a field is out of range, or the server has no address
 *  @retval FZ_ERR_NOMEM  nothing was allocated */
FZ_API FZ_MUST_CHECK int fz_stun_probe_new(const struct fz_env *env, const struct fz_stun_probe_opts *opts,
					   const struct fz_addr *server, struct fz_stun_probe **ret,
					   uint64_t now_us);
/** Free a probe, finished or not; NULL is fine. */
FZ_API void fz_stun_probe_free(struct fz_stun_probe *p);
/** Feed one datagram; @p data is borrowed for the call.
 *  @retval 0                it was the answer
 *  @retval FZ_ERR_NOT_MINE  other source, or no answer to this probe: offer it elsewhere
 *  @retval FZ_ERR_WIRE      malformed: count it, drop it, go on */
FZ_API int fz_stun_probe_handle_datagram(struct fz_stun_probe *p, const struct fz_addr *from,
					 const void *data, size_t len, uint64_t now_us);
/** Do what is due; early calls do nothing. */
FZ_API void fz_stun_probe_handle_timeout(struct fz_stun_probe *p, uint64_t now_us);
/** When to call fz_stun_probe_handle_timeout(); ::FZ_NEVER_US = not at all. */
FZ_API uint64_t fz_stun_probe_next_timeout(const struct fz_stun_probe *p);
/** Write the next datagram to @p buf; call until 0.
 *  @return its length, 0 when there is none, or FZ_ERR_NOSPACE when cap is too small (nothing is lost;
 *          ::FZ_NAT_TRANSMIT_MAX is enough) */
FZ_API int fz_stun_probe_poll_transmit(struct fz_stun_probe *p, void *buf, size_t cap, struct fz_addr *ret_to,
				       uint64_t now_us);
/** Take the event. @return false when there is none (yet, or any more) */
FZ_API bool fz_stun_probe_poll_event(struct fz_stun_probe *p, struct fz_stun_probe_event *ret);

/** Client of one relay: finds out how the relay sees us, allocates addresses of both families there, keeps
 * them, and binds channels to peers. One object belongs to one thread at a time; different objects are
 * independent.
 *
 *  Servers may have an address of each family. Both are asked; the first that answers carries everything
 * else. Answers of the server count only when they are authenticated with the credentials; forged ones cost
 * at most a few requests. */
struct fz_turn;

/** Length of the header in front of relayed payload (ChannelData, RFC 8656 section 12.4). */
#define FZ_TURN_HEADER_LEN 4
/** What fz_turn_handle_datagram() returns for payload of a peer. */
#define FZ_TURN_DATA 1

/** Zero it, set size, credentials and a server, then only what you need. */
struct fz_turn_opts {
	size_t size; /**< sizeof(struct fz_turn_opts), as seen by the caller */
	const char
		*username; /**< long-term credentials (RFC 8489 section 9.2), required, at most 513 bytes */
	const char *password; /**< likewise, at most 512 bytes; wiped when the object is freed */
	const char *realm; /**< refuse servers that name another one; NULL = any */
	const char *software; /**< what to say of ourselves, at most 128 bytes; NULL = nothing */
	struct fz_addr server4; /**< the server's IPv4 address, family none = it has none; one is required */
	struct fz_addr server6; /**< the server's IPv6 address, likewise */
};

/** What happened. */
enum fz_turn_event_type {
	FZ_TURN_MAPPED, /**< a server address answered: local is seen as mapped */
	FZ_TURN_RELAYED, /**< relayed is now our address on the relay */
	FZ_TURN_RELAYED_LOST, /**< it is no longer; a new one may follow */
	FZ_TURN_REFUSED, /**< no allocation for now, code says why; tried again by itself after 1 to 8
			  * minutes. 437 and 441: our port is in use by another allocation, another local port
			  * would help */
	FZ_TURN_FAILED /**< the relay is of no use: free the object; reason is set */
};

/** Why an object failed. */
enum fz_turn_reason {
	FZ_TURN_REASON_NONE = 0,
	FZ_TURN_REASON_NO_ANSWER = 1, /**< the server does not answer: blocked, down, or gone */
	FZ_TURN_REASON_UNAUTHORISED = 2, /**< it does not accept the credentials or has the wrong realm */
	FZ_TURN_REASON_PROTOCOL = 3 /**< it does not understand us, or we do not understand it */
};

/** An event; fields without meaning for its type are zero. */
struct fz_turn_event {
	enum fz_turn_event_type type; /**< what happened */
	enum fz_turn_reason reason; /**< ::FZ_TURN_FAILED */
	uint32_t code; /**< ::FZ_TURN_REFUSED: STUN error code */
	struct fz_addr local; /**< ::FZ_TURN_MAPPED and ::FZ_TURN_RELAYED: our socket's address */
	struct fz_addr mapped; /**< ::FZ_TURN_MAPPED */
	struct fz_addr relayed; /**< ::FZ_TURN_RELAYED and ::FZ_TURN_RELAYED_LOST */
};

/** Payload from a peer. */
struct fz_turn_data {
	struct fz_addr peer; /**< who sent it */
	struct fz_addr relayed; /**< our address on the relay to which it was sent */
	const uint8_t *data; /**< inside the datagram that was given in */
	size_t len; /**< bytes */
};

/** Counters since creation. */
struct fz_turn_stats {
	uint64_t requests; /**< requests sent, */
	uint64_t repeats; /**< ... and sent again for want of an answer */
	uint64_t allocations; /**< allocations gained */
	uint64_t data; /**< payloads received through channels */
	uint64_t malformed; /**< dropped: neither STUN nor ChannelData, or broken */
	uint64_t bad_auth; /**< dropped: MESSAGE-INTEGRITY wrong or missing */
	uint64_t unexpected; /**< dropped: answers to nothing, answers without what they must have, unbound
				channels */
	uint64_t refused; /**< peers that could not be bound: the server refused, or a table was full */
};

/** Create a client; nothing is sent before the first poll.
 *  @param env      borrowed until fz_turn_free()
 *  @param opts     copied
 *  @param[out] ret owned by the caller
 *  @param now_us   monotonic time
 *  @retval FZ_ERR_ABI    opts come from a newer header and ask for something unknown here
 *  @retval FZ_ERR_INVAL  credentials or servers are missing, too long or of the wrong family
 *  @retval FZ_ERR_NOMEM  nothing was allocated */
FZ_API FZ_MUST_CHECK int fz_turn_new(const struct fz_env *env, const struct fz_turn_opts *opts,
				     struct fz_turn **ret, uint64_t now_us);
/** Free it without telling the server (see fz_turn_close()); NULL is fine. */
FZ_API void fz_turn_free(struct fz_turn *t);
/** Give the allocation back: poll_transmit has one more datagram, send it, then free the object. Without this
 * the server keeps the addresses for up to ten minutes, and refuses the port to other credentials for as
 * long. */
FZ_API void fz_turn_close(struct fz_turn *t, uint64_t now_us);
/** Our own addresses changed: start over with the same servers and credentials. No event tells of what was
 * lost. */
FZ_API void fz_turn_restart(struct fz_turn *t, uint64_t now_us);
/** Ask the server now whether the allocation is alive, with less patience than usual; a refused one is tried
 * again. */
FZ_API void fz_turn_refresh(struct fz_turn *t, uint64_t now_us);

/** Feed one datagram; @p data is borrowed for the call.
 *  @param local     our socket's address on which it arrived
 *  @param from      its source
 *  @param[out] ret  set when FZ_TURN_DATA is returned
 *  @retval FZ_TURN_DATA     payload of a peer
 *  @retval 0                an answer, dealt with
 *  @retval FZ_ERR_NOT_MINE  other source, or no answer to this object: offer it elsewhere
 *  @retval FZ_ERR_WIRE      malformed: drop it
 *  @retval FZ_ERR_AUTH      not authentic: drop it
 *  @retval FZ_ERR_STATE     payload on a channel that is not bound: drop it */
FZ_API int fz_turn_handle_datagram(struct fz_turn *t, const struct fz_addr *local, const struct fz_addr *from,
				   const void *data, size_t len, struct fz_turn_data *ret, uint64_t now_us);
/** Bind a channel to a peer ahead of use, so that the relay lets its datagrams through. Does nothing when it
 * is bound. Before the allocation exists up to 100 peers are remembered.
 *  @retval FZ_ERR_STATE  no allocation of the peer's family, or the server refused this peer a moment ago
 *  @retval FZ_ERR_FULL   all 4,096 channels are in use
 *  @retval FZ_ERR_NOMEM  may be tried again */
FZ_API FZ_MUST_CHECK int fz_turn_bind(struct fz_turn *t, const struct fz_addr *peer, uint64_t now_us);
/** Header for @p len bytes of payload to a peer: send header and payload as one datagram to @p ret_to, after
 * whatever fz_turn_poll_transmit() has. A channel stays bound as long as payload goes one way or the other at
 * least every 4 minutes.
 *  @retval 0             the header is written
 *  @retval FZ_ERR_INVAL  len is over 65,535
 *  @retval FZ_ERR_STATE  no channel yet (one is bound if that is possible): drop the payload */
FZ_API FZ_MUST_CHECK int fz_turn_wrap(struct fz_turn *t, const struct fz_addr *peer, size_t len,
				      uint8_t header[FZ_TURN_HEADER_LEN], struct fz_addr *ret_to,
				      uint64_t now_us);

/** Do what is due; early calls do nothing. */
FZ_API void fz_turn_handle_timeout(struct fz_turn *t, uint64_t now_us);
/** When to call fz_turn_handle_timeout(); ::FZ_NEVER_US = not at all. */
FZ_API uint64_t fz_turn_next_timeout(const struct fz_turn *t);
/** Write the next datagram to @p buf; call until 0.
 *  @return its length, 0 when there is none, or FZ_ERR_NOSPACE when cap is too small (nothing is lost;
 *          ::FZ_NAT_TRANSMIT_MAX is enough) */
FZ_API int fz_turn_poll_transmit(struct fz_turn *t, void *buf, size_t cap, struct fz_addr *ret_to,
				 uint64_t now_us);
/** Take the next event. @return false when there is none */
FZ_API bool fz_turn_poll_event(struct fz_turn *t, struct fz_turn_event *ret);

/** Our address of this family on the relay. @return false when there is none; @p ret untouched */
FZ_API bool fz_turn_relayed(const struct fz_turn *t, enum fz_family family, struct fz_addr *ret);
/** The server address in use. @return false when none has answered yet; @p ret untouched */
FZ_API bool fz_turn_server(const struct fz_turn *t, struct fz_addr *ret);
/** Smoothed round trip to the server; 0 = no answer yet. */
FZ_API uint64_t fz_turn_rtt_us(const struct fz_turn *t);
/** Read the counters. */
FZ_API void fz_turn_stats(const struct fz_turn *t, struct fz_turn_stats *ret);

/** One end of a path between two peers: an ICE agent (RFC 8445, trickle ICE after RFC 8838), full, with one
 * component. It is fed with our addresses (from struct fz_turn, say) and with the peer's candidates, which
 * travel as text over a channel of the caller's own; it tests every pair of them for as long as it lives, and
 * says where payload should go: over the first pair that works, then over better ones, then, when that one
 * breaks, over whatever still works.
 *
 *  One object belongs to one thread at a time; different objects are independent. Datagrams between the peers
 * are authenticated STUN, 64 to 148 bytes; payload never passes through the agent.
 *
 *  With ::FZ_PATH_ICELESS it does the same for a WireGuard tunnel (struct fz_wg with
 * ::FZ_WG_FIREZONE_ICELESS) without STUN between the peers: the tunnel's first handshake goes over all pairs
 * with a relay in them, then all pairs are probed with small packets inside the tunnel. The caller shows the
 * agent the tunnel's handshake messages and what arrives in it; see fz_path_filter_handshake() and below. */
struct fz_path;

/** How an agent tests pairs; both ends need the same. */
enum fz_path_mode {
	FZ_PATH_ICE = 0, /**< STUN, authenticated with the four credentials */
	FZ_PATH_ICELESS = 1 /**< inside a WireGuard tunnel; credentials, role and profiles are not used */
};

/** How often pairs are tested. The idle profiles are for connections without payload. */
enum fz_path_profile {
	FZ_PATH_CLIENT = 0, /**< often (every 1.5 s), gives up after about 16 s of silence */
	FZ_PATH_CLIENT_IDLE = 1, /**< every 25 s, gives up after 100 s */
	FZ_PATH_SERVER = 2, /**< rarely (every 15 s), gives up after about 10 minutes */
	FZ_PATH_SERVER_IDLE = 3 /**< every 25 s, gives up after 1,000 s */
};

/** Zero it, set size, the four credentials and the role; or the mode alone. */
struct fz_path_opts {
	size_t size; /**< sizeof(struct fz_path_opts), as seen by the caller */
	const char *local_ufrag; /**< our name in this session, at most 32 bytes, no colon; copied */
	const char *local_pwd; /**< secret under which the peer's requests are checked, at most 256 bytes;
				  copied */
	const char *remote_ufrag; /**< the peer's name; both ends must know all four */
	const char *remote_pwd; /**< the peer's secret */
	uint32_t controlling; /**< 1 = this end decides; exactly one end does (a conflict resolves itself) */
	uint32_t profile; /**< enum fz_path_profile */
	uint32_t idle_profile; /**< enum fz_path_profile, after fz_path_set_idle() */
	uint32_t tag; /**< chosen by the caller, unique among its agents: see fz_path_peek() */
	uint32_t mode; /**< enum fz_path_mode */
	uint32_t reserved; /**< 0 */
};

/** Kinds of candidates, RFC 8445 section 5.1.1. */
enum fz_path_kind {
	FZ_PATH_HOST = 0, /**< address of one of our sockets */
	FZ_PATH_PRFLX = 1, /**< discovered by a test; never announced */
	FZ_PATH_SRFLX = 2, /**< how a server sees a socket */
	FZ_PATH_RELAY = 3 /**< address on a relay */
};

/** An address under which one end may be reached. */
struct fz_path_cand {
	enum fz_path_kind kind; /**< how it came to be */
	struct fz_addr addr; /**< what the other end sends to */
	struct fz_addr base; /**< ours: the socket behind it (relay: the socket that talks to the relay); the
			      * peer's: as told, mostly of no use */
};

/** One way to the peer. */
struct fz_path_route {
	struct fz_addr local; /**< our socket's address, or our address on a relay when local_relayed */
	struct fz_addr remote; /**< the peer's address */
	uint32_t local_relayed; /**< 1 = to be sent through the relay that owns local (fz_turn_wrap()) */
	uint32_t remote_relayed; /**< 1 = the peer's address is one on its relay; for information */
};

/** What an agent has to say. */
enum fz_path_event_type {
	FZ_PATH_SELECTED, /**< payload goes to route from now on; reason is first, better or lost */
	FZ_PATH_WANT_HANDSHAKE, /**< controlling end: start or renew whatever secures the payload */
	FZ_PATH_DOUBTED, /**< the selected pair went silent and no other works: ask the relays whether they
			  * are alive (fz_turn_refresh()); payload goes on */
	FZ_PATH_FAILED /**< no pair works and none is in sight: free the object */
};

/** Why. */
enum fz_path_reason {
	FZ_PATH_REASON_NONE = 0,
	FZ_PATH_REASON_FIRST = 1, /**< selected: the first that works */
	FZ_PATH_REASON_BETTER = 2, /**< selected: a better one works */
	FZ_PATH_REASON_LOST = 3, /**< selected: the one before broke */
	FZ_PATH_REASON_NO_CANDIDATES = 4, /**< failed: the peer announced no candidate within 10 s */
	FZ_PATH_REASON_NO_ANSWER = 5 /**< failed: no pair is answered */
};

/** An event; fields without meaning for its type are zero. */
struct fz_path_event {
	enum fz_path_event_type type; /**< what happened */
	enum fz_path_reason reason; /**< why */
	struct fz_path_route route; /**< ::FZ_PATH_SELECTED */
};

/** Counters and state. */
struct fz_path_stats {
	uint64_t pairs; /**< under test */
	uint64_t pairs_working; /**< answered of late */
	uint64_t rtt_us; /**< of the selected pair, smoothed; 0 = unknown */
	uint64_t checks_sent; /**< tests sent, */
	uint64_t checks_answered; /**< ... and answered */
	uint64_t dropped_auth; /**< datagrams dropped: not authentic */
	uint64_t dropped_local; /**< ... sent to an address that is no candidate of ours */
	uint64_t dropped_answer; /**< ... answers to nothing asked within 10 s, or from elsewhere */
	uint64_t dropped_request; /**< ... requests that the peer's role or a withdrawn address forbid */
	uint64_t full; /**< candidates, pairs and answers dropped at a limit (40 candidates, 100 pairs) */
};

/** Longest candidate text with its NUL. */
#define FZ_PATH_TEXT_MAX 512

/** Create an agent; nothing is sent before both ends have candidates.
 *  @param env      borrowed until fz_path_free()
 *  @param opts     copied
 *  @param[out] ret owned by the caller
 *  @param now_us   monotonic time
 *  @retval FZ_ERR_ABI    opts come from a newer header and ask for something unknown here
 *  @retval FZ_ERR_INVAL  credentials are missing, too long or contain a colon, or a profile or mode is
 * unknown
 *  @retval FZ_ERR_NOMEM  nothing was allocated */
FZ_API FZ_MUST_CHECK int fz_path_new(const struct fz_env *env, const struct fz_path_opts *opts,
				     struct fz_path **ret, uint64_t now_us);
/** Free it; the peer is not told. NULL is fine. */
FZ_API void fz_path_free(struct fz_path *p);

/** Add an address of ours. Host addresses first: tests are sent from host and relay addresses only.
 *  @param[out] ret_text  what to tell the peer, when 1 is returned
 *  @retval 1             new: send the text to the peer
 *  @retval 0             known, redundant, or not usable as a candidate */
FZ_API int fz_path_add_local(struct fz_path *p, const struct fz_path_cand *cand,
			     char ret_text[FZ_PATH_TEXT_MAX], uint64_t now_us);
/** An address of ours is gone; pairs with it are dropped at once.
 *  @param[out] ret_text  what to tell the peer (for its fz_path_remove_remote()), when 1 is returned
 *  @retval 1             it was a candidate
 *  @retval 0             it was none */
FZ_API int fz_path_remove_local(struct fz_path *p, const struct fz_path_cand *cand,
				char ret_text[FZ_PATH_TEXT_MAX], uint64_t now_us);
/** A text of the peer's fz_path_add_local().
 *  @param[out] ret         what it says; where we have a relay, bind a channel to its address
 * (fz_turn_bind())
 *  @retval 0               taken, or known already
 *  @retval FZ_ERR_WIRE     malformed: ignore it
 *  @retval FZ_ERR_NOT_MINE for another session, or an address that nothing is sent to: ignore it
 *  @retval FZ_ERR_FULL     too many
 *  @retval FZ_ERR_NOMEM    may be tried again */
FZ_API int fz_path_add_remote(struct fz_path *p, const char *text, struct fz_path_cand *ret, uint64_t now_us);
/** A text of the peer's fz_path_remove_local().
 *  @retval FZ_ERR_WIRE       malformed
 *  @retval FZ_ERR_NOT_FOUND  never announced */
FZ_API int fz_path_remove_remote(struct fz_path *p, const char *text, uint64_t now_us);

/** Feed one datagram; @p data is borrowed for the call.
 *  @param local          our socket's address on which it arrived; when it came through a relay, our address
 * there
 *  @param local_relayed  1 = it came through a relay
 *  @param from           its source; through a relay, the peer that the relay names
 *  @retval 0                dealt with
 *  @retval FZ_ERR_NOT_MINE  no test, or another agent's: it may be payload
 *  @retval FZ_ERR_WIRE      malformed: drop it
 *  @retval FZ_ERR_AUTH      not authentic: drop it */
FZ_API int fz_path_handle_datagram(struct fz_path *p, const struct fz_addr *local, uint32_t local_relayed,
				   const struct fz_addr *from, const void *data, size_t len, uint64_t now_us);
/** For callers with many agents: whose datagram is this? Nothing is authenticated here.
 *  @param[out] ret_username  requests: "receiver:sender", a view into the datagram, not terminated; NULL for
 * answers
 *  @param[out] ret_len       its length
 *  @param[out] ret_tag       answers: the tag of the agent that asked
 *  @retval FZ_ERR_NOT_MINE   no test at all */
FZ_API FZ_MUST_CHECK int fz_path_peek(const void *data, size_t len, const char **ret_username,
				      size_t *ret_len, uint32_t *ret_tag);
/** The relay that owns @p local carries data to and from @p remote from now on: what was sent before was
 * lost, test again at once. */
FZ_API void fz_path_note_bound(struct fz_path *p, const struct fz_addr *local, const struct fz_addr *remote,
			       uint64_t now_us);

/** Do what is due; early calls do nothing. */
FZ_API void fz_path_handle_timeout(struct fz_path *p, uint64_t now_us);
/** When to call fz_path_handle_timeout(); ::FZ_NEVER_US = not at all. */
FZ_API uint64_t fz_path_next_timeout(const struct fz_path *p);
/** What fz_path_poll_transmit() has written. */
enum fz_path_transmit {
	FZ_PATH_DATAGRAM = 0, /**< a datagram, ready to be sent */
	FZ_PATH_PACKET = 1 /**< an IP packet: encrypt it with the tunnel's current session first; without one
			    * drop it */
};

/** Write the next datagram to @p buf; call until 0, after every other call.
 *  @param[out] ret_kind  what it is; may be NULL with ::FZ_PATH_ICE, which has datagrams only
 *  @param[out] ret       where it goes; through a relay when local_relayed
 *  @return its length, 0 when there is none, or FZ_ERR_NOSPACE when cap is too small (nothing is lost;
 *          ::FZ_NAT_TRANSMIT_MAX is enough) */
FZ_API int fz_path_poll_transmit(struct fz_path *p, void *buf, size_t cap, enum fz_path_transmit *ret_kind,
				 struct fz_path_route *ret, uint64_t now_us);
/** Take the next event. @return false when there is none */
FZ_API bool fz_path_poll_event(struct fz_path *p, struct fz_path_event *ret);

/** Where payload goes now. @return false when there is no working pair; @p ret untouched */
FZ_API bool fz_path_selected(const struct fz_path *p, struct fz_path_route *ret);
/** Test rarely (1) or often (0). Takes effect at once. */
FZ_API void fz_path_set_idle(struct fz_path *p, uint32_t idle, uint64_t now_us);
/** The network changed under us: our addresses and what was measured are forgotten, the peer's candidates and
 * the session stay. Add the new addresses. */
FZ_API void fz_path_rebuild(struct fz_path *p, uint64_t now_us);

/** ::FZ_PATH_ICELESS: an initiation or response has arrived, and the tunnel has not seen it yet.
 *  @param arrival  local, remote and local_relayed of the datagram
 *  @return true: give it to the tunnel, then call fz_path_handshake_done(). false: a copy of one that was
 * dealt with; go on with fz_path_poll_transmit() */
FZ_API FZ_MUST_CHECK bool fz_path_filter_handshake(struct fz_path *p, const struct fz_path_route *arrival,
						   const void *data, size_t len, uint64_t now_us);
/** ::FZ_PATH_ICELESS: the tunnel has taken that message, and it was authentic. Its response, if there is one,
 * has to be sent back on @p arrival, never on the selected path.
 *  @param response  what the tunnel answers to an initiation; NULL for a response. Copied: copies of the
 *                   initiation get it for 10 s */
FZ_API void fz_path_handshake_done(struct fz_path *p, const struct fz_path_route *arrival, const void *data,
				   size_t len, const void *response, size_t response_len, uint64_t now_us);
/** ::FZ_PATH_ICELESS: the tunnel wants to send an initiation; copied.
 *  @return true: the agent sends it where it must go. false: send it on the selected path, drop it while
 * there is none */
FZ_API FZ_MUST_CHECK bool fz_path_send_handshake(struct fz_path *p, const void *data, size_t len,
						 uint64_t now_us);
/** ::FZ_PATH_ICELESS: an authentic data message has arrived, a keepalive maybe. Call it before
 * fz_path_handle_packet(). */
FZ_API void fz_path_handle_data(struct fz_path *p, const struct fz_path_route *arrival, uint64_t now_us);
/** ::FZ_PATH_ICELESS: a packet came out of the tunnel.
 *  @return true: it was the agent's. false: it is payload */
FZ_API FZ_MUST_CHECK bool fz_path_handle_packet(struct fz_path *p, const struct fz_path_route *arrival,
						const void *packet, size_t len, uint64_t now_us);

/** Read the counters. */
FZ_API void fz_path_stats(const struct fz_path *p, struct fz_path_stats *ret);

#ifdef __cplusplus
}
#endif
#endif
