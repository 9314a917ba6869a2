/* SPDX-License-Identifier: Apache-2.0 */
/* What control messages say (wire/p2p.h): JSON texts by which a client announces the addresses that stand for
 * a name, and a gateway answers whether it serves them. Keys that nobody knows are ignored, missing ones
 * spoil the message. */
#ifndef WIRE_P2P_PAYLOAD_H
#define WIRE_P2P_PAYLOAD_H

#include "base/text.h"
#include "fzconn/addr.h"
#include "fzconn/env.h"
#include "wire/p2p.h"

/* Longest domain as text, without NUL: 250 octets in labels, each written as \DDD. */
#define P2P_DOMAIN_MAX 1003
/* Addresses of one name; peers use four of each family, one family or both. */
#define P2P_PROXIES_MAX 16

/* From client to gateway: these addresses stand for this name. The gateway resolves it, again with each
 * repetition. */
struct p2p_assigned_ips {
	struct fz_uuid resource;
	char domain[P2P_DOMAIN_MAX + 1]; /* without the dot at its end; the root is "." */
	struct fz_ip ips[P2P_PROXIES_MAX];
	size_t ips_len;
};

/* From gateway to client. */
struct p2p_domain_status {
	struct fz_uuid resource;
	char domain[P2P_DOMAIN_MAX + 1]; /* as the client spelled it */
	bool active; /* every word but "Active" means not */
};

/* FZ_ERR_WIRE: malformed, a key is missing, or beyond a limit above; ret untouched. */
int p2p_parse_assigned_ips(const uint8_t *payload, size_t len, struct p2p_assigned_ips *ret);
int p2p_parse_domain_status(const uint8_t *payload, size_t len, struct p2p_domain_status *ret);

/* Write the payload to @buf of P2P_PAYLOAD_MAX bytes; returns its length. FZ_ERR_NOSPACE: it does not fit
 * there. FZ_ERR_NOMEM. */
int p2p_build_assigned_ips(const struct fz_env *env, const struct p2p_assigned_ips *m, uint8_t *buf);
int p2p_build_domain_status(const struct fz_env *env, const struct p2p_domain_status *m, uint8_t *buf);

#endif
