/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of connectivity checks (RFC 8445 sections 7 and 16): STUN Binding requests and responses under
 * short-term credentials. Pure functions; a decoded message is authenticated. */
#ifndef PROTO_ICE_CHECK_H
#define PROTO_ICE_CHECK_H

#include "fzconn/env.h"
#include "wire/stun.h"

/* Far above the portal's 4 and 22, and small enough for every message to fit PATH_TRANSMIT_MAX. */
#define ICE_UFRAG_MAX 32
#define ICE_PWD_MAX 256
#define ICE_USERNAME_MAX (2 * ICE_UFRAG_MAX + 2)

struct ice_creds {
	char username_in[ICE_USERNAME_MAX]; /* "ours:theirs", of requests to us */
	char username_out[ICE_USERNAME_MAX]; /* "theirs:ours", of requests by us */
	size_t local_ufrag_len; /* prefix of username_in */
	char local_pwd[ICE_PWD_MAX + 1]; /* key of requests to us and of our responses */
	char remote_pwd[ICE_PWD_MAX + 1]; /* key of requests by us and of their responses */
};

/* FZ_ERR_INVAL: empty, too long, or a colon in a ufrag. */
int ice_creds_init(struct ice_creds *c, const char *local_ufrag, const char *local_pwd,
		   const char *remote_ufrag, const char *remote_pwd);
void ice_creds_clear(struct ice_creds *c);

/* Transaction ids: 8 random bytes, and the owner's tag hidden among them so that an answer finds its agent.
 */
struct stun_txid ice_txid(uint32_t tag, uint64_t random);
uint32_t ice_txid_tag(const struct stun_txid *id);
uint64_t ice_txid_random(const struct stun_txid *id);

struct ice_request {
	struct stun_txid txid;
	bool has_role, is_controlling, use_candidate; /* a received one may lack the role */
	uint64_t tie_breaker;
	uint32_t priority;
};

enum ice_msg_type { ICE_REQUEST, ICE_SUCCESS, ICE_ERROR };

struct ice_msg {
	enum ice_msg_type type;
	struct ice_request request;
	struct stun_txid txid;
	struct fz_addr mapped; /* success */
	uint16_t error_code; /* error */
};

/* Lengths, or FZ_ERR_NOSPACE, FZ_ERR_CRYPTO. The order of the attributes is the one of the reference peers.
 */
int ice_encode_request(const struct ice_creds *c, const struct ice_request *r, void *buf, size_t cap);
int ice_encode_success(const struct ice_creds *c, const struct stun_txid *txid, const struct fz_addr *mapped,
		       void *buf, size_t cap);
int ice_encode_role_conflict(const struct ice_creds *c, const struct stun_txid *txid, void *buf, size_t cap);

/* FZ_ERR_WIRE: not STUN, malformed, or without what every check carries. FZ_ERR_NOT_MINE: another session's
 * username, or no check message. FZ_ERR_AUTH: wrong MESSAGE-INTEGRITY. */
int ice_decode(const struct ice_creds *c, const void *data, size_t len, struct ice_msg *ret);

#endif
