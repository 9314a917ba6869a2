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

/** Kind of an event. Those below 20 ask the host for something; fz_run_dispatch() does it by itself and shows
 *  only the others. Questions that are not served at once must be copied. */
enum fz_event_type {
	FZ_EVENT_STREAM_OPEN = 1, /**< open a stream to the portal: u.stream; close the one that is open */
	FZ_EVENT_STREAM_CLOSE = 2, /**< close the stream to the portal */
	FZ_EVENT_NETCFG = 3, /**< apply addresses and routes: u.netcfg, valid until the next call */
	FZ_EVENT_REBIND = 4, /**< close the UDP sockets and open them anew; what is under way around the
			      * tunnel will not be answered any more */
	FZ_EVENT_DNS_QUERY = 5, /**< send a DNS query: u.dns_query */
	FZ_EVENT_DNS_LISTEN = 6, /**< take DNS requests at an address, or no longer: u.dns_listen */
	FZ_EVENT_DNS_REPLY = 7, /**< answer such a request: u.dns_reply */
	FZ_EVENT_RESOLVE = 8, /**< look up a name around the tunnel: u.resolve */
	FZ_EVENT_HTTP = 9, /**< send an HTTP request around the tunnel: u.http */
	FZ_EVENT_DNS_FLUSH =
		10, /**< forget what the system's resolver remembers: names mean something else */

	FZ_EVENT_PORTAL_UP = 20, /**< signed in and joined */
	FZ_EVENT_PORTAL_DOWN = 21, /**< not joined (any more): u.portal_down; it is tried again by itself */
	FZ_EVENT_READY = 22, /**< the tunnel interface has its first configuration; once */
	FZ_EVENT_PEER_UP = 23, /**< packets can flow to and from a peer: u.peer */
	FZ_EVENT_PEER_PATH = 24, /**< a peer is reached by another path: u.peer */
	FZ_EVENT_PEER_DOWN = 25, /**< the connection to a peer ended: u.peer */
	FZ_EVENT_REFUSED = 26, /**< client: access to a resource was refused: u.refused */
	FZ_EVENT_GRANTED = 27, /**< access was granted: u.grant */
	FZ_EVENT_REVOKED = 28, /**< gateway: access ended: u.grant */
	FZ_EVENT_RESOURCES = 29, /**< client: the list of resources, or the status of one, has changed:
				  *   fz_client_resource() */
	FZ_EVENT_DEAD = 30 /**< nothing more will happen: u.dead; free the object */
};

/** One event. Pointers in it are to static texts or live as long as the object, but those of events below 20,
 * which are valid until the next call on it. */
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
		struct fz_dns_query dns_query;
		struct {
			struct fz_addr addr;
			bool udp, tcp; /**< neither: close what listens there */
		} dns_listen;
		struct {
			uint64_t request; /**< id of the request */
			const uint8_t *data;
			size_t len; /**< 0 = there will be no answer */
		} dns_reply;
		struct {
			uint64_t id;
			const char *name;
		} resolve;
		struct fz_http_request http;
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
