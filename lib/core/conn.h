/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: a peer, its WireGuard tunnel, the path agent that finds the way to it, and the relay
 * through which we may be reached. Knows nothing of resources and grants. Owned by the node, which also sends
 * what it wants to send. */
#ifndef CORE_CONN_H
#define CORE_CONN_H

#include "base/heap.h"
#include "base/map.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/relays.h"
#include "proto/path.h"
#include "proto/wg_peer.h"

/* Longest username and password of ICE that the portal may give us. */
#define CONN_CRED_MAX 128
/* Candidate texts of one turn that are signalled together; more are dropped and counted. */
#define CONN_SIGNALS_MAX 32

enum conn_state {
	CONN_CONNECTING, /* no path yet */
	CONN_CONNECTED,
	CONN_IDLE, /* no packet for a while: the path is checked rarely */
	CONN_FAILED
};

/* Everything that both ends were told by the portal. */
struct conn_params {
	struct fz_uuid id; /* of the peer */
	struct fz_key peer_key, psk;
	bool controlling; /* we initiate: paths and WireGuard */
	bool iceless;
	const char *local_ufrag, *local_pwd, *remote_ufrag, *remote_pwd;
	enum path_profile profile, idle_profile;
};

struct conn_signal {
	bool gone; /* an invalidation */
	char *text;
};

struct conn {
	const struct fz_env *env;
	uint32_t ref; /* handle of the node's users and upper 24 bits of our WireGuard indices */
	void *owner; /* of the node's user; never touched here */
	struct fz_uuid id;
	struct fz_key peer_key, psk;
	bool controlling, iceless;
	char local_ufrag[CONN_CRED_MAX], local_pwd[CONN_CRED_MAX], remote_ufrag[CONN_CRED_MAX],
		remote_pwd[CONN_CRED_MAX];
	struct wg_peer *wg;
	struct path *path;
	struct relay *relay; /* NULL = lost, to be selected anew */

	enum conn_state state;
	bool has_session, reported_up;
	bool has_locals; /* it was offered an address of ours */
	const char *failure; /* why it failed, static */
	bool has_arrival; /* an initiation came in before a path was selected */
	uint8_t initiation_mac[16]; /* mac1 of the last initiation of the peer that was accepted */
	struct path_route route; /* of payload; valid unless CONNECTING */
	struct fz_addr came_from, came_to; /* outer addresses of the last run of data */
	struct path_route arrival; /* where the last accepted handshake message came from */
	uint64_t last_activity_us, candidate_deadline_us, last_proactive_us;

	struct conn_signal signals[CONN_SIGNALS_MAX];
	size_t signals_len;

	struct fz_heap_node timer;
	struct fz_map_link by_id, by_key, by_ufrag, by_initiation;
	struct conn *next_dirty;
	bool dirty;
};

int conn_new(const struct fz_env *env, struct wg_self *self, const struct conn_params *p, uint32_t ref,
	     uint64_t now_us, struct conn **ret);
void conn_free(struct conn *c);
/* Is this the same connection, so that a repeated authorization keeps it? */
bool conn_matches(const struct conn *c, const struct conn_params *p);
/* It is over; told at the end of the turn. `why` is static. */
void conn_fail(struct conn *c, const char *why);
/* Offer a local candidate; signal it when the agent says so, or always when `again`. */
void conn_add_local(struct conn *c, const struct cand *cand, bool again, uint64_t now_us);
void conn_remove_local(struct conn *c, const struct cand *cand, uint64_t now_us);
/* The texts to signal, in the order of a signalling message; taken: the caller frees each and the array stays
 * valid until the next call on the connection. */
size_t conn_take_signals(struct conn *c, bool gone, const char *texts[CONN_SIGNALS_MAX]);
/* An IP packet went in or out. */
void conn_note_activity(struct conn *c, uint64_t now_us);
/* The network changed under it: the session lives on, relay and addresses are to be found anew. */
void conn_roam(struct conn *c, uint64_t now_us);
/* The portal granted it once more. */
void conn_renewed(struct conn *c, uint64_t now_us);
/* Start a handshake unless one is in flight or was started for the same purpose lately. */
void conn_want_handshake(struct conn *c, uint64_t now_us);
void conn_handle_timeout(struct conn *c, uint64_t now_us);
uint64_t conn_next_timeout(const struct conn *c);
const char *conn_path_kind(const struct conn *c);

#endif
