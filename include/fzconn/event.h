/* SPDX-License-Identifier: Apache-2.0 */
/** @file event.h
 *  What a client or gateway tells its host program. Polled, never called back. */
#ifndef FZCONN_EVENT_H
#define FZCONN_EVENT_H

#include "addr.h"
#include "platform.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Length of a UUID text with its NUL. */
#define FZ_ID_STRLEN 37

/** Kind of an event. The first four ask the host for something; fz_run_dispatch() does it by itself and shows
 *  only the others. */
enum fz_event_type {
	FZ_EVENT_STREAM_OPEN = 1, /**< open a stream to the portal: u.stream; close the one that is open */
	FZ_EVENT_STREAM_CLOSE = 2, /**< close the stream to the portal */
	FZ_EVENT_NETCFG = 3, /**< apply addresses and routes: u.netcfg, valid until the next call */
	FZ_EVENT_REBIND = 4, /**< close the UDP sockets and open them anew */

	FZ_EVENT_PORTAL_UP = 10, /**< signed in and joined */
	FZ_EVENT_PORTAL_DOWN = 11, /**< not joined (any more): u.portal_down; it is tried again by itself */
	FZ_EVENT_READY = 12, /**< the tunnel interface has its first configuration; once */
	FZ_EVENT_PEER_UP = 13, /**< packets can flow to and from a peer: u.peer */
	FZ_EVENT_PEER_PATH = 14, /**< a peer is reached by another path: u.peer */
	FZ_EVENT_PEER_DOWN = 15, /**< the connection to a peer ended: u.peer */
	FZ_EVENT_REFUSED = 16, /**< client: access to a resource was refused: u.refused */
	FZ_EVENT_GRANTED = 17, /**< access was granted: u.grant */
	FZ_EVENT_REVOKED = 18, /**< gateway: access ended: u.grant */
	FZ_EVENT_DEAD = 19 /**< nothing more will happen: u.dead; free the object */
};

/** One event. Pointers in it are to static texts or live as long as the object, but those of u.netcfg, which
 * are valid until the next call on it. */
struct fz_event {
	enum fz_event_type type; /**< what happened */
	/** Facts, by type. */
	union {
		struct {
			const char *host; /**< without brackets */
			uint16_t port;
			bool tls;
		} stream;
		struct fz_netcfg netcfg;
		struct {
			char reason[192]; /**< one line, without secrets */
			uint64_t retry_us; /**< µs until the next attempt */
			bool was_up; /**< false: an attempt failed, it was down before */
		} portal_down;
		struct {
			char id[FZ_ID_STRLEN];
			uint32_t number; /**< short name of the peer in log lines */
			const char *path; /**< "direct", "relayed, ..." or why it ended */
			bool relayed;
			struct fz_addr local, remote; /**< addresses of the path; for debug output only */
		} peer;
		struct {
			char resource[FZ_ID_STRLEN];
			const char *reason; /**< word of the portal: "offline", "forbidden", ... */
		} refused;
		struct {
			char resource[FZ_ID_STRLEN];
			char peer[FZ_ID_STRLEN];
			const char *reason; /**< why it ended; NULL when it was granted */
		} grant;
		struct {
			int err; /**< enum fz_err at or below FZ_ERR_DEAD */
			const char *text; /**< one sentence for the user */
		} dead;
	} u;
};

#ifdef __cplusplus
}
#endif
#endif
