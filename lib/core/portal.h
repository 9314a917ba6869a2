/* SPDX-License-Identifier: Apache-2.0 */
/* The portal channel of one device: dials, upgrades to WebSocket, joins, keeps alive, tells events, sends
 * messages, retries by the documented schedule. Sans-IO: the host opens the byte streams it is asked for and
 * moves bytes.
 *
 *   on every turn:  portal_handle_* for what happened, portal_handle_timeout(), then
 *                   portal_poll_transmit() until 0 (while the stream takes bytes), portal_poll_event() until
 * false, sleep until portal_next_timeout().
 *
 * At most one stream exists at a time. PORTAL_OUT_CONNECT asks for one; the host answers with
 * portal_handle_connected() (TCP and TLS are up) or portal_handle_disconnected(). PORTAL_OUT_CLOSE: close the
 * stream now, also while it still connects, after one last try to write; nothing of it may be reported after
 * that. */
#ifndef CORE_PORTAL_H
#define CORE_PORTAL_H

#include "base/secret.h"
#include "wire/portal_events.h"
#include "wire/portal_messages.h"

struct portal;

struct portal_opts {
	const char *url; /* ws, wss, http or https, as configured */
	const char *token; /* secret; white space in it is ignored; copied, wiped at the end */
	const char *external_id; /* as configured: one that reads as a UUID is hashed (portal_device_id()) */
	const char *name; /* display name */
	const char *user_agent; /* complete line, see proto/portal_url.h */
	const char *device_serial, *device_uuid; /* NULL = unknown; client only */
	enum portal_role role;
	bool iceless; /* capability announced after each join */
	bool keep_payload; /* for portal_last_message() */
	uint64_t retry_budget_us; /* sum of waits after the first join until it is fatal; 0 = unlimited */
};

/* FZ_ERR_INVAL: an option does not parse or is too long; *ret_reason (may be NULL; static text) says which.
 * The first dial is wanted at once; portal_set_public_key() must come before the host reports it connected.
 */
int portal_new(const struct fz_env *env, const struct portal_opts *opts, uint64_t now_us, struct portal **ret,
	       const char **ret_reason);
/* Is its connection encrypted? */
bool portal_uses_tls(const struct portal *p);
void portal_free(struct portal *p);
/* Our WireGuard key; part of every dial from now on. A changed key needs portal_reconnect(). */
void portal_set_public_key(struct portal *p, const struct fz_key *key);

/* The token of the next dials; copied. FZ_ERR_INVAL: it is none, the old one stays. FZ_ERR_NOMEM. */
int portal_set_token(struct portal *p, const char *token);

/* Inputs. */
void portal_handle_connected(struct portal *p, uint64_t now_us);
/* Any number of bytes; borrowed for the call. */
void portal_handle_data(struct portal *p, const void *data, size_t len, uint64_t now_us);
/* The stream failed or was closed by the other side; @reason is one line, NULL = "connection closed". */
void portal_handle_disconnected(struct portal *p, const char *reason, uint64_t now_us);
void portal_handle_timeout(struct portal *p, uint64_t now_us);
uint64_t portal_next_timeout(const struct portal *p);
/* The network changed, or SIGHUP: close the stream and dial anew at once, with a fresh retry schedule and
 * budget. */
void portal_reconnect(struct portal *p, uint64_t now_us);
/* The program ends: a close frame is written if there is a connection, then PORTAL_OUT_CLOSE, then nothing
 * more. */
void portal_shutdown(struct portal *p, uint64_t now_us);

/* Outputs. */
int portal_poll_transmit(struct portal *p, void *buf, size_t cap,
			 uint64_t now_us); /* bytes written, 0 = none */

enum portal_out_type {
	PORTAL_OUT_CONNECT, /* open a stream: u.connect */
	PORTAL_OUT_CLOSE, /* close the stream */
	PORTAL_OUT_UP, /* joined; the init follows */
	PORTAL_OUT_DOWN, /* not joined any more, or a dial failed: u.down */
	PORTAL_OUT_MESSAGE, /* u.message: release with portal_out_clear() */
	PORTAL_OUT_FATAL /* u.fatal: it stays dead */
};

struct portal_out {
	enum portal_out_type type;
	union {
		struct {
			const char *host; /* without brackets; valid as long as the object */
			uint16_t port;
			bool tls;
		} connect;
		struct {
			const char *reason; /* valid until the next call on the object; no secrets */
			uint64_t retry_us; /* wait until the next dial */
			bool was_up; /* we had joined */
		} down;
		struct portal_event message; /* owned by the receiver */
		struct {
			int err; /* FZ_ERR_TOKEN, FZ_ERR_PORTAL */
			const char *text; /* one sentence; valid as long as the object */
		} fatal;
	} u;
};
bool portal_poll_event(struct portal *p, struct portal_out *ret);
void portal_out_clear(struct portal *p, struct portal_out *out);

/* Wire form of the message polled last, valid until the next poll; needs keep_payload. */
void portal_last_message(const struct portal *p, const char **ret_event, const struct jv **ret_payload);
/* The receiver could not take the message polled last: its state is stale now, so the channel is set up anew.
 */
void portal_lose_message(struct portal *p);

bool portal_is_up(const struct portal *p); /* joined */

/* Sends. 0, FZ_ERR_STATE: not connected, the message is lost; FZ_ERR_FULL: queue full, it is lost;
 * FZ_ERR_NOMEM. A message equal to one that still waits is not sent twice (0). */
int portal_send_request_authorization(struct portal *p, const struct fz_uuid *resource,
				      const struct fz_uuid *connected_gateways, size_t n);
/* For a device of a pool; exactly one address. */
int portal_send_request_device(struct portal *p, const struct fz_uuid *resource, const struct fz_ip *target);
int portal_send_resolve_pool_domain(struct portal *p, const struct fz_uuid *resource, const char *domain);
int portal_send_authorization_created(struct portal *p, const char *ref); /* gateway */
int portal_send_no_relays(struct portal *p);

/* Candidates are never lost to an outage: while the portal is away, or its queue is full, they are kept and
 * sent after the next join, additions first; an addition that is invalidated meanwhile cancels out. Bounded;
 * FZ_ERR_FULL. */
int portal_send_candidates(struct portal *p, enum portal_candidates_kind kind, enum portal_peer peer,
			   const struct fz_uuid *id, const char *const *texts, size_t n);
/* The connection to this peer is gone: drop what is kept for it. */
void portal_forget_candidates(struct portal *p, enum portal_peer peer, const struct fz_uuid *id);

struct portal_stats {
	uint64_t dials, joins, losses; /* connection attempts, successes, ends of a joined channel */
	uint64_t messages_in, messages_out;
	uint64_t dropped_unknown, dropped_malformed; /* messages in */
	uint64_t dropped_full; /* messages out: queue full */
};
const struct portal_stats *portal_stats(const struct portal *p);
/* State and counters as JSON; NULL without memory. */
struct jv *portal_status(const struct portal *p, uint64_t now_us);

#endif
