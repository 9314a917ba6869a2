/* SPDX-License-Identifier: Apache-2.0 */
/** @file portal.h
 *  The control-plane channel of a Firezone portal alone: connect, join, events in, messages out, kept alive
 * and repaired by itself. For programs that bring a data plane of their own, or only watch. (client.h and
 * gateway.h contain one already.)
 *
 *  No socket, no clock, no thread: the host opens the one byte stream it is asked for and moves its bytes,
 * for instance through the stream functions of a platform (platform.h).
 *
 *  @code
 *  each turn:
 *          fz_portal_handle_opened() / _handle_data() / _handle_closed() for what the stream did,
 *          fz_portal_handle_timeout(p, now_us);
 *          while (stream is open && (n = fz_portal_poll_transmit(p, buf, sizeof(buf), now_us)) > 0)
 *                  host_write(buf, n);
 *          while (fz_portal_poll_event(p, &ev))
 *                  host_event(&ev);
 *          sleep until fz_portal_next_timeout(p) or until the stream is readable
 *  @endcode
 *
 *  Wire: WebSocket (RFC 6455) with Phoenix channels, serialiser 1.0.0, on /client/v2/websocket or
 *  /gateway/v2/websocket. */
#ifndef FZCONN_PORTAL_H
#define FZCONN_PORTAL_H

#include "env.h"
#include "error.h"
#include "tunnel.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One channel. It belongs to one thread at a time; different channels are independent. */
struct fz_portal;

/** What the device is to the portal. */
enum fz_portal_role { FZ_PORTAL_CLIENT = 1, FZ_PORTAL_GATEWAY = 2 };

/** Zero it, set size, then set what you need; texts are copied. */
struct fz_portal_opts {
	size_t size; /**< sizeof(struct fz_portal_opts) */
	const char *url; /**< ws, wss, http or https; without a port 443, for ws too; NULL =
			    "wss://api.firezone.dev/" */
	const char *token; /**< secret of the device; white space in it is ignored, at most 8,000 bytes;
			      required */
	const char
		*id; /**< stable identity, at most 255 bytes; one that reads as a UUID is hashed; required */
	const char *name; /**< shown to administrators, at most 255 bytes; required */
	const char *user_agent; /**< must name a component and version that the portal knows, as in
				 *   "Debian/12.0.0 headless-client/1.5.12"; required */
	const char *device_serial; /**< clients: SMBIOS serial; NULL = unknown */
	const char *device_uuid; /**< clients: SMBIOS UUID; NULL = unknown */
	uint64_t max_partition_us; /**< sum of waits after the first join at which it gives up; 0 = never.
				    * Before the first join it is always 15 s */
	uint32_t role; /**< enum fz_portal_role; required */
	uint32_t iceless; /**< 1: announce that the data plane can do without ICE */
};

/** Create a channel; it asks for its stream with the first fz_portal_poll_event() after a
 *  fz_portal_handle_timeout().
 * @param env   borrowed until fz_portal_free(); NULL = fz_env_default()
 * @param opts  copied; the copy of the token is wiped at the end
 * @param key   our public WireGuard key: the portal passes it to peers
 * @param now_us  monotonic time, µs, any epoch
 * @param[out] ret  owned by the caller
 * @retval FZ_ERR_INVAL  an option is missing, too long or does not parse; a line at level error says which
 * @retval FZ_ERR_ABI    opts come from a newer header and ask for something unknown here
 * @retval FZ_ERR_NOMEM  nothing was allocated */
FZ_API FZ_MUST_CHECK int fz_portal_new(const struct fz_env *env, const struct fz_portal_opts *opts,
				       const struct fz_wg_key *key, uint64_t now_us, struct fz_portal **ret);
/** Free it without a word to the portal: fz_portal_shutdown() first if it should know. NULL is fine. */
FZ_API void fz_portal_free(struct fz_portal *p);

/** The stream of ::FZ_PORTAL_CONNECT is open, TLS included. */
FZ_API void fz_portal_handle_opened(struct fz_portal *p, uint64_t now_us);
/** Bytes from the stream; borrowed for the call. */
FZ_API void fz_portal_handle_data(struct fz_portal *p, const void *data, size_t len, uint64_t now_us);
/** The stream could not be opened, failed or was closed by the other side.
 *  @param reason  one line; NULL = "connection closed" */
FZ_API void fz_portal_handle_closed(struct fz_portal *p, const char *reason, uint64_t now_us);
/** Run what is due; early calls do nothing. */
FZ_API void fz_portal_handle_timeout(struct fz_portal *p, uint64_t now_us);
/** When fz_portal_handle_timeout() has something to do, absolute µs; ::FZ_NEVER_US = never. */
FZ_API uint64_t fz_portal_next_timeout(const struct fz_portal *p);
/** Bytes for the stream; call until 0, and only while the stream takes them.
 *  @return bytes written to @p buf, 0 = none */
FZ_API int fz_portal_poll_transmit(struct fz_portal *p, void *buf, size_t cap, uint64_t now_us);

/** Kind of an event. */
enum fz_portal_event_type {
	FZ_PORTAL_CONNECT = 1, /**< open a stream: u.connect */
	FZ_PORTAL_CLOSE =
		2, /**< close the stream, after one last try to write; report nothing more about it */
	FZ_PORTAL_UP = 3, /**< joined; the init message follows */
	FZ_PORTAL_DOWN =
		4, /**< not joined any more, or an attempt failed: u.down; it is tried again by itself */
	FZ_PORTAL_MESSAGE = 5, /**< the portal says something: u.message */
	FZ_PORTAL_DEAD = 6 /**< nothing more will happen: u.dead; free the object */
};

/** What a message is about. The payload has been checked: every mandatory key is there and of the right type;
 * of messages that are not so, nothing is told but a warning in the log. Unknown keys may be present. */
enum fz_portal_message {
	FZ_PORTAL_MSG_INIT = 1, /**< interface, relays, grants; clients: resources. After each join */
	FZ_PORTAL_MSG_CONFIG = 2, /**< clients: interface changed */
	FZ_PORTAL_MSG_RESOURCE =
		3, /**< a resource is new or changed; its type may be unknown to this library */
	FZ_PORTAL_MSG_RESOURCE_GONE = 4, /**< clients: payload is its id, a bare string */
	FZ_PORTAL_MSG_RELAYS = 5, /**< relays to forget and to add */
	FZ_PORTAL_MSG_ACCESS_CREATED = 6, /**< clients: keys, addresses and credentials of the gateway */
	FZ_PORTAL_MSG_ACCESS_FAILED = 7, /**< clients: with the reason */
	FZ_PORTAL_MSG_ACCESS_REQUEST = 8, /**< gateways: let a client in and acknowledge with its "ref" */
	FZ_PORTAL_MSG_CANDIDATES = 9, /**< ICE candidates of a peer to add */
	FZ_PORTAL_MSG_CANDIDATES_GONE = 10, /**< to forget */
	FZ_PORTAL_MSG_DEVICE_ACCESS = 11, /**< clients: a connection to or from another client */
	FZ_PORTAL_MSG_DEVICE_DENIED = 12, /**< clients: with the reason */
	FZ_PORTAL_MSG_DEVICE_OFFLINE = 13, /**< clients: the peer client is gone */
	FZ_PORTAL_MSG_POOL_NAME = 14, /**< clients: addresses of a name in a dynamic pool */
	FZ_PORTAL_MSG_POOL_NAME_FAILED = 15, /**< clients: no such name */
	FZ_PORTAL_MSG_FILTERS = 16, /**< clients: filters of inbound grants changed */
	FZ_PORTAL_MSG_ACCESS_REVOKED = 17, /**< a grant ended */
	FZ_PORTAL_MSG_OTHER = 18 /**< of no consequence any more */
};

/** One event. Pointers are valid until the next fz_portal_poll_event() or fz_portal_free(). */
struct fz_portal_event {
	enum fz_portal_event_type type; /**< what happened */
	/** Facts, by type. */
	union {
		struct {
			const char *host; /**< without brackets */
			uint16_t port;
			bool tls; /**< verify the certificate against host */
		} connect;
		struct {
			const char *reason; /**< one line, without secrets */
			uint64_t retry_us; /**< µs until the next attempt */
			bool was_up; /**< false: an attempt failed, it was down before */
		} down;
		struct {
			enum fz_portal_message kind;
			const char *name; /**< the event's name on the wire */
			const char *payload; /**< compact JSON, NUL-terminated; may hold secrets */
			size_t payload_len;
		} message;
		struct {
			int err; /**< ::FZ_ERR_TOKEN: sign in again; ::FZ_ERR_PORTAL: all else */
			const char *text; /**< one sentence for the user */
		} dead;
	} u;
};

/** Next event; false = none. Without memory for a message's text the channel is set up anew, and its init
 * tells all again. */
FZ_API bool fz_portal_poll_event(struct fz_portal *p, struct fz_portal_event *ret);
/** Joined? */
FZ_API bool fz_portal_is_up(const struct fz_portal *p);

/** Use another public key from the next connection on; fz_portal_reconnect() makes it now. */
FZ_API void fz_portal_set_public_key(struct fz_portal *p, const struct fz_wg_key *key);
/** The network changed: close the stream and connect anew at once, with a fresh retry schedule. */
FZ_API void fz_portal_reconnect(struct fz_portal *p, uint64_t now_us);
/** Say goodbye; drain the outputs afterwards. No event but ::FZ_PORTAL_CLOSE follows. */
FZ_API void fz_portal_shutdown(struct fz_portal *p, uint64_t now_us);

/** @name Messages to the portal
 *  Ids are UUID texts. Errors of all of them:
 *  FZ_ERR_INVAL an id is no UUID or the role may not say this; FZ_ERR_STATE not connected: the message is
 * lost, the reason for it comes again with the traffic; FZ_ERR_FULL too much waits: lost likewise;
 * FZ_ERR_NOMEM. A message equal to one that still waits is not sent twice.
 *  @{ */

/** Client: ask for access to a resource.
 *  @param gateways  ids of gateways that it is connected to, in order of preference; NULL when there is none
 */
FZ_API FZ_MUST_CHECK int fz_portal_request_access(struct fz_portal *p, const char *resource,
						  const char *const *gateways, size_t gateways_len);
/** Gateway: the client of a ::FZ_PORTAL_MSG_ACCESS_REQUEST is expected.
 *  @param ref  of the request, verbatim. Call it before the first fz_portal_send_candidates() for that
 * client. */
FZ_API FZ_MUST_CHECK int fz_portal_acknowledge(struct fz_portal *p, const char *ref);
/** No relay answers: send fresh ones. */
FZ_API FZ_MUST_CHECK int fz_portal_request_relays(struct fz_portal *p);
/** Tell a peer our ICE candidates, or that some are void. While the channel is down they are kept, merged and
 * sent after the next join, so FZ_ERR_STATE does not happen.
 *  @param peer   id of the gateway (we are a client) or client (we are a gateway)
 *  @param texts  each beginning with "candidate:"; at most 64
 *  @param gone   true: they are void */
FZ_API FZ_MUST_CHECK int fz_portal_send_candidates(struct fz_portal *p, const char *peer,
						   const char *const *texts, size_t texts_len, bool gone);
/** @} */

/** @name What a device tells about itself
 *  @{ */

/** What a user agent line is made of. Zero it, set size, then the rest. */
struct fz_portal_agent {
	size_t size; /**< sizeof(struct fz_portal_agent) */
	const char *os; /**< "Debian" */
	const char *os_version; /**< "12.0.0" */
	const char *component; /**< "headless-client", "gui-client" or "gateway": no other is let in */
	const char *version; /**< of the component that it is compatible with: three numbers, the second above
				0 */
	const char *arch; /**< "x86_64"; NULL = left out */
	const char *kernel; /**< release of the kernel; NULL = left out */
};
/** Write a user agent as in "Debian/12.0.0 gateway/1.6.1 (x86_64; 6.1.0)". Characters that HTTP cannot carry
 * are left out.
 *  @retval FZ_ERR_INVAL    a mandatory part is missing
 *  @retval FZ_ERR_ABI      agent comes from a newer header and asks for something unknown here
 *  @retval FZ_ERR_NOSPACE  @p cap is too small; 256 do */
FZ_API FZ_MUST_CHECK int fz_portal_user_agent(const struct fz_portal_agent *agent, char *buf, size_t cap);
/** The stable identity of a machine that has none stored, as Firezone's own programs derive it.
 *  @param machine_id  content of /etc/machine-id with its line end
 *  @param[out] ret    64 hex digits and NUL
 *  @retval FZ_ERR_CRYPTO  the crypto library failed */
FZ_API FZ_MUST_CHECK int fz_portal_machine_id(enum fz_portal_role role, const void *machine_id, size_t len,
					      char ret[65]);
/** @} */

#ifdef __cplusplus
}
#endif
#endif
