/* SPDX-License-Identifier: Apache-2.0 */
/* The path of one connection: which pair of addresses carries it. One interface, several agents behind it
 * (ICE, RFC 8445 and 8838; one that probes inside WireGuard). The owner (core) knows none of them:
 *
 *   - it feeds local candidates, remote candidate texts, datagrams and handshakes, and signals what it is
 * told to;
 *   - it drains poll_transmit (may be called at any time; a result is sent on the given route) and
 * poll_event;
 *   - it sends payload on path_selected(), handshake replies where path_handshake_done() says.
 *
 * An agent is sans-IO, belongs to one thread, and never calls back. */
#ifndef PROTO_PATH_H
#define PROTO_PATH_H

#include "fzconn/addr.h"
#include "fzconn/env.h"
#include "fzconn/error.h"
#include "wire/cand.h"
#include "wire/path_probe.h"

/* Largest datagram or packet that poll_transmit writes. */
#define PATH_TRANSMIT_MAX 256

/* One way of reaching the peer. A datagram with local_relayed leaves through the TURN allocation that owns
 * `local`, as ChannelData or Send indication to `remote`; the owner wraps it. */
struct path_route {
	struct fz_addr local; /* our socket's address, or our relayed address when local_relayed */
	struct fz_addr remote; /* the peer's address as the sender at `local` has to use it */
	bool local_relayed;
	bool remote_relayed; /* informative: the peer's end is a relay candidate */
};

static inline bool path_route_equal(const struct path_route *a, const struct path_route *b)
{
	return a->local_relayed == b->local_relayed && fz_addr_equal(&a->remote, &b->remote) &&
	       fz_addr_equal(&a->local, &b->local);
}

enum path_kind { PATH_ICE, PATH_ICELESS };

/* Check timing. The client's side tests often, the gateway's side keeps state for long. */
enum path_profile { PATH_CLIENT_DEFAULT, PATH_CLIENT_IDLE, PATH_SERVER_DEFAULT, PATH_SERVER_IDLE };

struct path_opts {
	enum path_kind kind;
	bool controlling;
	/* ICE credentials, copied; unused without ICE. */
	const char *local_ufrag, *local_pwd, *remote_ufrag, *remote_pwd;
	enum path_profile profile, idle_profile;
	/* Chosen by the owner, unique among its agents: responses are attributed by it, see path_stun_peek().
	 */
	uint32_t tag;
};

/* What poll_transmit wrote. */
enum path_transmit_kind {
	PATH_TX_DATAGRAM, /* ready to be sent on the route */
	PATH_TX_PACKET /* an IP packet: encrypt it with the connection's current session, then send on the
			* route. Without session: drop it. */
};

enum path_event_type {
	PATH_SELECTED, /* payload goes to ev.route from now on; the first one or a better one */
	PATH_WANT_HANDSHAKE, /* start a WireGuard handshake unless one is in progress or was started recently
			      */
	PATH_DOUBTED, /* nobody answers on the selected path and no other works: time to ask our relays
		       * whether they are alive. Payload goes on as before. */
	PATH_FAILED /* no path and none in sight: the connection is over; reason set */
};

enum path_reason {
	PATH_REASON_NONE,
	PATH_REASON_FIRST, /* selected: the first path */
	PATH_REASON_BETTER, /* selected: a better one works */
	PATH_REASON_LOST, /* selected: the previous one broke */
	PATH_REASON_NO_CANDIDATES, /* failed: the peer announced none in time */
	PATH_REASON_NO_ANSWER /* failed: no pair answers */
};

struct path_event {
	enum path_event_type type;
	enum path_reason reason;
	struct path_route route; /* PATH_SELECTED */
};

/* For status output. */
struct path_stats {
	uint32_t pairs, pairs_working;
	uint64_t rtt_us; /* of the selected pair; 0 = unknown */
	uint64_t checks_sent, checks_answered;
	uint64_t bad_auth; /* datagrams dropped: MESSAGE-INTEGRITY */
	uint64_t bad_local; /* ... sent to an address that is no candidate */
	uint64_t bad_answer; /* ... answers that fit no recent check */
	uint64_t bad_request; /* ... requests that break a rule of the role or the username */
	uint64_t full; /* candidates, pairs or replies dropped because a table was full */
};

struct path;

struct path_ops {
	void (*free)(struct path *p);
	bool (*add_local)(struct path *p, const struct cand *c, uint64_t now_us);
	bool (*remove_local)(struct path *p, const struct cand *c, uint64_t now_us);
	int (*add_remote)(struct path *p, const char *text, struct cand *ret, uint64_t now_us);
	int (*remove_remote)(struct path *p, const char *text, uint64_t now_us);
	bool (*next_remote)(const struct path *p, size_t *at, struct cand *ret);
	int (*cand_text)(const struct path *p, const struct cand *c, bool invalidation, char *buf,
			 size_t cap);
	int (*handle_datagram)(struct path *p, const struct path_route *arrival, const void *data, size_t len,
			       uint64_t now_us);
	bool (*filter_handshake)(struct path *p, const struct path_route *arrival, const void *data,
				 size_t len, uint64_t now_us);
	bool (*handshake_done)(struct path *p, const struct path_route *arrival, const void *data, size_t len,
			       bool accepted, const void *reply, size_t reply_len, struct path_route *ret,
			       uint64_t now_us);
	bool (*send_handshake)(struct path *p, const void *data, size_t len, uint64_t now_us);
	bool (*handle_packet)(struct path *p, const struct path_route *arrival, const void *data, size_t len,
			      uint64_t now_us);
	void (*handle_data)(struct path *p, const struct path_route *arrival, uint64_t now_us);
	void (*route_ready)(struct path *p, const struct path_route *route, uint64_t now_us);
	void (*rebuild)(struct path *p, uint64_t now_us);
	void (*handle_timeout)(struct path *p, uint64_t now_us);
	uint64_t (*next_timeout)(const struct path *p);
	int (*poll_transmit)(struct path *p, void *buf, size_t cap, enum path_transmit_kind *ret_kind,
			     struct path_route *ret, uint64_t now_us);
	bool (*poll_event)(struct path *p, struct path_event *ret);
	void (*set_idle)(struct path *p, bool idle, uint64_t now_us);
	bool (*settled)(const struct path *p);
	const struct path_route *(*selected)(const struct path *p);
	void (*stats)(const struct path *p, struct path_stats *ret);
};

/* Public only so that the wrappers are inline; agents embed it as first member. */
struct path {
	const struct path_ops *ops;
	bool watches_data; /* handle_data and handle_packet do something: keeps the data path free of indirect
			      calls */
};

/* The only place that knows the agents. FZ_ERR_INVAL: credentials missing or too long; FZ_ERR_NOMEM. */
int path_new(const struct fz_env *env, const struct path_opts *opts, struct path **ret, uint64_t now_us);

/* NULL is fine. */
static inline void path_free(struct path *p)
{
	if (p)
		p->ops->free(p);
}

/* A local candidate (kind, addr, base). True: it is to be signalled to the peer with path_cand_text(). False:
 * known, redundant, not usable or no room. Adding one again is harmless. */
static inline bool path_add_local(struct path *p, const struct cand *c, uint64_t now_us)
{
	return p->ops->add_local(p, c, now_us);
}

/* The candidate is gone (a relay, mostly). True: signal its invalidation. */
static inline bool path_remove_local(struct path *p, const struct cand *c, uint64_t now_us)
{
	return p->ops->remove_local(p, c, now_us);
}

/* A candidate text of the peer. 0: taken or known already; *ret says what it is, so that the owner can bind a
 * TURN channel to its address (at once for every kind but host; host on demand). FZ_ERR_WIRE: malformed.
 * FZ_ERR_NOT_MINE: for another session or not usable, ignored. FZ_ERR_FULL, FZ_ERR_NOMEM: dropped. */
static inline int path_add_remote(struct path *p, const char *text, struct cand *ret, uint64_t now_us)
{
	return p->ops->add_remote(p, text, ret, now_us);
}

/* 0: removed. FZ_ERR_NOT_FOUND: never seen. FZ_ERR_WIRE: malformed. */
static inline int path_remove_remote(struct path *p, const char *text, uint64_t now_us)
{
	return p->ops->remove_remote(p, text, now_us);
}

/* Walk over the peer's candidates, *at from 0: those to which a relay that joins late has to bind a channel.
 */
static inline bool path_next_remote(const struct path *p, size_t *at, struct cand *ret)
{
	return p->ops->next_remote(p, at, ret);
}

/* Signalling text of a local candidate that was added before. Returns its length or FZ_ERR_NOSPACE,
 * FZ_ERR_NOT_FOUND. */
static inline int path_cand_text(const struct path *p, const struct cand *c, bool invalidation, char *buf,
				 size_t cap)
{
	return p->ops->cand_text(p, c, invalidation, buf, cap);
}

/* A datagram that is STUN but not a relay's. arrival: local, remote, local_relayed. 0: consumed.
 * FZ_ERR_NOT_MINE: another agent's. FZ_ERR_WIRE, FZ_ERR_AUTH: count and drop. */
static inline int path_handle_datagram(struct path *p, const struct path_route *arrival, const void *data,
				       size_t len, uint64_t now_us)
{
	return p->ops->handle_datagram(p, arrival, data, len, now_us);
}

/* An incoming WireGuard initiation, response or cookie reply of this connection, before WireGuard sees it.
 * True: give it to WireGuard, then call path_handshake_done(). False: consumed (a copy that was answered
 * already). */
static inline bool path_filter_handshake(struct path *p, const struct path_route *arrival, const void *data,
					 size_t len, uint64_t now_us)
{
	return p->ops->filter_handshake(p, arrival, data, len, now_us);
}

/* What WireGuard made of it. reply: its handshake response or cookie reply, NULL when there is none; not the
 * keepalive that follows an accepted response: send that one on path_selected() afterwards. True: send the
 * reply on *ret. */
static inline bool path_handshake_done(struct path *p, const struct path_route *arrival, const void *data,
				       size_t len, bool accepted, const void *reply, size_t reply_len,
				       struct path_route *ret, uint64_t now_us)
{
	return p->ops->handshake_done(p, arrival, data, len, accepted, reply, reply_len, ret, now_us);
}

/* WireGuard wants to send an initiation. True: the agent copied it and sends it where it must go
 * (poll_transmit). False: the owner sends it on path_selected(), or drops it while there is none. */
static inline bool path_send_handshake(struct path *p, const void *data, size_t len, uint64_t now_us)
{
	return p->ops->send_handshake(p, data, len, now_us);
}

/* An authentic WireGuard data message of this connection arrived; once per batch is enough. */
static inline void path_handle_data(struct path *p, const struct path_route *arrival, uint64_t now_us)
{
	if (p->watches_data)
		p->ops->handle_data(p, arrival, now_us);
}

/* A decrypted packet. True: it was the agent's own (a probe), it goes no further. */
static inline bool path_handle_packet(struct path *p, const struct path_route *arrival, const void *data,
				      size_t len, uint64_t now_us)
{
	return p->watches_data && path_probe_maybe(data, len) &&
	       p->ops->handle_packet(p, arrival, data, len, now_us);
}

/* The relay of route->local carries data to and from route->remote from now on (channel or permission
 * granted): whatever was sent before was lost, test again at once. */
static inline void path_route_ready(struct path *p, const struct path_route *route, uint64_t now_us)
{
	p->ops->route_ready(p, route, now_us);
}

/* The network changed under us while the connection lives on: our addresses and what was measured are
 * forgotten, the peer's candidates stay. Add the new addresses. */
static inline void path_rebuild(struct path *p, uint64_t now_us)
{
	p->ops->rebuild(p, now_us);
}

static inline void path_handle_timeout(struct path *p, uint64_t now_us)
{
	p->ops->handle_timeout(p, now_us);
}

static inline uint64_t path_next_timeout(const struct path *p)
{
	return p->ops->next_timeout(p);
}

/* Next thing to send: its length, 0 when there is none, FZ_ERR_NOSPACE when cap < PATH_TRANSMIT_MAX. Drain it
 * after every other call; the due checks of one turn come out in order of preference. */
static inline int path_poll_transmit(struct path *p, void *buf, size_t cap, enum path_transmit_kind *ret_kind,
				     struct path_route *ret, uint64_t now_us)
{
	return p->ops->poll_transmit(p, buf, cap, ret_kind, ret, now_us);
}

static inline bool path_poll_event(struct path *p, struct path_event *ret)
{
	return p->ops->poll_event(p, ret);
}

/* Idle connections are checked rarely. Takes effect at once. */
static inline void path_set_idle(struct path *p, bool idle, uint64_t now_us)
{
	p->ops->set_idle(p, idle, now_us);
}

/* May the owner let an unused connection fall idle? */
static inline bool path_settled(const struct path *p)
{
	return p->ops->settled(p);
}

/* Where payload goes; NULL = nowhere yet. Valid until the next call that takes the time. */
static inline const struct path_route *path_selected(const struct path *p)
{
	return p->ops->selected(p);
}

static inline void path_get_stats(const struct path *p, struct path_stats *ret)
{
	p->ops->stats(p, ret);
}

/* Attribution of a STUN datagram among many agents without trying each:
 * requests carry "<our ufrag>:<their ufrag>", unique per connection (look it up in a table of path_username()
 * texts); responses carry the `tag` of the agent that asked. Only the header and USERNAME are read, nothing
 * is authenticated. */
struct path_stun_key {
	bool is_request;
	const char *username; /* request: view into the datagram, not terminated */
	size_t username_len;
	uint32_t tag; /* response */
};

/* FZ_ERR_NOT_MINE: no STUN, or neither request nor response to a check. */
int path_stun_peek(const void *data, size_t len, struct path_stun_key *ret);
/* "<local>:<remote>" of incoming requests; returns the length, FZ_ERR_NOSPACE. */
int path_username(const struct path_opts *opts, char *buf, size_t cap);

#endif
