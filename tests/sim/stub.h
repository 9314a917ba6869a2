/* SPDX-License-Identifier: Apache-2.0 */
/* A portal for tests of whole devices: WebSocket and Phoenix as far as a device sees them, resources of each
 * kind but pools, which all gateways serve, relays. It decides nothing by itself but who gets access
 * (everybody, to what is listed), moves no bytes and knows no time: its owner carries the lines. Device "c7"
 * is client 7, "g2" gateway 2. */
#ifndef SIM_STUB_H
#define SIM_STUB_H

#include "base/secret.h"
#include "fzconn/addr.h"

#define STUB_LINES_MAX 1024
#define STUB_RESOURCES_MAX 32
#define STUB_RELAYS_MAX 4

/* Bytes for the device on a line; NULL data: the portal closes the line. */
typedef void stub_send(void *ctx, unsigned line, const void *data, size_t len);

struct stub_stats {
	unsigned joins, requests, no_relays, created, acknowledged, candidates, invalidations;
	unsigned offline; /* requests that no gateway could serve */
};

struct stub;
struct stub *stub_new(stub_send *send, void *ctx);
void stub_free(struct stub *s);
const struct stub_stats *stub_stats(const struct stub *s);

/* The lines. False: nobody listens. */
bool stub_open(struct stub *s, unsigned line);
void stub_bytes(struct stub *s, unsigned line, const void *data, size_t len);
void stub_close(struct stub *s, unsigned line);
/* An outage: all lines are closed, none can be opened. */
void stub_set_down(struct stub *s, bool is_down);

/* The public key of a device that is online. */
bool stub_key(struct stub *s, bool is_gateway, unsigned number, struct fz_key *ret);

/* What it administers. Everybody online is told of changes. */
void stub_add_relay(struct stub *s, unsigned n, const struct fz_addr *addr4, const struct fz_addr *addr6,
		    const char *username, const char *password);
/* Only clients ('c') or gateways ('g') hear of it from now on. */
void stub_limit_relay(struct stub *s, unsigned n, char role);
void stub_remove_relay(struct stub *s, unsigned n);
/* filters: a JSON array. One that exists is updated: address for clients, filters for everybody. */
void stub_set_resource(struct stub *s, unsigned n, const char *cidr, const char *filters);
/* The same for names; stack NULL = both families. And for the Internet. */
void stub_set_names(struct stub *s, unsigned n, const char *pattern, const char *stack, const char *filters);
void stub_set_internet(struct stub *s, unsigned n);
/* It belongs to another site now (1 at first). */
void stub_move_resource(struct stub *s, unsigned n, unsigned site);
/* More members of the clients' interface object, beginning with a comma: search domain, upstream servers. */
void stub_set_interface(struct stub *s, const char *members);
void stub_remove_resource(struct stub *s, unsigned n);
/* Access that is granted from now on ends then; 0 = never. */
void stub_set_expiry(struct stub *s, uint64_t unix_s);
void stub_revoke(struct stub *s, unsigned client, unsigned resource);
/* Requests are answered with this reason; NULL = granted. */
void stub_set_refusal(struct stub *s, const char *reason);
/* Gateways are asked but their acknowledgement stays here: the client waits. */
void stub_set_silent(struct stub *s, bool is_silent);
/* Flow logs: where to, how often, and with which tokens clients and gateways report. Copied; tell again with
 * stub_say() or before devices join. */
void stub_set_flow_logs(struct stub *s, const char *api_url, unsigned interval_s, const char *client_token,
			const char *gateway_token);

/* Say something to everybody of a role, or send any text at all: malformed messages. */
void stub_say(struct stub *s, bool to_gateways, const char *event, const char *payload);

/* "50000000-0000-4000-8000-000000000001": the id of resource 1; c... clients, a... gateways, b... relays. */
const char *stub_id(char kind, unsigned n, char buf[37]);

#endif
